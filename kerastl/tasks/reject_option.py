"""Selective classification: an answer is given where its probability is high enough, else "none of these".

The reject option of Chow 1970, https://doi.org/10.1109/TIT.1970.1054406, with the threshold read off held-out examples
as in Geifman & El-Yaniv 2017, https://arxiv.org/abs/1705.08500, behind temperature scaling (Guo et al. 2017,
https://arxiv.org/abs/1706.04599), after which a probability is the share of answers like it that are right.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from kerastl.tasks import classes

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

    Raises:
        ValueError: if they are no such numbers; they may come out of anybody's file.
    """

    temperature: float
    threshold: float

    def __post_init__(self) -> None:
        if not 0 < float(self.temperature) < math.inf or not 0 <= float(self.threshold) <= 1:
            raise ValueError(
                "A reject option has a positive temperature and a threshold in 0..1. Received: "
                f"{self.temperature} and {self.threshold}."
            )

    def calibrated(self, probabilities: np.ndarray) -> np.ndarray:
        """Probabilities ``(..., classes)`` as the temperature makes them: their order stays."""
        powers = np.asarray(probabilities, np.float64) ** (1 / self.temperature)
        return powers / np.maximum(powers.sum(-1, keepdims=True), np.finfo(np.float64).tiny)

    def accepts(self, probabilities: np.ndarray) -> np.ndarray:
        """Whether an example is answered, bool ``(...)``."""
        return self.calibrated(probabilities).max(-1) >= self.threshold

    def described(self) -> dict[str, float]:
        """Its numbers, as a file's metadata hold them."""
        return dataclasses.asdict(self)

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


def fit(
    probabilities: np.ndarray, labels: np.ndarray, *, precision: float | None = None, coverage: float | None = None
) -> RejectOption:
    """The reject option by held-out examples.

    Args:
        probabilities: answers to examples that nothing was trained on, ``(examples, classes)``.
        labels: class indices ``(examples,)``.
        precision: the share of answers that is to be right: as many examples as possible are answered. Where no
            threshold gives so much, that of the highest precision.
        coverage: instead, the share of examples that is to be answered: the surest of them.

    Raises:
        ValueError: if not one of the two is wanted, or one outside of 0..1, or shapes do not fit.
    """
    wanted = {"precision": precision, "coverage": coverage}
    given = {name: share for name, share in wanted.items() if share is not None}
    if len(given) != 1 or not all(0 < share <= 1 for share in given.values()):
        raise ValueError(f"A reject option is fitted for a precision or a coverage, above 0 to 1. Received: {wanted}.")
    probabilities, labels = np.asarray(probabilities, np.float64), np.asarray(labels)
    classes.check_answers(probabilities, labels, classes=probabilities.shape[-1])
    temperature = round(_temperature(probabilities, labels), _DIGITS)
    sure = RejectOption(temperature, 0.0).calibrated(probabilities).max(-1)
    right = (probabilities.argmax(-1) == labels)[np.argsort(-sure, kind="stable")]
    sure = np.sort(sure)[::-1]
    ends = np.flatnonzero(np.append(sure[:-1] > sure[1:], True))  # equal ones are answered together, or none
    counts = ends + 1
    if coverage is not None:
        place = int(np.argmax(counts >= math.ceil(coverage * len(sure))))
    else:
        shares = np.cumsum(right)[ends] / counts
        enough = shares >= min(float(given["precision"]), float(shares.max()))
        place = int(np.flatnonzero(enough)[-1])
    # rounded down, so that the last example is among them
    return RejectOption(temperature, math.floor(sure[ends[place]] * 10**_DIGITS) / 10**_DIGITS)


def described_as(described: Mapping[str, Any] | None) -> RejectOption | None:
    """What `RejectOption.described` described; ``None`` for ``None``."""
    return None if described is None else RejectOption(**{name: float(value) for name, value in described.items()})


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
