"""Permutation importance: what a score loses when a column's values are dealt to other rows. Of any file.

Breiman 2001, https://doi.org/10.1023/A:1010933404324; Fisher et al. 2019, https://arxiv.org/abs/1801.01489. Columns
that say the same share their importance, and none of it says what would happen if a value were changed in the world.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np


def importance(
    answer: Callable[[np.ndarray], Any],
    examples: np.ndarray,
    score: Callable[[Any], float],
    *,
    columns: Mapping[str, Sequence[int]],
    repeats: int = 5,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """How much worse the score is without each column: the mean over draws, and its standard deviation.

    Args:
        answer: of a model or a file.
        examples: ``(examples, ..., columns)``.
        score: of answers to these examples, as ``answer`` gives them, the greater the better.
        columns: of each name the places along the last axis that are dealt together: those of a category.
        repeats: draws.
        seed: of the draws.

    Returns:
        By name, the most important first.
    """
    whole, random = score(answer(examples)), np.random.default_rng(seed)
    found = {}
    for name, places in columns.items():
        lost = []
        for _ in range(repeats):
            dealt = np.array(examples)
            dealt[..., list(places)] = dealt[random.permutation(len(dealt))][..., list(places)]
            lost.append(whole - score(answer(dealt)))
        found[name] = float(np.mean(lost)), float(np.std(lost))
    return dict(sorted(found.items(), key=lambda pair: -pair[1][0]))
