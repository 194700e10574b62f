"""The data of a run: how many examples of each class stand in each split, what the inputs look like, some of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kerastl import types
from kerastl.verify import answers as tables

MOST_CLASSES, EXAMPLES = 1000, 24
"""Classes that a report counts, and examples that a page shows."""
_LOOKED_AT = 500
"""Examples of the validation split whose numbers are looked at: of pictures in files each has to be read."""


def described(dataset: types.Dataset) -> dict[str, Any]:
    """What a report says of the data.

    Returns:
        ``counts``, a row a class with its ``name`` and its examples in ``train``, ``validation`` and ``test``, empty
        where there are no classes; ``inputs``, a row an input: its ``name``, ``shape``, ``dtype``, and the ``low``,
        ``mean`` and ``high`` number of some validation examples; ``words``, of texts as they were written the
        ``median`` and ``most`` of their words, else ``None``.
    """
    target, parts = dataset.task.target, (dataset.train, dataset.validation, dataset.test)
    counts: list[dict[str, Any]] = []
    if isinstance(target, types.ClassTarget) and len(target.names) <= MOST_CLASSES:
        columns = {split.name: _counted(target, split.labels) for split in parts}
        counts = [
            {"name": name, **{split: int(column[place]) for split, column in columns.items()}}
            for place, name in enumerate(target.names)
        ]
    held = dataset.validation
    return {
        "counts": counts,
        "inputs": _inputs(held.take(_LOOKED_AT)),
        "words": None if held.texts is None else _words(held.texts),
    }


def examples(dataset: types.Dataset) -> list[dict[str, str]]:
    """Validation examples for the page, as `types.Inputs.shown` gives them with their ``label``: of classes the first
    of each, else the first of all.
    """
    target, held = dataset.task.target, dataset.validation
    rows = np.arange(min(EXAMPLES, len(held)))
    if isinstance(target, types.ClassTarget):
        having = target.having(held.labels)
        first = having.argmax(0)[having.any(0)]
        rows = np.array(list(dict.fromkeys(first.tolist()))[:EXAMPLES], np.int64)
    few = held.subset(rows)
    inputs: Any = few.inputs if isinstance(few.inputs, Mapping) else few.inputs[:]
    found = []
    for place in range(len(rows)):
        one: Any = tables.row_of(inputs, place)
        shown = dict(held.task.inputs.shown(one))
        if few.texts is not None:
            shown["text"] = str(few.texts[place])
        labels: Any = few.labels
        found.append({**shown, "label": target.label_words(tables.row_of(labels, place))})
    return found


def _counted(target: types.ClassTarget, labels: Any) -> np.ndarray:
    """Examples of each class, some labels after the other: of many classes the table of all would be large."""
    total = np.zeros(len(target.names), np.int64)
    for start in range(0, len(labels), 10_000):
        total += target.having(labels[start : start + 10_000]).sum(0)
    return total


def _inputs(few: types.Split) -> list[dict[str, Any]]:
    several = few.inputs if isinstance(few.inputs, Mapping) else {few.task.inputs.tensors[0]: few.inputs}
    found = []
    for name, values in several.items():
        table = np.asarray(values[:])
        found.append(
            {
                "name": name,
                "shape": [int(size) for size in table.shape[1:]],
                "dtype": str(table.dtype),
                "low": float(table.min()),
                "mean": float(table.mean(dtype=np.float64)),
                "high": float(table.max()),
            }
        )
    return found


def _words(texts: np.ndarray) -> dict[str, int]:
    lengths = np.array([len(str(text).split()) for text in texts])
    return {"median": int(np.median(lengths)), "most": int(lengths.max())}
