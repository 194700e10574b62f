"""Pictures that are nearly the same: encoded again, mirrored, shifted.

Three steps, each for fewer pairs than the one before. The sizes of a picture's slow waves, which neither a shift nor a
mirror changes much, are compared with those of all others: the likest few hundred go on. Of these the middles, coarsely
and wherever they may have been moved to, mirrored or not, are compared: the likest are candidates, unless even they are
too unlike. A candidate is confirmed where the two pictures, laid over each other at the best shift, correlate.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from kerastl import types

_SIDE = 32
_HARDLY_SMALLER = 24
_MIDDLE = 20
_WAVES = 6
_OFFSETS = range(-6, 7)  # pixels of 32 by which the middle may have moved: to the border
_ALIKE = 200  # pictures of like waves whose middles are compared
# The likeness of two middles may be this many times as far from 1 as the correlation that is asked for. Of photographs
# moved by up to 4 pixels, mirrored, encoded again or brightened, that correlate with 0.97, the least was 0.969.
_UNLIKE = 3
_ROWS = 32  # pictures worked on at once
_PAIRS = 500_000  # distances held at once
_PIECE = 128  # of them that one product makes
_EVEN = _WAVES**2 // 2 - 1  # waves of a middle, but for the mean, that are even from left to right
_PIXELS = 20_000_000  # brought to float32 at once
_SHIFTS = 3  # how many of the best places of one picture upon another are tried
# A shift of the picture is hardly ever one by whole pixels of 32. Of what falls short of the correlation asked for by
# so much at most, the best place is looked for again between the pixels.
_SHORT = 0.15
_FRACTIONS = (-1 / 3, 0.0, 1 / 3)
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


@dataclasses.dataclass(frozen=True, eq=False)
class Index:
    """Pictures described for `between`.

    Attributes:
        rows: `small` of chosen pictures.
        shape: of the pictures.
        waves: float32 ``(examples, features)``.
        middles: float32 ``(examples, waves)``.
    """

    rows: Callable[[slice | np.ndarray], np.ndarray]
    shape: tuple[int, ...]
    waves: np.ndarray
    middles: np.ndarray

    def take(self, chosen: np.ndarray) -> Index:
        """Of some of them, by their indices."""
        return Index(
            lambda rows: self.rows(chosen[rows]),
            (len(chosen), *self.shape[1:]),
            self.waves[chosen],
            self.middles[chosen],
        )


def between(
    first: np.ndarray | types.LazyArray,
    second: np.ndarray | types.LazyArray | Index,
    *,
    least: float = 0.97,
    candidates: int = 5,
    largest_shift: float = 0.2,
) -> list[Pair]:
    """Near duplicates between two sets of pictures, at most one for each picture of ``first``.

    Takes about a tenth of a millisecond of processor time for each of ``first`` that resembles none of ``second``, and
    one millisecond where all resemble each other, as digits do.

    Args:
        first, second: ``(examples, height, width, channels)`` or ``(examples, height, width)`` of any number type, in
            memory or streamed; ``second`` also as `fingerprints` gives them, where it is asked for again and again.
        least: correlation from which two pictures are duplicates.
        candidates: how many of the nearest pictures are compared for each.
        largest_shift: as a share of height and width.

    Returns:
        Pairs in the order of ``first``.
    """
    index = second if isinstance(second, Index) else fingerprints(second)
    if not len(first) or not len(index.waves):
        return []
    own_rows, real = _by_rows(first), (_real(first.shape), _real(index.shape))
    center, spread = index.waves.mean(0), index.waves.std(0) + 1e-6
    weighed = (index.waves - center) / spread
    nearness = np.concatenate([2 * weighed, -(weighed**2).sum(1, keepdims=True)], 1).T  # less distance
    least_like = 1 - _UNLIKE * (1 - least)
    pairs = []
    step = int(np.clip(_PAIRS // len(weighed), 1, _ROWS))
    for start in range(0, len(first), step):
        chunk = own_rows(slice(start, start + step))
        own = (_waves(chunk) - center) / spread
        own = np.concatenate([own, np.ones((len(own), 1), np.float32)], 1)
        # Piece by piece, each too small for NumPy's BLAS to start threads: on a busy machine they wait for one another.
        pieces = [own @ nearness[:, at : at + _PIECE] for at in range(0, len(weighed), _PIECE)]
        alike = _largest(np.concatenate(pieces, 1), _ALIKE)
        nearest, likeness, guesses = _likest(chunk, index.middles, alike, candidates)
        worth = np.flatnonzero(likeness.max(1) >= least_like)
        if not len(worth):
            continue
        chunk, nearest, guesses = chunk[worth], nearest[worth], (guesses[0][worth], guesses[1][worth])
        beside = index.rows(nearest.reshape(-1)).reshape(*nearest.shape, _SIDE, _SIDE)
        best, correlation, mirrored = _compared(
            chunk, beside, guesses, real=real, largest_shift=largest_shift, least=least
        )
        found = nearest[np.arange(len(chunk)), best]
        pairs += [
            Pair(start + int(worth[row]), int(found[row]), float(correlation[row]), bool(mirrored[row]))
            for row in np.flatnonzero(correlation >= least)
        ]
    return pairs


def fingerprints(pictures: np.ndarray | types.LazyArray) -> Index:
    """What many are compared with again and again, made once."""
    rows, described = _by_rows(pictures), []
    for start in range(0, max(len(pictures), 1), _ROWS):  # a few numbers a picture are held of all, and no pixels
        part = rows(slice(start, start + _ROWS))
        described.append((_waves(part), _middles(part, range(1))[:, 0]))
    waves, middles = (np.concatenate(parts) for parts in zip(*described, strict=True))
    return Index(rows, pictures.shape, waves, middles)


def _largest(values: np.ndarray, count: int) -> np.ndarray:
    """Columns of the largest values of each row, in no order."""
    count = min(count, values.shape[1])
    return np.argpartition(values, -count, axis=1)[:, -count:]


def small(pictures: np.ndarray) -> np.ndarray:
    """What is compared: grey, 32 x 32 by averaging areas, each with mean 0, as float32 ``(examples, 32, 32)``.

    What is hardly smaller keeps its pixels and is continued at its border: there a shift by whole pixels stays one.
    """
    height, width = pictures.shape[1:3]
    hardly_smaller = _is_hardly_smaller(height, width)
    parts = [np.empty((0, _SIDE, _SIDE), np.float32)]
    step = max(1, _PIXELS // math.prod(pictures.shape[1:]))
    for start in range(0, len(pictures), step):
        part = pictures[start : start + step]
        if hardly_smaller:
            parts.append(_grey(part.astype(np.float32))[:, _continuing(height)[:, None], _continuing(width)])
        else:  # rows first: of bytes, so many more than what comes after, only sums are made
            columns = np.ascontiguousarray(_grey(_averaged(part)).swapaxes(1, 2))
            parts.append(_averaged(columns).swapaxes(1, 2))
    together = np.concatenate(parts)
    return together - together.mean((1, 2), keepdims=True)


def _grey(pictures: np.ndarray) -> np.ndarray:
    """The mean of the channels, if there are any; by a product, for NumPy takes twenty times as long for its mean."""
    channels = pictures.shape[3:]
    return pictures @ np.full(channels, 1 / channels[0], np.float32) if channels else pictures


def _by_rows(pictures: np.ndarray | types.LazyArray) -> Callable[[slice | np.ndarray], np.ndarray]:
    """`small` of chosen rows: of an array made once, of streamed pictures when they are asked for."""
    if not isinstance(pictures, types.LazyArray):
        return small(pictures).__getitem__
    ready = getattr(pictures, "small", None)  # kept from when they were first looked at
    return ready if ready is not None else lambda rows: small(pictures[rows])


def _is_hardly_smaller(height: int, width: int) -> bool:
    return _HARDLY_SMALLER <= min(height, width) <= max(height, width) <= _SIDE


def _real(shape: Sequence[int]) -> tuple[range, range]:
    """The rows and columns of what `small` makes of pictures of this shape that are no continuation of a border."""
    sizes = shape[1:3] if _is_hardly_smaller(*shape[1:3]) else (_SIDE, _SIDE)
    rows, columns = (range((_SIDE - size) // 2, (_SIDE - size) // 2 + size) for size in sizes)
    return rows, columns


def _continuing(size: int) -> np.ndarray:
    """Of 32 places the pixel that stands there: all of them in the middle, the outermost as often as is wanted."""
    return np.clip(np.arange(_SIDE) - (_SIDE - size) // 2, 0, size - 1)


def _averaged(rows: np.ndarray) -> np.ndarray:
    """``(examples, 32, ...)``: areas along the second axis, each averaging its share, broken pixels by their part.

    By sums and not by a product of matrices, whose threads would get into the way of those that decode.
    """
    size = rows.shape[1]
    total = np.uint16 if rows.dtype == np.uint8 and size <= 256 * _SIDE else np.float32
    areas = np.empty((len(rows), _SIDE, *rows.shape[2:]), np.float32)
    for place in range(_SIDE):
        begin, end = place * size / _SIDE, (place + 1) * size / _SIDE
        first, last = math.floor(begin), math.ceil(end)
        area = rows[:, first:last].sum(1, dtype=total).astype(np.float32)
        for pixel, beyond in ((first, begin - first), (last - 1, last - end)):
            if beyond:
                area -= np.float32(beyond) * rows[:, pixel]
        areas[:, place] = area * np.float32(_SIDE / size)
    return areas


def _waves(pictures: np.ndarray) -> np.ndarray:
    """Square roots of the sizes of the slow waves, mirror images joined: ``(examples, features)``."""
    scaled = pictures * _WINDOW
    scaled /= np.maximum(np.linalg.norm(scaled, axis=(1, 2), keepdims=True), 1e-6)
    sizes = np.abs(np.fft.rfft2(scaled))[:, :, :_WAVES]
    falling = np.sqrt(sizes[:, :_WAVES])
    rising = np.sqrt(sizes[:, -np.arange(_WAVES)])  # a mirrored picture has these two the other way round
    together = (falling + rising).reshape(len(pictures), _WAVES**2)
    apart = np.abs(falling - rising)[:, 1:, 1:].reshape(len(pictures), (_WAVES - 1) ** 2)
    return np.concatenate([together, apart], 1)


def _likest(
    pictures: np.ndarray, middles: np.ndarray, alike: np.ndarray, candidates: int
) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Of the ``alike`` of each picture those whose middle is the likest to one of its squares, mirrored or not.

    Returns:
        Their indices and likenesses (cosines), ``(examples, candidates)``; and the guesses for `_compared`.
    """
    moved = _middles(pictures, _OFFSETS).reshape(len(pictures), len(_OFFSETS), len(_OFFSETS), -1)
    beside = middles[alike].transpose(0, 2, 1)[:, None]
    # row by row of places: again too small for threads
    even = np.matmul(moved[..., :_EVEN], beside[:, :, :_EVEN]).reshape(len(pictures), -1, alike.shape[1])
    odd = np.matmul(moved[..., _EVEN:], beside[:, :, _EVEN:]).reshape(even.shape)
    # a mirrored square has the waves that are odd from left to right the other way round: even - odd
    likeness = np.abs(odd)
    likeness += even
    best = likeness.max(1)
    some = _largest(best, candidates)
    at = np.take_along_axis(likeness, some[:, None], 2).argmax(1)
    mirrored = np.take_along_axis(np.take_along_axis(odd, some[:, None], 2), at[:, None], 1)[:, 0] < 0
    down, across = np.divmod(at, len(_OFFSETS))
    shifts = np.stack([down, across], 2) + _OFFSETS.start
    shifts[..., 1] *= np.where(mirrored, -1, 1)
    return np.take_along_axis(alike, some, 1), np.take_along_axis(best, some, 1), (shifts, mirrored)


