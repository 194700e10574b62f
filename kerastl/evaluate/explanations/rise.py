"""RISE: which places of a picture were seen in random glimpses that were answered alike. It asks for answers alone.

Petsiuk et al. 2018, https://arxiv.org/abs/1806.07421.
"""

from __future__ import annotations

import numpy as np

from kerastl.evaluate.explanations.occlusion import Answer


def picture(
    answer: Answer,
    picture: np.ndarray,
    place: int,
    *,
    masks: int = 400,
    grid: int = 7,
    shown: float = 0.5,
    seed: int = 0,
) -> np.ndarray:
    """The mean answer to glimpses that show a place, less that to all glimpses, float32 ``(height, width)``.

    Args:
        answer: of a model or a file.
        picture: uint8 ``(height, width, channels)``.
        place: of the output that is explained.
        masks: glimpses, each a coarse random grid, moved and smoothed.
        grid: its cells a side.
        shown: share of the cells that is seen; the rest has the picture's mean colour.
        seed: of the grids.
    """
    random, (height, width) = np.random.default_rng(seed), picture.shape[:2]
    total, weight, sum_of_answers = np.zeros((height, width)), np.zeros((height, width)), 0.0
    mean = picture.mean((0, 1))
    for start in range(0, masks, 100):
        some = np.stack([_mask(random, (height, width), grid, shown) for _ in range(min(100, masks - start))])
        glimpses = mean + some[..., None] * (picture - mean)
        answers = np.asarray(answer(np.rint(glimpses).astype(picture.dtype)), np.float64)[:, place]
        total += np.tensordot(answers, some, 1)
        weight += some.sum(0)
        sum_of_answers += answers.sum()
    return (total / np.maximum(weight, 1e-9) - sum_of_answers / masks).astype(np.float32)


def _mask(random: np.random.Generator, size: tuple[int, int], grid: int, shown: float) -> np.ndarray:
    """A random grid as large as a cell more than the picture, moved by a part of one, between 0 and 1."""
    cells = (random.uniform(size=(grid + 1, grid + 1)) < shown).astype(np.float64)
    places = [np.clip((np.arange(side) + 0.5) / side * grid + random.uniform(-0.5, 0.5), 0, grid) for side in size]
    (rows, columns), (top, left) = places, (np.floor(one).astype(int) for one in places)
    low, right = np.minimum(top + 1, grid), np.minimum(left + 1, grid)
    down, across = (rows - top)[:, None], (columns - left)[None]
    upper = cells[np.ix_(top, left)] * (1 - across) + cells[np.ix_(top, right)] * across
    lower = cells[np.ix_(low, left)] * (1 - across) + cells[np.ix_(low, right)] * across
    return upper * (1 - down) + lower * down
