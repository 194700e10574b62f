"""Digit scenes: one to five handwritten digits in one picture of 96 x 96, each with its box.

The digits are those of MNIST (LeCun, Bottou, Bengio & Haffner 1998), scaled and put where they do not cover one another
much. No digit is in two splits: train has the first 50,000, validation the next 10,000, test the published 10,000.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from kerastl import types
from kerastl.data import archive, mnist, splits
from kerastl.inputs.image import Image
from kerastl.tasks.detection import NO_BOX, Detection

SIDE, MOST = 96, 5
"""Of a picture in pixels; digits in it."""
SCALES = (0.7, 1.8)
_OVERLAP, _TRIES = 0.15, 20  # share of the smaller box that may be covered; places that are tried for a digit
_HELD_OUT = ("validation", "test")
_DIGITS = {"train": ("train", 0, 50_000), "validation": ("train", 50_000, 60_000), "test": ("test", 0, 10_000)}

TASK = types.Task("digit_scenes", Image((SIDE, SIDE, 1)), Detection(tuple("0123456789")))


def fetch() -> Path:
    """Gets the digits into the cache; the path of their one file. Raises as `archive.fetch`."""
    return mnist.fetch()


def load(
    *,
    seed: int = 0,
    scenes: int = 6000,
    validation: int = 1000,
    test: int = 1000,
    limit: int | None = None,
) -> types.Dataset:
    """Scenes in three splits, bitwise the same for a seed.

    Args:
        seed: decides which digits stand where, and the order.
        scenes, validation, test: how many there are of train, validation and test.
        limit: makes only so many training scenes, and of the other splits in proportion, but ten an output at least,
            for a smoke run.

    Returns:
        Inputs uint8 ``(examples, 96, 96, 1)``, 0 background to 255 ink; labels float32 ``(examples, 5, 5)``, see
        `tasks.detection.Detection`.

    Raises:
        FileNotFoundError: the digits are not cached and no source could be reached.
        ValueError: there are fewer than one scene of a split, a share in place of a number of them, or no such limit.
    """
    counts = {"train": scenes, "validation": validation, "test": test}
    if any(isinstance(count, float) or count < 1 for count in counts.values()):
        raise ValueError(f"Wanted one scene or more of each split, whole numbers. Received: {counts}.")
    if limit is not None and limit < scenes:
        least = 10 * TASK.target.outputs
        counts |= {"train": limit}
        counts |= {name: min(counts[name], max(math.ceil(limit / scenes * counts[name]), least)) for name in _HELD_OUT}
    digits = archive.read(mnist.SOURCE)
    arrays: dict[str, np.ndarray] = {}
    for place, (split, count) in enumerate(counts.items()):
        source, first, last = _DIGITS[split]
        own = digits[f"{source}_inputs"][first:last, ..., 0], digits[f"{source}_labels"][first:last]
        # the stream of PCG64 itself is what NumPy guarantees, see `splits`
        arrays[f"{split}_inputs"], arrays[f"{split}_labels"] = _scenes(*own, count=count, seed=3 * seed + place)
    return splits.dataset(
        TASK,
        arrays,
        seed=seed,
        validation=validation,
        limit=limit,
        source="digit_scenes",
        arguments={"scenes": scenes, "test": test},
    )


def _scenes(digits: np.ndarray, labels: np.ndarray, *, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures ``(count, SIDE, SIDE, 1)`` and boxes ``(count, MOST, 5)``."""
    inputs = np.zeros((count, SIDE, SIDE, 1), np.uint8)
    found = np.full((count, MOST, 5), NO_BOX, np.float32)
    found[..., :4] = 0
    draws = np.random.PCG64(seed).random_raw(count * (1 + MOST * (2 + 2 * _TRIES)))
    shares = (draws >> np.uint64(11)).astype(np.float64).reshape(count, -1) * 2.0**-53
    for row in range(count):
        boxes: list[tuple[int, int, int, int]] = []
        for place in range(1 + int(shares[row, 0] * MOST)):
            own = shares[row, 1 + place * (2 + 2 * _TRIES) :][: 2 + 2 * _TRIES]
            which = int(own[0] * len(digits))
            ink = _scaled(digits[which], SCALES[0] + own[1] * (SCALES[1] - SCALES[0]))
            box = _placed(ink.shape, boxes, own[2:].reshape(-1, 2))
            if box is None:
                continue
            top, left, bottom, right = box
            part = inputs[row, top:bottom, left:right, 0]
            np.maximum(part, ink, out=part)
            found[row, len(boxes)] = [*(side / SIDE for side in box), labels[which]]
            boxes.append(box)
    return inputs, found


def _scaled(digit: np.ndarray, scale: float) -> np.ndarray:
    """A digit without its margins, bilinear in whole numbers, so that every machine makes the same bytes of it."""
    rows, columns = (np.flatnonzero(digit.max(axis) > 0) for axis in (1, 0))
    ink = digit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.int64)
    for axis in (0, 1):
        size = ink.shape[axis]
        wanted = max(3, int(size * scale + 0.5))
        # centres of the new pixels in 256ths of the old ones
        places = np.clip(((2 * np.arange(wanted) + 1) * size * 128) // wanted - 128, 0, (size - 1) * 256)
        before, share = places // 256, places % 256
        after = np.minimum(before + 1, size - 1)
        share = share[:, None] if axis == 0 else share[None]
        ink = (ink.take(before, axis) * (256 - share) + ink.take(after, axis) * share) // 256
    return ink.astype(np.uint8)


def _placed(
    shape: tuple[int, ...], boxes: list[tuple[int, int, int, int]], shares: np.ndarray
) -> tuple[int, int, int, int] | None:
    """The first place that leaves the other boxes free enough; ``None`` where there is none."""
    height, width = shape
    for share in shares:
        top, left = int(share[0] * (SIDE - height + 1)), int(share[1] * (SIDE - width + 1))
        box = (top, left, top + height, left + width)
        if all(_covered(box, other) <= _OVERLAP for other in boxes):
            return box
    return None


def _covered(box: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> float:
    """Share of the smaller of two boxes that both have."""
    sides = [min(box[2 + axis], other[2 + axis]) - max(box[axis], other[axis]) for axis in (0, 1)]
    shared = max(sides[0], 0) * max(sides[1], 0)
    return shared / min((one[2] - one[0]) * (one[3] - one[1]) for one in (box, other))
