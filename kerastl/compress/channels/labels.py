"""Labels of channels: who makes them, which are tied, which cannot be removed, and where each is counted.

The vocabulary of `coupling`, which walks through a model, and of `rules`, which say what each layer does.
"""

from __future__ import annotations

import fnmatch
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import keras
import numpy as np


class Channels(NamedTuple):
    """The channels of a tensor: the axis they lie along, counted with the batch's, and the label of each."""

    axis: int
    labels: np.ndarray


class Cut(NamedTuple):
    """An axis of a weight that is cut when channels go.

    Attributes:
        axis: of the weight.
        labels: of the channels along it, ``(size of the axis,)``.
        side: ``"out"`` for channels that the weight makes, ``"in"`` for those that it reads and sums over,
            ``"through"`` for those that pass it one by one.
    """

    axis: int
    labels: np.ndarray
    side: str


class Size(NamedTuple):
    """An entry of a layer's configuration that counts channels; ``place`` in it where it is a shape."""

    key: str
    place: int | None
    labels: np.ndarray


class Product(NamedTuple):
    """A cost: a constant times how many channels are left in each factor; ``constant`` is ``None`` if unknown."""

    layer: str
    constant: int | None
    factors: tuple[np.ndarray, ...]


class Trace:
    """The labels so far, and everything that was found out about layers."""

    def __init__(self, exclude: Iterable[str] = ()) -> None:
        self.made: dict[str, np.ndarray] = {}
        self.cuts: dict[str, dict[int, list[Cut]]] = defaultdict(dict)
        self.sizes: dict[str, dict[tuple[str, int | None], Size]] = defaultdict(dict)
        self.work: list[Product] = []
        self.first_inputs: dict[int, Sequence[Channels]] = {}
        self._exclude = list(exclude)
        self.reasons: dict[int, str] = {}
        self._parents: list[int] = []

    def fresh(self, count: int) -> np.ndarray:
        """So many new labels."""
        start = len(self._parents)
        self._parents.extend(range(start, start + count))
        return np.arange(start, start + count)

    def makes(self, layer: keras.layers.Layer, count: int) -> np.ndarray:
        """The labels of the channels that a layer makes: the same in every call of it."""
        if layer.name not in self.made:
            self.made[layer.name] = self.fresh(count)
            if any(fnmatch.fnmatchcase(layer.name, pattern) for pattern in self._exclude):
                self.freeze(self.made[layer.name], "the layer was to be left")
        return self.made[layer.name]

    def untouchable(self, shape: Sequence[int | None], why: str) -> Channels:
        """Channels along the last axis of a tensor of which none can be removed."""
        labels = self.fresh((shape[-1] if len(shape) > 1 else 0) or 0)
        self.freeze(labels, why)
        return Channels(max(len(shape) - 1, 0), labels)

    def tie(self, one: np.ndarray, other: np.ndarray) -> None:
        """Makes units of two rows of labels, pair by pair."""
        for first, second in zip(one.tolist(), other.tolist(), strict=True):
            first, second = self.root(first), self.root(second)
            if first == second:
                continue
            self._parents[second] = first
            if second in self.reasons:
                self.reasons.setdefault(first, self.reasons.pop(second))

    def freeze(self, labels: np.ndarray, why: str) -> None:
        """Nothing that is tied to these labels will be removed; the first reason is the one that is told."""
        for label in labels.tolist():
            self.reasons.setdefault(self.root(label), why)

    def freeze_output(self, labels: np.ndarray) -> None:
        """The same for an output of the model, which is a better reason than its softmax."""
        for label in labels.tolist():
            self.reasons[self.root(label)] = "they are an output of the model"

    def is_frozen(self, labels: np.ndarray) -> bool:
        """Whether none of the labels can be removed."""
        return all(self.root(label) in self.reasons for label in labels.tolist())

    def root(self, label: int) -> int:
        """The label that stands for all that are tied to one."""
        while self._parents[label] != label:
            self._parents[label] = label = self._parents[self._parents[label]]
        return label

    def roots(self) -> np.ndarray:
        """The root of every label."""
        return np.array([self.root(label) for label in range(len(self._parents))], int)

    def cut(self, layer: keras.layers.Layer, weight: keras.Variable | None, *cuts: Cut) -> None:
        """Notes which axes of a weight are cut; ``None`` for a weight that the layer does without."""
        for place, found in enumerate(layer.weights):
            if found is weight:
                self.cuts[layer.name][place] = list(cuts)

    def size(self, layer: keras.layers.Layer, key: str, labels: np.ndarray, place: int | None = None) -> None:
        """Notes an entry of the configuration that counts channels."""
        self.sizes[layer.name][key, place] = Size(key, place, labels)

    def refuse_idle_patterns(self) -> None:
        """Raises a ``ValueError`` for a pattern of layers to leave that fits none."""
        for pattern in self._exclude:
            if not fnmatch.filter(self.made, pattern):
                raise ValueError(
                    f"Wanted patterns of names of layers that make channels. Received: {pattern!r}, which fits none of "
                    f"{list(self.made)}."
                )
