"""Scores with intervals, of a whole split and of each class."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from kerastl import types


def score(probabilities: np.ndarray, labels: np.ndarray) -> types.Score:
    """Share of examples answered right with its 95 % interval (Wilson 1927).

    Args:
        probabilities: ``(examples, classes)``.
        labels: class indices ``(examples,)``, of which the arg-max has to be the one; or 0 and 1
            ``(examples, classes)``, of which `types.answered` has to get all.

    Raises:
        ValueError: if there is no example, the two differ in length, or labels are of another shape.
    """
    if not len(labels) or len(probabilities) != len(labels):
        raise ValueError(f"Wanted one label a row. Received: {len(probabilities)} rows and {len(labels)} labels.")
    probabilities, labels = np.asarray(probabilities), np.asarray(labels)
    if labels.ndim != 1 and not types.is_multi_label(labels):  # in a column each would be compared with all answers
        raise ValueError(f"Wanted labels (examples,) or (examples, classes). Received: {labels.shape}.")
    answers = types.predictions(probabilities, multi_label=types.is_multi_label(labels))
    count, share = len(labels), float(np.mean(types.same_prediction(answers, labels)))
    z = 1.959963984540054  # the normal distribution's 97.5 % point
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return types.Score(value=share, low=max(0.0, centre - half), high=min(1.0, centre + half), count=count)


def per_class_metrics(
    probabilities: np.ndarray, labels: np.ndarray, *, class_names: Sequence[str]
) -> types.PerClassMetrics:
    """Recall of each class, their mean, and the baseline of always answering the most frequent class.

    Args:
        probabilities: ``(examples, classes)``.
        labels: class indices ``(examples,)``, or 0 and 1 ``(examples, classes)``.
        class_names: one name a class.

    Raises:
        ValueError: if there is no example, or the shapes do not fit.
    """
    if not len(labels) or probabilities.shape != (len(labels), len(class_names)):
        raise ValueError(
            f"Wanted probabilities of shape (examples, {len(class_names)}) and one label a row. Received: "
            f"{probabilities.shape} and {len(labels)} labels."
        )
    several, numbers = types.is_multi_label(labels), np.arange(len(class_names))
    answers = types.predictions(probabilities, multi_label=several)
    having, given = (table if table.ndim == 2 else table[:, None] == numbers for table in (labels, answers))
    having, given = having.astype(bool), given.astype(bool)
    examples, hits = having.sum(0), (having & given).sum(0)
    recall = _shares(hits, examples)
    return types.PerClassMetrics(
        examples={name: int(count) for name, count in zip(class_names, examples, strict=True)},
        recall=dict(zip(class_names, recall, strict=True)),
        balanced_accuracy=_mean(recall),
        majority_baseline=float(np.unique(having, axis=0, return_counts=True)[1].max() / len(labels)),
        multi_label=_several(probabilities, having, given, class_names) if several else None,
    )


def _several(
    probabilities: np.ndarray, having: np.ndarray, given: np.ndarray, class_names: Sequence[str]
) -> types.MultiLabelMetrics:
    hits = (having & given).sum(0)
    f1 = _shares(2 * hits, having.sum(0) + given.sum(0))
    average = [_average_precision(*columns) for columns in zip(probabilities.T, having.T, strict=True)]
    return types.MultiLabelMetrics(
        precision=dict(zip(class_names, _shares(hits, given.sum(0)), strict=True)),
        f1=dict(zip(class_names, f1, strict=True)),
        average_precision=dict(zip(class_names, average, strict=True)),
        macro_f1=_mean([value for value, examples in zip(f1, having.sum(0), strict=True) if examples]),
        mean_average_precision=_mean(average),
    )


def _average_precision(probabilities: np.ndarray, having: np.ndarray) -> float | None:
    """Mean precision at the examples that have a class, equally probable ones taken together, without interpolation."""
    if not having.any():
        return None
    those = np.sort(probabilities[having])
    hits = len(those) - np.searchsorted(those, those)
    return float((hits / (len(having) - np.searchsorted(np.sort(probabilities), those))).mean())


def _shares(parts: np.ndarray, wholes: np.ndarray) -> list[float | None]:
    return [float(part / whole) if whole else None for part, whole in zip(parts, wholes, strict=True)]


def _mean(values: Sequence[float | None]) -> float:
    return float(np.mean([value for value in values if value is not None]))
