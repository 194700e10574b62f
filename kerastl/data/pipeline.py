"""Batches for training and evaluation: the only tf.data code.

Pictures stay uint8 in memory until their batch is made; the order of an epoch is one permutation of indices, so no
picture is ever copied into a shuffle buffer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from kerastl import types

Augment = Callable[[Any], Any]


def batches(
    split: types.Split,
    *,
    batch_size: int,
    shuffle: bool = False,
    seed: int = 0,
    augment: Augment | None = None,
    drop_remainder: bool = False,
) -> tf.data.Dataset:
    """Batches of one split.

    Args:
        split: inputs ``(examples, *shape)`` of any number type, labels ``(examples,)``.
        batch_size: examples a batch; the last one is smaller unless dropped.
        shuffle: a new order of all examples each time the result is iterated. The orders depend on ``seed`` and on
            how often it was iterated before, not on any global seed: an equal call gives bitwise the same batches.
        seed: of the orders.
        augment: takes and returns a float32 batch ``(batch, *shape)`` on the scale of the inputs (0..255 for
            pictures), for example a model of Keras' own preprocessing layers. One that carries its own random state
            (Keras layers do, from their ``seed``) has to be made anew for the same batches again.
        drop_remainder: leaves out the last batch where it would be smaller.

    Returns:
        A `tf.data.Dataset` of ``(inputs float32 (batch, *shape), labels int32 (batch,))``, of known length.

    Raises:
        ValueError: no batch can be made, or ``augment`` changes the number of examples.
    """
    examples = len(split)
    steps = examples // batch_size if drop_remainder else -(-examples // max(batch_size, 1))
    if batch_size < 1 or steps < 1:
        raise ValueError(
            f"Wanted at least one batch. Received: {examples} examples in split {split.name!r}, "
            f"batch_size={batch_size}, drop_remainder={drop_remainder}."
        )
    with tf.device("CPU:0"):  # a GPU need not hold the data set, and tf.data could not reach it there
        inputs = tf.constant(split.inputs)
        labels = tf.constant(split.labels, tf.int32)
        starts = tf.data.Dataset.range(0, steps * batch_size, batch_size)
        if shuffle:
            order = _orders(examples, seed)
            indices = order.flat_map(lambda row: starts.map(lambda start: row[start : start + batch_size]))
            # flat_map hides the length; Keras needs it for its progress bar.
            indices = indices.apply(tf.data.experimental.assert_cardinality(steps))
        else:
            indices = starts.map(lambda start: tf.range(start, tf.minimum(start + batch_size, examples)))

        def take(rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            batch = tf.cast(tf.gather(inputs, rows), tf.float32)
            size = batch_size if drop_remainder else None
            return tf.ensure_shape(batch, (size, *inputs.shape[1:])), tf.ensure_shape(tf.gather(labels, rows), (size,))

        made = indices.map(take, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        if augment is not None:
            # One batch after the other: Keras' random layers advance a shared state, and batches made in parallel
            # would take its values in whatever order their threads ran.
            made = made.map(lambda batch, answers: (_augmented(augment, batch), answers))
        made = made.prefetch(tf.data.AUTOTUNE)
    if shuffle:
        made._kerastl_epochs = order._kerastl_epochs  # pyright: ignore[reportAttributeAccessIssue]
    return made


def _orders(examples: int, seed: int) -> tf.data.Dataset:
    """A data set of one permutation (int64), another one each time it is iterated."""
    epochs = tf.Variable(tf.constant(0, tf.int64), trainable=False, name="epochs")

    def order(_: tf.Tensor) -> tf.Tensor:
        epoch = epochs.assign_add(1)
        seeds = tf.stack([tf.constant(seed, tf.int64), epoch])
        # Philox is stateless and specified: the same numbers on every machine and in every version. Without bounds
        # it draws from all of int64, where no two of a few million are equal.
        draws = tf.random.stateless_uniform(
            (examples,),
            seeds,
            minval=None,  # pyright: ignore[reportArgumentType]
            dtype=tf.int64,
            alg="philox",
        )
        return tf.argsort(draws, stable=True, direction="ASCENDING")

    made = tf.data.Dataset.from_tensors(0).map(order)
    made._kerastl_epochs = epochs  # pyright: ignore[reportAttributeAccessIssue]  # lives as long as its data set
    return made


def _augmented(augment: Augment, batch: tf.Tensor) -> tf.Tensor:
    changed = tf.cast(augment(batch), tf.float32)
    if changed.shape.rank != batch.shape.rank:
        raise ValueError(
            f"augment has to return a batch of the same number of axes. Received: shape {changed.shape} "
            f"for {batch.shape}."
        )
    return tf.ensure_shape(changed, (batch.shape[0], *changed.shape[1:]))
