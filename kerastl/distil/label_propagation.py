"""What a teacher says of an example, smoothed over those that it sees as alike.

A teacher of few labels is often wrong about one example and right about most of its neighbours, and what it knows of
them it has put into its features. Labels that travel from neighbour to neighbour there are better than those that it
names one by one (Iscen et al. 2019, "Label Propagation for Deep Semi-supervised Learning", section 3.2,
https://arxiv.org/abs/1904.04717). There they are carried on until they come to rest; here they take one step, which in
trials was as good, from all neighbours alike.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from kerastl import types


def nearest(features: np.ndarray, *, count: int, block: int = 1000) -> np.ndarray:
    """The nearest other examples of each, by the cosine of the angle between their features.

    Args:
        features: ``(examples, width)``; a row of zeros is at right angles to all others.
        count: how many, fewer than there are examples.
        block: examples that are compared with all others at a time: 4 bytes for each pair.

    Returns:
        int32 ``(examples, count)`` of indices, the nearest first. No example is its own neighbour.

    Raises:
        ValueError: there are not so many others, the features are no matrix, or one is not finite.
    """
    if features.ndim != 2 or not 1 <= count < len(features):
        raise ValueError(
            "Wanted features (examples, width) and a count of at least one and below that of the examples. Received: "
            f"shape {features.shape}, count={count}."
        )
    if not np.isfinite(features).all():
        raise ValueError("Wanted finite features. Received: NaN or infinity among them.")
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    directions = np.divide(features, lengths, out=np.zeros_like(features, "float32"), where=lengths > 0)
    found = np.empty((len(features), count), np.int32)
    for start in range(0, len(features), block):
        alike = directions[start : start + block] @ directions.T
        row = np.arange(len(alike))
        alike[row, start + row] = -np.inf
        near = np.argpartition(alike, -count, axis=1)[:, -count:]
        order = np.argsort(-np.take_along_axis(alike, near, axis=1), axis=1, kind="stable")
        found[start : start + block] = np.take_along_axis(near, order, axis=1)
    return found


def propagated(answers: types.CachedLogits | np.ndarray, *, neighbours: np.ndarray | None = None) -> np.ndarray:
    """Mean probabilities over the views of every example, then over it and its neighbours.

    Args:
        answers: a teacher's logits, as `answers.write` keeps them, of all examples (``drop_remainder=False``); or an
            array ``(views, examples, classes)`` of them.
        neighbours: of each example, integers ``(examples, count)`` as of `nearest`; without them it is alone.

    Returns:
        float32 ``(examples, classes)``, the logarithms of those means: as logits they mean the same probabilities, and
        `data.pipeline.batches` takes them for answers.

    Raises:
        ValueError: the neighbours are not those of so many examples, or an answer is missing or not finite.
    """
    views, examples, _ = answers.shape
    if getattr(answers, "facts", {}).get("drop_remainder"):
        raise ValueError(
            "Wanted answers to all examples in every view. Received: some that were computed with drop_remainder=True."
        )
    rows, own = np.arange(examples), np.zeros(answers.shape[1:], np.float64)
    for view in range(views):
        own += special.softmax(np.asarray(answers[view, rows], np.float64), axis=1) / views
    if not np.isfinite(own).all():
        raise ValueError("Wanted finite answers. Received: NaN or infinity among them.")
    if neighbours is None:
        mean = own
    else:
        valid = neighbours.ndim == 2 and len(neighbours) == examples
        if not valid or neighbours.min(initial=0) < 0 or neighbours.max(initial=0) >= examples:
            raise ValueError(
                f"Wanted neighbours ({examples}, count), indices below {examples}. Received: shape {neighbours.shape}, "
                f"from {neighbours.min(initial=0)} to {neighbours.max(initial=0)}."
            )
        mean = own.copy()
        for column in neighbours.T:  # one at a time: all together would be many times the answers
            mean += own[column]
        mean /= 1 + neighbours.shape[1]
    return np.log(np.maximum(mean, np.finfo(np.float32).tiny)).astype(np.float32)
