"""Examples on their way: arrays that are read when they are asked for, splits, data sets, how they become batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sized
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from kerastl.types.task import Task

if TYPE_CHECKING:
    import numpy as np


@runtime_checkable
class LazyArray(Protocol):
    """Inputs that are too many for memory and are read when they are asked for, as ``data.streamed.Pictures``.

    Whoever takes a split's inputs asks for so many rows at a time, and then an array and this are the same to him.

    Attributes:
        shape: ``(examples, *input_shape)``.
        dtype: of the arrays that reading gives, pictures uint8.
        ndim: number of axes.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype: ...

    @property
    def ndim(self) -> int: ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Reads one example (an int) or several (a slice, an array of indices) into an array."""
        ...

    def take(self, rows: Any) -> LazyArray:
        """Some of the examples in the order of ``rows``, none of which is read for it."""
        ...

    def digests(self) -> list[bytes]:
        """SHA-256 of each example's bytes, known without reading any."""
        ...


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """Examples that are used for one purpose only.

    Attributes:
        name: ``"train"``, ``"validation"`` or ``"test"``.
        inputs: array ``(examples, *input_shape)`` of the type that the task's inputs say, pictures as uint8 0..255,
            texts as int32 token ids; of more examples than memory is to hold a `LazyArray`; of several inputs a mapping
            of their names to arrays.
        labels: array ``(examples, ...)`` as the task's target says; of several targets a mapping of their names.
        task: what goes in and what is asked.
        origins: where each example was found, a file's name or a row's number, so that a mistake can be looked up;
            ``None`` where the source does not know.
        texts: each example as somebody wrote it, before it became token ids; ``None`` of what is no text.

    Raises:
        ValueError: if inputs, labels, origins and texts are not of one length.
    """

    name: str
    inputs: np.ndarray | LazyArray | Mapping[str, np.ndarray]
    labels: np.ndarray | Mapping[str, np.ndarray]
    task: Task
    origins: np.ndarray | None = None
    texts: np.ndarray | None = None

    def __post_init__(self) -> None:
        lengths = {name: len(part) for name, part in self._parts()}
        if len(set(lengths.values())) > 1:
            counts = ", ".join(f"{count} {name}" for name, count in lengths.items())
            raise ValueError(f"A split needs one label an input. Received: {counts} in split {self.name!r}.")

    def _parts(self) -> Iterator[tuple[str, Sized]]:
        for what in ("inputs", "labels", "origins", "texts"):
            value = getattr(self, what)
            if isinstance(value, Mapping):
                yield from ((f"{what} {name!r}", part) for name, part in value.items())
            elif value is not None:
                yield what, value

    def __len__(self) -> int:
        return len(next(self._parts())[1])

    def take(self, count: int | None) -> Split:
        """The first ``count`` examples (all of them for ``None``); splits are already shuffled."""
        return self.subset(slice(count))

    def subset(self, rows: slice | np.ndarray) -> Split:
        """Some of the examples, in the order of ``rows``: a slice or an array of indices. Nothing lazy is read."""
        return dataclasses.replace(
            self,
            inputs=_rows_of(self.inputs, rows),
            labels=_rows_of(self.labels, rows),
            origins=None if self.origins is None else self.origins[rows],
            texts=None if self.texts is None else self.texts[rows],
        )


def _rows_of(value: Any, rows: slice | np.ndarray) -> Any:
    return each(lambda part: part.take(rows) if isinstance(part, LazyArray) else part[rows], value)


def each(function: Callable[..., Any], value: Any, *more: Any) -> Any:
    """A function of an array or a tensor, of each one where there are several by name.

    Args:
        function: of one.
        value: one, or a mapping of names to them.
        more: what else it takes: the same for all, or a mapping of the same names.
    """
    if not isinstance(value, Mapping):
        return function(value, *more)
    return {
        name: function(part, *(one[name] if isinstance(one, Mapping) else one for one in more))
        for name, part in value.items()
    }


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """A task's three disjoint splits and the digest that pins them.

    Attributes:
        task: what the labels mean.
        train, validation, test: disjoint splits; only validation may choose, test only reports.
        digest: SHA-256 (hex) over the contents of all three splits, their order included; see ``data.splits``.
        source: the module under ``kerastl.data`` that loads it again, for example ``"mnist"``.
        arguments: the keyword arguments that make its ``load`` return exactly this data set.
        leakage: what the splits share, as counts; see ``data.leakage``.
        origin: SHA-256 (hex) over texts and labels as they were before any vocabulary, the splits and their order
            included: two data sets with the same one hold the same texts in the same places, however each is read.
            Empty where the source does not say.
        drawn_from: training examples that the source loads, where `train` is some of them alone; see `drawn`.
    """

    task: Task
    train: Split
    validation: Split
    test: Split
    digest: str
    source: str
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    leakage: Mapping[str, int] = dataclasses.field(default_factory=dict)
    origin: str = ""
    drawn_from: int | None = None

    def drawn(self, rows: slice | np.ndarray) -> Dataset:
        """The data set with some training examples and no others; validation and test stay whole.

        Its digest stays that of all the examples, from which these can be drawn again, and its report says of how many.
        """
        whole = len(self.train) if self.drawn_from is None else self.drawn_from
        return dataclasses.replace(self, train=self.train.subset(rows), drawn_from=whole)


@dataclasses.dataclass(frozen=True, eq=False)
class BatchingSpec:
    """What batches are made of and in which order, see ``data.pipeline.batches``: equal ones give the same batches.

    Attributes:
        task: of the split.
        inputs: of the split, in its order.
        batch_size: examples a batch.
        drop_remainder: whether the last batch is left out where it would be smaller.
        shuffle, seed: whether each epoch has an order of its own, and its seed.
        augment: what changes batches of inputs, ``None`` for nothing.
        states: the random states that ``augment`` begins with.
        views: epochs after which orders and views come again, ``None`` for never.
        order: number of an epoch, from 1, to the indices of its examples, int64 ``(examples,)``.
    """

    task: Task
    inputs: np.ndarray | LazyArray | Mapping[str, np.ndarray]
    batch_size: int
    drop_remainder: bool
    shuffle: bool
    seed: int
    augment: Any
    states: tuple[np.ndarray, ...]
    views: int | None
    order: Callable[[int], np.ndarray]


@runtime_checkable
class CachedLogits(Protocol):
    """A teacher's answers to several views of every example, as ``distil.logit_cache.LogitCache`` keeps them on
    disk.
    """

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(views, examples, classes)``."""
        ...

    @property
    def outputs(self) -> Mapping[str, int]:
        """Numbers of each of a teacher's several outputs, which lie side by side in this order; nothing of one."""
        ...

    def check(self, course: BatchingSpec) -> None:
        """Raises `ValueError` unless the batches are of the very examples and views that were answered."""
        ...

    def __getitem__(self, place: tuple[int, np.ndarray]) -> np.ndarray:
        """Logits float32 ``(rows, classes)`` of one view, from 0, of examples by their indices."""
        ...


def labels_and_teacher_logits(targets: Any) -> tuple[Any, Any]:
    """What a batch has beside its inputs: labels, and a teacher's stored answers, ``None`` where it brings none."""
    return targets if isinstance(targets, tuple) else (targets, None)
