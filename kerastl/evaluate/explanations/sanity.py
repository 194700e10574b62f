"""Sanity checks of explanations: a map that a model without its weights also gives explains nothing.

Adebayo et al. 2018, https://arxiv.org/abs/1810.03292: methods that draw edges look convincing and do not depend on the
model. And likeness of maps, by which a file's explanation is compared with its float model's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras
import numpy as np


@contextlib.contextmanager
def randomized(model: keras.Model, *, seed: int = 0) -> Iterator[keras.Model]:
    """The model with the numbers of each weight shuffled, and as it was when the context ends.

    Args:
        model: changed in place.
        seed: of the order.
    """
    before, random = model.get_weights(), np.random.default_rng(seed)
    model.set_weights([random.permutation(weight.ravel()).reshape(weight.shape) for weight in before])
    try:
        yield model
    finally:
        model.set_weights(before)


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's correlation of two maps, or of two sets of them; NaN where one is the same everywhere."""
    first, second = (np.asarray(values, np.float64).ravel() for values in (one, other))
    first, second = first - first.mean(), second - second.mean()
    size = np.sqrt((first**2).sum() * (second**2).sum())
    return float((first * second).sum() / size) if size > 0 else float("nan")


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's correlation of the absolute values of two maps, as in the paper: which places count most."""
    from scipy import stats

    first, second = (stats.rankdata(np.abs(values).ravel()) for values in (one, other))
    return correlation(first, second)
