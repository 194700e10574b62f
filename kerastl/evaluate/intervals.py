"""Confidence intervals of shares and of means: Wilson's, and the bootstrap."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

RESAMPLES = 1000
"""Sets of examples that a bootstrap draws."""
_Z = 1.959963984540054  # of 95 %
_AT_ONCE = 100_000  # draws that stay in a processor's cache


def wilson(successes: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927, https://doi.org/10.2307/2276774); 0 to 1 where nothing was counted.

    Raises:
        ValueError: if there are more successes than were counted.
    """
    if not 0 <= successes <= count:
        raise ValueError(f"Wanted 0 to {count} successes. Received: {successes}.")
    if not count:
        return 0.0, 1.0
    share, square = successes / count, _Z**2 / count
    centre = (share + square / 2) / (1 + square)
    half = _Z / (1 + square) * np.sqrt(share * (1 - share) / count + square / (4 * count))
    return float(max(0.0, centre - half)), float(min(1.0, centre + half))


def draws(count: int, *, seed: int = 0) -> Iterator[np.ndarray]:
    """Indices of as many examples, drawn with replacement: blocks ``(some, count)``, `RESAMPLES` rows in all."""
    random, rows = np.random.default_rng(seed), max(_AT_ONCE // max(count, 1), 1)
    for start in range(0, RESAMPLES, rows):
        yield random.integers(0, count, (min(rows, RESAMPLES - start), count))


def of_mean(values: np.ndarray, *, seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of a mean by the percentile bootstrap (Efron 1979), the same for the same values.

    Args:
        values: one an example, ``(examples,)``, at least one.
        seed: of the draws.
    """
    values = np.asarray(values, np.float64)
    means = np.concatenate([values[block].mean(-1) for block in draws(len(values), seed=seed)])
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)
