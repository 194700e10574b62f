"""Pictures that are nearly the same: encoded again, mirrored, shifted.

Two steps. The middle of a picture, coarsely and wherever it may have been moved to, mirrored or not, is compared with
the middle of all others: the likest are candidates. A candidate is confirmed where the two pictures, laid over each
other at the best shift, correlate.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from kerastl import types

_SIDE = 32
_MIDDLE = 20
_WAVES = 6
_OFFSETS = (-4, -2, 0, 2, 4)  # pixels of 32 by which the middle may have moved; between two of them it looks alike
_CHUNK = 256
_PIXELS = 20_000_000  # brought to float32 at once
_COMPARED = 1_000_000  # likenesses held at once: the more pictures there are on one side, the fewer of the other
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
    first: np.ndarray | types.Streamed,
    second: np.ndarray | types.Streamed,
    *,
    least: float = 0.97,
    candidates: int = 5,
    largest_shift: float = 0.2,
) -> list[Pair]:
    """Near duplicates between two sets of pictures, at most one for each picture of ``first``.

    Takes about a minute for 10,000 against 60,000 pictures on two cores. Of ``second`` no more than a few numbers a
    picture are held at once.

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
    one = small(first)
    chunks = (slice(start, start + _CHUNK) for start in range(0, len(second), _CHUNK))
    middles = np.concatenate([_middles(_small_rows(second, rows), 0, 0) for rows in chunks])
    pairs = []
    step = max(1, min(1024, _COMPARED // len(second)))
    for start in range(0, len(one), step):
        chunk = one[start : start + step]
        likeness = np.full((len(chunk), len(second)), -np.inf, np.float32)
        for mirrored in (False, True):
            for down in _OFFSETS:
                for across in _OFFSETS:
                    moved = _middles(chunk[:, :, ::-1] if mirrored else chunk, down, across)
                    np.maximum(likeness, moved @ middles.T, out=likeness)
        count = min(candidates, len(second))
        nearest = np.argpartition(likeness, -count, axis=1)[:, -count:]
        for row, (picture, columns) in enumerate(zip(chunk, nearest, strict=True)):
            best = max(_compared(picture, _small_rows(second, columns), columns, largest_shift=largest_shift))
            if best[0] >= least:
                pairs.append(Pair(start + row, best[1], best[0], best[2]))
    return pairs


def small(pictures: np.ndarray | types.Streamed) -> np.ndarray:
    """What is compared: grey, 32 x 32 by averaging areas, each with mean 0, as float32 ``(examples, 32, 32)``."""
    if isinstance(pictures, types.Streamed):
        return _small_rows(pictures, slice(None))
    parts = [np.empty((0, _SIDE, _SIDE), np.float32)]
    step = max(1, _PIXELS // math.prod(pictures.shape[1:]))
    for start in range(0, len(pictures), step):
        part = pictures[start : start + step].astype(np.float32)
        # a product, for NumPy takes twenty times as long for the mean of three
        grey = part @ np.full(part.shape[3], 1 / part.shape[3], np.float32) if part.ndim == 4 else part
        parts.append(_averaged(_averaged(grey).swapaxes(1, 2)).swapaxes(1, 2))
    together = np.concatenate(parts)
    return together - together.mean((1, 2), keepdims=True)


def _small_rows(pictures: np.ndarray | types.Streamed, rows: slice | np.ndarray) -> np.ndarray:
    """`small` of some rows; streamed pictures may have it ready from when they were first looked at."""
    ready = getattr(pictures, "small", None)
    return small(pictures[rows]) if ready is None else ready(rows)


def _averaged(rows: np.ndarray) -> np.ndarray:
    """``(examples, 32, ...)``: areas along the second axis, each averaging its share, broken pixels by their part.

    By sums and not by a product of matrices, whose threads would get into the way of those that decode.
    """
    size = rows.shape[1]
    areas = np.empty((len(rows), _SIDE, *rows.shape[2:]), np.float32)
    for place in range(_SIDE):
        begin, end = place * size / _SIDE, (place + 1) * size / _SIDE
        first, last = math.floor(begin), math.ceil(end)
        area = rows[:, first:last].sum(1) if last > first + 1 else rows[:, first].copy()
        for pixel, beyond in ((first, begin - first), (last - 1, last - end)):
            if beyond:
                area -= np.float32(beyond) * rows[:, pixel]
        areas[:, place] = area * np.float32(_SIDE / size)
    return areas


def _middles(pictures: np.ndarray, down: int, across: int) -> np.ndarray:
    """The squares around (middle + offset) as unit vectors of their slowest waves (discrete cosine transform)."""
    begin = (_SIDE - _MIDDLE) // 2
    squares = pictures[:, begin + down :, begin + across :][:, :_MIDDLE, :_MIDDLE]
    waves = np.cos(np.pi / _MIDDLE * np.outer(np.arange(_WAVES), np.arange(_MIDDLE) + 0.5)).astype(np.float32)
    vectors = (waves @ squares @ waves.T).reshape(len(pictures), -1)[:, 1:]  # without the mean
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)


def _compared(
    picture: np.ndarray, others: np.ndarray, columns: np.ndarray, *, largest_shift: float
) -> Iterator[tuple[float, int, bool]]:
    """``(correlation, index, mirrored)`` of a picture with others, plain and mirrored, each at its best shift."""
    reach = max(1, round(_SIDE * largest_shift))
    offsets = np.r_[-reach : reach + 1]
    spectra = np.conj(np.fft.rfft2(others * _WINDOW))
    for mirrored in (False, True):
        moved = picture[:, ::-1] if mirrored else picture
        product = np.fft.rfft2(moved * _WINDOW) * spectra
        # half way to phase correlation: flat spectra have sharp peaks, and noise is not blown up to full height
        surfaces = np.fft.irfft2(product / np.sqrt(np.abs(product) + 1e-9), s=(_SIDE, _SIDE))
        near = surfaces[:, offsets][:, :, offsets].reshape(len(others), -1)
        best = np.argpartition(near, -_SHIFTS, axis=1)[:, -_SHIFTS:]
        for column, places, other in zip(columns, best, others, strict=True):
            shifts = zip(*np.unravel_index(places, (len(offsets), len(offsets))), strict=True)
            found = max(_correlation(moved, other, int(offsets[down]), int(offsets[across])) for down, across in shifts)
            yield found, int(column), mirrored


def _correlation(one: np.ndarray, other: np.ndarray, down: int, across: int) -> float:
    """Pearson's correlation of the parts that overlap when ``one`` lies ``down``, ``across`` pixels from ``other``."""

    def cut(size: int, shift: int) -> tuple[slice, slice]:
        return slice(max(shift, 0), size + min(shift, 0)), slice(max(-shift, 0), size + min(-shift, 0))

    (rows, other_rows), (columns, other_columns) = cut(_SIDE, down), cut(_SIDE, across)
    left, right = one[rows, columns].ravel(), other[other_rows, other_columns].ravel()
    left, right = left - left.sum() / left.size, right - right.sum() / right.size  # `mean` takes as long as the rest
    spread = float(np.sqrt((left @ left) * (right @ right)))
    if spread < 1e-3:  # blank pictures are alike, and nothing can be said of one beside another
        return 1.0 if np.abs(left - right).max() < 1e-3 and np.allclose(one, other) else 0.0
    return float(left @ right) / spread
