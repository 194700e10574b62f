"""Pictures that are nearly the same: encoded again, mirrored, shifted.

Three steps, each for fewer pairs than the one before. The sizes of a picture's slow waves, which neither a shift nor a
mirror changes much, are compared with those of all others: the likest few dozen go on. Of these the middles, coarsely
and wherever they may have been moved to, mirrored or not, are compared: the likest are candidates. A candidate is
confirmed where the two pictures, laid over each other at the best shift, correlate.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_SIDE = 32
_HARDLY_SMALLER = 24
_MIDDLE = 20
_WAVES = 6
_OFFSETS = range(-4, 5)  # pixels of 32 by which the middle may have moved
_ALIKE, _ALIKER = 200, 20  # pictures of like waves whose middles are compared at every other place, and at all
_CHUNK = 1024
_SHIFTS = 3  # how many of the best places of one picture upon another are tried
# What a shift brings in or pushes out stands at the border, and counts for nothing there.
_WINDOW = np.outer(np.hanning(_SIDE + 2)[1:-1], np.hanning(_SIDE + 2)[1:-1]).astype(np.float32)


class Pair(NamedTuple):
    """``first[i]`` and ``second[j]`` are nearly the same.

    Attributes:
        first, second: indices.
        correlation: of the two, laid over each other at the best shift: 1.0 for the same picture.
        mirrored: whether one of them had to be mirrored.
    """

    first: int
    second: int
    correlation: float
    mirrored: bool


def between(
    first: np.ndarray, second: np.ndarray, *, least: float = 0.97, candidates: int = 5, largest_shift: float = 0.2
) -> list[Pair]:
    """Near duplicates between two sets of pictures, at most one for each picture of ``first``.

    Takes about a minute of processor time for 15,000 against 55,000 pictures of 28 x 28.

    Args:
        first, second: ``(examples, height, width, channels)`` or ``(examples, height, width)`` of any number type.
        least: correlation from which two pictures are duplicates.
        candidates: how many of the nearest pictures are compared for each.
        largest_shift: as a share of height and width.

    Returns:
        Pairs in the order of ``first``.
    """
    if not len(first) or not len(second):
        return []
    one, other = small(first), small(second)
    waves, middles = _waves(other), _middles(other, [(0, 0)])[:, 0]
    center, spread = waves.mean(0), waves.std(0) + 1e-6
    waves = (waves - center) / spread
    nearness = np.concatenate([2 * waves, -(waves**2).sum(1, keepdims=True)], 1).T  # less the distance, but for a term
    places = [(down, across) for down in _OFFSETS for across in _OFFSETS]
    every_other = np.flatnonzero([down % 2 == across % 2 == 0 for down, across in places * 2])
    pairs = []
    for start in range(0, len(one), _CHUNK):
        chunk = one[start : start + _CHUNK]
        own = (_waves(chunk) - center) / spread
        alike = _largest(np.concatenate([own, np.ones((len(own), 1), np.float32)], 1) @ nearness, _ALIKE)
        moved = np.concatenate([_middles(chunk, places), _middles(chunk[:, :, ::-1], places)], 1)
        nearest = alike
        for some, count in ((moved[:, every_other], _ALIKER), (moved, candidates)):
            likeness = np.matmul(middles[nearest], some.transpose(0, 2, 1)).max(2)
            nearest = np.take_along_axis(nearest, _largest(likeness, count), 1)
        correlation, index, mirrored = _compared(chunk, other, nearest, largest_shift=largest_shift)
        pairs += [
            Pair(start + int(row), int(index[row]), float(correlation[row]), bool(mirrored[row]))
            for row in np.flatnonzero(correlation >= least)
        ]
    return pairs


def _largest(values: np.ndarray, count: int) -> np.ndarray:
    """Columns of the largest values of each row, in no order."""
    count = min(count, values.shape[1])
    return np.argpartition(values, -count, axis=1)[:, -count:]


def small(pictures: np.ndarray) -> np.ndarray:
    """What is compared: grey, 32 x 32 by averaging areas, each with mean 0, as float32 ``(examples, 32, 32)``.

    What is hardly smaller keeps its pixels and is continued at its border: there a shift by whole pixels stays one.
    """
    height, width = pictures.shape[1:3]
    if _HARDLY_SMALLER <= min(height, width) <= max(height, width) <= _SIDE:
        down, across = _continuing(height), _continuing(width)
    else:
        down, across = _averaging(height), _averaging(width)
    parts = []
    for start in range(0, len(pictures), _CHUNK):
        part = pictures[start : start + _CHUNK].astype(np.float32)
        grey = part.mean(-1) if part.ndim == 4 else part
        parts.append(down @ grey @ across.T)
    together = np.concatenate(parts)
    return together - together.mean((1, 2), keepdims=True)


def _continuing(size: int) -> np.ndarray:
    """``(32, size)``: the pixels as they are, in the middle, and the outermost once more as often as is wanted."""
    begin = (_SIDE - size) // 2
    return np.eye(size, dtype=np.float32)[np.clip(np.arange(_SIDE) - begin, 0, size - 1)]


def _averaging(size: int) -> np.ndarray:
    """``(32, size)``: each row averages its share of ``size`` pixels, broken ones by their part."""
    edges = np.arange(_SIDE + 1) * size / _SIDE
    pixels = np.arange(size)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    overlap = np.clip(overlap, 0, None).astype(np.float32)
    return overlap / overlap.sum(1, keepdims=True)


def _waves(pictures: np.ndarray) -> np.ndarray:
    """Square roots of the sizes of the slow waves, mirror images joined: ``(examples, features)``."""
    scaled = pictures * _WINDOW
    scaled /= np.maximum(np.linalg.norm(scaled, axis=(1, 2), keepdims=True), 1e-6)
    sizes = np.abs(np.fft.rfft2(scaled))[:, :, :_WAVES]
    falling = np.sqrt(sizes[:, :_WAVES])
    rising = np.sqrt(sizes[:, -np.arange(_WAVES)])  # a mirrored picture has these two the other way round
    together = (falling + rising).reshape(len(pictures), -1)
    apart = np.abs(falling - rising)[:, 1:, 1:].reshape(len(pictures), -1)
    return np.concatenate([together, apart], 1)


def _middles(pictures: np.ndarray, places: Sequence[tuple[int, int]]) -> np.ndarray:
    """The squares around (middle + place) as unit vectors of their slowest waves (discrete cosine transform).

    Returns:
        ``(examples, places, waves)``.
    """
    flat = pictures.reshape(len(pictures), -1)
    vectors = (flat @ _squares(tuple(places))).reshape(len(pictures), len(places), -1)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=2, keepdims=True), 1e-6)


@functools.cache
def _squares(places: tuple[tuple[int, int], ...]) -> np.ndarray:
    """From the pixels of a picture to the waves of its squares, all but the mean: ``(32 * 32, places * waves)``."""
    waves = np.cos(np.pi / _MIDDLE * np.outer(np.arange(_WAVES), np.arange(_MIDDLE) + 0.5)).astype(np.float32)
    maps = []
    for down, across in places:
        one = np.zeros((_WAVES, _SIDE), np.float32), np.zeros((_WAVES, _SIDE), np.float32)
        for rows, offset in zip(one, (down, across), strict=True):
            begin = (_SIDE - _MIDDLE) // 2 + offset
            rows[:, begin : begin + _MIDDLE] = waves
        maps.append(np.einsum("ij,kl->jlik", *one).reshape(_SIDE * _SIDE, -1)[:, 1:])
    return np.concatenate(maps, 1)


def _compared(
    pictures: np.ndarray, others: np.ndarray, nearest: np.ndarray, *, largest_shift: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The best of each picture's candidates, plain and mirrored, each at its best shift.

    Args:
        pictures, others: as `small` gives them.
        nearest: indices of candidates among the others, ``(pictures, candidates)``.
        largest_shift: as in `between`.

    Returns:
        Correlation, index and whether mirrored, of each picture.
    """
    reach = max(1, round(_SIDE * largest_shift))
    offsets = np.r_[-reach : reach + 1]
    count, candidates = nearest.shape
    beside = np.conj(np.fft.rfft2(others[nearest] * _WINDOW))
    found = np.empty((2, count, candidates), np.float32)
    for mirrored in (0, 1):
        moved = pictures[:, :, ::-1] if mirrored else pictures
        product = np.fft.rfft2(moved * _WINDOW)[:, None] * beside
        # half way to phase correlation: flat spectra have sharp peaks, and noise is not blown up to full height
        surfaces = np.fft.irfft2(product / np.sqrt(np.abs(product) + 1e-9), s=(_SIDE, _SIDE))
        near = surfaces[..., offsets, :][..., offsets].reshape(count * candidates, -1)
        best = np.argpartition(near, -_SHIFTS, axis=1)[:, -_SHIFTS:]
        at = np.full(best.shape, -1.0, np.float32)
        for place in np.unique(best):
            pair, column = np.nonzero(best == place)
            down, across = (int(offsets[index]) for index in divmod(int(place), len(offsets)))
            at[pair, column] = _correlations(
                moved[pair // candidates], others[nearest.reshape(-1)[pair]], down=down, across=across
            )
        found[mirrored] = at.max(1).reshape(count, candidates)
    joined = found.transpose(1, 2, 0).reshape(count, -1)
    best = joined.argmax(1)
    rows = np.arange(count)
    return joined[rows, best], nearest[rows, best // 2], best % 2 == 1


def _correlations(one: np.ndarray, other: np.ndarray, *, down: int, across: int) -> np.ndarray:
    """Pearson's of the parts that overlap when each of ``one`` lies ``down``, ``across`` pixels from its ``other``."""

    def cut(shift: int) -> tuple[slice, slice]:
        return slice(max(shift, 0), _SIDE + min(shift, 0)), slice(max(-shift, 0), _SIDE + min(-shift, 0))

    (rows, other_rows), (columns, other_columns) = cut(down), cut(across)
    left = one[:, rows, columns].reshape(len(one), -1)
    right = other[:, other_rows, other_columns].reshape(len(one), -1)
    left, right = left - left.mean(1, keepdims=True), right - right.mean(1, keepdims=True)
    spread = np.sqrt((left * left).sum(1) * (right * right).sum(1))
    # Blank pictures are alike, and nothing can be said of one beside another.
    same = np.abs(one - other).max((1, 2)) < 1e-3
    return np.where(spread < 1e-3, np.where(same, 1.0, 0.0), (left * right).sum(1) / np.maximum(spread, 1e-3))
