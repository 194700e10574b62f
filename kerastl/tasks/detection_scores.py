"""Boxes beside boxes: overlap, matching, average precision as COCO defines it, a threshold for a stated precision.

Lin et al. 2014, "Microsoft COCO: Common Objects in Context" (https://arxiv.org/abs/1405.0312); Everingham et al. 2010,
"The Pascal Visual Object Classes Challenge". Boxes are ymin, xmin, ymax, xmax, in shares of the picture's sides.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

CLASS, SCORE = 4, 5
"""Places behind a box's four sides: of its class in labels and answers, of its score in answers."""
THRESHOLDS = tuple(np.round(np.arange(0.5, 1.0, 0.05), 2).tolist())
"""Overlaps from which on a box is found, over which the average precision of COCO is a mean."""
_RECALLS = np.linspace(0, 1, 101)


def overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of each of some boxes with each of others, ``(..., boxes, others)``; 0 of empty ones."""
    one, other = boxes[..., :, None, :4].astype(np.float64), others[..., None, :, :4].astype(np.float64)
    sides = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    shared = np.maximum(sides, 0).prod(-1)
    whole = _areas(one) + _areas(other) - shared
    return np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)


def _areas(boxes: np.ndarray) -> np.ndarray:
    return np.maximum(boxes[..., 2:4] - boxes[..., :2], 0).prod(-1)


def ranked(answers: np.ndarray) -> np.ndarray:
    """Each example's boxes by their score, the highest first; equal ones stay in their order."""
    order = np.argsort(-answers[..., SCORE], axis=-1, kind="stable")
    return np.take_along_axis(answers, order[..., None], axis=1)


def found(answers: np.ndarray, labels: np.ndarray, *, thresholds: Sequence[float]) -> np.ndarray:
    """Which box of the labels each box of the answers finds, int ``(examples, boxes, thresholds)``, -1 for none.

    As COCO matches: from the highest score on a box takes the one that it overlaps most of those of its class that are
    left, the last of equal ones. A box of score 0 takes none.

    Args:
        answers: ``(examples, boxes, 6)``, `ranked`.
        labels: ``(examples, boxes, 5)``; those of class -1 are none.
        thresholds: overlaps from which on a box is found.
    """
    shared = overlaps(answers, labels)
    alike = (answers[:, :, None, CLASS] == labels[:, None, :, CLASS]) & (labels[:, None, :, CLASS] >= 0)
    shared = np.where(alike & (answers[:, :, None, SCORE] > 0), shared, -1.0)
    matched = np.full((*answers.shape[:2], len(thresholds)), -1, np.int64)
    last = labels.shape[1] - 1
    rows = np.arange(len(answers))
    for column, threshold in enumerate(thresholds):
        free = np.ones(labels.shape[:2], bool)
        for place in range(answers.shape[1]):
            left = np.where(free, shared[:, place], -1.0)
            best = last - left[:, ::-1].argmax(-1)
            hit = left[rows, best] >= min(threshold, 1 - 1e-10)
            matched[hit, place, column] = best[hit]
            free[rows[hit], best[hit]] = False
    return matched


def average_precision(
    scores: np.ndarray, hits: np.ndarray, *, wanted: float, weights: np.ndarray | None = None
) -> float:
    """Precision averaged over 101 recalls, each the largest at that recall or a higher one, as COCO has it.

    Args:
        scores: of the boxes of one class, in the order of their examples.
        hits: whether each is right.
        wanted: number of boxes in the labels.
        weights: how often each counts, 1 by default.
    """
    order = np.argsort(-scores, kind="stable")
    counts = np.ones(len(order)) if weights is None else weights[order]
    right, wrong = np.cumsum(hits[order] * counts), np.cumsum(~hits[order] * counts)
    precision = right / np.maximum(right + wrong, np.spacing(1))
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(right / wanted, _RECALLS, side="left")
    return float(np.append(precision, 0.0)[np.minimum(places, len(precision))].mean())


def by_class(
    answers: np.ndarray,
    labels: np.ndarray,
    *,
    classes: int,
    thresholds: Sequence[float] = THRESHOLDS,
    draws: np.ndarray | None = None,
) -> np.ndarray:
    """Average precision of each class, ``(thresholds, classes)``, NaN of a class that no label has.

    Args:
        answers, labels: as for `found`.
        classes: how many there are.
        thresholds: as for `found`.
        draws: how often each example counts in each of several draws, ``(draws, examples)``; the result then has an
            axis of draws in front.
    """
    answers = ranked(answers)
    matched = found(answers, labels, thresholds=thresholds) >= 0
    counts = np.ones((1, len(answers))) if draws is None else draws
    made = np.full((len(counts), len(thresholds), classes), np.nan)
    for kind in range(classes):
        rows, places = np.nonzero((answers[..., CLASS] == kind) & (answers[..., SCORE] > 0))
        wanted = counts @ (labels[..., CLASS] == kind).sum(-1)
        for draw, column in np.ndindex(len(counts), len(thresholds)):
            if wanted[draw]:
                options = {"wanted": wanted[draw], "weights": counts[draw][rows]}
                scores, hits = answers[rows, places, SCORE], matched[rows, places, column]
                made[draw, column, kind] = average_precision(scores, hits, **options)
    return made[0] if draws is None else made


def threshold_for(answers: np.ndarray, labels: np.ndarray, *, precision: float, overlap: float = 0.5) -> float:
    """The least score from which on boxes have a stated precision: the most of them are then found.

    Args:
        answers, labels: of validation, as for `found`.
        precision: share of the boxes from there on that are right, 0..1.
        overlap: from which on a box is right.

    Raises:
        ValueError: if boxes of no score have it.
    """
    answers = ranked(np.asarray(answers))
    hits = found(answers, np.asarray(labels), thresholds=(overlap,))[..., 0] >= 0
    there = answers[..., SCORE] > 0
    scores, right = answers[..., SCORE][there], hits[there]
    order = np.argsort(-scores, kind="stable")
    shares = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    # a threshold takes all boxes of its score
    ends = np.append(scores[order][1:] != scores[order][:-1], True)[: len(order)]
    good = np.flatnonzero(ends & (shares >= precision))
    if not len(good):
        most = f"{shares.max():.1%}" if len(shares) else "no box"
        raise ValueError(f"Wanted a score from which on {precision:.1%} of the boxes are right. Received: {most}.")
    return float(scores[order][good[-1]])
