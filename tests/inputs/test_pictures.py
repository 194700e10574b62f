"""Every kind of picture file there is, sound and not."""

from __future__ import annotations

import io
import struct
import sys
import time
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from kerastl.inputs import pictures

GRADIENT = np.stack(np.meshgrid(np.arange(12) * 20, np.arange(8) * 30), -1).astype(np.uint8)  # (8, 12, 2)
COLOURS = np.concatenate([GRADIENT, np.full((8, 12, 1), 77, np.uint8)], -1)


def save(path, array, mode=None, **options):
    Image.fromarray(array, mode).save(path, **options)
    return path


@pytest.mark.parametrize("ending", ["png", "bmp", "tiff", "webp"])
def test_lossless_files_come_back_as_they_were(tmp_path, ending):
    path = save(tmp_path / f"a.{ending}", COLOURS, **({"lossless": True} if ending == "webp" else {}))
    picture = pictures.read(path)
    np.testing.assert_array_equal(picture.pixels, COLOURS)
    assert picture.remarks == ()


@pytest.mark.parametrize("ending", ["jpg", "gif"])
def test_lossy_files_come_back_nearly(tmp_path, ending):
    path = save(tmp_path / f"a.{ending}", COLOURS, **({"quality": 95} if ending == "jpg" else {}))
    assert np.abs(pictures.read(path).pixels.astype(int) - COLOURS).mean() < 8


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, orientation):
    """The eight orientations of the EXIF standard (tag 0x0112), undone by hand."""
    stored = {
        1: COLOURS,
        2: COLOURS[:, ::-1],
        3: COLOURS[::-1, ::-1],
        4: COLOURS[::-1],
        5: COLOURS.transpose(1, 0, 2),
        6: COLOURS[::, ::].transpose(1, 0, 2)[::-1],
        7: COLOURS[::-1, ::-1].transpose(1, 0, 2),
        8: COLOURS.transpose(1, 0, 2)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "a.png", np.ascontiguousarray(stored), exif=exif)
    picture = pictures.read(path)
    np.testing.assert_array_equal(picture.pixels, COLOURS)
    assert picture.remarks == ((f"EXIF orientation {orientation}: turned upright",) if orientation > 1 else ())


def test_unusual_pixels(tmp_path):
    grey = save(tmp_path / "grey.png", COLOURS[..., 0])
    assert pictures.read(grey).remarks == (pictures.GREY,)
    np.testing.assert_array_equal(pictures.read(grey).pixels, np.repeat(COLOURS[..., :1], 3, -1))
    np.testing.assert_array_equal(pictures.read(grey, channels=1).pixels, COLOURS[..., :1])
    deep = save(tmp_path / "deep.png", COLOURS[..., 0].astype(np.uint16) * 257)
    assert pictures.read(deep).remarks == ("16 bits a pixel: reduced to 8",)
    np.testing.assert_array_equal(pictures.read(deep, channels=1).pixels, COLOURS[..., :1])
    alpha = np.concatenate([COLOURS, np.full((8, 12, 1), 255, np.uint8)], -1)
    alpha[0, 0, 3] = 0
    clear = save(tmp_path / "clear.png", alpha)
    picture = pictures.read(clear)
    assert picture.remarks == ("transparent parts turn white",)
    np.testing.assert_array_equal(picture.pixels[0, 0], [255, 255, 255])
    np.testing.assert_array_equal(picture.pixels[1:], COLOURS[1:])
    ink = tmp_path / "ink.jpg"
    Image.fromarray(COLOURS).convert("CMYK").save(ink, quality=95)
    picture = pictures.read(ink)
    assert picture.remarks == ("CMYK: converted to RGB",)
    assert np.abs(picture.pixels.astype(int) - COLOURS).mean() < 8
    moving = tmp_path / "moving.gif"
    frames = [Image.fromarray(COLOURS), Image.fromarray(255 - COLOURS)]
    frames[0].save(moving, save_all=True, append_images=frames[1:])
    assert pictures.read(moving).remarks == ("2 frames: the first is taken",)


def test_a_wrong_name_is_read_by_contents_and_remarked(tmp_path):
    path = save(tmp_path / "a.jpg", COLOURS, format="PNG")
    picture = pictures.read(path)
    np.testing.assert_array_equal(picture.pixels, COLOURS)
    assert picture.remarks == ("a PNG file under the name of a JPEG",)


