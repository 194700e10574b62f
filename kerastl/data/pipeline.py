"""Batches for training and evaluation: the only tf.data code.

Pictures stay uint8, in memory or on disk, until their batch is made, and token ids stay integers; the order of an epoch
is one permutation of indices, so no picture is ever copied into a shuffle buffer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from kerastl import types
from kerastl.data import orders, reading_gate
from kerastl.data.sampling import Sampling
from kerastl.inputs.augmentation import Augmentation
from kerastl.inputs.waveform_augmentation import WaveformAugmentation

Augment = Callable[[Any], Any]
Batch = Any
"""A tensor, or where a split has several inputs a dict of them by name."""
Change = Callable[[Batch, tf.Tensor, tf.Tensor], Batch]
"""What changes a batch, by the numbers of the epoch and of the step."""
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
    sampling: Sampling | None = None,
    sampling_rate: float | None = None,
) -> tf.data.Dataset:
    """Batches of one split.

    Args:
        split: inputs ``(examples, *shape)`` of any number type, and labels; where these are mappings, of several inputs
            or targets, batches are dicts by the same names. Streamed inputs give bitwise the same batches as an array
            of them.
        batch_size: examples a batch; the last one is smaller unless dropped.
        shuffle: a new order of all examples each time the result is iterated. The orders depend on ``seed`` and on
            how often it was iterated before, not on any global seed: an equal call gives bitwise the same batches.
        seed: of the orders.
        augment: takes and returns a float32 batch ``(batch, *shape)`` on the scale of the inputs (0..255 for pictures):
            a Keras model of random layers, as ``augmentation.image_augmentation`` makes it, or a function without
            state. What a model does to a batch depends only on its layers' seeds, the epoch and the batch's place in
            it, so batches can be made side by side, and made again. Refused where the task's inputs are not
            ``augmentable``: token ids are no numbers to be changed a little.
        drop_remainder: leaves out the last batch where it would be smaller.
        answers: a teacher's logits ``(examples, classes)``, computed beforehand: they go beside the labels, for a
            ``Distiller`` without a teacher. Or those to several views of every example, as `distil.answers` keeps them
            on disk: of other examples, of another order of them or of other views they are refused.
        views: how many epochs differ: one after that has the order and the views of the first again, and so on, so
            that a teacher can have answered them all. Stored ``answers`` to changed inputs know it themselves.
        sampling: how often each of the data sets of a split is drawn from, of which each lacks the others' labels; by
            default by size, every example once an epoch.
        sampling_rate: the probability with which each example is in a batch; see `poisson_batches`.

    Returns:
        A `tf.data.Dataset` of ``(inputs (batch, *shape), labels)``, of known length: inputs of the ``batch_dtype`` that
        the task's inputs say, labels of the ``label_dtype`` of its target. With ``answers`` the labels are ``(labels,
        answers (batch, classes))``. Its attribute ``epochs_begun`` is an int64 variable that counts how often it was
        iterated; whoever sets it to n goes on with the order and the views of the epoch after n. Its ``course`` is a
        `types.BatchingSpec`.

    Raises:
        ValueError: no batch can be made, ``augment`` changes the number of examples, or is given where inputs are not
            augmentable; there are fewer views than one, not one answer an example, or answers to something else; data
            sets are to be sampled without ``shuffle``, of one task, or beside stored answers to several views.
    """
    plan = _Plan.of(split, batch_size=batch_size, drop_remainder=drop_remainder, shuffle=shuffle, seed=seed)
    kind = split.task.inputs
    if augment is not None and not kind.augmentable:
        raise ValueError(f"Views are made of pictures. Received: augment with {kind.kind} in split {split.name!r}.")
    plan = dataclasses.replace(plan, views=_views(views, answers, split, changed=augment is not None))
    if sampling_rate is not None:
        plan = dataclasses.replace(plan, rate=sampling_rate, steps=round(len(split) / batch_size))
    if sampling is not None and sampling.by != "size":
        _check_sampling(sampling, answers, shuffle=shuffle)
        plan = dataclasses.replace(plan, sampled=orders.sampled(split, sampling, seed=seed))
    change = augment if augment is None else _by_place(augment, _shape_of_one(split.inputs))
    course = types.BatchingSpec(
        split.task,
        split.inputs,
        batch_size,
        drop_remainder,
        shuffle,
        seed,
        augment,
        states=tuple(variable.numpy() for variable in getattr(augment, "variables", ())),
        views=plan.views,
        order=lambda epoch: plan.order(plan.number(tf.constant(epoch, tf.int64))).numpy(),
    )
    if isinstance(answers, types.CachedLogits):
        answers.check(course)
    with tf.device("CPU:0"):  # a GPU need not hold the data set, and tf.data could not reach it there
        epochs = tf.Variable(tf.constant(0, tf.int64), trainable=False, name="epochs")
        made = _made(plan, epochs, _reader(split.inputs), _taker(split, plan, change, answers), split, change)
        made = made.with_options(_plain_graph())
    made.epochs_begun = epochs  # pyright: ignore[reportAttributeAccessIssue]  # and so it lives as long as its data set
    made.course = course  # pyright: ignore[reportAttributeAccessIssue]
    return made


def training_batches(
    data: types.Dataset | types.Split,
    *,
    schedule: types.Schedule,
    seed: int,
    augmentation: Augmentation | WaveformAugmentation | None = None,
    drop_remainder: bool = True,
    **options: Any,
) -> tf.data.Dataset:
    """`batches` to train from: in a new order in every epoch, every picture changed anew.

    Args:
        data: a split, as for `batches`; or a data set, whose training split it is.
        schedule: its batch size is theirs.
        seed: of orders and changes.
        augmentation: how far pictures, or recordings, are changed, by default not at all.
        drop_remainder: whether all batches are of one size.
        options: further ones of `batches`: ``answers``, ``views`` or ``sampling``.

    Returns:
        As `batches`. Its attribute ``schedule`` is the one that it was made for, ``validation`` the validation split of
        the data set or ``None``: `training.train` and `runs.quantization_aware` go by these unless they are given
        others.

    Raises:
        ValueError: as `batches`.
    """
    augment = None if augmentation is None else augmentation.build(seed)
    order = {"batch_size": schedule.batch_size, "shuffle": True, "seed": seed, "drop_remainder": drop_remainder}
    whole = isinstance(data, types.Dataset)
    made = batches(data.train if whole else data, augment=augment, **order, **options)
    made.schedule = schedule  # pyright: ignore[reportAttributeAccessIssue]
    made.validation = data.validation if whole else None  # pyright: ignore[reportAttributeAccessIssue]
    return made


def poisson_batches(
    data: types.Dataset | types.Split,
    *,
    schedule: types.Schedule,
    seed: int,
) -> tf.data.Dataset:
    """Batches into which every example comes by a chance of its own, for a training that counts on it.

    An example may come several times in an epoch or not at all, and batches differ in size: they have
    ``schedule.batch_size`` examples on average, an epoch as many on average as there are.

    Args:
        data: a split; or a data set, whose training split it is.
        schedule: its batch size is the average one.
        seed: of the draws; below 2 ** 63, and as secret as what counts on it wants.

    Returns:
        As `training_batches`; ``sampling_rate`` is the probability with which an example is in a batch.

    Raises:
        ValueError: as `batches`; or there are fewer examples than a batch has.
    """
    whole = isinstance(data, types.Dataset)
    split = data.train if whole else data
    if schedule.batch_size > len(split):
        raise ValueError(f"Wanted as many examples as a batch has on average. Received: {len(split)}, {schedule}.")
    rate = schedule.batch_size / len(split)
    made = batches(split, batch_size=schedule.batch_size, seed=seed, sampling_rate=rate)
    made.schedule = schedule  # pyright: ignore[reportAttributeAccessIssue]
    made.validation = data.validation if whole else None  # pyright: ignore[reportAttributeAccessIssue]
    made.sampling_rate = rate  # pyright: ignore[reportAttributeAccessIssue]
    return made


@dataclasses.dataclass(frozen=True)
class _Plan:
    """Which examples stand in which batch of which epoch.

    Attributes:
        examples, steps: how many there are, and how many batches of them.
        batch_size, drop_remainder, shuffle, seed, views: see `batches`.
        sampled: the order of an epoch, where data sets are drawn from by other shares than their sizes.
        rate: the probability with which each example is in a batch, where batches are drawn and no order is cut up.
    """

    examples: int
    steps: int
    batch_size: int
    drop_remainder: bool
    shuffle: bool
    seed: int
    views: int | None = None
    sampled: orders.Order | None = None
    rate: float | None = None

    @classmethod
    def of(cls, split: types.Split, *, batch_size: int, drop_remainder: bool, shuffle: bool, seed: int) -> _Plan:
        examples = len(split)
        steps = examples // batch_size if drop_remainder else -(-examples // max(batch_size, 1))
        if batch_size < 1 or steps < 1:
            hint = f" A batch may hold {examples} at most." if 0 < examples < batch_size else ""
            raise ValueError(
                f"Wanted at least one batch. Received: {examples} examples in split {split.name!r}, "
                f"batch_size={batch_size}, drop_remainder={drop_remainder}.{hint}"
            )
        return cls(examples, steps, batch_size, drop_remainder, shuffle, seed)

    @property
    def size(self) -> int | None:
        """Examples of a batch, ``None`` where the last one may be smaller."""
        return self.batch_size if self.drop_remainder else None

    def number(self, epoch: Any) -> Any:
        """The number, from 1, of the epoch whose order and views this one has."""
        return epoch if self.views is None else (epoch - 1) % self.views + 1

    def order(self, epoch: tf.Tensor) -> tf.Tensor:
        """Indices of the examples, int64 ``(examples,)``, in the order of an epoch."""
        if self.sampled is not None:
            return self.sampled(epoch)
        if not self.shuffle:
            return tf.range(self.examples, dtype=tf.int64)
        return orders.permutation(self.examples, seed=self.seed, epoch=epoch)

    def places(self, epochs: tf.Variable) -> tf.data.Dataset:
        """Batch by batch the number of the epoch, that of the step, and the indices of the examples.

        An epoch is laid out at once and taken apart by TensorFlow, not by a function of ours: each one costs
        milliseconds whenever the result is iterated, which for a small data set is most of an epoch's time.
        """
        lacking = max(self.steps * self.batch_size - self.examples, 0)
        if self.rate is not None:
            return self._drawn(epochs, self.rate)

        @_as_written
        def epoch(_: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            number: Any = self.number(epochs.assign_add(1))
            order = tf.pad(self.order(number), [[0, lacking]], constant_values=-1)[: self.steps * self.batch_size]
            rows = tf.reshape(order, (self.steps, self.batch_size))
            return tf.fill([self.steps], number), tf.range(self.steps, dtype=tf.int64), rows

        indices: Any = tf.data.Dataset.from_tensors(0).map(epoch).unbatch()
        # unbatching hides the length; Keras needs it for its progress bar.
        return indices.apply(tf.data.experimental.assert_cardinality(self.steps))

    def _drawn(self, epochs: tf.Variable, rate: float) -> tf.data.Dataset:
        """`places` of batches into which every example comes by chance alone."""

        @_as_written
        def epoch(_: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return tf.fill([self.steps], epochs.assign_add(1)), tf.range(self.steps, dtype=tf.int64)

        @_as_written
        def drawn(epoch: tf.Tensor, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            return epoch, step, orders.poisson(self.examples, rate, seed=self.seed, epoch=epoch, step=step)

        steps: Any = tf.data.Dataset.from_tensors(0).map(epoch).unbatch()
        return steps.apply(tf.data.experimental.assert_cardinality(self.steps)).map(drawn)

    def taken(self, rows: tf.Tensor) -> tf.Tensor:
        """The indices of a batch of `places` without those that stand for the examples lacking to the last one."""
        return rows if self.drop_remainder else rows[: tf.reduce_sum(tf.cast(rows >= 0, tf.int32))]


def _check_sampling(sampling: Sampling, answers: object, *, shuffle: bool) -> None:
    stored = isinstance(answers, types.CachedLogits)
    if stored or not shuffle:
        raise ValueError(
            "Data sets are sampled in a new order in every epoch, of which no stored answers know. Received: "
            f"--sampling.by {sampling.by} {'with stored answers' if stored else 'without shuffle'}."
        )


def _taker(
    split: types.Split, plan: _Plan, change: Change | None, answers: np.ndarray | types.CachedLogits | None
) -> Callable[..., tuple[Batch, Any]]:
    """What makes a batch of the inputs that were read, by the numbers of epoch and step and the examples' indices."""
    kinds, held = split.task.inputs.batch_dtype, split.task.target.label_dtype
    labels = types.each(tf.constant, split.labels, held)
    taught = None if answers is None else _teacher(answers)

    def take(epoch: tf.Tensor, step: tf.Tensor, rows: tf.Tensor, batch: Batch) -> tuple[Batch, Any]:
        batch = types.each(
            lambda part, kind: tf.ensure_shape(tf.cast(part, kind), (plan.size, *part.shape[1:])), batch, kinds
        )
        if change is not None:
            batch = tf.nest.map_structure(_same_rank, change(batch, epoch, step), batch)
        targets = types.each(lambda part: tf.ensure_shape(tf.gather(part, rows), (plan.size, *part.shape[1:])), labels)
        if taught is None:
            return batch, targets
        return batch, (
            targets,
            types.each(lambda part: tf.ensure_shape(part, (plan.size, *part.shape[1:])), taught(epoch, rows)),
        )

    return take


