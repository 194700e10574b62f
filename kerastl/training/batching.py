"""Batches of a split or of arrays that somebody hands to `fit` as they are.

The orders are those of ``data.pipeline.batches``, which also makes views, and brings stored answers along.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from kerastl.types import BatchingSpec, LazyArray, Schedule, Split, Task

Values = np.ndarray | LazyArray | Mapping[str, np.ndarray]
Batch = tf.Tensor | dict[str, tf.Tensor]
_as_written: Any = tf.autograph.experimental.do_not_convert  # rewriting Python costs more than making all the batches


def batches(split: Split, *, batch_size: int, shuffle: bool, seed: int = 0) -> tf.data.Dataset:
    """Batches of one split, the last one smaller where examples are no multiple of it.

    Args:
        split: inputs and labels, arrays or mappings of names to arrays; lazy inputs are read a batch at a time.
        batch_size: examples a batch.
        shuffle: a new order of all examples each time the result is iterated, by ``seed`` and by how often it was.
        seed: of the orders.

    Returns:
        A `tf.data.Dataset` of ``(inputs, labels)`` in the types that the task says, of known length. Its attribute
        ``epochs_begun`` is an int64 variable that counts how often it was iterated: whoever sets it goes on from there.

    Raises:
        ValueError: no batch can be made.
    """
    examples, steps = len(split), -(-len(split) // max(batch_size, 1))
    if batch_size < 1 or steps < 1:
        raise ValueError(
            f"Wanted at least one batch. Received: {examples} examples in split {split.name!r}, "
            f"batch_size={batch_size}."
        )
    with tf.device("CPU:0"):  # a GPU need not hold the data set, and tf.data could not reach it there
        inputs = _reader(split.inputs, split.task.inputs.batch_dtype)
        labels = _reader(split.labels, split.task.target.label_dtype)
        epochs = tf.Variable(tf.constant(0, tf.int64), trainable=False, name="epochs")

        def order(_: tf.Tensor) -> tf.Tensor:
            epoch = epochs.assign_add(1)
            if not shuffle:
                return tf.range(examples, dtype=tf.int64)
            draws = tf.random.stateless_uniform(
                (examples,),
                tf.stack([tf.constant(seed, tf.int64), epoch]),
                minval=None,  # pyright: ignore[reportArgumentType]
                dtype=tf.int64,
                alg="philox",
            )
            # their complements the largest first, equal ones as they come: a stable sort, in one operation
            return tf.math.top_k(tf.bitwise.invert(draws), k=examples, index_type=tf.int64).indices

        rows: tf.data.Dataset = tf.data.Dataset.from_tensors(0).map(_as_written(order)).unbatch().batch(batch_size)
        # unbatching hides the length; Keras needs it for its progress bar
        rows = rows.apply(tf.data.experimental.assert_cardinality(steps))
        # nothing is read ahead: a thread that reads for nobody keeps the interpreter from ending
        made = rows.map(_as_written(lambda places: (inputs(places), labels(places))))
        options = tf.data.Options()  # there is nothing to rewrite, and looking for it takes longer
        options.experimental_optimization.apply_default_optimizations = False
        made = made.with_options(options)
    made.epochs_begun = epochs  # pyright: ignore[reportAttributeAccessIssue]  # and so it lives as long as its data set
    return made


def task_of(data: object) -> Task | None:
    """What data says itself that it is for: a split, or batches that ``data.pipeline`` made of one."""
    if isinstance(data, Split):
        return data.task
    course: BatchingSpec | None = getattr(data, "course", None)
    return course.task if course else None


def schedule_of(data: object) -> Schedule:
    """The schedule that batches were made for by ``data.pipeline.training_batches``.

    Raises:
        ValueError: they were not: a split, or batches of another origin.
    """
    schedule = getattr(data, "schedule", None)
    if not isinstance(schedule, Schedule):
        raise ValueError(
            "Wanted schedule=, a kerastl.types.Schedule; batches of data.pipeline.training_batches bring theirs along. "
            f"Received: none, with {'a split' if isinstance(data, Split) else 'batches that have none'}."
        )
    return schedule


def validation_of(data: object) -> Split | None:
    """The validation split of the data set that ``data.pipeline.training_batches`` made batches of, if it was one."""
    validation = getattr(data, "validation", None)
    return validation if isinstance(validation, Split) else None


def brings_answers(batches: tf.data.Dataset) -> bool:
    """Whether batches have a teacher's answers beside their labels."""
    spec: Any = batches.element_spec
    return isinstance(spec[1], tuple)


def weighted(batches: tf.data.Dataset, class_weight: Mapping[int, float]) -> tf.data.Dataset:
    """Batches that bring the weight of each example's class along, where Keras cannot find it by itself.

    Args:
        batches: of ``(inputs, (labels, a teacher's answers))``, labels being class indices.
        class_weight: class index -> weight, of every class.

    Returns:
        Batches of ``(inputs, (labels, answers), weights)``, which count their epochs as the given ones do.
    """
    table = tf.constant([class_weight[label] for label in range(len(class_weight))], tf.float32)
    made = batches.map(lambda inputs, targets: (inputs, targets, tf.gather(table, targets[0])))
    for name in ("epochs_begun", "course"):
        if hasattr(batches, name):
            setattr(made, name, getattr(batches, name))
    return made


def _reader(values: Values, dtype: str | Mapping[str, str]) -> Callable[[tf.Tensor], Batch]:
    """Values by the indices of their examples, as graph operations."""
    if isinstance(values, Mapping):
        kinds = dtype if isinstance(dtype, Mapping) else dict.fromkeys(values, dtype)
        parts = {name: _of_array(part, kinds[name]) for name, part in values.items()}
        return lambda places: {name: read(places) for name, read in parts.items()}
    return _of_array(values, str(dtype))


def _of_array(array: np.ndarray | LazyArray, dtype: str) -> Callable[[tf.Tensor], tf.Tensor]:
    if not isinstance(array, LazyArray):
        held = tf.constant(array)
        return lambda places: tf.cast(tf.gather(held, places), dtype)

    def read(places: tf.Tensor) -> tf.Tensor:
        batch = tf.numpy_function(lambda rows: array[rows], [places], array.dtype)
        return tf.cast(tf.ensure_shape(batch, (None, *array.shape[1:])), dtype)

    return read