def test_what_is_no_picture_says_why(tmp_path):
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "page.jpg").write_text("<!DOCTYPE html><html>404</html>")
    (tmp_path / "noise.png").write_bytes(bytes(range(256)))
    whole = save(tmp_path / "whole.jpg", np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).read_bytes()
    (tmp_path / "torn.jpg").write_bytes(whole[: len(whole) // 2])
    Image.fromarray(COLOURS).save(tmp_path / "script.jpg", format="EPS")
    for name, reason in {
        "empty.jpg": "an empty file",
        "page.jpg": "a web page",
        "noise.png": "unreadable picture",
        "torn.jpg": "unreadable picture",
        "script.jpg": "unreadable picture",  # Pillow would start Ghostscript for it
    }.items():
        with pytest.raises(pictures.PictureError, match=reason):
            pictures.read(tmp_path / name)


def bomb(path, width, height):
    """A PNG of some kilobytes that decodes to gigabytes."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(10_000_000), 9))
        + chunk(b"IEND", b"")
    )


def test_a_picture_that_decodes_to_gigabytes_is_refused_before_it_is_decoded(tmp_path):
    for number, side in enumerate((9_000, 20_000, 60_000)):
        path = tmp_path / f"{number}.png"
        bomb(path, side, side)
        assert path.stat().st_size < 20_000
        tracemalloc.start()
        start = time.process_time()
        with pytest.raises(pictures.PictureError, match="pixels"):
            pictures.read(path)
        assert time.process_time() - start < 2
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
        tracemalloc.stop()


def test_resizing_averages(tmp_path):
    checks = (np.indices((16, 16)).sum(0) % 2 * 255).astype(np.uint8)
    small = pictures.read(save(tmp_path / "a.png", checks), size=(4, 2), channels=1).pixels
    assert small.shape == (4, 2, 1)
    assert np.abs(small.astype(int) - 127).max() <= 16


def photograph(height, width, seed=0):
    """Smooth shapes with some noise, as a camera sees them."""
    generator = np.random.default_rng(seed)
    coarse = Image.fromarray(generator.integers(0, 256, (12, 16, 3), np.uint8)).resize((width, height), Image.BICUBIC)
    noise = generator.integers(-8, 9, (height, width, 3))
    return np.clip(np.asarray(coarse).astype(int) + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("scale", [1, 2, 3, 5, 9])
def test_a_jpeg_that_is_halved_while_decoded_is_nearly_the_whole_one(tmp_path, scale, channels, orientation):
    """Against decoding all of it and resizing that; and never from fewer pixels than were asked for."""
    height, width = 96 * scale, 64 * scale + 40
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "a.jpg", photograph(height, width), quality=92, exif=exif)
    size = (96, 64) if orientation == 1 else (64, 96)
    whole = Image.fromarray(pictures.read(path, channels=channels).pixels.squeeze())
    wanted = np.asarray(whole.resize(size[::-1], Image.Resampling.BILINEAR), np.float64).reshape(*size, channels)
    read = pictures.read(path, channels=channels, size=size).pixels
    assert read.shape == (*size, channels)
    difference = np.abs(read - wanted)
    assert (difference.mean() == 0) == (scale == 1)
    assert difference.mean() < 1.5
    assert np.percentile(difference, 99) <= 8
    again = pictures.read(path, channels=channels, size=size).pixels
    np.testing.assert_array_equal(again, read)


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_pictures_of_12_and_16_bits_have_one_scale_each(tmp_path, kind):
    """Not the range of the picture itself: two exposures of one scene keep their difference."""
    for highest, white in ((255, 4095), (1000, 4095), (4095, 4095), (4096, 65_535), (65_535, 65_535)):
        path = save(tmp_path / f"{highest}.{kind}", np.array([[0, highest]], np.uint16))
        found = pictures.read(path, channels=1)
        assert found.pixels[0, 1, 0] == highest * 255 // white
        assert found.remarks == (
            ("12 bits a pixel in 16: 0 to 4095 are reduced to 8",)
            if white == 4095
            else ("16 bits a pixel: reduced to 8",)
        )


@pytest.mark.parametrize(("highest", "white"), [(4095, 4095), (900, 4095), (65_535, 65_535)])
def test_colours_of_12_and_16_bits(tmp_path, highest, white):
    """Pillow keeps the upper byte of each: of 12 bits that is nearly nothing."""
    colours = np.random.default_rng(0).integers(0, highest, (8, 9, 3), endpoint=True)
    colours[0, 0] = highest
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in colours)
    header = struct.pack(">IIBBBBB", 9, 8, 16, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    written = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    (tmp_path / "deep.png").write_bytes(b"\x89PNG\r\n\x1a\n" + written)
    for source in (tmp_path / "deep.png", io.BytesIO((tmp_path / "deep.png").read_bytes())):
        found = pictures.read(source)
        np.testing.assert_allclose(found.pixels, colours * 255 / white, atol=1)
        bits = 16 if white > 4095 else 12
        assert found.remarks[0].startswith(f"{bits} bits a colour")


def test_a_large_picture_of_16_bits_is_brought_to_8_in_parts(tmp_path):
    """All at once in float64 it takes 25 bytes a pixel, and the largest that is decoded 2 GB."""
    ramp = np.add.outer(np.arange(1800, dtype=np.uint16) * 30, np.arange(1700, dtype=np.uint16))
    path = save(tmp_path / "large.png", ramp)
    tracemalloc.start()
    read = pictures.read(path, channels=1).pixels[..., 0]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    np.testing.assert_array_equal(read, ramp // 257)
    assert peak < 15 * ramp.size


def test_pictures_of_numbers_with_a_fraction(tmp_path):
    shades = np.linspace(0, 1, 6, dtype=np.float32).reshape(2, 3)
    for name, values in (("one", shades), ("bytes", 255 * shades)):
        picture = pictures.read(save(tmp_path / f"{name}.tiff", values), channels=1)
        np.testing.assert_array_equal(picture.pixels[..., 0], [[0, 51, 102], [153, 204, 255]])
        assert picture.remarks == ("numbers with a fraction: reduced to 8 bits",)
    for number, odd in enumerate((np.nan, -1.0, 300.0)):
        values = shades.copy()
        values[1, 1] = odd
        with pytest.raises(pictures.PictureError, match="where a picture has 0 to 1"):
            pictures.read(save(tmp_path / f"{number}.tiff", values))


def test_a_blanked_exif_block_is_no_damage(tmp_path):
    path = save(tmp_path / "a.jpg", COLOURS, quality=95, dpi=(72, 72), exif=b"Exif\0\0" + bytes(20))
    picture = pictures.read(path)
    assert picture.remarks == ()
    assert np.abs(picture.pixels.astype(int) - COLOURS).mean() < 8


def test_a_jpeg_beyond_the_limit_is_decoded_at_a_fraction(tmp_path):
    path = save(tmp_path / "a.jpg", np.zeros((80, 100, 3), np.uint8) + np.uint8(200), quality=95)
    with pytest.raises(pictures.PictureError, match="100 x 80 pixels are more than the 2,000"):
        pictures.read(path, largest=2_000)
    shrunk = pictures.read(path, largest=2_000, size=(8, 10)).pixels
    assert shrunk.shape == (8, 10, 3)
    assert np.abs(shrunk.astype(int) - 200).max() <= 1


def test_a_progressive_jpeg_is_refused_by_its_whole_size(tmp_path):
    """All of its coefficients are held before the first pixel."""
    path = save(tmp_path / "a.jpg", np.zeros((80, 100, 3), np.uint8), quality=95, progressive=True)
    with pytest.raises(pictures.PictureError, match="100 x 80 pixels are more than the 2,000"):
        pictures.read(path, largest=2_000, size=(8, 10))


@pytest.fixture
def without_heic(monkeypatch):
    """As where the extra `heic` is not installed."""
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    pictures._registered.cache_clear()
    yield
    pictures._registered.cache_clear()


@pytest.mark.usefixtures("without_heic")
def test_formats_of_phones_that_are_not_read_are_named(tmp_path):
    for name in ("a.HEIC", "a.dcm"):
        (tmp_path / name).write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    with pytest.raises(pictures.PictureError, match=r"a \.HEIC file, which is read with pip install 'kerastl\[heic\]'"):
        pictures.read(tmp_path / "a.HEIC")
    with pytest.raises(pictures.PictureError, match=r"a \.dcm file, which is not read: save it as JPEG or PNG"):
        pictures.read(tmp_path / "a.dcm")


@pytest.mark.parametrize(("ending", "kind"), [(".heic", "HEIF"), (".avif", "AVIF")])
def test_pictures_of_phones_are_read_upright(tmp_path, ending, kind):
    """A scene of four quarters, lying on its side as EXIF says, comes as a JPEG of it does."""
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    quarters = np.zeros((64, 96, 3), np.uint8)
    quarters[:32, :48], quarters[:32, 48:], quarters[32:, :48] = (220, 30, 30), (30, 200, 30), (30, 30, 220)
    for orientation in (1, 6):
        read = {}
        for name, form in ((f"a{ending}", kind), ("a.jpg", "JPEG")):
            exif = Image.Exif()  # of its own for each: encoders take the orientation out of it
            exif[0x0112] = orientation
            Image.fromarray(quarters).save(tmp_path / name, form, quality=95, exif=exif.tobytes())
            read[form] = pictures.read(tmp_path / name).pixels
        assert read[kind].shape == ((64, 96, 3) if orientation == 1 else (96, 64, 3))
        assert np.abs(read[kind].astype(int) - read["JPEG"]).mean() < 3
    whole = (tmp_path / f"a{ending}").read_bytes()
    (tmp_path / f"cut{ending}").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(pictures.PictureError, match="unreadable picture"):
        pictures.read(tmp_path / f"cut{ending}")
