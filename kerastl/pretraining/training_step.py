"""The step that every model of this room takes: its loss is its own, of data without labels, on one device."""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

from kerastl.distil import numerics


def take(
    model: keras.Model, measured: Callable[[], tuple[tf.Tensor, tf.Tensor]], *, what: str, idle: bool = False
) -> None:
    """Moves a model's weights once, and lets its curve know the loss, that of its layers included.

    Args:
        model: compiled.
        measured: its loss, a number, and how many examples it is the mean of; called under the tape.
        what: is trained, with its verb, for the error.
        idle: whether weights may be without a gradient, which Keras warns of otherwise.

    Raises:
        ValueError: there are several replicas.
    """
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    if replicas > 1:
        raise ValueError(f"{what} trained on one device. Received: a strategy of {replicas} replicas.")
    with tf.GradientTape() as tape:
        value, count = measured()
        loss = tf.add_n(numerics.as_float(value, *(tf.reduce_sum(extra) for extra in model.losses)))
        scaled = model.optimizer.scale_loss(loss)
    variables = model.trainable_variables
    gradients = tape.gradient(scaled, [variable.value for variable in variables])
    moved = [pair for pair in zip(gradients, variables, strict=True) if not idle or pair[0] is not None]
    model.optimizer.apply([gradient for gradient, _ in moved], [variable for _, variable in moved])
    model._loss_tracker.update_state(loss, sample_weight=count)
