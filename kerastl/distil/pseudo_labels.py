"""Pseudo-labels: the classes that a model is sure of in examples without labels, as their labels."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from scipy import special

from kerastl.types import Split


def chosen(logits: np.ndarray, *, threshold: float = 0.95, most: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Which examples a model is sure of, and the class that it gives them.

    Lee 2013, "Pseudo-Label: The Simple and Efficient Semi-Supervised Learning Method for Deep Neural Networks", eq. 14,
    with the threshold of Sohn et al. 2020, "FixMatch", eq. 4; ``most`` keeps a class that is named often from growing
    further, as in Zou et al. 2018, "Unsupervised Domain Adaptation for Semantic Segmentation via Class-Balanced
    Self-Training".

    Args:
        logits: of the model, ``(examples, classes)``.
        threshold: least probability of the class, 0 to 1.
        most: examples of each class that are taken, the surest; ``None`` takes all.

    Returns:
        Their indices in ascending order, int64, and their classes, int32.

    Raises:
        ValueError: logits of another shape or not finite, a threshold that is no probability, or ``most`` below 1.
    """
    probabilities = probabilities_of(logits)
    if not 0 <= threshold <= 1 or (most is not None and most < 1):
        raise ValueError(
            "Wanted a threshold that is a probability and one example of a class or more. Received: "
            f"threshold={threshold}, most={most}."
        )
    classes, sure = probabilities.argmax(-1), probabilities.max(-1)
    taken = sure >= threshold
    if most is not None:
        for one in range(probabilities.shape[1]):
            rows = np.flatnonzero(taken & (classes == one))
            taken[rows[np.argsort(-sure[rows], kind="stable")][most:]] = False
    rows = np.flatnonzero(taken)
    return rows, classes[rows].astype(np.int32)


def probabilities_of(logits: np.ndarray) -> np.ndarray:
    """``softmax`` of finite logits ``(examples, classes)``, float64.

    Raises:
        ValueError: another shape, or numbers that are not finite.
    """
    logits = np.asarray(logits, np.float64)
    if logits.ndim != 2 or logits.shape[1] < 2 or not np.isfinite(logits).all():
        raise ValueError(
            f"Wanted finite logits (examples, classes) of two classes or more. Received: shape {logits.shape}."
        )
    return special.softmax(logits, axis=-1)


def pseudo_labelled(split: Split, logits: np.ndarray, **options: Any) -> Split:
    """The examples of a split that a model is sure of, with its classes for labels.

    Args:
        split: whose labels are not looked at.
        logits: the model's, in the order of the split.
        options: of `chosen`.

    Raises:
        ValueError: as `chosen`; or there is not an answer for each example.
    """
    if len(logits) != len(split):
        raise ValueError(f"Wanted an answer an example. Received: {len(logits)} for {len(split)} in {split.name!r}.")
    rows, labels = chosen(logits, **options)
    return dataclasses.replace(split.subset(rows), labels=labels)
