"""What features know of labels that they were not trained on: by the labels of an example's nearest neighbours."""

from __future__ import annotations

import numpy as np

_AT_ONCE = 1 << 24
"""Similarities that are in memory together: 64 MiB of float32."""


def nearest_neighbour_votes(
    embeddings: np.ndarray,
    known: np.ndarray,
    labels: np.ndarray,
    *,
    classes: int,
    neighbours: int = 200,
    temperature: float = 0.07,
) -> np.ndarray:
    """Weighted vote of the nearest known examples: ``exp(cosine / T)`` of each for its class.

    Wu et al. 2018, "Unsupervised Feature Learning via Non-Parametric Instance Discrimination", section 3.4; there 200
    neighbours and T = 0.07. Of neighbours that are as near as one another the earlier ones vote. All in float32.

    Args:
        embeddings: ``(examples, width)``, of what is to be classified.
        known: ``(known, width)``, of examples whose labels are known.
        labels: class indices ``(known,)``.
        classes: how many there are.
        neighbours: that vote, at least 1; of fewer known examples all.
        temperature: above 0; the lower, the more the nearest count.

    Returns:
        float32 ``(examples, classes)``, shares that add up to 1. Lengths of embeddings do not matter; one of zeros is
        as near to all.

    Raises:
        ValueError: the shapes do not fit, numbers are not finite, a label is no class, or a setting is out of range.
    """
    _check(embeddings, known, labels, classes=classes)
    if neighbours < 1 or not 0 < temperature < np.inf:
        raise ValueError(
            "Wanted one neighbour or more and a temperature above 0. Received: "
            f"neighbours={neighbours}, temperature={temperature}."
        )
    neighbours = min(neighbours, len(known))
    asked, answers = _unit(embeddings), _unit(known).T
    labels = np.asarray(labels)
    votes = np.zeros((len(asked), classes), np.float32)
    rows = max(1, _AT_ONCE // len(known))
    for begin in range(0, len(asked), rows):
        similarities = asked[begin : begin + rows] @ answers
        chosen = _nearest(similarities, neighbours)
        near = similarities[np.arange(len(chosen))[:, None], chosen]
        # the nearest counts 1: exp(1 / T) overflows below T = 0.0113
        weights = np.exp((near - near.max(1, keepdims=True)) / np.float32(temperature))
        np.add.at(votes[begin : begin + rows], (np.arange(len(chosen))[:, None], labels[chosen]), weights)
    return votes / votes.sum(1, keepdims=True)


def nearest_neighbour_accuracy(
    embeddings: np.ndarray,
    actual: np.ndarray,
    *,
    known: np.ndarray,
    labels: np.ndarray,
    neighbours: int = 200,
    temperature: float = 0.07,
) -> float:
    """Share of examples whose class has the most of `nearest_neighbour_votes`; of equal votes the lower class wins.

    Args:
        embeddings: ``(examples, width)``, one example or more.
        actual: their class indices ``(examples,)``.
        known, labels, neighbours, temperature: see there.

    Raises:
        ValueError: as there.
    """
    classes = int(max(np.max(actual, initial=0), np.max(labels, initial=0))) + 1
    _check(known, embeddings, actual, classes=classes)
    options = {"classes": classes, "neighbours": neighbours, "temperature": temperature}
    votes = nearest_neighbour_votes(embeddings, known, labels, **options)
    return float((votes.argmax(1) == np.asarray(actual)).mean())


def _nearest(similarities: np.ndarray, number: int) -> np.ndarray:
    """Columns of the largest of each row, ``(rows, number)``, in ascending order; of equal ones the first."""
    least = -np.partition(-similarities, number - 1, axis=1)[:, number - 1 : number]
    above, equal = similarities > least, similarities == least
    missing = number - above.sum(1, keepdims=True)
    return np.nonzero(above | (equal & (np.cumsum(equal, 1) <= missing)))[1].reshape(-1, number)


def _unit(embeddings: np.ndarray) -> np.ndarray:
    found = np.asarray(embeddings, np.float64)
    largest = np.abs(found).max(1, keepdims=True, initial=0)
    found = np.divide(found, largest, out=np.zeros_like(found), where=largest > 0)
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    return np.divide(found, lengths, out=np.zeros_like(found), where=lengths > 0).astype(np.float32)


def _check(embeddings: np.ndarray, known: np.ndarray, labels: np.ndarray, *, classes: int) -> None:
    """Raises `ValueError` unless ``known`` have one of the labels each, and fit the others."""
    shapes = [np.shape(one) for one in (embeddings, known, labels)]
    fits = len(shapes[0]) == len(shapes[1]) == 2 and shapes[0][1] == shapes[1][1] > 0
    if not fits or shapes[2] != shapes[1][:1] or not shapes[1][0]:
        raise ValueError(
            "Wanted embeddings (examples, width), one or more of the same width that are known, and a label for each "
            f"of these. Received: {', '.join(map(str, shapes))}."
        )
    if not all(np.isfinite(one).all() for one in (embeddings, known)):
        raise ValueError("Wanted finite embeddings. Received: NaN or infinite numbers.")
    found = np.asarray(labels)
    if not np.issubdtype(found.dtype, np.integer) or found.min() < 0 or found.max() >= classes:
        raise ValueError(
            f"Wanted labels that are class indices, 0 to {classes - 1}; leave examples without one out. Received: "
            f"{found.dtype} from {found.min()} to {found.max()}."
        )
