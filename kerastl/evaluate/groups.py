"""Fairness: the same figures for each group of people or things, how far groups are apart, and what brings them nearer.

Selection rate, true and false positive rate by group; demographic parity and equalized odds, as a difference and as a
ratio, defined as fairlearn's (Agarwal et al. 2018, https://arxiv.org/abs/1803.02453; Hardt et al. 2016,
https://arxiv.org/abs/1610.02413). The remedies are weights and draws of training examples (Kamiran & Calders 2012,
https://doi.org/10.1007/s10115-011-0463-8), and thresholds of each group behind a trained model (Hardt et al.).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from kerastl.evaluate import intervals


@dataclasses.dataclass(frozen=True)
class Group:
    """One group's figures; a rate without an example to count is ``None``.

    Attributes:
        name: of the group.
        examples, positives: how many there are, and how many of them have the positive label.
        accuracy, error: shares of them that are answered rightly and wrongly.
        selection: share that is answered positive.
        true_positive, false_positive: of those with the positive label, and with another, the share answered positive.
        ends: the 95 % interval (Wilson) of each of these by its name.
    """

    name: str
    examples: int
    positives: int
    accuracy: float
    error: float
    selection: float
    true_positive: float | None
    false_positive: float | None
    ends: Mapping[str, tuple[float, float]]


def by_group(selected: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> tuple[Group, ...]:
    """Figures of each group, the smallest group first.

    Args:
        selected: whether each example is answered positive, bool ``(examples,)``.
        labels: whether it is, bool ``(examples,)``.
        groups: of each example, ``(examples,)`` of texts.

    Raises:
        ValueError: if they are not one an example.
    """
    selected, labels, groups = _checked(selected, labels, groups)
    found = []
    for name in np.unique(groups):
        here = groups == name
        chosen, true = selected[here], labels[here]
        counts = {
            "accuracy": (int((chosen == true).sum()), len(true)),
            "error": (int((chosen != true).sum()), len(true)),
            "selection": (int(chosen.sum()), len(true)),
            "true_positive": (int(chosen[true].sum()), int(true.sum())),
            "false_positive": (int(chosen[~true].sum()), int((~true).sum())),
        }
        rates: dict[str, Any] = {key: hits / count if count else None for key, (hits, count) in counts.items()}
        ends = {key: intervals.wilson(*pair) for key, pair in counts.items()}
        found.append(Group(str(name), len(true), int(true.sum()), **rates, ends=ends))
    return tuple(sorted(found, key=lambda one: (one.examples, one.name)))


def gaps(selected: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> dict[str, float]:
    """How far groups are apart; arguments as for `by_group`.

    Returns:
        ``demographic_parity_difference`` and ``_ratio``: the greatest selection rate less the least, and the least as a
        share of the greatest; ``equalized_odds_difference`` and ``_ratio``: the larger difference and the smaller ratio
        of true and of false positive rates; ``accuracy_difference``. A rate of a group that has nothing to count is 0,
        and a ratio of zeros is NaN, which the smaller of two leaves out.
    """
    return _of_counts(_counts(*_checked(selected, labels, groups)))


def gaps_with_intervals(selected: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> dict[str, dict[str, float]]:
    """`gaps`, each with its 95 % bootstrap interval: ``value``, ``low``, ``high``.

    Groups keep their sizes in every draw. A greatest difference is too large on average where groups are small, and so
    are its draws: the interval says how far it moves, and not that it is above 0.
    """
    selected, labels, groups = _checked(selected, labels, groups)
    apart = _by_draw(selected, labels, groups)
    found = {}
    for name, value in gaps(selected, labels, groups).items():
        draws = np.array([one[name] for one in apart])
        draws = draws[np.isfinite(draws)]
        low, high = np.quantile(draws, (0.025, 0.975)) if len(draws) else (math.nan, math.nan)
        found[name] = {"value": value, "low": float(low), "high": float(high)}
    return found


def change(
    selected: np.ndarray, reference: np.ndarray, labels: np.ndarray, groups: np.ndarray
) -> dict[str, dict[str, float]]:
    """How compression changes the gaps: those of one file's answers less those of another's, on the same examples.

    Args:
        selected, reference: whether each example is answered positive by the file, and by what it was made from.
        labels, groups: as for `by_group`.

    Returns:
        Of each gap its ``value``, and the 95 % interval ``low`` to ``high`` of draws in which both answers to an
        example stay together: a change is one where 0 lies outside.
    """
    selected, labels, groups = _checked(selected, labels, groups)
    reference = np.asarray(reference, bool)
    one, other = gaps(selected, labels, groups), gaps(reference, labels, groups)
    names, places = np.unique(groups, return_inverse=True)
    joint = np.bincount(places * 8 + labels * 4 + selected * 2 + reference, minlength=8 * len(names)).reshape(-1, 8)
    drawn = _drawn(joint).reshape(intervals.RESAMPLES, len(names), 2, 2, 2)
    first, second = (
        [_of_counts(each, undefined=math.nan) for each in drawn.sum(axis).reshape(intervals.RESAMPLES, -1, 4)]
        for axis in (4, 3)
    )
    found = {}
    for name in one:
        moved = np.array([a[name] - b[name] for a, b in zip(first, second, strict=True)])
        moved = moved[np.isfinite(moved)]
        low, high = np.quantile(moved, (0.025, 0.975)) if len(moved) else (math.nan, math.nan)
        found[name] = {"value": one[name] - other[name], "low": float(low), "high": float(high)}
    return found


def reweighted(labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Weights under which group and label are independent: P(group) P(label) / P(group, label), float ``(examples,)``.

    The reweighing of Kamiran & Calders 2012, whose mean is 1 where every group has every label.

    Args:
        labels: class indices ``(examples,)``.
        groups: of each example.
    """
    _, group = np.unique(groups, return_inverse=True)
    _, label = np.unique(labels, return_inverse=True)
    cells = np.zeros((group.max() + 1, label.max() + 1))
    np.add.at(cells, (group, label), 1)
    expected = cells.sum(1, keepdims=True) * cells.sum(0, keepdims=True) / len(group)
    return (expected / np.maximum(cells, 1))[group, label]


