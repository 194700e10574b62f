"""Membership inference by shadow runs: models trained with and without an example tell what it changes (LiRA).

Carlini et al. 2022, "Membership inference attacks from first principles", algorithm 1 (https://arxiv.org/abs/2112.03570).
Each shadow run is a training of its own: this is for small sets and small models.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kerastl.evaluate.privacy import attack
from kerastl.evaluate.privacy.attack import Attack
from kerastl.evaluate.privacy.membership_inference import Answer, Examples, confidences

OWN_SPREAD = 64
"""Shadow runs from which each example has a spread of its own; of fewer they share one (section VI-B there)."""


def memberships(examples: int, runs: int, *, seed: int) -> np.ndarray:
    """Who is trained on in which run, bool ``(runs, examples)``: each example in half of the runs, each run on half.

    Args:
        examples: an even number is split evenly.
        runs: an even number of 2 or more: every second run is trained on what the one before left out.
        seed: of the halves.

    Raises:
        ValueError: runs are no even number.
    """
    if runs < 2 or runs % 2:
        raise ValueError(f"Wanted an even number of shadow runs. Received: {runs}.")
    draw, found = np.random.default_rng(seed), np.zeros((runs, examples), bool)
    for run in range(0, runs, 2):
        found[run, draw.permutation(examples)[: examples // 2]] = True
        found[run + 1] = ~found[run]
    return found


def likelihood_ratios(target: np.ndarray, shadows: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """How much likelier each confidence is of a model that was trained on the example, float64 ``(examples,)``, as a
    logarithm.

    Args:
        target: confidences of the attacked model, see `membership_inference.confidences`, ``(examples,)``.
        shadows: those of the shadow runs, ``(runs, examples)``.
        inside: whether a run was trained on an example, bool ``(runs, examples)``.

    Raises:
        ValueError: an example is in all runs or in none, or shapes do not go together.
    """
    if shadows.shape != inside.shape or shadows.shape[1:] != target.shape:
        raise ValueError(
            "Wanted a confidence of the target for each example, and one a run. Received: shapes "
            f"{target.shape}, {shadows.shape} and {inside.shape}."
        )
    if not (inside.any(0).all() and (~inside).any(0).all()):
        raise ValueError("Wanted every example in some of the shadow runs and not in all. Received: others.")
    logs = []
    for chosen in (inside, ~inside):
        held = np.ma.masked_array(shadows, ~chosen)
        mean = np.asarray(held.mean(0))
        deviations = held - mean
        if len(shadows) >= OWN_SPREAD:
            spread = np.asarray(np.ma.std(deviations, axis=0))
        else:
            spread = np.full(target.shape, float(np.sqrt((deviations**2).mean())))
        spread = np.maximum(spread, 1e-6)
        logs.append(-np.log(spread) - (target - mean) ** 2 / (2 * spread**2))
    return logs[0] - logs[1]


def by_likelihood(
    train: Callable[[np.ndarray, int], Answer],
    answer: Answer,
    examples: Examples,
    members: np.ndarray,
    *,
    runs: int = 16,
    false_positive_rate: float = 0.01,
    seed: int = 0,
) -> Attack:
    """Trains shadow models and attacks by what each example changed in them.

    Args:
        train: trains a model as the attacked one was, on the examples of these rows (int, ascending), with a seed that
            is another one each time; returns what answers.
        answer: what is attacked: the model, or what was made of it.
        examples: members and others together, and their labels.
        members: whether it was trained on each of them, bool ``(examples,)``.
        runs: shadow models, an even number; the more, the stronger.
        false_positive_rate: of `attack.measured`.
        seed: of the halves, the trainings and the intervals.

    Raises:
        ValueError: as `memberships`, `membership_inference.confidences` and `attack.measured`.
    """
    inputs, labels = examples
    inside = memberships(len(labels), runs, seed=seed)
    shadows = np.stack(
        [confidences(train(np.flatnonzero(rows), seed + 1 + run)(inputs), labels) for run, rows in enumerate(inside)]
    )
    ratios = likelihood_ratios(confidences(answer(inputs), labels), shadows, inside)
    return attack.measured(
        ratios[members],
        ratios[~members],
        name=f"likelihood ratio of {runs} shadow runs",
        false_positive_rate=false_positive_rate,
        seed=seed,
    )
