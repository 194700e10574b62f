"""Conformal prediction: sets of classes, or intervals of numbers, that hold the truth as often as was asked for.

Split conformal prediction (Vovk et al. 2005; Papadopoulos et al. 2002; Angelopoulos & Bates 2021,
https://arxiv.org/abs/2107.07511): a threshold is read off examples that nothing was trained on, and the share of new
examples of the same kind whose set holds their label is at least the wanted one, whatever the model is worth. What a
poor model costs is the size of the sets.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from kerastl.evaluate import intervals

METHODS = ("lac", "aps", "raps")
"""Least ambiguous sets (Sadinle et al. 2019, https://arxiv.org/abs/1609.00451): the smallest on average. Adaptive sets
(Romano et al. 2020, https://arxiv.org/abs/2006.02544): large where an example is hard. Regularized adaptive sets
(Angelopoulos et al. 2021, https://arxiv.org/abs/2009.14193): the same with short tails."""
_TIE = 1e-8
"""Below the steps of float32 probabilities near 1, which are 6e-8, and far below those of a file of 8 bits."""


@dataclasses.dataclass(frozen=True)
class PredictionSets:
    """A fitted rule: which classes are in an example's set.

    Attributes:
        method: one of `METHODS`.
        coverage: share of examples whose set is to hold their label.
        threshold: greatest score of a class that is in the set; infinite where too few examples were held out.
        penalty, free: of ``"raps"``: what each class beyond the first ``free`` ones costs.
        seed: of the draws by which scores that are equal, or steps of a probability, are told apart.
    """

    method: str
    coverage: float
    threshold: float
    penalty: float = 0.0
    free: int = 0
    seed: int = 0

    def sets(self, probabilities: np.ndarray, *, seed: int | None = None) -> np.ndarray:
        """Which classes each example's set holds, bool ``(examples, classes)``.

        Args:
            probabilities: answers ``(examples, classes)``.
            seed: of the draws, by default the rule's own.
        """
        found = _scores(probabilities, self, seed=self.seed + 1 if seed is None else seed)
        return found <= self.threshold


def fit(
    probabilities: np.ndarray,
    labels: np.ndarray,
    *,
    coverage: float,
    method: str = "lac",
    penalty: float = 0.01,
    free: int = 5,
    seed: int = 0,
) -> PredictionSets:
    """The rule by held-out examples.

    Args:
        probabilities: answers to examples that nothing was trained on, ``(examples, classes)``.
        labels: class indices ``(examples,)``.
        coverage: share of new examples whose set is to hold their label, between 0 and 1.
        method: one of `METHODS`.
        penalty, free: of ``"raps"``, as in the paper's section 4.
        seed: see `PredictionSets`. Among equal scores, of which a file of 8 bits has many, draws decide; without them
            sets would hold the label more often than was asked for, and be larger.

    Raises:
        ValueError: if there is no such method, the coverage is no share, or shapes do not fit.
    """
    probabilities, labels = np.asarray(probabilities, np.float64), np.asarray(labels)
    if method not in METHODS or not 0 < coverage < 1:
        raise ValueError(
            f"Wanted one of {', '.join(METHODS)} and a coverage (--coverage) between 0 and 1. Received: {method!r}, "
            f"{coverage}."
        )
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1] or not len(labels):
        raise ValueError(
            f"Wanted answers (examples, classes) and a label each. Received: {probabilities.shape}, {labels.shape}."
        )
    regular: dict[str, Any] = {"penalty": penalty, "free": free} if method == "raps" else {}
    rule = PredictionSets(method, float(coverage), math.inf, seed=seed, **regular)
    own = _scores(probabilities, rule, seed=seed)[np.arange(len(labels)), labels]
    return dataclasses.replace(rule, threshold=_quantile(own, coverage))


def measure(rule: PredictionSets, probabilities: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """What a rule gives on other examples: JSON types.

    Returns:
        ``examples``; ``coverage``, the share of sets that hold the label, with its 95 % interval ``coverage_low``,
        ``coverage_high``; ``size``, the mean number of classes, ``single`` and ``empty``, the shares of sets of one
        class and of none; ``by_size``: of each size how many sets there are and how many hold the label; and
        ``worst_class``: the class whose labels are held least often, with that share, among those of ten examples and
        more (``None`` where there is none).
    """
    held = rule.sets(probabilities)
    labels = np.asarray(labels)
    hit, sizes = held[np.arange(len(labels)), labels], held.sum(-1)
    low, high = intervals.wilson(int(hit.sum()), len(hit))
    shares = {int(one): float(hit[labels == one].mean()) for one in np.unique(labels) if (labels == one).sum() >= 10}
    worst = min(shares, key=lambda one: shares[one]) if shares else None
    return {
        "examples": len(labels),
        "coverage": float(hit.mean()),
        "coverage_low": low,
        "coverage_high": high,
        "size": float(sizes.mean()),
        "single": float((sizes == 1).mean()),
        "empty": float((sizes == 0).mean()),
        "by_size": [
            {"size": int(size), "sets": int((sizes == size).sum()), "hold": int(hit[sizes == size].sum())}
            for size in np.unique(sizes)
        ],
        "worst_class": None if worst is None else {"class": worst, "coverage": shares[worst]},
    }


def fit_intervals(answers: np.ndarray, labels: np.ndarray, *, coverage: float) -> np.ndarray:
    """Half widths of intervals around answers in numbers, by absolute residuals; ``(outputs,)``.

    Args:
        answers, labels: of examples that nothing was trained on, ``(examples, outputs)`` each, in units of the labels.
        coverage: share of new examples whose interval is to hold their label, of each output.

    Raises:
        ValueError: if the coverage is no share, or shapes do not fit.
    """
    answers, labels = np.asarray(answers, np.float64), np.asarray(labels, np.float64)
    if not 0 < coverage < 1 or answers.shape != labels.shape or answers.ndim != 2 or not len(labels):
        raise ValueError(
            "Wanted answers and labels (examples, outputs) and a coverage between 0 and 1. Received: "
            f"{answers.shape}, {labels.shape}, {coverage}."
        )
    residuals = np.abs(answers - labels)
    return np.array([_quantile(column, coverage) for column in residuals.T])


def measure_intervals(widths: np.ndarray, answers: np.ndarray, labels: np.ndarray) -> list[dict[str, float]]:
    """Of each output the half width, and the share of labels that the intervals hold with its 95 % interval."""
    hits = np.abs(np.asarray(answers, np.float64) - np.asarray(labels, np.float64)) <= widths
    found = []
    for width, column in zip(widths, hits.T, strict=True):
        low, high = intervals.wilson(int(column.sum()), len(column))
        shares = {"coverage": float(column.mean()), "coverage_low": low, "coverage_high": high}
        found.append({"half_width": float(width), **shares})
    return found


def _quantile(scores: np.ndarray, coverage: float) -> float:
    """The ceil((n + 1) coverage)-th least score, infinite where there are not as many."""
    place = math.ceil((len(scores) + 1) * coverage - 1e-9)
    return float(np.sort(scores)[place - 1]) if place <= len(scores) else math.inf


def _scores(probabilities: np.ndarray, rule: PredictionSets, *, seed: int) -> np.ndarray:
    """How little each class belongs to each example, ``(examples, classes)``."""
    probabilities = np.asarray(probabilities, np.float64)
    draw = np.random.default_rng(seed)
    if rule.method == "lac":
        return 1 - probabilities + draw.uniform(0, _TIE, probabilities.shape)
    # equal probabilities are in an order of their own for each example, not in that of the classes
    order = np.argsort(-probabilities + draw.uniform(0, _TIE, probabilities.shape), axis=-1)
    ranked = np.take_along_axis(probabilities, order, -1)
    ranked = ranked / ranked.sum(-1, keepdims=True)
    # of the class itself a random part counts, so that sets can end within its step
    upto = np.cumsum(ranked, -1) - draw.uniform(size=(len(ranked), 1)) * ranked
    upto += draw.uniform(0, _TIE, ranked.shape)
    if rule.method == "raps":
        upto += rule.penalty * np.maximum(np.arange(1, ranked.shape[-1] + 1) - rule.free, 0)
    scores = np.empty_like(upto)
    np.put_along_axis(scores, order, upto, -1)
    return scores
