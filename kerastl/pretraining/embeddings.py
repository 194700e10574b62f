"""What objectives compute with: two batches of embeddings that were looked at, their directions, their features."""

from __future__ import annotations

import math

import tensorflow as tf

from kerastl.distil import numerics

_NOTHING = 1e-30
"""Vectors whose every number is smaller have no direction: their gradient would be larger than float32 goes."""


def as_pair(first: tf.Tensor, second: tf.Tensor, *, least: int = 1) -> tuple[tf.Tensor, tf.Tensor]:
    """Two batches of embeddings in float32, in float64 where one of them is.

    Args:
        first, second: ``(batch, width)``, of one shape.
        least: examples that an objective needs, where the batch says how many it has.

    Raises:
        ValueError: they are not of that shape, or there are fewer examples.
    """
    first, second = numerics.as_float(first, second)
    shapes = first.shape, second.shape
    fits = shapes[0].rank == shapes[1].rank == 2 and shapes[0].is_compatible_with(shapes[1])
    sizes = [size for shape in shapes for size in shape.as_list()[:1] if size is not None] if fits else [0]
    if min(sizes, default=least) < least or shapes[0][1] == 0:
        raise ValueError(
            f"Wanted two batches of embeddings of one shape (batch, width), {least} or more examples each; pooling "
            f"makes vectors of maps. Received: {' and '.join(str(shape) for shape in shapes)}."
        )
    return first, second


def check_weights(**weights: float) -> None:
    """Raises `ValueError` for a weight of a term that is negative or not finite, naming it."""
    for name, weight in weights.items():
        if not 0 <= weight < math.inf:
            raise ValueError(f"The weight of a term is a number, 0 or more. Received: {name}={weight}.")


def unit(vectors: tf.Tensor) -> tf.Tensor:
    """Vectors along the last axis, of length 1; what is nearly zero becomes zero, with a gradient of zero.

    Squares of float32 overflow beyond 1e19: vectors are first divided by their largest number, which changes neither
    their direction nor, for it is the same for any divisor, the gradient.
    """
    scaled = _scaled(vectors, axis=-1)
    return tf.math.divide_no_nan(scaled, numerics.safe_sqrt(tf.reduce_sum(tf.square(scaled), -1, keepdims=True)))


def standardized(features: tf.Tensor) -> tf.Tensor:
    """Every feature with mean 0 and length 1 over the batch: the inner product of two is Pearson's correlation.

    Args:
        features: ``(batch, width)``.

    Returns:
        ``(batch, width)``; a feature that does not vary, but for rounding, is 0 throughout.
    """
    scaled = _scaled(features, axis=0)
    centred = scaled - tf.reduce_mean(scaled, 0, keepdims=True)
    squares = tf.reduce_sum(tf.square(centred), 0, keepdims=True)
    # numbers that should be equal differ by a rounding, which must not be blown up to length 1
    rounding = (16 * _epsilon(features.dtype)) ** 2
    varies = squares > rounding * tf.cast(tf.shape(features)[0], features.dtype)
    return tf.math.divide_no_nan(centred, numerics.safe_sqrt(tf.where(varies, squares, tf.zeros_like(squares))))


def _epsilon(kind: tf.DType) -> float:
    return 2.0**-52 if kind == tf.float64 else 2.0**-23


def _scaled(values: tf.Tensor, *, axis: int) -> tf.Tensor:
    """Values over the largest of them along an axis, which no gradient goes through; 0 where all are nearly 0."""
    largest = tf.stop_gradient(tf.reduce_max(tf.abs(values), axis, keepdims=True))
    return tf.math.divide_no_nan(values, tf.where(largest > _NOTHING, largest, tf.zeros_like(largest)))
