"""BYOL: one view predicts what the moving average of the network says of the other view; nothing is told apart."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

from kerastl.pretraining import embeddings


def loss(predictions: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """The mean over the batch of ``|p - z|^2 = 2 - 2 cos(p, z)``, both of length 1; no gradient goes to the targets.

    Grill et al. 2020, "Bootstrap your own latent: A new approach to self-supervised Learning", section 3.1, eq. 2. It
    is taken twice, each of two views predicting the other's target. The order of the examples does not matter, nor the
    length of an embedding.

    Args:
        predictions: what the `predictor` makes of one view's embeddings, ``(batch, width)``.
        targets: of the other view, by the moving average (`moving_average`), ``(batch, width)``.

    Returns:
        A scalar from 0 to 4; 2 where one of the two is zero.

    Raises:
        ValueError: the shapes are others.
    """
    predictions, targets = embeddings.as_pair(predictions, targets)
    cosines = tf.reduce_sum(embeddings.unit(predictions) * tf.stop_gradient(embeddings.unit(targets)), -1)
    return tf.reduce_mean(2 - 2 * cosines)


def moving_average(
    targets: Sequence[tf.Tensor], online: Sequence[tf.Tensor], *, decay: float | tf.Tensor
) -> list[tf.Tensor]:
    """``tau * target + (1 - tau) * online`` of each weight.

    Grill et al. 2020, section 3.1, eq. 1. There the decay goes from 0.996 to 1 along half a cosine (section 3.2):
    ``distil.schedules.cosine(0.996, 1.0, steps=...)``.

    Args:
        targets, online: weights of two networks of one architecture, in one order.
        decay: tau, 0 to 1, a number or a scalar tensor.

    Returns:
        The new weights of the target, each of its own type; what is no floating-point number is taken over.

    Raises:
        ValueError: the weights are of different numbers or shapes, or the decay is outside 0..1.
    """
    if not tf.is_tensor(decay) and not 0 <= decay <= 1:
        raise ValueError(f"A decay of a moving average lies in 0..1. Received: decay={decay}.")
    shapes = [[tuple(weight.shape) for weight in some] for some in (targets, online)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            "A moving average is of weights of the same shapes in the same order. Received: "
            f"{len(shapes[0])} and {len(shapes[1])} weights{' of other shapes' * (len(shapes[0]) == len(shapes[1]))}."
        )
    found = []
    for old, new in zip(map(tf.convert_to_tensor, targets), map(tf.convert_to_tensor, online), strict=True):
        share = tf.cast(decay, old.dtype) if old.dtype.is_floating else tf.zeros((), old.dtype)
        found.append(share * old + (1 - share) * tf.cast(new, old.dtype))
    return found


def predictor(width: int, *, hidden: int = 4096, name: str = "predictor") -> keras.Model:
    """The network that stands on the online side alone: a layer, batch normalization, ReLU, a layer.

    Grill et al. 2020, section 3.2; there 4,096 hidden units, and a width of 256.

    Args:
        width: of embeddings, before and after.
        hidden: units of the layer between.
        name: of the model.

    Raises:
        ValueError: there is no unit.
    """
    if width < 1 or hidden < 1:
        raise ValueError(f"A predictor has a unit or more in every layer. Received: width={width}, hidden={hidden}.")
    embedding = keras.Input((width,), name="embedding")
    x = keras.layers.Dense(hidden, use_bias=False, name="hidden")(embedding)
    x = keras.layers.ReLU(name="relu")(keras.layers.BatchNormalization(name="norm")(x))
    return keras.Model(embedding, keras.layers.Dense(width, name="prediction")(x), name=name)