def _middles(pictures: np.ndarray, offsets: range) -> np.ndarray:
    """The squares around the middle moved down and across, as unit vectors of their slowest waves.

    Returns:
        ``(examples, offsets * offsets, waves)``: those of the discrete cosine transform but for the mean, first those
        that are even from left to right.
    """
    basis = _waves_at(offsets)
    waves = np.matmul(np.matmul(basis, pictures), basis.T)
    waves = waves.reshape(len(pictures), len(offsets), _WAVES, len(offsets), _WAVES).transpose(0, 1, 3, 4, 2)
    shape = (len(pictures), len(offsets) ** 2, _WAVES**2 // 2)
    even, odd = (waves[:, :, :, first::2].reshape(shape) for first in (0, 1))
    vectors = np.concatenate([even[:, :, 1:], odd], 2)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=2, keepdims=True), 1e-6)
    return vectors


@functools.cache
def _waves_at(offsets: range) -> np.ndarray:
    """From a row of 32 pixels to the slowest waves of its moved middles: ``(offsets * waves, 32)``."""
    waves = np.cos(np.pi / _MIDDLE * np.outer(np.arange(_WAVES), np.arange(_MIDDLE) + 0.5)).astype(np.float32)
    basis = np.zeros((len(offsets), _WAVES, _SIDE), np.float32)
    for at, offset in zip(basis, offsets, strict=True):
        begin = (_SIDE - _MIDDLE) // 2 + offset
        at[:, begin : begin + _MIDDLE] = waves
    return basis.reshape(-1, _SIDE)