def _made(
    plan: _Plan,
    epochs: tf.Variable,
    read: Callable[[tf.Tensor], Batch],
    take: Callable[..., tuple[Batch, Any]],
    split: types.Split,
    change: Change | None,
) -> tf.data.Dataset:
    """Batches, some of them made ahead of who asks for them."""

    def only_read(epoch: tf.Tensor, step: tf.Tensor, places: tf.Tensor) -> Any:
        rows = plan.taken(places)
        return epoch, step, rows, read(rows)

    def whole(epoch: tf.Tensor, step: tf.Tensor, places: tf.Tensor) -> tuple[Batch, Any]:
        return take(*only_read(epoch, step, places))

    if change is None:  # a change may hold an ``if`` over tensors
        whole = _as_written(whole)
    indices = plan.places(epochs)
    many: dict[str, Any] = {"num_parallel_calls": tf.data.AUTOTUNE, "deterministic": True}
    parts = split.inputs.values() if isinstance(split.inputs, Mapping) else (split.inputs,)
    if not any(isinstance(part, types.LazyArray) for part in parts):
        return indices.map(whole, **many).prefetch(tf.data.AUTOTUNE)
    # Each batch is read by many threads: two at once leave none of them idle, and more would fill the memory.
    reading = {"num_parallel_calls": 2, "deterministic": True}
    if change is None:
        return indices.map(whole, **reading).prefetch(1)
    return indices.map(_as_written(only_read), **reading).map(take, **many).prefetch(1)


