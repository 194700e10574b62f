"""What vectors say of pairs: mean average precision at R, the equal error rate, a threshold for a false-accept rate."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from kerastl.tasks import classes

_MOST_PAIRS = 4_000_000
"""Pairs that are looked at; of more a part of them, drawn by chance."""
_AT_ONCE = 1 << 22


class Pairs(NamedTuple):
    """Cosines of pairs of examples, each pair once.

    Attributes:
        genuine: of two examples of one group, float32 ``(pairs,)``.
        impostor: of two examples of two groups.
    """

    genuine: np.ndarray
    impostor: np.ndarray


class Operating(NamedTuple):
    """A threshold of cosines, and what comes of it.

    Attributes:
        threshold: a pair with this cosine or more is accepted.
        false_accept_rate: share of impostors that are accepted, ``low`` and ``high`` its 95 % interval (Wilson 1927).
        low, high: see there.
        count: impostors that it was measured on.
    """

    threshold: float
    false_accept_rate: float
    low: float
    high: float
    count: int


def pairs(units: np.ndarray, labels: np.ndarray) -> Pairs:
    """Cosines of all pairs of examples, of very many of a part that is always the same.

    Args:
        units: vectors of length 1 ``(examples, width)``.
        labels: the group of each ``(examples,)``.
    """
    count = len(units)
    if count * (count - 1) // 2 <= _MOST_PAIRS:
        first, second = np.triu_indices(count, 1)
    else:
        draw = np.random.default_rng(0)
        first, second = draw.integers(0, count, (2, _MOST_PAIRS))
        first, second = first[first != second], second[first != second]
    cosines = np.empty(len(first), np.float32)
    step = max(1, _AT_ONCE // max(units.shape[-1], 1))
    for start in range(0, len(first), step):
        part = slice(start, start + step)
        cosines[part] = np.einsum("ij,ij->i", units[first[part]], units[second[part]])
    same = labels[first] == labels[second]
    return Pairs(cosines[same], cosines[~same])


def equal_error_rate(found: Pairs) -> tuple[float, float]:
    """The rate at which as many genuine pairs are rejected as impostors are accepted, and its threshold.

    Where the two rates cross between two thresholds, the mean of both at the nearer of them (as in ISO/IEC 19795-1,
    which leaves the way open).

    Args:
        found: at least one pair of each sort.

    Raises:
        ValueError: there is no genuine pair, or no impostor.
    """
    if not len(found.genuine) or not len(found.impostor):
        raise ValueError(
            f"Wanted pairs of one group and of two. Received: {len(found.genuine)} genuine pairs, "
            f"{len(found.impostor)} impostors."
        )
    genuine, impostor = np.sort(found.genuine), np.sort(found.impostor)
    thresholds = np.unique(np.concatenate([genuine, impostor]))
    rejected = np.searchsorted(genuine, thresholds, "left") / len(genuine)
    accepted = 1 - np.searchsorted(impostor, thresholds, "left") / len(impostor)
    place = int(np.abs(rejected - accepted).argmin())
    return float((rejected[place] + accepted[place]) / 2), float(thresholds[place])


def threshold_for(impostors: np.ndarray, *, false_accept_rate: float) -> Operating:
    """The lowest threshold at which no more than such a share of impostors is accepted.

    Args:
        impostors: cosines of pairs, or of searches, that have to be rejected, ``(count,)``.
        false_accept_rate: wanted, above 0 and below 1.

    Raises:
        ValueError: no impostors, or no such rate.
    """
    impostors = np.sort(np.asarray(impostors, np.float64))
    if not len(impostors) or not 0 < false_accept_rate < 1:
        raise ValueError(
            f"Wanted impostors and a rate between 0 and 1. Received: {len(impostors)} impostors, {false_accept_rate}."
        )
    allowed = int(np.floor(false_accept_rate * len(impostors) + 1e-9))
    threshold = float(np.nextafter(np.float32(impostors[len(impostors) - allowed - 1]), np.float32(2)))
    score = classes.wilson(impostors >= threshold)
    return Operating(threshold, score.value, score.low, score.high, len(impostors))


def mean_average_precision_at_r(units: np.ndarray, labels: np.ndarray) -> float:
    """MAP@R: of a query with R others of its group, the precision at each right one of its R nearest, over R.

    Musgrave et al. 2020, "A Metric Learning Reality Check", section 3.2, https://arxiv.org/abs/2003.08505. It is 1 only
    where every query finds its whole group first. Of examples that are as near, those of other groups come first.

    Args:
        units: vectors of length 1 ``(examples, width)``.
        labels: the group of each; who is alone in his does not ask.
    """
    counts = np.bincount(labels)[labels] - 1
    largest, found = int(counts.max()), []
    step = max(1, _AT_ONCE // len(units))
    for start in range(0, len(units), step):
        rows = np.arange(start, min(start + step, len(units)))
        cosines = units[rows] @ units.T
        same = labels[rows, None] == labels
        cosines[np.arange(len(rows)), rows] = -np.inf
        order = np.lexsort((same, -np.round(cosines, 6)))[:, :largest]
        right = np.take_along_axis(same, order, -1) & (np.arange(largest) < counts[rows, None])
        precision = np.cumsum(right, -1) / np.arange(1, largest + 1)
        asks = counts[rows] > 0
        found.append((precision * right).sum(-1)[asks] / counts[rows][asks])
    return float(np.concatenate(found).mean())


def details(units: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """MAP@R and the equal error rate for the report, with their table."""
    both = pairs(units, labels)
    precision = mean_average_precision_at_r(units, labels)
    rate, threshold = equal_error_rate(both) if len(both.impostor) else (0.0, -1.0)
    note = (
        f"{len(both.genuine):,} pairs of one group, {len(both.impostor):,} of two. MAP@R is 1 where every example "
        "finds its whole group first; at the threshold as many genuine pairs are rejected as others accepted."
    )
    return {
        "map_at_r": precision,
        "equal_error_rate": rate,
        "equal_error_threshold": threshold,
        "tables": [
            {
                "title": "Pairs",
                "note": note,
                "columns": ["MAP@R", "Equal error rate", "At a cosine of"],
                "rows": [[classes.percent(precision), classes.percent(rate), f"{threshold:.3f}"]],
            }
        ],
    }
