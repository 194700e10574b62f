"""Batches for training and evaluation: the only tf.data code.

Pictures stay uint8, in memory or on disk, until their batch is made, and token ids stay integers; the order of an epoch
is one permutation of indices, so no picture is ever copied into a shuffle buffer.
"""

from __future__ import annotations

import atexit
import functools
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from kerastl import types

Augment = Callable[[Any], Any]
_as_written: Any = tf.autograph.experimental.do_not_convert  # rewriting Python costs more than making all the batches


def batches(
    split: types.Split,
    *,
    batch_size: int,
    shuffle: bool = False,
    seed: int = 0,
    augment: Augment | None = None,
    drop_remainder: bool = False,
    answers: np.ndarray | types.CachedLogits | None = None,
    views: int | None = None,
) -> tf.data.Dataset:
    """Batches of one split.

    Args:
        split: inputs ``(examples, *shape)`` of any number type, labels ``(examples,)`` or ``(examples, classes)``.
            Streamed inputs give bitwise the same batches as an array of them.
        batch_size: examples a batch; the last one is smaller unless dropped.
        shuffle: a new order of all examples each time the result is iterated. The orders depend on ``seed`` and on
            how often it was iterated before, not on any global seed: an equal call gives bitwise the same batches.
        seed: of the orders.
        augment: takes and returns a float32 batch ``(batch, *shape)`` on the scale of the inputs (0..255 for pictures):
            a Keras model of random layers, as ``augmentation.image_augmentation`` makes it, or a function without
            state. What a model does to a batch depends only on its layers' seeds, the epoch and the batch's place in
            it, so batches can be made side by side, and made again. For pictures: token ids are no numbers to be
            changed a little.
        drop_remainder: leaves out the last batch where it would be smaller.
        answers: a teacher's logits ``(examples, classes)``, computed beforehand: they go beside the labels, for a
            ``Distiller`` without a teacher. Or those to several views of every example, as `distil.answers` keeps them
            on disk: of other examples, of another order of them or of other views they are refused.
        views: how many epochs differ: one after that has the order and the views of the first again, and so on, so
            that a teacher can have answered them all. Stored ``answers`` to changed inputs know it themselves.

    Returns:
        A `tf.data.Dataset` of ``(inputs (batch, *shape), labels int32, (batch,) or (batch, classes))``, of known
        length; inputs are float32, but token ids are int32. With ``answers`` the labels are ``(labels, answers (batch,
        classes))``. Its attribute ``epochs_begun`` is an int64 variable that counts how often it was iterated; whoever
        sets it to n goes on with the order and the views of the epoch after n. Its ``course`` is a `types.Course`.

    Raises:
        ValueError: no batch can be made, ``augment`` changes the number of examples, or is given with token ids; there
            are fewer views than one, not one answer an example, or answers to something else.
    """
    examples = len(split)
    steps = examples // batch_size if drop_remainder else -(-examples // max(batch_size, 1))
    if batch_size < 1 or steps < 1:
        raise ValueError(
            f"Wanted at least one batch. Received: {examples} examples in split {split.name!r}, "
            f"batch_size={batch_size}, drop_remainder={drop_remainder}."
        )
    if split.is_text and augment is not None:
        raise ValueError(f"Views are made of pictures. Received: augment with the token ids of split {split.name!r}.")
    views = _views(views, answers, split, changed=augment is not None)
    change = augment if augment is None else _by_place(augment, split.inputs.shape[1:])
    kind = tf.int32 if split.is_text else tf.float32

    def order_of(epoch: Any) -> tf.Tensor:
        return _order(examples, seed=seed, epoch=epoch) if shuffle else tf.range(examples, dtype=tf.int64)

    course = types.BatchingSpec(
        split.inputs,
        batch_size,
        drop_remainder,
        shuffle,
        seed,
        augment,
        states=tuple(variable.numpy() for variable in getattr(augment, "variables", ())),
        views=views,
        order=lambda epoch: order_of(_number(tf.constant(epoch, tf.int64), views)).numpy(),
    )
    if isinstance(answers, types.CachedLogits):
        answers.check(course)
    with tf.device("CPU:0"):  # a GPU need not hold the data set, and tf.data could not reach it there
        read = _reader(split.inputs)
        labels = tf.constant(split.labels, tf.int32)
        taught = None if answers is None else _teacher(answers)
        epochs = tf.Variable(tf.constant(0, tf.int64), trainable=False, name="epochs")
        steps_of_epoch = tf.data.Dataset.range(steps)

        @_as_written
        def number(_: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            epoch = _number(epochs.assign_add(1), views)
            return epoch, order_of(epoch)

        @_as_written
        def places(epoch: tf.Tensor, order: tf.Tensor) -> tf.data.Dataset:
            return steps_of_epoch.map(
                _as_written(lambda step: (epoch, step, order[step * batch_size : (step + 1) * batch_size])),
            )

        def take(epoch: tf.Tensor, step: tf.Tensor, rows: tf.Tensor, batch: tf.Tensor) -> tuple[tf.Tensor, Any]:
            size = batch_size if drop_remainder else None
            batch = tf.ensure_shape(tf.cast(batch, kind), (size, *split.inputs.shape[1:]))
            if change is not None:
                batch = _same_rank(change(batch, epoch, step), batch)
            targets = tf.ensure_shape(tf.gather(labels, rows), (size, *split.labels.shape[1:]))
            if taught is None:
                return batch, targets
            logits = taught(epoch, rows)
            return batch, (targets, tf.ensure_shape(logits, (size, *logits.shape[1:])))

        indices: Any = tf.data.Dataset.from_tensors(0).map(number)
        indices = indices.flat_map(places)
        # flat_map hides the length; Keras needs it for its progress bar.
        indices = indices.apply(tf.data.experimental.assert_cardinality(steps))
        options: dict[str, Any] = {"num_parallel_calls": tf.data.AUTOTUNE, "deterministic": True}

        def whole(epoch: tf.Tensor, step: tf.Tensor, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return take(epoch, step, rows, read(rows))

        if change is None:  # a change may hold an ``if`` over tensors
            whole = _as_written(whole)
        ahead = tf.data.AUTOTUNE
        if isinstance(split.inputs, types.LazyArray):
            # Each batch is read by many threads: two at once leave none of them idle, and more would fill the memory.
            ahead, reading = 1, {"num_parallel_calls": 2, "deterministic": True}
            if change is None:
                made = indices.map(whole, **reading)
            else:
                made = indices.map(_as_written(lambda *place: (*place, read(place[-1]))), **reading)
                made = made.map(take, **options)
        else:
            made = indices.map(whole, **options)
        made = made.prefetch(ahead)
    made.epochs_begun = epochs  # pyright: ignore[reportAttributeAccessIssue]  # and so it lives as long as its data set
    made.course = course  # pyright: ignore[reportAttributeAccessIssue]
    return made


def _views(
    views: int | None, answers: np.ndarray | types.CachedLogits | None, split: types.Split, *, changed: bool
) -> int | None:
    """How many epochs differ: as was said, or as often as stored answers were given."""
    if views is not None and views < 1:
        raise ValueError(f"Wanted one view of every example or more. Received: views={views}.")
    if answers is None:
        return views
    stored = isinstance(answers, types.CachedLogits)
    count = answers.shape[1] if stored else len(answers)
    if count != len(split):
        raise ValueError(f"Wanted one answer an example. Received: {count} for {len(split)} in {split.name!r}.")
    if stored and changed:  # of inputs that nothing changes there is one view, and any order of them will do
        if views not in (None, answers.shape[0]):
            raise ValueError(f"Wanted as many views as were answered, {answers.shape[0]}. Received: views={views}.")
        return answers.shape[0]
    return views


def _number(epoch: Any, views: int | None) -> Any:
    """The number, from 1, of the epoch whose order and views this one has."""
    return epoch if views is None else (epoch - 1) % views + 1


def _teacher(answers: np.ndarray | types.CachedLogits) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """A teacher's logits ``(batch, classes)`` by the number of the epoch and the indices, as a graph operation."""
    if not isinstance(answers, types.CachedLogits):
        held = tf.constant(answers, tf.float32)
        return lambda epoch, rows: tf.gather(held, rows)

    gate, (views, _, classes) = _gate(), answers.shape

    def taken(epoch: Any, rows: Any) -> Any:
        with gate as open_:
            return answers[int(epoch - 1) % views, rows] if open_ else np.zeros((len(rows), classes), np.float32)

    def read(epoch: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        logits: Any = tf.numpy_function(taken, [epoch, rows], tf.float32)
        return tf.ensure_shape(logits, (None, classes))

    return read


def _reader(inputs: Any) -> Callable[[tf.Tensor], tf.Tensor]:
    """Inputs by their indices, as a graph operation."""
    if not isinstance(inputs, types.LazyArray):
        held = tf.constant(inputs)
        return lambda rows: tf.gather(held, rows)

    gate = _gate()

    def taken(rows: Any) -> Any:
        with gate as open_:
            # blank ones are read ahead for nobody; an error would be printed at the end of every program
            return inputs[rows] if open_ else np.zeros((len(rows), *inputs.shape[1:]), inputs.dtype)

    def read(rows: tf.Tensor) -> tf.Tensor:
        batch: Any = tf.numpy_function(taken, [rows], inputs.dtype)
        return tf.ensure_shape(batch, (None, *inputs.shape[1:]))

    return read


class _Gate:
    """Through which TensorFlow's threads come to read; closed before the interpreter ends.

    An iterator that was not read to its end goes on reading ahead. A thread of it that is inside Python when the
    interpreter ends never comes back, and TensorFlow waits for it for ever.
    """

    _QUIET = 0.2  # seconds without a reader after which none is on its way: whoever comes now is turned away at once

    def __init__(self) -> None:
        self._inside, self._last, self._closed, self._lock = 0, 0.0, False, threading.Lock()

    def __enter__(self) -> bool:
        self._count(1)
        return not self._closed

    def __exit__(self, *_: object) -> None:
        self._count(-1)

    def _count(self, step: int) -> None:
        with self._lock:
            self._inside += step
            self._last = time.monotonic()

    def close(self) -> None:
        self._closed = True
        patience = time.monotonic() + 10
        while (self._inside or time.monotonic() - self._last < self._QUIET) and time.monotonic() < patience:
            time.sleep(0.01)


@functools.cache
def _gate() -> _Gate:
    gate = _Gate()
    atexit.register(gate.close)
    return gate


def _order(examples: int, *, seed: int, epoch: tf.Tensor) -> tf.Tensor:
    """One permutation (int64), another one for each epoch."""
    draws = _draw((examples,), tf.stack([tf.constant(seed, tf.int64), epoch]))
    return tf.argsort(draws, stable=True, direction="ASCENDING")


def _draw(shape: tuple[int, ...], seed: tf.Tensor) -> tf.Tensor:
    """Random int64 numbers: stateless and, by Philox, the same on every machine and in every version.

    Without bounds they come from all of int64, where no two of a few million are equal.
    """
    return tf.random.stateless_uniform(
        shape,
        seed,
        minval=None,  # pyright: ignore[reportArgumentType]
        dtype=tf.int64,
        alg="philox",
    )


def _by_place(augment: Any, shape: tuple[int, ...]) -> Callable[[Any, Any, Any], Any]:
    """``augment`` as a function of batch, epoch and step, its random states drawn from (their seeds, epoch, step)."""
    if not hasattr(augment, "stateless_call"):
        return lambda batch, epoch, step: augment(batch)
    if not augment.built:
        augment.build((None, *shape))
    variables = augment.variables
    strange = [variable.path for variable in variables if variable.shape != (2,) or "int" not in variable.dtype]
    if strange:
        raise ValueError(f"augment may hold random states and no other variables. Received: {', '.join(strange)}.")
    seeds = [tf.constant(variable.numpy()) for variable in variables]

    def at(seed: Any, *place: Any) -> tf.Tensor:
        for number in place:
            seed = tf.random.fold_in(seed, number)
        # A fold ends with the number folded in, and a layer counts up from there for its second draw: that would be the
        # first draw of the next step. A fresh draw of both halves has no such neighbours.
        return _draw((2,), seed)

    def change(batch: tf.Tensor, epoch: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        return augment.stateless_call([], [at(seed, epoch, step) for seed in seeds], batch, training=True)[0]

    return change


def _same_rank(changed: tf.Tensor, batch: tf.Tensor) -> tf.Tensor:
    changed = tf.cast(changed, tf.float32)
    if changed.shape.rank != batch.shape.rank:
        raise ValueError(
            f"augment has to return a batch of the same number of axes. Received: shape {changed.shape} "
            f"for {batch.shape}."
        )
    return tf.ensure_shape(changed, (batch.shape[0], *changed.shape[1:]))