def balanced_draw(
    labels: np.ndarray, groups: np.ndarray, *, by: str = "group", count: int | None = None, seed: int = 0
) -> np.ndarray:
    """Indices of training examples among which groups, or groups and labels, are balanced: int ``(count,)``.

    Batches of them are balanced on average. Examples of large groups are drawn without, those of small ones with
    repetition.

    Args:
        labels: class indices ``(examples,)``.
        groups: of each example.
        by: ``"group"``: as many of each group, whose labels stay in their proportion; ``"cell"``: as many of each group
            with each label; ``"reweighted"``: as `reweighted` weighs them, groups keep their sizes.
        count: examples to draw, by default as many as there are.
        seed: of the draw.

    Raises:
        ValueError: if ``by`` is none of these.
    """
    if by not in ("group", "cell", "reweighted"):
        raise ValueError(f"Wanted balance by group, cell or reweighted. Received: {by!r}.")
    random = np.random.default_rng(seed)
    _, group = np.unique(groups, return_inverse=True)
    _, label = np.unique(labels, return_inverse=True)
    cell = group if by == "group" else group * (label.max() + 1) + label
    names, place, sizes = np.unique(cell, return_inverse=True, return_counts=True)
    weight = reweighted(labels, groups) if by == "reweighted" else 1 / sizes[place]
    share = np.bincount(place, weight, len(names))
    exact = share / share.sum() * (count or len(cell))
    wanted = np.floor(exact).astype(int)
    rest = (count or len(cell)) - int(wanted.sum())
    wanted[np.argsort(wanted - exact, kind="stable")[:rest]] += 1
    drawn = []
    for one, size in zip(range(len(names)), wanted, strict=True):
        there = np.flatnonzero(place == one)
        whole = np.concatenate([random.permutation(there) for _ in range(-(-size // len(there)))] or [there[:0]])
        drawn.append(whole[:size])
    return random.permutation(np.concatenate(drawn))


def thresholds(
    scores: np.ndarray, labels: np.ndarray, groups: np.ndarray, *, wanted: str = "equalized_odds", steps: int = 100
) -> dict[str, float]:
    """A threshold for each group, from which on an example is answered positive (Hardt et al. 2016).

    They are fitted on validation, and what they give is measured on test. A file on a phone can only have them where
    the group is known there.

    Args:
        scores: probability of the positive class, ``(examples,)``.
        labels: whether it is, bool ``(examples,)``.
        groups: of each example.
        wanted: ``"demographic_parity"``: equal selection rates; ``"equal_opportunity"``: equal true positive rates;
            ``"equalized_odds"``: equal true positive rates where the false positive rates are near, too: half a point
            of accuracy is given for each point. Among common rates the most accurate is taken.
        steps: common rates that are tried.

    Raises:
        ValueError: if there is no such aim, or a group lacks a label.
    """
    aims = ("demographic_parity", "equal_opportunity", "equalized_odds")
    if wanted not in aims:
        raise ValueError(f"Wanted one of {', '.join(aims)}. Received: {wanted!r}.")
    scores = np.asarray(scores, np.float64)
    _, labels, groups = _checked(scores > 0, labels, groups)
    names = np.unique(groups)
    lacking = [str(name) for name in names if len(np.unique(labels[groups == name])) < 2]
    if lacking:
        raise ValueError(f"Every group needs examples of both labels. Received: {', '.join(lacking)} without one.")
    best: tuple[float, float, dict[str, float]] | None = None
    for rate in np.linspace(0, 1, steps + 1)[1:-1]:
        chosen = {}
        for name in names:
            here = groups == name
            among = scores[here] if wanted == "demographic_parity" else scores[here & labels]
            chosen[str(name)] = float(np.quantile(among, 1 - rate))
        selected = apply_thresholds(scores, groups, chosen)
        gap = gaps(selected, labels, groups)
        apart = gap["equalized_odds_difference"] if wanted == "equalized_odds" else 0.0
        worth = float((selected == labels).mean())
        if best is None or worth - apart / 2 > best[0] - best[1] / 2:
            best = worth, apart, chosen
    assert best is not None
    return best[2]


def apply_thresholds(scores: np.ndarray, groups: np.ndarray, chosen: Mapping[str, float]) -> np.ndarray:
    """Whether each example is answered positive, by its group's threshold; bool ``(examples,)``.

    Raises:
        ValueError: if a group has none.
    """
    new = sorted(set(map(str, np.unique(groups))) - set(chosen))
    if new:
        raise ValueError(f"Wanted a threshold for each group. Received: none for {', '.join(new)}.")
    return np.asarray(scores) >= np.array([chosen[str(name)] for name in groups])


def _by_draw(selected: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> list[dict[str, float]]:
    """`gaps` of draws in which groups keep their sizes: of counts, for that is all they depend on."""
    # a small group of which a draw has no positive example says nothing of its rate, and not that it is 0
    return [_of_counts(one, undefined=math.nan) for one in _drawn(_counts(selected, labels, groups))]


def _drawn(counts: np.ndarray) -> np.ndarray:
    """Counts of draws of as many examples of each group: ``(draws, groups, kinds)``."""
    random = np.random.default_rng(0)
    return np.stack([random.multinomial(row.sum(), row / row.sum(), intervals.RESAMPLES) for row in counts], 1)


def _counts(selected: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """How many of each group are not or are positive, and are answered so: ``(groups, 4)``."""
    names, places = np.unique(groups, return_inverse=True)
    return np.bincount(places * 4 + labels * 2 + selected, minlength=4 * len(names)).reshape(-1, 4)


def _of_counts(counts: np.ndarray, *, undefined: float = 0.0) -> dict[str, float]:
    """`gaps` of such counts; a rate of nothing is ``undefined``, and left out where that is NaN."""
    sizes, positive = counts.sum(1), counts[:, 2] + counts[:, 3]

    def rate(hits: np.ndarray, among: np.ndarray) -> np.ndarray:
        return np.where(among > 0, hits / np.maximum(among, 1), undefined)

    selection, accuracy = rate(counts[:, 1] + counts[:, 3], sizes), rate(counts[:, 0] + counts[:, 3], sizes)
    true_positive, false_positive = rate(counts[:, 3], positive), rate(counts[:, 1], sizes - positive)
    known = [one for one in (_ratio(true_positive), _ratio(false_positive)) if not math.isnan(one)]
    return {
        "demographic_parity_difference": _difference(selection),
        "demographic_parity_ratio": _ratio(selection),
        "equalized_odds_difference": max(_difference(true_positive), _difference(false_positive)),
        "equalized_odds_ratio": min(known) if known else math.nan,
        "accuracy_difference": _difference(accuracy),
    }


def _difference(rates: np.ndarray) -> float:
    known = rates[~np.isnan(rates)]
    return float(np.ptp(known)) if len(known) else 0.0


def _ratio(rates: np.ndarray) -> float:
    known = rates[~np.isnan(rates)]
    return float(known.min() / known.max()) if len(known) and known.max() > 0 else math.nan


def _checked(selected: Any, labels: Any, groups: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    selected, labels, groups = np.asarray(selected, bool), np.asarray(labels, bool), np.asarray(groups)
    if not selected.shape == labels.shape == groups.shape or selected.ndim != 1 or not len(labels):
        raise ValueError(
            "Wanted an answer, a label and a group of each example. Received: "
            f"{selected.shape}, {labels.shape} and {groups.shape}."
        )
    return selected, labels, groups.astype(str)
