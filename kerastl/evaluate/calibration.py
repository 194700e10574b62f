"""Calibration: whether answers of 80 % are right in 80 of 100 cases, and the scaling that makes them so.

Reliability bins and the expected calibration error (Naeini et al. 2015, https://doi.org/10.1609/aaai.v29i1.9602; of
neural networks Guo et al. 2017, https://arxiv.org/abs/1706.04599), the Brier score and the log-loss, which are proper
scores; temperature and vector scaling of Guo et al., fitted on examples that nothing was trained on.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from kerastl.evaluate import intervals

BINS = 15
"""Of a reliability diagram, as in Guo et al. 2017."""
_LEAST, _MOST = 0.05, 20.0  # temperatures that are looked through


@dataclasses.dataclass(frozen=True)
class Bin:
    """Answers of like confidence.

    Attributes:
        low, high: least and greatest confidence that belongs here.
        count: answers.
        confidence: their mean confidence; ``None`` of none.
        accuracy: share of them that is right; ``None`` of none.
        accuracy_low, accuracy_high: its 95 % interval (Wilson).
    """

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None
    accuracy_low: float
    accuracy_high: float


@dataclasses.dataclass(frozen=True)
class Calibration:
    """How far probabilities are from the shares that are right.

    Attributes:
        examples: answers that were looked at.
        ece: expected calibration error of bins of equal width, 0..1.
        ece_low, ece_high: its 95 % interval, see `expected_calibration_error_interval`.
        ece_equal_mass, ece_equal_mass_low, ece_equal_mass_high: the same of bins of equally many answers.
        brier: Brier score, 0 (perfect) to 2.
        brier_low, brier_high: its 95 % interval.
        log_loss: mean negative log-likelihood, in nats.
        log_loss_low, log_loss_high: its 95 % interval.
        confidence, accuracy: means over all answers: a confidence above the accuracy is overconfidence.
        bins: of equal width.
    """

    examples: int
    ece: float
    ece_low: float
    ece_high: float
    ece_equal_mass: float
    ece_equal_mass_low: float
    ece_equal_mass_high: float
    brier: float
    brier_low: float
    brier_high: float
    log_loss: float
    log_loss_low: float
    log_loss_high: float
    confidence: float
    accuracy: float
    bins: tuple[Bin, ...]


def measure(probabilities: np.ndarray, labels: np.ndarray, *, bins: int = BINS) -> Calibration:
    """Everything there is to say of the calibration of some answers.

    Args:
        probabilities: answers ``(examples, classes)``, 0..1.
        labels: class indices ``(examples,)``.
        bins: of the reliability diagram.

    Raises:
        ValueError: if shapes do not fit, or the probabilities are none.
    """
    probabilities, labels = _checked(probabilities, labels)
    sure, right = probabilities.max(-1), probabilities.argmax(-1) == labels
    errors: dict[str, float] = {}
    for name, equal_mass in (("ece", False), ("ece_equal_mass", True)):
        errors[name] = expected_calibration_error(sure, right, bins=bins, equal_mass=equal_mass)
        ends = expected_calibration_error_interval(sure, right, bins=bins, equal_mass=equal_mass)
        errors |= {f"{name}_low": ends[0], f"{name}_high": ends[1]}
    for name, values in (("brier", brier(probabilities, labels)), ("log_loss", log_loss(probabilities, labels))):
        low, high = intervals.of_mean(values)
        errors |= {name: float(values.mean()), f"{name}_low": low, f"{name}_high": high}
    means = {"confidence": float(sure.mean()), "accuracy": float(right.mean())}
    return Calibration(examples=len(labels), **errors, **means, bins=reliability(sure, right, bins=bins))


def reliability(
    confidence: np.ndarray, right: np.ndarray, *, bins: int = BINS, equal_mass: bool = False
) -> tuple[Bin, ...]:
    """Answers by their confidence, the least first.

    Args:
        confidence: probability of the answered class, ``(examples,)``.
        right: whether it was right, bool ``(examples,)``.
        bins: of equal width over 0..1.
        equal_mass: whether each has as many answers instead; equal confidences stay together, so that there may be
            fewer bins.
    """
    edges = _edges(confidence, bins=bins, equal_mass=equal_mass)
    places = _places(confidence, edges)
    found = []
    for place in range(len(edges) - 1):
        here = places == place
        count, hits = int(here.sum()), int(right[here].sum())
        low, high = intervals.wilson(hits, count)
        means = (float(confidence[here].mean()), hits / count) if count else (None, None)
        found.append(Bin(float(edges[place]), float(edges[place + 1]), count, *means, low, high))
    return tuple(found)


def expected_calibration_error(
    confidence: np.ndarray, right: np.ndarray, *, bins: int = BINS, equal_mass: bool = False
) -> float:
    """The mean distance of confidence and accuracy over bins, each weighted with its answers; arguments as above."""
    places = _places(confidence, _edges(confidence, bins=bins, equal_mass=equal_mass))
    gaps = np.bincount(places, np.asarray(right, np.float64) - confidence)
    return float(np.abs(gaps).sum() / len(confidence))


def expected_calibration_error_interval(
    confidence: np.ndarray, right: np.ndarray, *, bins: int = BINS, equal_mass: bool = False
) -> tuple[float, float]:
    """The 95 % interval of the error by the basic bootstrap, over the bins of the examples themselves.

    A sum of absolute values is too high on average, the more so the fewer examples a bin has (Kumar et al. 2019,
    https://arxiv.org/abs/1909.10155), and of resamples once more. The basic bootstrap takes that off again: a model
    that is calibrated has an interval down to 0, which percentiles would not give it.
    """
    places = _places(confidence, _edges(confidence, bins=bins, equal_mass=equal_mass))
    gaps = np.asarray(right, np.float64) - confidence
    error = float(np.abs(np.bincount(places, gaps)).sum() / len(gaps))
    found = [
        np.abs(np.bincount(places[row], gaps[row])).sum() / len(gaps)
        for block in intervals.draws(len(gaps))
        for row in block
    ]
    low, high = np.quantile(found, (0.025, 0.975))
    return float(max(0.0, min(error, 2 * error - high))), float(min(1.0, max(error, 2 * error - low)))


def brier(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Squared distance of each answer from its label, summed over classes, ``(examples,)`` (Brier 1950)."""
    return ((probabilities - np.eye(probabilities.shape[-1])[labels]) ** 2).sum(-1)


def log_loss(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Negative logarithm of each label's probability, nats, ``(examples,)``.

    A file of 8 bits answers 0 for whatever is below half of its least number: 0 counts as half of the least positive
    answer that there is, else one such answer would make the mean infinite.
    """
    chosen = np.asarray(probabilities, np.float64)[np.arange(len(labels)), labels]
    return -np.log(np.maximum(chosen, _floor(probabilities)))


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature of the least log-loss: logits are divided by it before the softmax (Guo et al. 2017, 4.2).

    Args:
        logits: of examples that nothing was trained on, ``(examples, classes)``; logarithms of probabilities will do,
            see `logits_of`.
        labels: class indices ``(examples,)``.

    Returns:
        0.05 to 20, above 1 for a model that is too sure. One example more, of every class alike, is counted as in Platt
        1999, so that a model without a mistake has a temperature, too.

    Raises:
        ValueError: if shapes do not fit, or a logit is not finite.
    """
    from scipy import optimize

    logits, labels = _checked_logits(logits, labels)

    def loss(power: float) -> float:
        surprise = -_log_softmax(logits / math.exp(power))
        return float((surprise[np.arange(len(labels)), labels].sum() + surprise.mean()) / (len(labels) + 1))

    found: Any = optimize.minimize_scalar(loss, bounds=(math.log(_LEAST), math.log(_MOST)), method="bounded")
    return math.exp(found.x)


def fit_vector(logits: np.ndarray, labels: np.ndarray, *, shrinkage: float = 1e-3) -> tuple[np.ndarray, np.ndarray]:
    """Vector scaling (Guo et al. 2017, 4.2): a factor and an offset a class, ``logits * factors + offsets``.

    It may change which class is answered. With few examples a class it follows them too closely.

    Args:
        logits, labels: as for `fit_temperature`.
        shrinkage: what the squared distance from factors of 1 and offsets of 0 costs beside the mean log-loss.

    Returns:
        Factors and offsets, float64 ``(classes,)`` each.

    Raises:
        ValueError: as `fit_temperature`.
    """
    from scipy import optimize

    logits, labels = _checked_logits(logits, labels)
    count, classes = logits.shape
    scale = np.abs(logits).mean() or 1.0  # offsets in units of logits
    wanted = np.eye(classes)[labels]

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        factors, offsets = values[:classes], values[classes:] * scale
        logarithms = _log_softmax(logits * factors + offsets)
        error = (np.exp(logarithms) - wanted) / count
        away = values - np.r_[np.ones(classes), np.zeros(classes)]
        slope = np.r_[(error * logits).sum(0), error.sum(0) * scale]
        value = -(logarithms * wanted).sum() / count + shrinkage * (away**2).sum()
        return float(value), slope + 2 * shrinkage * away

    start = np.r_[np.ones(classes), np.zeros(classes)]
    found: Any = optimize.minimize(loss, start, jac=True, method="L-BFGS-B")
    return found.x[:classes], found.x[classes:] * scale


def scaled(logits: np.ndarray, factors: np.ndarray | float, offsets: np.ndarray | float = 0.0) -> np.ndarray:
    """Probabilities of scaled logits: of a temperature ``factors`` is one divided by it."""
    return np.exp(_log_softmax(np.asarray(logits, np.float64) * factors + offsets))


def logits_of(probabilities: np.ndarray) -> np.ndarray:
    """Logits up to one number an example, which a softmax does not see: logarithms, of 0 as in `log_loss`."""
    return np.log(np.maximum(np.asarray(probabilities, np.float64), _floor(probabilities)))


def _edges(confidence: np.ndarray, *, bins: int, equal_mass: bool) -> np.ndarray:
    if bins < 1 or not len(confidence):
        raise ValueError(f"Wanted one bin and one answer at least. Received: {bins} bins, {len(confidence)} answers.")
    if not equal_mass:
        return np.linspace(0, 1, bins + 1)
    inner = np.unique(np.quantile(confidence, np.arange(1, bins) / bins))
    return np.r_[0.0, inner[(inner > 0) & (inner < 1)], 1.0]


def _places(confidence: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The bin of each confidence; an edge belongs to the lower one, as in Guo et al."""
    return np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, len(edges) - 2)


def _floor(probabilities: np.ndarray) -> float:
    positive = np.asarray(probabilities)[np.asarray(probabilities) > 0]
    return float(positive.min()) / 2 if len(positive) else 1.0


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    moved = logits - logits.max(-1, keepdims=True)
    return moved - np.log(np.exp(moved).sum(-1, keepdims=True))


def _checked(probabilities: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    probabilities, labels = _checked_logits(probabilities, labels)
    if probabilities.min() < 0 or probabilities.max() > 1:
        raise ValueError(
            f"Wanted probabilities in 0..1. Received: {probabilities.min():.4g} to {probabilities.max():.4g}."
        )
    return probabilities, labels


def _checked_logits(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    logits, labels = np.asarray(logits, np.float64), np.asarray(labels)
    if logits.ndim != 2 or labels.shape != logits.shape[:1] or not len(labels) or not np.isfinite(logits).all():
        raise ValueError(
            "Wanted finite numbers (examples, classes) and a class an example. Received: "
            f"{logits.shape}{'' if np.isfinite(logits).all() else ', not all finite'}, and labels {labels.shape}."
        )
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= logits.shape[1]:
        raise ValueError(
            f"Wanted class indices 0..{logits.shape[1] - 1}. Received: {labels.dtype} {labels.min()} to {labels.max()}."
        )
    return logits, labels
