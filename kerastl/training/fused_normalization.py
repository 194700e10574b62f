"""Batch normalization in one operation for as long as a model is trained."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

BLOCK = 16
"""Channels that a bfloat16 kernel of oneDNN takes at once: with others it is slower than float32 and two casts."""


@contextlib.contextmanager
def fused(model: keras.Model) -> Iterator[int]:
    """Every `keras.layers.BatchNormalization` of a model computes a training step by TensorFlow's fused operation.

    Keras 3 writes the layer in a dozen operations, forward and backward each, which are up to half of a step of a small
    convolutional network on a processor; the fused one (Ioffe & Szegedy 2015, algorithm 1, and its gradient) gives the
    same numbers but for their rounding. The objects are changed and not their class, and changed back: a saved model
    names Keras' own layer, and in inference nothing differs. A layer that the operation does not know is left as it is:
    one that is frozen, of fewer or more than two axes in space, without scale or offset, with a mask, renormalized, or
    synchronized between devices.

    Args:
        model: any, models inside it too.

    Yields:
        How many layers were changed.
    """
    layers = [one for one in model._flatten_layers() if type(one) is keras.layers.BatchNormalization and _fits(one)]
    for layer in layers:
        object.__setattr__(layer, "call", functools.partial(_call, layer))  # which Keras would track as its own
    try:
        yield len(layers)
    finally:
        for layer in layers:
            object.__delattr__(layer, "call")


def _fits(layer: keras.layers.BatchNormalization) -> bool:
    usual = layer.scale and layer.center and not layer.renorm and not layer.synchronized
    return bool(usual and layer.built and layer.input_spec.ndim == 4 and layer.axis in (-1, 3))


def _call(layer: Any, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None) -> tf.Tensor:
    if not training or not layer.trainable or mask is not None:
        return type(layer).call(layer, inputs, training=training, mask=mask)
    channels = int(layer.gamma.shape[0])
    if inputs.dtype == tf.float16 or (inputs.dtype == tf.bfloat16 and channels % BLOCK):
        inputs = tf.cast(inputs, tf.float32)
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=inputs,
        scale=tf.cast(layer.gamma, tf.float32),
        offset=tf.cast(layer.beta, tf.float32),
        mean=tf.zeros([0]),
        variance=tf.zeros([0]),
        epsilon=layer.epsilon,
        is_training=True,
    )
    count = tf.cast(tf.size(inputs) // channels, tf.float32)
    variance *= (count - 1.0) / count  # Keras keeps the batch's own variance, the operation gives the unbiased one
    for moving, batch in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
        moving.assign(moving * layer.momentum + tf.cast(batch, moving.dtype) * (1.0 - layer.momentum))
    return tf.cast(outputs, layer.compute_dtype)
