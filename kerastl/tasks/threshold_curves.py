"""What a threshold on a class's probability gives: ROC and precision-recall curves, their areas, counts to try."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

POINTS = 40
"""Points of a curve that a report keeps; their straight lines are within about 1/40 of the curve."""
MOST_CURVES, MOST_THRESHOLDS = 8, 30
"""Classes of which a report holds curves, and counts by threshold: those with the least area, and the least F1."""
STEPS = 50
"""Thresholds between 0 and 1 that can be tried."""


def roc(probabilities: np.ndarray, having: np.ndarray) -> tuple[np.ndarray, float] | None:
    """The receiver operating characteristic of one class against all others.

    Args:
        probabilities: of the class, ``(examples,)``.
        having: which examples have it, bool ``(examples,)``.

    Returns:
        Points ``(thresholds + 1, 2)`` of false and true positive rate, from (0, 0) to (1, 1), and the area under them,
        which is the probability that an example of the class has the higher probability of two, ties counting half
        (Fawcett 2006, "An introduction to ROC analysis"); ``None`` where there are only such examples, or none.
    """
    if having.all() or not having.any():
        return None
    hits, named = _steps(probabilities, having)
    positives = int(having.sum())
    points = np.stack([(named - hits) / (len(having) - positives), hits / positives], -1)
    points = np.concatenate([[[0.0, 0.0]], points])
    return points, float(np.trapezoid(points[:, 1], points[:, 0]))


def precision_recall(probabilities: np.ndarray, having: np.ndarray) -> np.ndarray | None:
    """Recall and precision at each threshold, ``(thresholds + 1, 2)``, from (0, 1), where nothing is named yet, on.

    ``None`` of a class without examples. Arguments as of `roc`.
    """
    if not having.any():
        return None
    hits, named = _steps(probabilities, having)
    return np.concatenate([[[0.0, 1.0]], np.stack([hits / having.sum(), hits / named], -1)])


def thinned(points: np.ndarray, *, most: int = POINTS) -> list[list[float]]:
    """Some of the points of a curve, evenly spaced along it, the ends among them, to four digits."""
    along = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(points, axis=0)).sum(-1))])
    wanted = np.linspace(0, along[-1], most)
    places = np.unique(np.clip(np.searchsorted(along, wanted), 0, len(points) - 1))
    kept = np.unique(np.concatenate([[0], places, [len(points) - 1]]))
    return [[round(float(x), 4), round(float(y), 4)] for x, y in points[kept]]


def areas(rows: Sequence[dict[str, Any]], answers: np.ndarray, having: np.ndarray) -> None:
    """Adds ``roc_auc`` to each class's row, ``None`` where there is none."""
    for row, probabilities, there in zip(rows, answers.T, having.T, strict=True):
        found = roc(probabilities, there)
        row["roc_auc"] = None if found is None else found[1]


def charts(rows: Sequence[Mapping[str, Any]], answers: np.ndarray, having: np.ndarray) -> list[dict[str, Any]]:
    """Both kinds of curves of the classes with the least area, as the page draws them.

    Args:
        rows: of the classes, see `areas`.
        answers: probabilities ``(examples, classes)``.
        having: which classes each example has, bool ``(examples, classes)``.
    """
    known = sorted((row["roc_auc"], place) for place, row in enumerate(rows) if row["roc_auc"] is not None)
    shown = [place for _, place in known[:MOST_CURVES]]
    if not shown:
        return []
    which = f"The {len(shown)} of {len(known)} classes with the least area." if len(shown) < len(known) else ""
    found: list[dict[str, Any]] = [
        {
            "title": "ROC curves",
            "note": f"Each class against all others; AUC is the area under the curve. {which}".strip(),
            "x": "false positive rate",
            "y": "true positive rate (recall)",
            "diagonal": True,
        },
        {
            "title": "Precision-recall curves",
            "note": f"Each class against all others. {which}".strip(),
            "x": "recall",
            "y": "precision",
            "diagonal": False,
        },
    ]
    for chart, curve in zip(found, (_roc_points, precision_recall), strict=True):
        chart |= {"kind": "lines", "range": [0.0, 1.0], "series": []}
        for place in shown:
            points = curve(answers[:, place], having[:, place])
            name = rows[place]["name"]
            auc = f", AUC {rows[place]['roc_auc']:.4f}" if chart["diagonal"] else ""
            chart["series"].append({"name": name + auc, "points": [] if points is None else thinned(points)})
    return found


def counts(rows: Sequence[Mapping[str, Any]], answers: np.ndarray, having: np.ndarray) -> dict[str, Any]:
    """What each threshold would give, for a slider: of classes how many examples are found and named from it on.

    Returns:
        ``title``, ``note``, ``levels``, the thresholds, and ``classes`` of the least F1: ``name``, ``examples``, and a
        number a threshold of ``found`` (those that have the class among the named) and ``named``.
    """
    values = np.arange(STEPS) / STEPS
    worst = sorted(range(len(rows)), key=lambda place: (not rows[place]["examples"], rows[place]["f1"] or 0.0, place))
    listed = []
    for place in worst[:MOST_THRESHOLDS]:
        every, own = np.sort(answers[:, place]), np.sort(answers[having[:, place], place])
        listed.append(
            {
                "name": rows[place]["name"],
                "examples": len(own),
                "found": (len(own) - np.searchsorted(own, values)).tolist(),
                "named": (len(every) - np.searchsorted(every, values)).tolist(),
            }
        )
    return {
        "title": "Thresholds to try",
        "note": "What would be answered from a lower or a higher probability on, on the test examples. A threshold "
        "that is to be used is chosen on validation data.",
        "examples": len(answers),
        "levels": [float(value) for value in values],
        "classes": listed,
    }


def coverage(answers: np.ndarray, right: np.ndarray) -> dict[str, Any]:
    """What is answered, and right, where only a probability from each threshold on counts as an answer.

    Args:
        answers: probabilities ``(examples, classes)``.
        right: whether the most probable class is the true one, bool ``(examples,)``.
    """
    values, sure = np.arange(STEPS) / STEPS, answers.max(-1)
    every, good = np.sort(sure), np.sort(sure[right])
    return {
        "answered": (len(every) - np.searchsorted(every, values)).tolist(),
        "right": (len(good) - np.searchsorted(good, values)).tolist(),
    }


def _roc_points(probabilities: np.ndarray, having: np.ndarray) -> np.ndarray | None:
    found = roc(probabilities, having)
    return None if found is None else found[0]


def _steps(probabilities: np.ndarray, having: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At each distinct probability, from the highest down, the hits and all examples from it on."""
    order = np.argsort(-probabilities, kind="stable")
    falling, hits = probabilities[order], np.cumsum(having[order])
    last = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)
    return hits[last], last + 1
