"""One way from a picture file to an array: training, evaluation and prediction see the same pixels.

Upright (EXIF orientation applied), 8 bits, grey or colour; transparent parts turn white; the first frame of several.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageOps

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF")
ENDINGS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".png": "PNG",
    ".bmp": "BMP",
    ".gif": "GIF",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
LARGEST = 50_000_000
"""Pixels: larger than any camera's picture today, small enough to be decoded anywhere (600 MB)."""

_LYING = (5, 6, 7, 8)  # EXIF orientations that change places of height and width

GREY = "grey"
"""The remark on a picture without colour, which is ordinary unless the others have some."""


class PictureError(ValueError):
    """A picture file that is not accepted, and why."""


@dataclasses.dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture.

    Attributes:
        pixels: uint8 ``(height, width, 3)``, or ``(height, width, 1)`` where grey was asked for.
        remarks: what was done to it on the way, in words; empty for an ordinary picture.
    """

    pixels: np.ndarray
    remarks: tuple[str, ...] = ()


def read(
    source: Path | IO[bytes], *, channels: int = 3, size: tuple[int, int] | None = None, largest: int = LARGEST
) -> Picture:
    """Decodes a picture file.

    Args:
        source: path, or open file, of a JPEG, PNG, BMP, GIF, WebP or TIFF, by its contents and not by its name.
        channels: 3 for colour (grey pictures are repeated), 1 for grey.
        size: height and width to resize to (bilinear, averaging when it shrinks; a JPEG that is more than twice as
            large is halved while it is decoded, which changes photographs by less than 1.5 of 255 on average, 8 at the
            99th percentile, against decoding all of it); ``None`` keeps the file's.
        largest: pixels beyond which a picture is refused, before it is decoded.

    Raises:
        PictureError: no picture, of another format, damaged, or too large.
    """
    if channels not in (1, 3):
        raise ValueError(f"A picture has 1 channel or 3. Received: channels={channels}.")
    path = source if isinstance(source, Path) else Path("picture")
    try:
        # only these decoders are tried: some of Pillow's others start programs, or follow links
        with Image.open(source, formats=FORMATS) as opened:
            width, height = opened.size
            if width * height > largest:
                raise PictureError(f"{width} x {height} pixels are more than the {largest:,} that are decoded")
            remarks = _remarks(path, opened)
            orientation = opened.getexif().get(0x0112, 1)
            if size is not None:
                # A JPEG is decoded at a half, a quarter or an eighth of its size where that is no smaller than wanted:
                # the same for everyone who asks for this size, and many times faster for the pictures of a camera.
                opened.draft(None, size if orientation in _LYING else (size[1], size[0]))
            upright: Any = opened if orientation in (0, 1) else ImageOps.exif_transpose(opened)
            upright.load()
    except PictureError:
        raise
    except Exception as error:  # decoders raise whatever the file provokes in them
        raise PictureError(_reason(path, error)) from error
    picture = _eight_bits(upright)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    if picture.mode != (wanted := "L" if channels == 1 else "RGB"):
        picture = picture.convert(wanted)
    if size is not None and picture.size != (size[1], size[0]):
        picture = picture.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    pixels = np.asarray(picture, np.uint8)
    return Picture(pixels.reshape(*pixels.shape[:2], channels), remarks)


def _remarks(path: Path, opened: Any) -> tuple[str, ...]:
    remarks = []
    named = ENDINGS.get(path.suffix.lower())
    if named is not None and named != opened.format:
        remarks.append(f"a {opened.format} file under the name of a {named}")
    if getattr(opened, "n_frames", 1) > 1:
        remarks.append(f"{opened.n_frames} frames: the first is taken")
    orientation = opened.getexif().get(0x0112, 1)
    if orientation not in (0, 1):
        remarks.append(f"EXIF orientation {orientation}: turned upright")
    if opened.mode == "CMYK":
        remarks.append("CMYK: converted to RGB")
    elif opened.mode.startswith("I") or opened.mode == "F":
        remarks.append("16 bits a pixel: reduced to 8")
    elif opened.has_transparency_data:
        remarks.append("transparent parts turn white")
    elif opened.mode in ("L", "LA", "1"):
        remarks.append(GREY)
    return tuple(remarks)


def _eight_bits(picture: Any) -> Any:
    """16-bit grey brought to 8 bits; ``convert`` would clip it to white."""
    if not (picture.mode.startswith("I") or picture.mode == "F"):
        return picture
    values = np.asarray(picture, np.float64)
    return Image.fromarray(np.clip(values / 257 if values.max() > 255 else values, 0, 255).astype(np.uint8))


def _reason(path: Path, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if path.is_file() and path.stat().st_size == 0:
        return "an empty file"
    if isinstance(error, Image.DecompressionBombError):
        return f"too many pixels: {error}"
    try:
        head = path.read_bytes()[:512].lstrip().lower()
    except OSError:
        head = b""
    if head.startswith((b"<!doctype html", b"<html")):
        return "a web page, not a picture"
    return f"unreadable picture: {str(error).replace(str(path), path.name) or type(error).__name__}"