def _plain_graph() -> tf.data.Options:
    """Maps are parallel and fetched ahead as written: there is nothing to rewrite, and looking for it takes longer."""
    options = tf.data.Options()
    options.experimental_optimization.apply_default_optimizations = False
    return options


def _shape_of_one(inputs: np.ndarray | types.LazyArray | Mapping[str, np.ndarray]) -> Any:
    """The shape of one example, of each input where there are several by name."""
    return types.each(lambda part: tuple(part.shape[1:]), inputs)


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


def _teacher(answers: np.ndarray | types.CachedLogits) -> Callable[[tf.Tensor, tf.Tensor], Batch]:
    """A teacher's logits ``(batch, classes)`` by the number of the epoch and the indices, as a graph operation; of
    several outputs such a tensor by each one's name.
    """
    if not isinstance(answers, types.CachedLogits):
        held = tf.constant(answers, tf.float32)
        return lambda epoch, rows: tf.gather(held, rows)

    gate, (views, _, classes), widths = reading_gate.gate(), answers.shape, dict(answers.outputs)

    def taken(epoch: np.int64, rows: np.ndarray) -> np.ndarray:
        with gate as open_:
            return answers[int(epoch - 1) % views, rows] if open_ else np.zeros((len(rows), classes), np.float32)

    def read(epoch: tf.Tensor, rows: tf.Tensor) -> Batch:
        logits: Any = tf.numpy_function(taken, [epoch, rows], tf.float32)
        logits = tf.ensure_shape(logits, (None, classes))
        if not widths:
            return logits
        return dict(zip(widths, tf.split(logits, list(widths.values()), axis=-1), strict=True))

    return read


