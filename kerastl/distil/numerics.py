"""What the losses compute with: float32 or float64, a root and a divergence that stay finite where theirs do not."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from kerastl import types


def check_temperature(temperature: float | tf.Tensor) -> None:
    """Raises `ValueError` for a temperature that is not above 0 and finite; one of a schedule was looked at before."""
    if not tf.is_tensor(temperature) and not 0 < temperature < math.inf:  # inside a graph there is no number to look at
        raise ValueError(f"A temperature must be above 0. Received: temperature={temperature}.")


def as_float(*tensors: Any) -> list[Any]:
    """As tensors of float64 if one of them is, else of float32; where there are several by name, all of them."""
    found = [types.each(tf.convert_to_tensor, tensor) for tensor in tensors]
    kind = tf.float64 if any(one.dtype == tf.float64 for one in tf.nest.flatten(found)) else tf.float32
    return [types.each(lambda one: tf.cast(one, kind), tensor) for tensor in found]


def safe_sqrt(values: tf.Tensor) -> tf.Tensor:
    """Square root whose gradient at 0 is 0, where that of `tf.sqrt` is infinite."""
    positive = values > 0
    return tf.where(positive, tf.sqrt(tf.where(positive, values, tf.ones_like(values))), tf.zeros_like(values))


def masked_logit(like: tf.Tensor) -> tf.Tensor:
    """A logit of nothing. Not minus infinity, for infinity minus infinity is no number."""
    return tf.constant(like.dtype.min / 2, like.dtype)


def kl_divergence(teacher_logits: tf.Tensor, student_logits: tf.Tensor) -> tf.Tensor:
    """Kullback-Leibler divergence of two softmaxes along the last axis, in nats.

    Within, in float64: at a temperature of 20 the two log-softmaxes nearly cancel, and float32 keeps five digits of
    their difference.
    """
    teacher = tf.nn.log_softmax(tf.cast(teacher_logits, tf.float64), axis=-1)
    student = tf.nn.log_softmax(tf.cast(student_logits, tf.float64), axis=-1)
    probability = tf.exp(teacher)
    # where there is no probability the difference may be as large as numbers get, and counts nothing
    difference = tf.where(probability > 0, teacher - student, tf.zeros_like(teacher))
    return tf.cast(tf.reduce_sum(probability * difference, axis=-1), teacher_logits.dtype)
