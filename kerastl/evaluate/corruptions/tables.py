"""Corruptions of numbers at five strengths: what a sensor adds, and what nobody filled in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

STRENGTHS = (1, 2, 3, 4, 5)
LEVELS: dict[str, tuple[float, ...]] = {
    "gaussian_noise": (0.05, 0.1, 0.2, 0.4, 0.8),
    "missing": (0.05, 0.1, 0.2, 0.3, 0.5),
}
"""What each strength is: of noise its standard deviation as a share of each column's own; the share of values that are
missing, in whose place the mean of a number stands, or none of a category's values."""


def corrupted(
    examples: np.ndarray,
    name: str,
    strength: int,
    *,
    mean: np.ndarray,
    spread: np.ndarray,
    categories: Sequence[Sequence[int]] = (),
    seed: int = 0,
) -> np.ndarray:
    """Numbers as a corruption leaves them.

    Args:
        examples: float32 ``(examples, ..., columns)``.
        name: a key of `LEVELS`.
        strength: 1 to 5.
        mean, spread: of the training examples, one a column.
        categories: places along the last axis of the numbers 0 and 1 that one category became, of each category. Noise
            leaves them, and they are missing together.
        seed: of the noise, and of what is missing.

    Returns:
        float32 of the same shape.

    Raises:
        ValueError: if there is no such corruption or strength, or means are not one a column.
    """
    if name not in LEVELS or strength not in STRENGTHS:
        raise ValueError(f"Wanted one of {', '.join(LEVELS)} at 1 to 5. Received: {name!r} at {strength}.")
    mean, spread = np.asarray(mean, np.float32), np.asarray(spread, np.float32)
    if mean.shape != examples.shape[-1:] or spread.shape != mean.shape:
        raise ValueError(
            f"Wanted a mean and a spread for each of {examples.shape[-1]} columns. Received: {mean.shape} and "
            f"{spread.shape}."
        )
    random = np.random.default_rng([seed, *name.encode(), strength])
    level, made = LEVELS[name][strength - 1], np.array(examples, np.float32)
    known = sorted({place for places in categories for place in places})
    numbers = np.setdiff1d(np.arange(examples.shape[-1]), known)
    if name == "gaussian_noise":
        noise = random.standard_normal((*made.shape[:-1], len(numbers)), np.float32)
        made[..., numbers] += level * spread[numbers] * noise
        return made
    for places in [*([one] for one in numbers), *categories]:
        gone = random.uniform(size=made.shape[:-1]) < level
        instead = mean[places] if len(places) == 1 and places[0] in numbers else np.zeros(len(places), np.float32)
        made[..., places] = np.where(gone[..., None], instead, made[..., places])
    return made
