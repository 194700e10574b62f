"""Several data sets in one run: how often each of them is drawn from, by size, by temperature, or in turns."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

import numpy as np

from kerastl import types
from kerastl.types.settings import Range


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How many examples of an epoch come from each data set; the epoch has as many as all of them together."""

    by: Literal["size", "temperature", "round_robin"] = "size"
    """ "size" sees every example once; "temperature" draws more from small data sets, as often as their size to the
    power of 1 / temperature; "round_robin" takes from each in turn, so that all are in every batch."""
    temperature: Annotated[float, Range(1)] = 2.0
    """Of "temperature": 1 is by size, and the higher, the more alike the shares (Arivazhagan et al. 2019, "Massively
    multilingual neural machine translation in the wild", section 4.2, take 5 for 100 languages)."""


def data_sets(split: types.Split) -> np.ndarray:
    """Which data set each example is of, int ``(examples,)`` from 0: those that have labels of the same tasks are one.

    Raises:
        ValueError: the split is of one task, of which every example has a label.
    """
    target, labels = split.task.target, split.labels
    if not isinstance(target, types.NamedTargets):
        raise ValueError(
            f"Data sets are told by the tasks that they have labels of. Received: one task, {target.kind}, in split "
            f"{split.name!r}."
        )
    having = np.stack(list(target.labelled(labels).values()), axis=-1)
    return np.unique(having, axis=0, return_inverse=True)[1].reshape(-1)


def shares(sizes: np.ndarray, sampling: Sampling) -> np.ndarray:
    """Shares of an epoch, float64 ``(data sets,)``, which sum to 1.

    Args:
        sizes: examples of each data set, all positive.
        sampling: see `Sampling`.
    """
    exponent = {"size": 1.0, "temperature": 1 / sampling.temperature, "round_robin": 0.0}[sampling.by]
    weights = np.asarray(sizes, np.float64) ** exponent
    return weights / weights.sum()


def counts(sizes: np.ndarray, sampling: Sampling) -> np.ndarray:
    """Examples of an epoch from each data set, int64 ``(data sets,)``: `shares` of all there are, the largest
    remainders rounded up.
    """
    total = int(np.sum(sizes))
    wanted = shares(sizes, sampling) * total
    found = np.floor(wanted).astype(np.int64)
    last = np.argsort(found - wanted, kind="stable")[: total - found.sum()]
    found[last] += 1
    return found


def interleaved(counts: np.ndarray) -> np.ndarray:
    """Where the examples of an epoch come from, one data set after the other, int64 ``(examples,)``.

    Args:
        counts: examples from each data set, no two of which differ by more than one.

    Returns:
        Places in what is drawn set by set: the first of each, then the second of each, and so on.
    """
    sets = np.repeat(np.arange(len(counts)), counts)
    rounds = np.concatenate([np.arange(count) for count in counts])
    return np.lexsort((sets, rounds)).astype(np.int64)
