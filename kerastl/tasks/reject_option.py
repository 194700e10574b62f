"""Selective classification: an answer is given where its probability is high enough, else "none of these".

The reject option of Chow 1970, https://doi.org/10.1109/TIT.1970.1054406, with the threshold read off held-out examples
as in Geifman & El-Yaniv 2017, https://arxiv.org/abs/1705.08500, behind temperature scaling (Guo et al. 2017,
https://arxiv.org/abs/1706.04599), after which a probability is the share of answers like it that are right. How little
that probability is, ``1 - p``, is the out-of-distribution score (the maximum softmax probability of Hendrycks & Gimpel
2017, https://arxiv.org/abs/1610.02136).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from kerastl.tasks import classes, threshold_curves

USUAL_COVERAGE = 0.95
"""Share of examples that is answered where examples of no class are there and nothing else is wanted: that at which the
field compares out-of-distribution scores."""
_OWN_THRESHOLD = 10  # answers of a class from which on it has a threshold of its own
_LEAST, _MOST = 0.05, 20.0  # temperatures that are looked through
_DIGITS = 9

NONE = "none of these"
"""What is said where no class is answered."""


@dataclasses.dataclass(frozen=True)
class RejectOption:
    """From which probability on a class is answered.

    Attributes:
        temperature: the logits are divided by it before the softmax; above 1 for a model that is too sure.
        threshold: probability after that from which on the most probable class is answered, 0 to 1.
        class_thresholds: one a class in its place, where rare classes have their own.
        auroc: area under the ROC curve with which the probability tells validation examples from those of no class,
            0.5 for not at all; ``None`` where there were none to tell.

    Raises:
        ValueError: if they are no such numbers; they may come out of anybody's file.
    """

    temperature: float
    threshold: float
    class_thresholds: tuple[float, ...] = ()
    auroc: float | None = None

    def __post_init__(self) -> None:
        shares = (self.threshold, *self.class_thresholds, *(() if self.auroc is None else (self.auroc,)))
        if not 0 < float(self.temperature) < math.inf or not all(0 <= float(share) <= 1 for share in shares):
            raise ValueError(
                "A reject option has a positive temperature and thresholds in 0..1. Received: "
                f"{self.temperature} and {', '.join(map(str, shares[:10]))}."
            )

    def calibrated(self, probabilities: np.ndarray) -> np.ndarray:
        """Probabilities ``(..., classes)`` as the temperature makes them: their order stays."""
        powers = np.asarray(probabilities, np.float64) ** (1 / self.temperature)
        return powers / np.maximum(powers.sum(-1, keepdims=True), np.finfo(np.float64).tiny)

    def accepts(self, probabilities: np.ndarray) -> np.ndarray:
        """Whether an example is answered, bool ``(...)``."""
        shares = self.calibrated(probabilities)
        if not self.class_thresholds:
            return shares.max(-1) >= self.threshold
        return shares.max(-1) >= np.asarray(self.class_thresholds)[shares.argmax(-1)]

    def out_of_distribution(self, probabilities: np.ndarray) -> np.ndarray:
        """The score ``(...)`` of how unlike an example is to what was learnt, 0 to 1: what the surest class lacks."""
        return 1 - self.calibrated(probabilities).max(-1)

    def described(self) -> dict[str, Any]:
        """Its numbers, as a file's metadata hold them."""
        found: dict[str, Any] = {"temperature": self.temperature, "threshold": self.threshold}
        found |= {"class_thresholds": list(self.class_thresholds)} if self.class_thresholds else {}
        return found | ({} if self.auroc is None else {"auroc": self.auroc})

    def measured_on_others(self, others: np.ndarray, own: np.ndarray) -> dict[str, Any]:
        """What it does to examples of no class: ``rejected``, the share that is not answered, with its 95 % interval;
        ``auroc`` of the out-of-distribution score, and ``fpr95``, the share of them that passes at the threshold that
        95 % of the own examples pass.

        Args:
            others: a file's answers to examples of no class, ``(examples, classes)``.
            own: its answers to examples of the classes.
        """
        score = classes.wilson(~self.accepts(others))
        found = {"examples": len(others), "rejected": score.value, "rejected_low": score.low}
        found["rejected_high"] = score.high
        shares = [self.calibrated(some).max(-1) for some in (others, own)]
        passing = np.quantile(shares[1], 1 - USUAL_COVERAGE, method="lower")
        return found | {"auroc": _auroc(*shares), "fpr95": float((shares[0] >= passing).mean())}

    def measured(self, probabilities: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        """What it gives: ``coverage``, the share of examples that are answered, and ``precision``, the share of these
        that are answered rightly, with its 95 % interval; ``None`` where none is answered.

        Args:
            probabilities: a file's answers, ``(examples, classes)``.
            labels: class indices ``(examples,)``.
        """
        given = self.accepts(probabilities)
        found: dict[str, Any] = {"examples": len(labels), "coverage": float(given.mean())}
        if not given.any():
            return found | {"precision": None, "precision_low": None, "precision_high": None}
        score = classes.wilson(np.asarray(probabilities).argmax(-1)[given] == np.asarray(labels)[given])
        return found | {"precision": score.value, "precision_low": score.low, "precision_high": score.high}


def _auroc(others: np.ndarray, own: np.ndarray) -> float:
    """Of telling own examples by a higher probability."""
    found = threshold_curves.roc(np.concatenate([others, own]), np.arange(len(others) + len(own)) >= len(others))
    return 0.5 if found is None else float(found[1])


def fit(
    probabilities: np.ndarray,
    labels: np.ndarray,
    *,
    precision: float | None = None,
    coverage: float | None = None,
    others: np.ndarray | None = None,
    by_class: bool = False,
) -> RejectOption:
    """The reject option by held-out examples.

    Args:
        probabilities: answers to examples that nothing was trained on, ``(examples, classes)``.
        labels: class indices ``(examples,)``.
        precision: the share of answers that is to be right: as many examples as possible are answered. Where no
            threshold gives so much, that of the highest precision.
        coverage: instead, the share of examples that is to be answered: the surest of them.
        others: answers to examples of none of the classes, ``(others, classes)``: for a precision each of them that is
            answered is answered wrongly, as often as they are here. Where neither is wanted, the coverage is
            `USUAL_COVERAGE`.
        by_class: whether each class that is answered ten times has a threshold by its own answers; rare ones need it,
            for frequent ones make the precision of all.

    Raises:
        ValueError: if not one of the two is wanted, or one outside of 0..1, or shapes do not fit; or thresholds by
            class for another thing than a precision.
    """
    if others is not None and precision is None and coverage is None:
        coverage = USUAL_COVERAGE
    wanted = {"precision": precision, "coverage": coverage}
    given = {name: share for name, share in wanted.items() if share is not None}
    if len(given) != 1 or not all(0 < share <= 1 for share in given.values()):
        raise ValueError(f"A reject option is fitted for a precision or a coverage, above 0 to 1. Received: {wanted}.")
    probabilities, labels = np.asarray(probabilities, np.float64), np.asarray(labels)
    classes.check_answers(probabilities, labels, classes=probabilities.shape[-1])
    if by_class and precision is None:
        raise ValueError(f"Thresholds by class are fitted for a precision. Received: {wanted}.")
    temperature = round(_temperature(probabilities, labels), _DIGITS)
    plain = RejectOption(temperature, 0.0)
    answered, sure = probabilities.argmax(-1), plain.calibrated(probabilities).max(-1)
    right = answered == labels
    if others is None:
        return RejectOption(temperature, *_thresholds(sure, right, answered, probabilities.shape[-1], given, by_class))
    others = np.asarray(others, np.float64)
    passed = plain.calibrated(others).max(-1)
    auroc = round(_auroc(passed, sure), _DIGITS)
    if coverage is None:
        sure, right = np.concatenate([sure, passed]), np.concatenate([right, np.zeros(len(passed), bool)])
        answered = np.concatenate([answered, others.argmax(-1)])
    found = _thresholds(sure, right, answered, probabilities.shape[-1], given, by_class)
    return RejectOption(temperature, *found, auroc)


def _thresholds(
    sure: np.ndarray, right: np.ndarray, answered: np.ndarray, count: int, wanted: Mapping[str, float], by_class: bool
) -> tuple[float, tuple[float, ...]]:
    """The threshold of all, and where they are wanted those of each class."""
    whole = _threshold(sure, right, wanted)
    if not by_class:
        return whole, ()
    own = [answered == place for place in range(count)]
    return whole, tuple(
        _threshold(sure[some], right[some], wanted) if some.sum() >= _OWN_THRESHOLD else whole for some in own
    )


def _threshold(sure: np.ndarray, right: np.ndarray, wanted: Mapping[str, float]) -> float:
    """The least probability at which as many as possible are answered, see `fit`."""
    right = right[np.argsort(-sure, kind="stable")]
    sure = np.sort(sure)[::-1]
    ends = np.flatnonzero(np.append(sure[:-1] > sure[1:], True))  # equal ones are answered together, or none
    counts = ends + 1
    if "coverage" in wanted:
        place = int(np.argmax(counts >= math.ceil(wanted["coverage"] * len(sure))))
    else:
        shares = np.cumsum(right)[ends] / counts
        enough = shares >= min(float(wanted["precision"]), float(shares.max()))
        place = int(np.flatnonzero(enough)[-1])
    # rounded down, so that the last example is among them
    return math.floor(sure[ends[place]] * 10**_DIGITS) / 10**_DIGITS


def described_as(described: Mapping[str, Any] | None) -> RejectOption | None:
    """What `RejectOption.described` described; ``None`` for ``None``.

    Raises:
        ValueError: it describes none; it may be anybody's.
    """
    if described is None:
        return None
    try:
        by_class = tuple(float(share) for share in described.get("class_thresholds", ()))
        auroc = described.get("auroc")
        numbers = float(described["temperature"]), float(described["threshold"])
        return RejectOption(*numbers, by_class, None if auroc is None else float(auroc))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"A reject option has a temperature and a threshold. Received: {described!a:.200}.") from error


def _temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The temperature of the least log-loss (Platt's targets: probability is never all of it)."""
    from scipy import optimize

    # a file of 8 bits answers 0 for anything below half of its least number
    logits = np.log(np.maximum(probabilities, probabilities[probabilities > 0].min() / 2))
    count = len(labels)

    def loss(power: float) -> float:
        scaled = logits / math.exp(power)
        scaled -= scaled.max(-1, keepdims=True)
        surprise = np.log(np.exp(scaled).sum(-1, keepdims=True)) - scaled
        # one example more of every class, as Platt 1999 has it: where all answers are right no temperature is the best
        return float((surprise[np.arange(count), labels].sum() + surprise.mean(-1).mean()) / (count + 1))

    found: Any = optimize.minimize_scalar(loss, bounds=(math.log(_LEAST), math.log(_MOST)), method="bounded")
    return math.exp(found.x)
