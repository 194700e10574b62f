"""Classes that nothing learns from: whole classes become test and validation, as search and faces are asked about."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from kerastl import types
from kerastl.tasks.single_label import SingleLabel

_PARTS = ("train", "validation", "test")
LEAST = 6
"""Classes that are needed: two each to learn from, to choose by and to measure on."""


def divide(dataset: types.Dataset, *, unseen: float, seed: int) -> types.Dataset:
    """The same examples, divided by their classes: no class stands in two splits.

    Of the classes of test an embedding has seen nothing, nor of those by which it is chosen, as it will be with what a
    user enrols (Musgrave et al. 2020, "A Metric Learning Reality Check", section 3, which finds choices by seen classes
    misleading). Of the rest a quarter, two at least, are for validation.

    Args:
        dataset: of one class an example, from any source.
        unseen: share of the classes for test, between 0 and 1.
        seed: of which classes; examples keep their order.

    Returns:
        Train, validation and test of different classes, in memory; the digest stays that of the data as they were
        loaded, from which `unseen` and `seed` make the same again.

    Raises:
        ValueError: no such share, an example may have none or several classes, or there are fewer than six classes.
    """
    target = dataset.task.target
    if not 0 < unseen < 1:
        raise ValueError(f"A share of classes lies between 0 and 1. Received: --unseen {unseen}.")
    if not isinstance(target, SingleLabel):
        raise ValueError(f"Wanted examples of one class each. Received: {dataset.task.name!r}, for {target.kind}.")
    splits = [getattr(dataset, name) for name in _PARTS]
    labels = np.concatenate([split.labels for split in splits])
    present = np.unique(labels)
    if len(present) < LEAST:
        raise ValueError(
            f"Whole classes for train, validation and test need {LEAST} classes. Received: {len(present)} in "
            f"{dataset.task.name!r}; --unseen 0 divides the examples of each class instead."
        )
    order = np.random.default_rng(seed).permutation(present)
    tested = int(np.clip(round(unseen * len(order)), 2, len(order) - 4))
    held = max(2, (len(order) - tested) // 4)
    classes = {"test": order[:tested], "validation": order[tested : tested + held], "train": order[tested + held :]}
    inputs = np.concatenate([np.asarray(split.inputs[:]) for split in splits])
    more: dict[str, Any] = {}
    if all(split.origins is not None for split in splits):
        more["origins"] = np.concatenate([split.origins for split in splits])
    whole = dataclasses.replace(splits[0], inputs=inputs, labels=labels, **{"origins": None, **more})
    # examples of a source's train come shuffled, and those behind them in an order of their own
    mixed = np.random.default_rng(seed).permutation(len(labels))
    made = {
        name: dataclasses.replace(whole.subset(mixed[np.isin(labels[mixed], classes[name])]), name=name)
        for name in _PARTS
    }
    return dataclasses.replace(dataset, **made)
