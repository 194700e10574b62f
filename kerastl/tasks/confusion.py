"""Confusion of classes: which one is taken for which other, and how often."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

MOST_PAIRS = 2000
"""Cells of a matrix that a report holds, the largest first: of a thousand classes there may be a million."""


def matrix(names: Sequence[str], labels: np.ndarray, predictions: np.ndarray) -> dict[str, Any]:
    """The confusion matrix of examples of one class each, as a report holds it: the cells that are not empty.

    Args:
        names: one a class.
        labels, predictions: indices of classes, int ``(examples,)``.

    Returns:
        ``title``, ``note``, ``names``, ``examples`` and ``cells``: each ``[true class, predicted class, examples]`` by
        the places of their names, the mistakes first, the most frequent before; and ``left_out``, the examples of cells
        beyond `MOST_PAIRS`.
    """
    labels, predictions = np.asarray(labels, np.int64), np.asarray(predictions, np.int64)
    places, counts = np.unique(labels * len(names) + predictions, return_counts=True)
    cells = [
        [int(place // len(names)), int(place % len(names)), int(count)]
        for place, count in zip(places, counts, strict=True)
    ]
    cells.sort(key=lambda cell: (cell[0] == cell[1], -cell[2], cell[0], cell[1]))
    return {
        "title": "Confusion matrix",
        "note": "Rows are the true classes, columns what the chosen file says, on the test examples.",
        "names": list(names),
        "examples": len(labels),
        "cells": cells[:MOST_PAIRS],
        "left_out": sum(cell[2] for cell in cells[MOST_PAIRS:]),
    }


def pairs(found: dict[str, Any]) -> list[tuple[str, str, int]]:
    """The mistakes of a `matrix`: true class, what it is taken for, how often; the most frequent first."""
    names = found["names"]
    return [(names[true], names[said], count) for true, said, count in found["cells"] if true != said]
