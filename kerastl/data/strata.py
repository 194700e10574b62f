"""Strata: what splits keep in proportion, as `types.Target.strata` says it, for examples that may be of several.

Iterative stratification: Sechidis, Tsoumakas & Vlahavas 2011, "On the Stratification of Multi-Label Data", figure 1,
for two subsets. The classes are served in turn, the one with the fewest examples left first, for its examples are the
hardest to share out; each example goes to the side that lacks most of that class.
"""

from __future__ import annotations

import numpy as np


def pairs(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which example has which class: two arrays of one length.

    Args:
        labels: class indices ``(examples,)``, or 0 and 1 ``(examples, classes)``.
    """
    if labels.ndim == 1:
        return np.arange(len(labels)), labels
    examples, classes = np.nonzero(labels)
    return examples, classes


def counts(labels: np.ndarray, *, classes: int) -> np.ndarray:
    """Examples of each class; ``labels`` as for `pairs`."""
    return np.bincount(pairs(labels)[1], minlength=classes)


def minimum_examples(labels: np.ndarray) -> int:
    """How few examples have every class that there is, by taking the one with most classes that lack, again and again.

    Args:
        labels: as for `pairs`.
    """
    if labels.ndim == 1:
        return len(np.unique(labels))
    lacking, taken = labels.any(0), 0
    while lacking.any():
        lacking = lacking & (labels[int(labels[:, lacking].sum(1).argmax())] == 0)
        taken += 1
    return taken


def divide(labels: np.ndarray, *, wanted: int, leave: int, order: np.ndarray) -> np.ndarray:
    """Which examples are taken out, bool ``(examples,)``: ``wanted`` of them, of each class as nearly a like share.

    What the iteration leaves undone is mended by moving single examples: first a class that one side has too few of,
    then the number of examples, always those that bring the counts nearest to even (Pearson's chi-square).

    Args:
        labels: 0 and 1, ``(examples, classes)``.
        wanted: examples to take out.
        leave: examples of a class that stay at least, where there are more of it. One of each class is taken, but of a
            class of which there is one that has to stay.
        order: a permutation of the examples, in which they are served.

    Raises:
        ValueError: labels are something else, the classes cannot stand on both sides, or not with so many examples
            taken.
    """
    if labels.ndim != 2 or labels.dtype.kind not in "iu" or not np.isin(labels, (0, 1)).all():
        raise ValueError(
            "Labels of examples that may have several classes are integers 0 and 1, (examples, classes). Received: "
            f"shape {labels.shape}, type {labels.dtype}."
        )
    labels = labels.astype(np.int64)
    examples, total = len(labels), labels.sum(0)
    side = _iterated(labels, wanted / examples, order)
    least_taken = np.clip(total - min(leave, 1), 0, 1)
    least_left = np.minimum(leave, total - least_taken)
    # a class of which less than one is wanted would be judged by nothing
    target = np.maximum(total * wanted / examples, least_taken)
    weight = 1 / np.maximum(target, 1e-9)

    def best(out: bool, lacking: int | None = None) -> int | None:
        """The example whose move ``out``, or back, costs least; one of the class lacking, if there is one."""
        taken = labels[side].sum(0)
        kept = total - taken
        step = 1 if out else -1
        full = kept <= least_left if out else taken <= least_taken
        movable = (side != out) & ~(labels[:, full] != 0).any(1)
        movable &= labels[:, lacking] != 0 if lacking is not None else True
        costs = np.round(labels @ (weight * (2 * step * (taken - target) + 1)), 9)
        those = order[movable[order]]
        return int(those[np.argmin(costs[those])]) if those.size else None

    def lacks() -> list[tuple[int, bool]]:
        taken = labels[side].sum(0)
        short = [(int(one), True) for one in np.flatnonzero(taken < least_taken)]
        return short + [(int(one), False) for one in np.flatnonzero(total - taken < least_left)]

    while found := lacks():
        moves = [(one, out) for label, out in found if (one := best(out, label)) is not None]
        if not moves:
            raise ValueError(
                "Every class has to stand on both sides. Received: too few examples of classes number "
                f"{', '.join(str(label) for label, _ in found)} that can go without another class."
            )
        one, out = moves[0]
        side[one] = out
    while side.sum() != wanted:
        one = best(out=bool(side.sum() < wanted))
        if one is None:  # each example that could go is one of the last of its class
            raise ValueError(
                f"Every class has to stand on both sides. Received: {wanted} of {examples} examples to take out, which "
                f"cannot be, while {side.sum()} can."
            )
        side[one] = not side[one]
    return side


def _iterated(labels: np.ndarray, share: float, order: np.ndarray) -> np.ndarray:
    """The iteration itself: ``desired`` falls as examples are given out, on the side that they go to."""
    examples = len(labels)
    shares = np.array([1 - share, share])
    desired, room = shares[:, None] * labels.sum(0), shares * examples
    left = labels.sum(0)
    side, free = np.zeros(examples, bool), np.ones(examples, bool)

    def give(example: int, wishes: np.ndarray) -> None:
        # the side that lacks most of the class, then the one with most room; then the one that stays
        to = max((0, 1), key=lambda one: (round(float(wishes[one]), 9), round(float(room[one]), 9), -one))
        desired[to] -= labels[example]
        room[to] -= 1
        side[example], free[example] = to == 1, False

    while (left > 0).any():
        label = int(np.argmin(np.where(left > 0, left, examples + 1)))
        for example in order[free[order] & (labels[order, label] != 0)]:
            give(example, desired[:, label])
            left -= labels[example]
    for example in order[free[order]]:  # those of no class
        give(example, room)
    return side
