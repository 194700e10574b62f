"""Scores with intervals, of a whole split and of each class."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from kerastl import types


def score(probabilities: np.ndarray, labels: np.ndarray) -> types.Score:
    """Share of correct arg-maxes with its 95 % interval (Wilson 1927).

    Args:
        probabilities: ``(examples, classes)``.
        labels: class indices ``(examples,)``.

    Raises:
        ValueError: if there is no example, or the two differ in length.
    """
    if not len(labels) or len(probabilities) != len(labels):
        raise ValueError(f"Wanted one label a row. Received: {len(probabilities)} rows and {len(labels)} labels.")
    count, share = len(labels), float(np.mean(np.argmax(probabilities, -1) == labels))
    z = 1.959963984540054  # the normal distribution's 97.5 % point
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return types.Score(value=share, low=max(0.0, centre - half), high=min(1.0, centre + half), count=count)


def by_class(probabilities: np.ndarray, labels: np.ndarray, *, class_names: Sequence[str]) -> types.ByClass:
    """Recall of each class, their mean, and the baseline of always answering the most frequent class.

    Args:
        probabilities: ``(examples, classes)``.
        labels: class indices ``(examples,)``.
        class_names: one name a class.

    Raises:
        ValueError: if there is no example, or the shapes do not fit.
    """
    if not len(labels) or probabilities.shape != (len(labels), len(class_names)):
        raise ValueError(
            f"Wanted probabilities of shape (examples, {len(class_names)}) and one label a row. Received: "
            f"{probabilities.shape} and {len(labels)} labels."
        )
    examples = np.bincount(labels, minlength=len(class_names))
    right = np.bincount(labels[probabilities.argmax(-1) == labels], minlength=len(class_names))
    recall = [float(hits / count) if count else None for hits, count in zip(right, examples, strict=True)]
    return types.ByClass(
        examples={name: int(count) for name, count in zip(class_names, examples, strict=True)},
        recall=dict(zip(class_names, recall, strict=True)),
        balanced_accuracy=float(np.mean([value for value in recall if value is not None])),
        majority_baseline=float(examples.max() / len(labels)),
    )
