from __future__ import annotations

import base64
import io
import json

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from kerastl import inputs
from kerastl.inputs import image
from kerastl.inputs.image import Image
from kerastl.types import Inputs

GREY, COLOURED = Image((4, 5, 1)), Image((4, 5, 3))


def pixels(kind: Image, count: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *kind.size)).astype(np.uint8)


def test_it_is_a_kind_of_input():
    assert isinstance(GREY, Inputs)
    assert (GREY.shape, GREY.dtype, GREY.batch_dtype) == ((4, 5, 1), "uint8", "float32")
    assert (GREY.kind, GREY.tensors, GREY.predict_batch, GREY.augmentable) == ("image", ("image",), 500, True)
    assert GREY.calibration_range() == (1.0, 0)
    assert hash(Image([4, 5, 1])) == hash(GREY)  # JSON has lists


@pytest.mark.parametrize("size", [(4, 5), (4, 5, 1, 1), (0, 5, 1), ()])
def test_a_picture_has_a_height_a_width_and_channels(size):
    with pytest.raises(ValueError, match=r"a height, a width and channels\. Received: shape"):
        Image(size)


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ((1, 2, 3, 0), np.nan, r"be finite. Received: nan in train, row 1, column 2, 3, 0"),
        ((2, 0, 0, 0), np.inf, r"be finite. Received: inf in train, row 2, column 0, 0, 0"),
        ((0, 3, 4, 0), -1, r"0\.\.255, as raw pixels do. Received: -1.0 in train, row 0, column 3, 4, 0"),
        ((2, 3, 4, 0), 255.5, r"0\.\.255, as raw pixels do. Received: 255.5 in train, row 2, column 3, 4, 0"),
    ],
)
def test_what_are_no_pixels_is_named_by_row_and_column(place, value, words):
    examples = pixels(GREY).astype(np.float32)
    GREY.check(examples, where="train")
    examples[place] = value
    with pytest.raises(ValueError, match=words):
        GREY.check(examples, where="train")


def test_other_shapes_and_types_are_refused(stream):
    GREY.check(pixels(GREY), where="train")
    GREY.check(stream(pixels(GREY)), where="train")
    GREY.check(pixels(GREY)[:0], where="train")
    for examples in (pixels(COLOURED), pixels(GREY)[0], stream(pixels(COLOURED))):
        with pytest.raises(ValueError, match=r"Wanted inputs \(examples, 4, 5, 1\). Received: .* in test"):
            GREY.check(examples, where="test")
    with pytest.raises(ValueError, match=r"Wanted pixels\. Received: <U1 in test"):
        GREY.check(np.full((3, 4, 5, 1), "a"), where="test")
    with pytest.raises(ValueError, match="Received: 256 in test, row 0"):
        GREY.check(np.full((3, 4, 5, 1), 256, np.int16), where="test")


def test_a_file_is_fed_pixels_as_they_are_and_so_is_the_model():
    examples = pixels(COLOURED)
    fed = COLOURED.fed(examples)
    assert list(fed) == list(COLOURED.tensors)
    np.testing.assert_array_equal(fed["image"], examples)
    np.testing.assert_array_equal(COLOURED.in_graph({"image": tf.constant(examples)}), examples)


def test_noise_is_pixels_of_every_value():
    noise = COLOURED.noise(300, seed=3)
    assert noise.shape == (300, 4, 5, 3)
    assert noise.dtype == np.float32
    assert set(np.unique(noise)) == set(range(256))
    np.testing.assert_array_equal(noise, COLOURED.noise(300, seed=3))
    assert not np.array_equal(noise, COLOURED.noise(300, seed=4))
    COLOURED.check(noise, where="noise")


def test_a_picture_file_is_read_in_the_size_of_the_model(tmp_path):
    (picture,) = pixels(COLOURED, 1)
    PIL.Image.fromarray(picture).save(tmp_path / "a.png")
    read = COLOURED.read(str(tmp_path / "a.png"))
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, picture[None])
    assert Image((8, 10, 1)).read(str(tmp_path / "a.png")).shape == (1, 8, 10, 1)
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"text\.png is no picture that can be read"):
        COLOURED.read(str(tmp_path / "text.png"))
    with pytest.raises(FileNotFoundError, match=r"no input file .*nowhere\.png"):
        COLOURED.read(str(tmp_path / "nowhere.png"))


def test_an_array_file_holds_one_picture_or_a_batch(tmp_path):
    path, examples = tmp_path / "a.npy", pixels(GREY)
    for array in (examples, examples.astype(np.float64)):
        np.save(path, array)
        np.testing.assert_array_equal(GREY.read(str(path)), examples)
    np.save(path, examples[0])
    np.testing.assert_array_equal(GREY.read(str(path)), examples[:1])
    for scaled, words in (
        (examples / 255, "not scaled to 0..1"),
        (examples - 1.0, r"raw pixels 0\.\.255. Received"),
        (examples * 2.0, r"raw pixels 0\.\.255. Received"),
        (np.where(examples == examples[0, 0, 0, 0], np.nan, examples), r"raw pixels 0\.\.255. Received"),
    ):
        np.save(path, scaled)
        with pytest.raises(ValueError, match=words):
            GREY.read(str(path))


@pytest.mark.parametrize(("channels", "seen"), [(1, [0]), (2, [0]), (3, [0, 1, 2]), (4, [0, 1, 2])])
def test_a_picture_on_the_page_is_a_png_of_its_pixels(channels, seen):
    kind = Image((4, 5, channels))
    (example,) = pixels(kind, 1)
    head, content = kind.shown(example)["picture"].split(",")
    assert head == "data:image/png;base64"
    shown = np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(content))))
    np.testing.assert_array_equal(shown.reshape(4, 5, -1), example[..., seen])


def test_a_description_is_json_and_restores_it():
    described = json.loads(json.dumps(COLOURED.described()))
    assert described == {"image": [4, 5, 3]}
    assert image.restored(described) == inputs.restored(described) == COLOURED
    assert image.restored({"numbers": [3]}) is None


def test_a_large_picture_is_shown_smaller():
    ramp = np.linspace(0, 255, 400).astype(np.uint8)
    example = np.broadcast_to(ramp[None, :, None], (300, 400, 3))
    head, content = Image((300, 400, 3)).shown(example)["picture"].split(",")
    assert head == "data:image/jpeg;base64"
    shown = PIL.Image.open(io.BytesIO(base64.b64decode(content)))
    assert shown.size == (160, 120)
    assert np.abs(np.asarray(shown, float)[60, :, 0] - np.linspace(0, 255, 160)).max() < 6
    assert len(content) < 8000
