"""One way from a picture file to an array: training, evaluation and prediction see the same pixels.

Upright (EXIF orientation applied), 8 bits, grey or colour; transparent parts turn white; the first frame of several.
"""

from __future__ import annotations

import dataclasses
import functools
import threading
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageOps

from kerastl.system import phrases

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "AVIF", "PPM")
ENDINGS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".png": "PNG",
    ".bmp": "BMP",
    ".gif": "GIF",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".avif": "AVIF",
    ".ppm": "PPM",
    ".pgm": "PPM",
    ".pbm": "PPM",
    ".pnm": "PPM",
}
FOREIGN = (".heic", ".heif", ".jxl", ".jp2", ".dcm", ".dng", ".tga")
"""Endings of pictures in formats that are not read, or by the extra `heic` alone: they are listed, not passed over."""
_HEIC = (".heic", ".heif")
LARGEST = 80_000_000
"""Pixels that are decoded at most: 960 MB. A JPEG may have more where it is decoded at a fraction of its size."""

_DEEP = "RGB;16B"  # how Pillow calls it
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
        source: path, or open file, of a JPEG, PNG, BMP, GIF, WebP, TIFF, AVIF or PPM, by its contents and not by its
            name; with the extra `heic` also of a HEIC.
        channels: 3 for colour (grey pictures are repeated), 1 for grey.
        size: height and width to resize to (bilinear, averaging when it shrinks; a JPEG that is more than twice as
            large is halved while it is decoded, which changes photographs by less than 1.5 of 255 on average, 8 at the
            99th percentile, against decoding all of it); ``None`` keeps the file's.
        largest: pixels beyond which a picture is not decoded.

    Raises:
        PictureError: no picture, of another format, damaged, or too large.
    """
    if channels not in (1, 3):
        raise ValueError(f"A picture has 1 channel or 3. Received: channels={channels}.")
    path = source if isinstance(source, Path) else Path("picture")
    if isinstance(source, Path) and source.exists() and not source.is_file():  # a pipe would never end
        raise PictureError("no file")
    try:
        # only these decoders are tried: some of Pillow's others start programs, or follow links
        with Image.open(source, formats=formats()) as opened:
            deep = _is_deep_colour(opened)  # before anything is loaded, which PNG does for its EXIF
            if opened.info.get("progressive"):  # whose coefficients are all kept, whatever size is decoded
                _refuse_larger(opened, largest)
            orientation = _orientation(opened)
            remarks = _remarks(path, opened, orientation=orientation)
            if size is not None:
                # A JPEG is decoded at a half, a quarter or an eighth of its size where that is no smaller than wanted:
                # the same for everyone who asks for this size, and many times faster for the pictures of a camera.
                opened.draft(None, size if orientation in _LYING else (size[1], size[0]))
            _refuse_larger(opened, largest)
            upright: Any = opened if orientation in (0, 1) else ImageOps.exif_transpose(opened)
            upright.load()
        picture, found = _eight_bits(upright)
        if deep:
            picture, found = _deep_colour(source, picture)
    except PictureError:
        raise
    except Exception as error:  # decoders raise whatever the file provokes in them
        raise PictureError(_reason(path, error)) from error
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    if picture.mode != (wanted := "L" if channels == 1 else "RGB"):
        picture = picture.convert(wanted)
    if size is not None and picture.size != (size[1], size[0]):
        picture = picture.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    pixels = np.asarray(picture, np.uint8)
    return Picture(pixels.reshape(*pixels.shape[:2], channels), (*remarks, *found))


_REGISTERING = threading.Lock()


def formats() -> tuple[str, ...]:
    """`FORMATS`, and HEIF where the extra `heic` is installed, which makes it one of Pillow's.

    Pictures are decoded by several threads: one of them registers, the others wait, for a module that is being imported
    already stands in ``sys.modules`` and has nothing in it yet.
    """
    with _REGISTERING:
        return _registered()


@functools.cache
def _registered() -> tuple[str, ...]:
    try:
        import pillow_heif
    except ImportError:
        return FORMATS
    pillow_heif.register_heif_opener()
    return (*FORMATS, "HEIF")


def _refuse_larger(opened: Any, largest: int) -> None:
    width, height = opened.size
    if width * height > largest:
        raise PictureError(f"{width} x {height} pixels are more than the {largest:,} that are decoded")


def _orientation(opened: Any) -> int:
    """As EXIF has it, 1 for upright; a block that was blanked out says nothing, and the picture is sound without."""
    try:
        return opened.getexif().get(0x0112, 1)
    except Exception:  # whatever damage provokes
        return 1


def _remarks(path: Path, opened: Any, *, orientation: int) -> tuple[str, ...]:
    remarks = []
    named = ENDINGS.get(path.suffix.lower())
    if named is not None and named != opened.format:
        remarks.append(f"a {opened.format} file under the name of a {named}")
    if getattr(opened, "n_frames", 1) > 1:
        remarks.append(f"{opened.n_frames} frames: the first is taken")
    if orientation not in (0, 1):
        remarks.append(f"EXIF orientation {orientation}: turned upright")
    if opened.mode == "CMYK":
        remarks.append("CMYK: converted to RGB")
    elif opened.mode.startswith("I"):
        pass  # `_eight_bits` says what it found
    elif opened.mode == "F":
        remarks.append("numbers with a fraction: reduced to 8 bits")
    elif opened.has_transparency_data:
        remarks.append("transparent parts turn white")
    elif opened.mode in ("L", "LA", "1"):
        remarks.append(GREY)
    return tuple(remarks)


def _eight_bits(picture: Any) -> tuple[Any, tuple[str, ...]]:
    """Grey of more bits brought to 8, for ``convert`` would clip it to white, and the words for it.

    Cameras and scanners of 12 bits write files of 16, of which they fill a sixteenth: 4095 is white there. A picture
    goes up to 4095 or to 65535, whatever its brightest pixel is, so that dark ones stay dark beside bright ones.

    Raises:
        PictureError: fractions beyond what a picture's are, 0 to 1 or 0 to 255.
    """
    if not (picture.mode.startswith("I") or picture.mode == "F"):
        return picture, ()
    values = np.asarray(picture)
    low, high = float(values.min()), float(values.max())
    if picture.mode == "F":
        if not (low >= 0 and high <= 255):  # NaN too
            raise PictureError(
                f"numbers from {phrases.plain(low)} to {phrases.plain(high)}, where a picture has 0 to 1 or 0 to 255"
            )
        factor = 255.0 if high <= 1 else 1.0
        words = ()
    elif picture.mode == "I" and high <= 255:  # 32 bits may hold 8
        factor, words = 1.0, ("32 bits a pixel, of which 8 are used",)
    else:
        white = 4095 if high <= 4095 else 65535
        factor = 255 / white
        words = (
            "16 bits a pixel: reduced to 8" if white > 4095 else "12 bits a pixel in 16: 0 to 4095 are reduced to 8",
        )
    made = np.empty(values.shape, np.uint8)
    step = max(1, 1_000_000 // values.shape[1])  # rows at a time: all at once, a large picture takes 2 GB
    for row in range(0, len(values), step):
        part = values[row : row + step].astype(np.float64)
        made[row : row + step] = np.clip(part * factor, 0, 255).astype(np.uint8)
    return Image.fromarray(made), words


def _is_deep_colour(opened: Any) -> bool:
    """Whether it is a PNG of 16 bits a colour, of which Pillow keeps the upper 8."""
    return opened.format == "PNG" and bool(opened.tile) and opened.tile[0].args == _DEEP


def _deep_colour(source: Path | IO[bytes], upper: Any) -> tuple[Any, tuple[str, ...]]:
    """A picture of 16 bits a colour brought to 8, by the rule of `_eight_bits`, and the words for it.

    Args:
        source: of the picture.
        upper: the picture of the upper 8 bits, upright.
    """
    high = np.asarray(upper, np.uint16)
    if high.max() > 4095 >> 8:
        return upper, ("16 bits a colour: reduced to 8",)
    if not isinstance(source, Path):
        source.seek(0)
    with Image.open(source, formats=("PNG",)) as opened:
        opened.tile = [opened.tile[0]._replace(args="RGB;16L")]  # the second byte of each number
        low = np.asarray(ImageOps.exif_transpose(opened), np.uint16)
    made = ((high << 8 | low).astype(np.float32) * (255 / 4095)).astype(np.uint8)
    return Image.fromarray(made), ("12 bits a colour in 16: 0 to 4095 are reduced to 8",)


def _reason(path: Path, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if path.is_file() and path.stat().st_size == 0:
        return "an empty file"
    if path.suffix.lower() in _HEIC and "HEIF" not in formats():
        return f"a {path.suffix} file, which is read with pip install 'kerastl[heic]', or saved as JPEG"
    if path.suffix.lower() in FOREIGN and path.suffix.lower() not in _HEIC:
        return f"a {path.suffix} file, which is not read: save it as JPEG or PNG"
    if isinstance(error, Image.DecompressionBombError):
        return f"too many pixels: {error}"
    try:
        with path.open("rb") as file:
            head = file.read(512).lstrip().lower()
    except OSError:
        head = b""
    if head.startswith((b"<!doctype html", b"<html")):
        return "a web page, not a picture"
    if head.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, whose picture `git lfs pull` brings"
    return f"unreadable picture: {str(error).replace(str(path), path.name) or type(error).__name__}"