def _compared(
    pictures: np.ndarray,
    others: np.ndarray,
    guesses: tuple[np.ndarray, np.ndarray],
    *,
    real: tuple[tuple[range, range], tuple[range, range]],
    largest_shift: float,
    least: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The best of each picture's candidates, plain and mirrored, each at its best shift.

    Args:
        pictures: as `small` gives them.
        others: the candidates of each, ``(pictures, candidates, 32, 32)``.
        guesses: shifts ``(pictures, candidates, 2)`` that are tried besides those found here, and whether ``pictures``
            are mirrored for it.
        real: rows and columns that count, of ``pictures`` and of ``others``.
        largest_shift, least: as in `between`.

    Returns:
        Which candidate, its correlation, and whether mirrored, of each picture.
    """
    reach = max(1, round(_SIDE * largest_shift))
    offsets = np.r_[-reach : reach + 1]
    count, candidates = others.shape[:2]
    spectra, flat = np.conj(np.fft.rfft2(others * _WINDOW)), others.reshape(-1, _SIDE, _SIDE)
    found, places = np.empty((2, count, candidates), np.float32), np.empty((2, count, candidates, 2), int)
    (rows, columns), others_real = real
    ways = (
        (pictures, (rows, columns)),
        (pictures[:, :, ::-1], (rows, range(_SIDE - columns.stop, _SIDE - columns.start))),
    )
    for mirrored, (moved, own_real) in enumerate(ways):
        product = np.fft.rfft2(moved * _WINDOW)[:, None] * spectra
        # half way to phase correlation: flat spectra have sharp peaks, and noise is not blown up to full height
        surfaces = np.fft.irfft2(product / np.sqrt(np.abs(product) + 1e-9), s=(_SIDE, _SIDE))
        near = surfaces[..., offsets, :][..., offsets].reshape(count * candidates, -1)
        best = np.argpartition(near, -_SHIFTS, axis=1)[:, -_SHIFTS:]
        shifts = np.concatenate([np.stack(np.divmod(best, len(offsets)), 2) - reach, guesses[0].reshape(-1, 1, 2)], 1)
        shifts[guesses[1].reshape(-1) != mirrored, -1] = shifts[guesses[1].reshape(-1) != mirrored, 0]
        at = np.full(shifts.shape[:2], -1.0, np.float32)
        for down, across in np.unique(shifts.reshape(-1, 2), axis=0).tolist():
            pair, column = np.nonzero((shifts == (down, across)).all(2))
            at[pair, column] = _correlations(
                moved[pair // candidates], flat[pair], real=(own_real, others_real), down=down, across=across
            )
        found[mirrored] = at.max(1).reshape(count, candidates)
        places[mirrored] = shifts[np.arange(len(shifts)), at.argmax(1)].reshape(count, candidates, 2)
    joined = found.transpose(1, 2, 0).reshape(count, -1)
    best = joined.argmax(1)
    correlation, which, mirrored = joined[np.arange(count), best], best // 2, best % 2
    for row in np.flatnonzero((correlation < least) & (correlation >= least - _SHORT)):
        moved, own_real = ways[mirrored[row]]
        down, across = places[mirrored[row], row, which[row]].tolist()
        pair = (moved[row : row + 1], others[row, which[row]][None])
        for fraction in itertools.product(_FRACTIONS, _FRACTIONS):
            finer = _correlations(*pair, real=(own_real, others_real), down=down, across=across, fraction=fraction)
            correlation[row] = max(correlation[row], finer[0])
    return which, correlation, mirrored == 1


def _correlations(
    one: np.ndarray,
    other: np.ndarray,
    *,
    real: tuple[tuple[range, range], tuple[range, range]],
    down: int,
    across: int,
    fraction: tuple[float, float] | None = None,
) -> np.ndarray:
    """Pearson's of the parts that overlap when each of ``one`` lies ``down``, ``across`` pixels from its ``other``.

    ``fraction`` of a pixel is added to both: half of it moves the one and half the other, by linear interpolation, for
    then both are blurred alike.
    """

    def cut(own: range, others: range, shift: int) -> tuple[slice, slice]:
        begin, end = max(others.start, own.start - shift), min(others.stop, own.stop - shift)
        return slice(begin + shift, end + shift), slice(begin, end)

    (rows, other_rows), (columns, other_columns) = map(cut, *real, (down, across))
    left, right = one[:, rows, columns], other[:, other_rows, other_columns]
    if fraction is not None:
        for axis, part in enumerate(fraction, start=1):
            left, right = _between_pixels(left, part / 2, axis), _between_pixels(right, -part / 2, axis)
    left, right = left.reshape(len(one), -1), right.reshape(len(one), -1)
    left, right = left - left.mean(1, keepdims=True), right - right.mean(1, keepdims=True)
    spread = np.sqrt((left * left).sum(1) * (right * right).sum(1))
    # Blank pictures are alike, and nothing can be said of one beside another.
    same = np.abs(one - other).max((1, 2)) < 1e-3
    return np.where(spread < 1e-3, np.where(same, 1.0, 0.0), (left * right).sum(1) / np.maximum(spread, 1e-3))


def _between_pixels(pictures: np.ndarray, part: float, axis: int) -> np.ndarray:
    """Values so far behind each pixel but the first and the last along an axis, between -1 and 1."""
    before, here, behind = (pictures.take(range(start, pictures.shape[axis] - 2 + start), axis) for start in range(3))
    return (1 - abs(part)) * here + abs(part) * (behind if part > 0 else before)
