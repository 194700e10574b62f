"""Noisy student: a teacher's soft answers to examples without labels, as many of each class, for a student with noise.

Xie et al. 2020, "Self-training with Noisy Student improves ImageNet classification", section 2
(https://arxiv.org/abs/1911.04252): a teacher learns from labels; it answers examples without them, and without noise; a
student as large or larger learns from both, with dropout and changed inputs; it becomes the teacher, and so on.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kerastl.distil import pseudo_labels

_SURE = 20.0
"""Logit of a label above those of the other classes: a probability of 1 but for 2e-9 a class."""


class Targets(NamedTuple):
    """What a student learns from: examples, some of them more than once, and an answer for each.

    Attributes:
        rows: indices of the examples without labels, int64 ``(examples,)``.
        logits: the teacher's, float32 ``(examples, classes)``.
    """

    rows: np.ndarray
    logits: np.ndarray


def balanced(logits: np.ndarray, *, each: int, threshold: float = 0.3) -> Targets:
    """As many examples of every class that the teacher names, the surest first; of rare ones the same again.

    Xie et al. 2020, section 3.1, "Data filtering and balancing": below a probability of 0.3 examples are left out, of a
    class with too many the surest are kept, of one with too few the same are taken again. A class that is never named
    has none.

    Args:
        logits: the teacher's, of all examples without labels, ``(examples, classes)``.
        each: examples of a class.
        threshold: least probability of the class that is named.

    Returns:
        Class by class, within a class the surest first.

    Raises:
        ValueError: as `pseudo_labels.chosen`; or nothing is sure enough.
    """
    rows, classes = pseudo_labels.chosen(logits, threshold=threshold, most=each)
    if not len(rows):
        raise ValueError(f"Wanted examples that the teacher is sure of. Received: none above threshold={threshold}.")
    sure = pseudo_labels.probabilities_of(logits).max(-1)
    found = []
    for one in range(np.shape(logits)[1]):
        own = rows[classes == one]
        found.append(np.resize(own[np.argsort(-sure[own], kind="stable")], each if len(own) else 0))
    taken = np.concatenate(found).astype(np.int64)
    return Targets(taken, np.asarray(logits, np.float32)[taken])


def labels_as_logits(labels: np.ndarray, *, classes: int) -> np.ndarray:
    """Labels as answers that are sure of them, so that a batch may hold both kinds: float32 ``(examples, classes)``.

    Args:
        labels: class indices ``(examples,)``.
        classes: how many there are.

    Raises:
        ValueError: a label is no class.
    """
    labels = np.asarray(labels)
    if (
        labels.ndim != 1
        or labels.dtype.kind not in "iu"
        or (labels.size and not 0 <= labels.min() <= labels.max() < classes)
    ):
        raise ValueError(f"Wanted class indices below {classes}. Received: {labels.dtype} of shape {labels.shape}.")
    return (_SURE * np.eye(classes)[labels]).astype(np.float32)
