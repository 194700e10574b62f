"""Bootstrap: how far a mean could have come out otherwise, from the examples themselves (Efron 1979)."""

from __future__ import annotations

import numpy as np

_RESAMPLES = 1000
_AT_ONCE = 100_000  # draws that stay in a processor's cache


def means(errors: np.ndarray) -> np.ndarray:
    """Means of as many examples, drawn with replacement: ``(1000,)``, the same for the same errors.

    Args:
        errors: one an example, ``(examples,)``, at least one.
    """
    draw, count = np.random.default_rng(0), len(errors)
    rows = max(_AT_ONCE // count, 1)
    sizes = [min(rows, _RESAMPLES - start) for start in range(0, _RESAMPLES, rows)]
    return np.concatenate([errors[draw.integers(0, count, (size, count))].mean(-1) for size in sizes])
