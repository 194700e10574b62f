from __future__ import annotations

import numpy as np
import pytest

from kerastl.data import arrays, scaled_pictures
from kerastl.inputs.image import Image
from kerastl.inputs.numbers import Numbers

PIXELS = np.random.default_rng(0).integers(0, 256, (60, 6, 5, 3)).astype(np.uint8)
LABELS = np.arange(60) % 2


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "scale", "offset"), [("0..1", 1 / 255, 0), ("-1..1", 1 / 127.5, -1)])
def test_scaled_pictures_are_pixels_again(tmp_path, capsys, name, scale, offset, dtype):
    scaled = (PIXELS * scale + offset).astype(dtype)
    found, was = scaled_pictures.unscaled({"train": scaled[:40], "test": scaled[40:]})
    assert was == name
    np.testing.assert_array_equal(np.concatenate([found["train"], found["test"]]), PIXELS)
    np.savez(tmp_path / "set.npz", x_train=scaled[:40], y_train=LABELS[:40], x_test=scaled[40:], y_test=LABELS[40:])
    made = arrays.load(tmp_path / "set.npz")
    assert made.task.inputs == Image((6, 5, 3))
    assert f"were scaled to {name} and are raw pixels 0..255 again" in capsys.readouterr().err


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(0).random((60, 6, 5, 3)).astype("float32"),
        (PIXELS[..., :2] / 255).astype("float32"),  # of two channels
        (PIXELS > 127).astype("float32"),  # masks
        PIXELS.astype("float32"),
    ],
)
def test_other_numbers_stay_as_they_are(values):
    found, was = scaled_pictures.unscaled({"train": values})
    assert was == ""
    assert found["train"] is values


def test_one_split_that_is_none_leaves_all_as_they_are(tmp_path):
    scaled = (PIXELS / 255).astype("float32")
    odd = scaled[40:] * 0.9
    assert scaled_pictures.unscaled({"train": scaled[:40], "test": odd})[1] == ""
    np.savez(tmp_path / "set.npz", x_train=scaled[:40], y_train=LABELS[:40], x_test=odd, y_test=LABELS[40:])
    assert isinstance(arrays.load(tmp_path / "set.npz").task.inputs, Numbers)
