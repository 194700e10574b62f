"""Corruptions of pictures at five strengths: noise, blur, light, compression, geometry.

Named and graded as ImageNet-C and CIFAR-10-C (Hendrycks & Dietterich 2019, https://arxiv.org/abs/1903.12261), with
lengths as shares of the shorter side, so that one table does for pictures of 28 pixels and of 224; and ``scale``, which
is what an app does that resizes without averaging.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np

STRENGTHS = (1, 2, 3, 4, 5)
LEVELS: dict[str, tuple[float, ...]] = {
    "gaussian_noise": (0.08, 0.12, 0.18, 0.26, 0.38),
    "blur": (0.0125, 0.019, 0.025, 0.031, 0.04),
    "brightness": (0.1, 0.2, 0.3, 0.4, 0.5),
    "contrast": (0.75, 0.5, 0.4, 0.3, 0.15),
    "jpeg": (25, 18, 15, 10, 7),
    "shift": (0.04, 0.08, 0.12, 0.16, 0.2),
    "rotation": (5, 10, 15, 22, 30),
    "scale": (1.25, 1.5, 2.0, 2.5, 3.0),
}
"""What each strength is: of noise the standard deviation and of brightness what is added, as shares of white; of blur
the standard deviation and of a shift the distance, as shares of the shorter side; of contrast the factor; of JPEG the
quality; of a rotation the degrees; of scale how many times the picture is shrunk."""


def corrupted(pictures: np.ndarray, name: str, strength: int, *, seed: int = 0) -> np.ndarray:
    """Pictures as a corruption leaves them.

    Args:
        pictures: uint8 ``(examples, height, width, channels)``.
        name: a key of `LEVELS`.
        strength: 1 to 5.
        seed: of the noise, and of directions, which each picture has of its own.

    Returns:
        uint8 of the same shape.

    Raises:
        ValueError: if there is no such corruption or strength, or the pictures are none.
    """
    if name not in LEVELS or strength not in STRENGTHS:
        raise ValueError(f"Wanted one of {', '.join(LEVELS)} at 1 to 5. Received: {name!r} at {strength}.")
    if pictures.ndim != 4 or pictures.dtype != np.uint8:
        raise ValueError(
            f"Wanted uint8 (examples, height, width, channels). Received: {pictures.dtype} {pictures.shape}."
        )
    random = np.random.default_rng([seed, *name.encode(), strength])
    level = LEVELS[name][strength - 1]
    found = _CORRUPTIONS[name](pictures, level, random) if len(pictures) else pictures
    return found if found.dtype == np.uint8 else np.clip(np.rint(found), 0, 255).astype(np.uint8)


def _noise(pictures: np.ndarray, level: float, random: np.random.Generator) -> np.ndarray:
    return pictures + 255 * level * random.standard_normal(pictures.shape, np.float32)


def _blur(pictures: np.ndarray, level: float, random: np.random.Generator) -> np.ndarray:
    from scipy import ndimage

    sigma = level * min(pictures.shape[1:3])
    return ndimage.gaussian_filter(pictures.astype(np.float32), (0, sigma, sigma, 0), mode="nearest")


def _brightness(pictures: np.ndarray, level: float, random: np.random.Generator) -> np.ndarray:
    return pictures.astype(np.float32) + 255 * level


def _contrast(pictures: np.ndarray, level: float, random: np.random.Generator) -> np.ndarray:
    mean = pictures.mean((1, 2), keepdims=True, dtype=np.float32)
    return (pictures - mean) * level + mean


def _jpeg(pictures: np.ndarray, level: float, random: np.random.Generator) -> np.ndarray:
    from PIL import Image

    made = np.empty_like(pictures)
    colour = pictures.shape[-1] == 3
    for place, picture in enumerate(pictures):
        for channels in [slice(None)] if colour else [slice(one, one + 1) for one in range(pictures.shape[-1])]:
            part = picture[..., channels]
            with io.BytesIO() as sink:
                Image.fromarray(part if colour else part[..., 0]).save(sink, "JPEG", quality=int(level))
                made[place, ..., channels] = np.asarray(Image.open(sink)).reshape(part.shape)
    return made


def _shift(pictures: np.ndarray, level: float, random: np.random.Generator) -> np.ndarray:
    angles = random.uniform(0, 2 * np.pi, len(pictures))
    distance = level * min(pictures.shape[1:3])
    rows, columns = np.indices(pictures.shape[1:3], np.float32)
    away = distance * np.stack([np.sin(angles), np.cos(angles)])[:, :, None, None]
    return bilinear(pictures, rows + away[0], columns + away[1])


def _rotation(pictures: np.ndarray, level: float, random: np.random.Generator) -> np.ndarray:
    angles = np.deg2rad(level) * random.choice([-1, 1], len(pictures))[:, None, None]
    height, width = pictures.shape[1:3]
    rows, columns = np.indices((height, width), np.float32)
    rows, columns = rows - (height - 1) / 2, columns - (width - 1) / 2
    turned = np.cos(angles) * rows - np.sin(angles) * columns, np.sin(angles) * rows + np.cos(angles) * columns
    return bilinear(pictures, turned[0] + (height - 1) / 2, turned[1] + (width - 1) / 2)


def _scale(pictures: np.ndarray, level: float, random: np.random.Generator) -> np.ndarray:
    """Shrunk as MediaPipe shrinks, four neighbours of each sample and no averaging, and brought back to the size."""
    height, width = pictures.shape[1:3]
    small = tuple(max(1, round(side / level)) for side in (height, width))
    return resized(resized(pictures, small), (height, width))


def resized(pictures: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Pictures of another size, each sample of its four nearest pixels, whatever lies between: no averaging."""
    (rows, columns) = (
        (np.arange(new, dtype=np.float32) + 0.5) * old / new - 0.5
        for new, old in zip(size, pictures.shape[1:3], strict=True)
    )
    return bilinear(pictures, rows[None, :, None], columns[None, None, :])


def bilinear(pictures: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Samples between pixels, those at the border repeated; float32.

    Args:
        pictures: ``(examples, height, width, channels)``.
        rows, columns: places in pixels; each ``(examples or 1, new height, new width)``, or what is broadcast to that.
    """
    height, width = pictures.shape[1:3]
    rows, columns = np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)
    top, left = np.floor(rows).astype(np.int32), np.floor(columns).astype(np.int32)
    low, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    down, across = (rows - top)[..., None].astype(np.float32), (columns - left)[..., None].astype(np.float32)
    which = np.arange(len(pictures))[:, None, None]
    upper = pictures[which, top, left] * (1 - across) + pictures[which, top, right] * across
    lower = pictures[which, low, left] * (1 - across) + pictures[which, low, right] * across
    return upper * (1 - down) + lower * down


_CORRUPTIONS: dict[str, Callable[[np.ndarray, float, np.random.Generator], np.ndarray]] = {
    "gaussian_noise": _noise,
    "blur": _blur,
    "brightness": _brightness,
    "contrast": _contrast,
    "jpeg": _jpeg,
    "shift": _shift,
    "rotation": _rotation,
    "scale": _scale,
}
