"""What a data set was taken for, in two sentences that a recipe, `kerastl advise` and `kerastl audit` say alike."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kerastl import types
from kerastl.system import phrases

_SHOWN = 20
"""Classes that are named from the first on, and up to the last."""


def sentences(counts: Mapping[str, int], parts: Mapping[str, int]) -> list[str]:
    """The classes and the splits, each with how many examples it has.

    Args:
        counts: examples of each class; of more than forty the first and the last are named.
        parts: examples of each split, those that are made later not among them.
    """
    named = [f"{name} {count:,}" for name, count in counts.items()]
    some = named if len(named) <= 2 * _SHOWN else [*named[:_SHOWN], "...", *named[-_SHOWN:]]
    sizes = ", ".join(f"{split} {count:,}" for split, count in parts.items())
    return [f"{phrases.counted(len(named), 'class', 'classes')}: {', '.join(some)}", f"splits: {sizes}"]


def of_dataset(dataset: types.Dataset) -> list[str]:
    """The same of what will be trained on; none where the labels are no classes."""
    target, splits = dataset.task.target, (dataset.train, dataset.validation, dataset.test)
    if not isinstance(target, types.ClassTarget):
        return []
    having = np.sum([target.having(split.labels).sum(0) for split in splits], 0)
    counts = dict(zip(target.names, having.tolist(), strict=True))
    return sentences(counts, {split.name: len(split) for split in splits})
