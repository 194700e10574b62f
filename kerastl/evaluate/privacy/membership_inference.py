"""Membership inference by the loss: a model is surer of what it was trained on.

Of a model, of an integer file or of a distilled student nothing is asked but its answers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kerastl.evaluate.privacy import attack
from kerastl.evaluate.privacy.attack import Attack

Answer = Callable[[Any], np.ndarray]
"""Examples to probabilities ``(examples, classes)``: a model's, or a file's by `verify.predict_tflite`."""
Examples = tuple[Any, Any]
"""What an `Answer` takes, and class indices ``(examples,)``."""
LEAST = 1e-7
"""The nearest that a probability comes to 0 or 1; beyond it float32 knows no difference."""


def confidences(answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """``log(p / (1 - p))`` of the probability of each label, float64 ``(examples,)``: falls as the loss rises.

    Of this scale the values of many models are about normally distributed (Carlini et al. 2022, "Membership inference
    attacks from first principles", section IV-B, https://arxiv.org/abs/2112.03570).

    Args:
        answers: probabilities ``(examples, classes)``.
        labels: class indices ``(examples,)``.

    Raises:
        ValueError: shapes do not go together, answers are no probabilities, or a label is none of the classes.
    """
    answers, labels = np.asarray(answers, np.float64), np.asarray(labels)
    if answers.ndim != 2 or labels.shape != answers.shape[:1]:
        raise ValueError(f"Wanted a row of answers for each label. Received: shapes {answers.shape}, {labels.shape}.")
    if not (np.isfinite(answers).all() and answers.min() >= 0 and answers.max() <= 1 + 1e-3):
        raise ValueError("Wanted probabilities of 0 to 1. Received: other numbers, logits perhaps.")
    if labels.min() < 0 or labels.max() >= answers.shape[1]:
        raise ValueError(f"Wanted labels of 0 to {answers.shape[1] - 1}. Received: {labels.min()} to {labels.max()}.")
    own = np.clip(answers[np.arange(len(labels)), labels], LEAST, 1 - LEAST)
    return np.log(own) - np.log1p(-own)


def by_loss(
    answer: Answer,
    members: Examples,
    others: Examples,
    *,
    false_positive_rate: float = 0.01,
    seed: int = 0,
) -> tuple[Attack, Attack]:
    """The attack by one threshold on the loss, and the one by a threshold a class.

    Yeom et al. 2018, "Privacy risk in machine learning" (https://arxiv.org/abs/1709.01604); of classes of their own
    difficulty Song & Mittal 2021, "Systematic evaluation of privacy risks of machine learning models"
    (https://arxiv.org/abs/2003.10595). A class's threshold lies as many deviations above the median of its own others:
    of half of the others, which the attacker has, and which are judged by neither attack. A class of which the attacker
    has fewer than 4 has the median and the deviation of all of them.

    Args:
        answer: what is attacked.
        members: examples that it was trained on, and their labels.
        others: examples of the same kind that it was not trained on, and their labels.
        false_positive_rate: of `attack.measured`.
        seed: of the halves and of the intervals.

    Raises:
        ValueError: as `confidences` and `attack.measured`.
    """
    inside, outside = (confidences(answer(inputs), labels) for inputs, labels in (members, others))
    order = np.random.default_rng(seed).permutation(len(outside))
    known, judged = order[: len(order) // 2], order[len(order) // 2 :]
    classes = np.asarray(others[1])[known]
    scores = [
        _standardized(values, labels, known=(outside[known], classes))
        for values, labels in ((inside, np.asarray(members[1])), (outside[judged], np.asarray(others[1])[judged]))
    ]
    more = {"false_positive_rate": false_positive_rate, "seed": seed}
    return (
        attack.measured(inside, outside[judged], name="loss, one threshold", **more),
        attack.measured(*scores, name="loss, a threshold a class", **more),
    )


def _standardized(values: np.ndarray, labels: np.ndarray, *, known: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """How many deviations each lies above the median of its class, the deviation of a normal law of these quartiles."""
    found = np.empty(len(values))
    for label in np.unique(labels):
        own = known[0][known[1] == label]
        low, middle, high = np.quantile(own if len(own) >= 4 else known[0], [0.25, 0.5, 0.75])
        found[labels == label] = (values[labels == label] - middle) / max((high - low) / 1.349, 1e-6)
    return found
