"""Scenes of real MNIST digits with masks: one to five digits on a dark canvas, each pixel of one of eleven classes.

Digits of train and test come from MNIST's own train and test; the two hold no digit in common.
"""

from __future__ import annotations

import functools

import numpy as np
import PIL.Image

from kerastl import types
from kerastl.data import archive, mnist, splits
from kerastl.inputs.image import Image
from kerastl.tasks.segmentation import Segmentation

NAMES = ("background", *(f"digit {digit}" for digit in range(10)))
_INK = 100
"""From which grey on a pixel is a digit's."""
_SCALES = (0.7, 1.8)
_MOST = 5


def load(
    *, size: int = 96, train: int = 3000, test: int = 500, seed: int = 0, validation: int | float = 0.1,
    limit: int | None = None,
) -> types.Dataset:  # fmt: skip
    """Scenes, drawn by the seed.

    Args:
        size: side of the canvas in pixels.
        train, test: how many scenes are made of MNIST's training and test digits.
        seed, validation, limit: see `splits.dataset`.

    Returns:
        Inputs uint8 ``(scenes, size, size, 1)``; labels uint8 ``(scenes, size, size)``: 0 background, else the digit
        and one.

    Raises:
        FileNotFoundError: MNIST is not cached and no source could be reached.
        ValueError: no such split can be made.
    """
    arrays = archive.read(mnist.SOURCE)
    made = {}
    for place, (name, count) in enumerate({"train": train, "test": test}.items()):
        draw = np.random.default_rng([seed, place])
        scene = functools.partial(_scene, arrays[f"{name}_inputs"], arrays[f"{name}_labels"], draw, size)
        pictures, masks = zip(*(scene() for _ in range(count)), strict=True)
        made |= {f"{name}_inputs": np.stack(pictures)[..., None], f"{name}_labels": np.stack(masks)}
    return splits.dataset(
        types.Task("digit_masks", Image((size, size, 1)), Segmentation(NAMES)),
        made,
        seed=seed,
        validation=validation,
        limit=limit,
        source="digit_masks",
        arguments={"size": size, "train": train, "test": test},
    )


def _scene(
    digits: np.ndarray, labels: np.ndarray, draw: np.random.Generator, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """A canvas with some digits that do not cover each other, and its mask."""
    canvas, mask = np.zeros((size, size), np.uint8), np.zeros((size, size), np.uint8)
    taken = np.zeros((size, size), bool)
    for _ in range(draw.integers(1, _MOST + 1)):
        place, side = int(draw.integers(len(digits))), round(28 * draw.uniform(*_SCALES))
        picture = PIL.Image.fromarray(digits[place, ..., 0]).resize((side, side), PIL.Image.Resampling.BILINEAR)
        if side > size:
            continue
        top, left = draw.integers(0, size - side + 1, 2)
        here = np.s_[top : top + side, left : left + side]
        pixels = np.asarray(picture)
        if (taken[here] & (pixels > 0)).any():  # one digit's ink would be in another's
            continue
        canvas[here] = np.maximum(canvas[here], pixels)
        mask[here][pixels >= _INK] = labels[place] + 1
        taken[here] |= pixels > 0
    return canvas, mask
