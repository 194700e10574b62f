"""Grad-CAM: where in a picture the last convolution sees what speaks for a class.

Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391: feature maps, weighted with the mean slope of the class's
logit, and what is positive of their sum. Coarse, cheap, and of convolutional models alone.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf


class NoFeatureMaps(ValueError):
    """A model has no learnt layer whose output has places, as one of dense layers, be it behind a scaled picture."""


def explainer(model: keras.Model, *, layer: str | None = None) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """A function that explains pictures, traced once.

    Args:
        model: emits logits ``(batch, classes)``.
        layer: whose output is looked at; by default the last one that has feature maps.

    Returns:
        Takes pictures ``(examples, height, width, channels)`` and class indices ``(examples,)``, and returns maps
        float32 ``(examples, height, width)``, 0 to 1 each (0 throughout where nothing speaks for the class).

    Raises:
        NoFeatureMaps: if no layer was named, and none has them.
        ValueError: if there is no such layer.
    """
    source = _features(model) if layer is None else _named(model, layer)
    both = keras.Model(model.inputs, [source, model.outputs[0]])

    @tf.function(reduce_retracing=True)
    def maps(pictures: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            features, logits = both(pictures, training=False)
            chosen = tf.reduce_sum(tf.gather(logits, classes, batch_dims=1))
        weights = tf.reduce_mean(tape.gradient(chosen, features), (1, 2), keepdims=True)
        return tf.nn.relu(tf.reduce_sum(weights * features, -1))

    def explain(pictures: np.ndarray, classes: np.ndarray) -> np.ndarray:
        found = maps(tf.constant(np.asarray(pictures, np.float32)), tf.constant(np.asarray(classes, np.int32)))
        whole = tf.image.resize(tf.expand_dims(found, -1), pictures.shape[1:3])[..., 0].numpy()
        return whole / np.maximum(whole.max((1, 2), keepdims=True), np.finfo(np.float32).tiny)

    return explain


def _features(model: keras.Model) -> keras.KerasTensor:
    """The last feature maps: of more than one place, and neither the picture itself nor what only scales it."""
    for layer in reversed(model.layers):
        if isinstance(layer, keras.layers.InputLayer) or len(layer._inbound_nodes) != 1:
            continue
        value = layer.output
        if (
            isinstance(value, keras.KerasTensor)
            and len(value.shape) == 4
            and (value.shape[1] or 2) > 1
            and _is_learnt(model, value)
        ):
            return value
    raise NoFeatureMaps(f"Grad-CAM wants a model with feature maps. Received: {model.name!r}, which has none.")


def _is_learnt(model: keras.Model, value: keras.KerasTensor) -> bool:
    """Whether weights stand between the picture and a value, other than those that standardize it."""
    layers = keras.Model(model.inputs, value).layers
    return any(layer.weights and not isinstance(layer, keras.layers.Normalization) for layer in layers)


def _named(model: keras.Model, layer: str) -> keras.KerasTensor:
    names = [one.name for one in model.layers]
    if layer not in names:
        raise ValueError(f"There is no layer {layer!r} in {model.name!r}. Available: {', '.join(names)}.")
    return model.get_layer(layer).output
