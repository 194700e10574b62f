"""Group-balanced training as a step of a recipe: training examples are drawn so that no group is learnt from less."""

from __future__ import annotations

import numpy as np

from kerastl.data import group_columns
from kerastl.evaluate import groups
from kerastl.tasks import single_label
from kerastl.types import Dataset


def balanced_by_group(dataset: Dataset, *, column: str, by: str, seed: int = 0) -> Dataset:
    """The data set with training examples drawn as `evaluate.groups.balanced_draw` says; validation and test stay.

    Args:
        dataset: read from a table, see `data.group_columns.of_split`.
        column: of the groups.
        by: ``"no"``, which leaves the data set as it is, ``"group"``, ``"cell"`` or ``"reweighted"``.
        seed: of the draw.

    Raises:
        ValueError: if there is no such column, or examples have not one class each where classes are balanced.
    """
    if by == "no":
        return dataset
    if not column:
        raise ValueError(
            f"Training is balanced by a column of groups (--group-column). Received: --balance {by} alone."
        )
    train = dataset.train
    if by != "group":
        single_label.require(dataset.task, where=f"--balance {by}", instead="--balance group asks for no classes.")
    labels = np.asarray(train.labels) if by != "group" else np.zeros(len(train), int)
    found = group_columns.of_split(dataset, train, column=column)
    names, counts = np.unique(found, return_counts=True)
    shown = ", ".join(f"{name} {count:,}" for name, count in zip(names, counts, strict=True))
    print(f"training rows by {column}: {shown}; drawn by {by}")
    return dataset.drawn(groups.balanced_draw(labels, found, by=by, seed=seed))
