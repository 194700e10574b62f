"""Arrays of pictures that somebody scaled already, to 0..1 or -1..1, brought back to the pixels that they were."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

_RANGES = {"0..1": (0.0, 255.0), "-1..1": (-1.0, 127.5)}
"""Range -> its lowest value, and pixels a unit."""
_NEAR = 0.02
"""Of a pixel: what float32 misses it by, and more; float16 misses by up to a sixteenth, and is left as it is."""


def unscaled(inputs: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], str]:
    """The splits as pixels uint8 and the range that they had; as they are, and ``""``, where they were no pixels.

    Pictures are known by their shape ``(examples, height, width, 1 or 3)`` and by their values: all of them are whole
    pixels of a range, and more than two, which masks and boards have as well.

    Args:
        inputs: split -> examples.
    """
    pictures = all(values.ndim == 4 and values.shape[-1] in (1, 3) for values in inputs.values())
    if not pictures or any(values.dtype.kind != "f" or not values.size for values in inputs.values()):
        return dict(inputs), ""
    for name, (low, each) in _RANGES.items():
        pixels = {}
        for split, values in inputs.items():
            if not _are_whole(values[:100], low, each) or not _are_whole(values, low, each):  # most differ early
                break
            pixels[split] = np.rint((values - low) * each).astype(np.uint8)
        else:
            if len(np.unique(np.concatenate([np.unique(values) for values in pixels.values()]))) > 2:
                return pixels, name
    return dict(inputs), ""


def _are_whole(values: np.ndarray, low: float, each: float) -> bool:
    pixels = (values.astype(np.float32) - low) * each
    inside = bool(pixels.min() >= -_NEAR and pixels.max() <= 255 + _NEAR)
    return inside and bool((np.abs(pixels - np.rint(pixels)) <= _NEAR).all())