def _reader(inputs: np.ndarray | types.LazyArray | Mapping[str, np.ndarray]) -> Callable[[tf.Tensor], Batch]:
    """Inputs by their indices, as a graph operation."""
    if isinstance(inputs, Mapping):
        readers = {name: _reader(part) for name, part in inputs.items()}
        return lambda rows: {name: read(rows) for name, read in readers.items()}
    if not isinstance(inputs, types.LazyArray):
        held = tf.constant(inputs)
        return lambda rows: tf.gather(held, rows)

    gate = reading_gate.gate()

    def taken(rows: np.ndarray) -> np.ndarray:
        with gate as open_:
            # blank ones are read ahead for nobody; an error would be printed at the end of every program
            return inputs[rows] if open_ else np.zeros((len(rows), *inputs.shape[1:]), inputs.dtype)

    def read(rows: tf.Tensor) -> tf.Tensor:
        batch: Any = tf.numpy_function(taken, [rows], inputs.dtype)
        return tf.ensure_shape(batch, (None, *inputs.shape[1:]))

    return read


def _by_place(augment: Any, shape: Any) -> Change:
    """``augment`` as a function of batch, epoch and step, its random states drawn from (their seeds, epoch, step)."""
    if not hasattr(augment, "stateless_call"):
        return lambda batch, epoch, step: augment(batch)
    if not augment.built:
        augment.build(types.each(lambda one: (None, *one), shape))
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
        return orders.draw((2,), seed)

    def change(batch: tf.Tensor, epoch: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        return augment.stateless_call([], [at(seed, epoch, step) for seed in seeds], batch, training=True)[0]

    return change


def _same_rank(changed: tf.Tensor, batch: tf.Tensor) -> tf.Tensor:
    changed = tf.cast(changed, batch.dtype)
    if changed.shape.rank != batch.shape.rank:
        raise ValueError(
            f"augment has to return a batch of the same number of axes. Received: shape {changed.shape} "
            f"for {batch.shape}."
        )
    return tf.ensure_shape(changed, (batch.shape[0], *changed.shape[1:]))
