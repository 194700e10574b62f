"""Against ``keras.applications`` itself: its model after its ``preprocess_input``, once."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from kerastl.inputs.image import Image
from kerastl.models.pretrained import applications, backbone, graph
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Task

# A quick one of every way to make a range; for "torch" there is none.
QUICK = ["MobileNet", "VGG16", "MobileNetV3Small"]


def size_of(name: str) -> int:
    return 32 if name.startswith("VGG") else 96


def raw(size: int) -> np.ndarray:
    pixels = np.random.default_rng(0).integers(0, 256, (2, size, size, 3)).astype("float32")
    pixels[0, 0, 0], pixels[0, 0, 1] = 0, 255
    return pixels


def test_every_function_is_there():
    names = applications.available()
    print(len(names), names)
    assert len(names) >= 38
    assert {"ConvNeXtTiny", "EfficientNetB0", "MobileNetV2", "NASNetMobile", "ResNet50", "VGG19"} <= set(names)
    assert {applications.range_of(name) for name in names} == {"tf", "torch", "caffe", "inside"}


@pytest.mark.parametrize("module", sorted(applications.RANGES))
def test_the_table_is_what_keras_says(module):
    """Each module's own function, on the three corners and the middle of the range."""
    pixels = np.array([0, 255, 128, 17, 99, 250, 1, 2, 3], "float32").reshape(1, 1, 3, 3)
    wanted = getattr(keras.applications, module).preprocess_input(pixels.copy())
    image = keras.Input((1, 3, 3))
    mode = applications.RANGES[module]
    scaled = applications._scaled(image, mode=mode)
    received = np.asarray(keras.Model(image, scaled)(pixels)) if scaled is not image else pixels
    if mode == "caffe":  # the first kernel has its channels turned instead
        received = received[..., ::-1]
    np.testing.assert_allclose(received, wanted, atol=1e-5)


def answers_as_keras(name: str) -> None:
    size = size_of(name)
    keras.utils.set_random_seed(0)
    found = applications.load(name, image_size=size, weights=None)
    assert graph.is_flat(found.model)
    assert found.model.layers[0].name == "image"
    assert found.accounting is None
    reference = getattr(keras.applications, name)(input_shape=(size, size, 3), include_top=False, weights=None)
    weights = {weight.path: weight.numpy() for weight in found.model.weights}
    arrays = list(weights.values())
    if applications.range_of(name) == "caffe":
        arrays[0] = arrays[0][:, :, ::-1]
    reference.set_weights(arrays)
    module = getattr(keras.applications, getattr(keras.applications, name).__module__.rpartition(".")[2])
    wanted = np.asarray(reference(module.preprocess_input(raw(size)), training=False))
    received = np.asarray(found.model(raw(size), training=False))
    assert received.shape == wanted.shape
    assert wanted.std() > 0
    assert np.abs(received - wanted).max() <= 1e-3 * np.abs(wanted).max()
    model = backbone.with_head(found, Task("two", Image((size, size, 3)), SingleLabel(("a", "b"))))
    assert model.output_shape == (None, 2)
    assert graph.is_flat(model)
    groups = backbone.groups(model)
    grouped = sorted(layer.name for group in groups for layer in group.layers)
    assert grouped == sorted(layer.name for layer in model.layers)
    assert groups[0].name == "stem"
    assert groups[-1].name == "head"
    assert len(groups) >= 5, [group.name for group in groups]
    assert any(layer.weights for layer in groups[1].layers)


@pytest.mark.parametrize("name", QUICK)
def test_it_answers_as_keras_does(name):
    answers_as_keras(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in applications.available() if name not in QUICK])
def test_every_other_answers_as_keras_does(name):
    answers_as_keras(name)
    keras.backend.clear_session()


def test_a_comparison_that_scales_twice_fails():
    """What the tests above would see."""
    size = 96
    keras.utils.set_random_seed(0)
    found = applications.load("MobileNet", image_size=size, weights=None)
    once = np.asarray(found.model(raw(size), training=False))
    twice = np.asarray(found.model(keras.applications.mobilenet.preprocess_input(raw(size)), training=False))
    assert np.abs(once - twice).max() > 0.1 * np.abs(once).max()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Resnet50", "no model 'Resnet50'. Did you mean ResNet50"),
        ("MobilNetV2", "Did you mean MobileNetV2"),
        ("preprocess_input", "Available: ConvNeXtBase"),
        ("mobilenet_v2", "Did you mean MobileNetV2"),
    ],
)
def test_unknown_names_are_refused_with_near_ones(name, words):
    with pytest.raises(ValueError, match=words):
        applications.load(name)


def test_pictures_that_are_too_small_are_refused():
    with pytest.raises(ValueError, match="InceptionV3 cannot be built for pictures of 32 pixels"):
        applications.load("InceptionV3", image_size=32, weights=None)


def test_a_file_of_weights(tmp_path):
    keras.utils.set_random_seed(0)
    source = keras.applications.MobileNet(input_shape=(96, 96, 3), alpha=1.0, include_top=False, weights=None)
    wanted = np.asarray(source(keras.applications.mobilenet.preprocess_input(raw(96)), training=False))
    source.save_weights(tmp_path / "mine.weights.h5")
    found = applications.load("MobileNet", image_size=96, weights=tmp_path / "mine.weights.h5")
    np.testing.assert_allclose(found.model(raw(96), training=False), wanted, atol=1e-5)
    assert len(found.accounting.loaded) == len(source.weights)
    assert "mine.weights.h5" in found.accounting.source
    with pytest.raises(ValueError, match=r"mine\.weights\.h5"):
        applications.load("VGG16", image_size=32, weights=tmp_path / "mine.weights.h5")
    with pytest.raises(FileNotFoundError, match=r"There is no file .*none\.h5"):
        applications.load("MobileNet", image_size=96, weights=tmp_path / "none.h5")
    source.weights[0].assign(np.full(source.weights[0].shape, np.nan))
    source.save_weights(tmp_path / "nan.weights.h5")
    with pytest.raises(ValueError, match="missing from the file: conv1/kernel"):
        applications.load("MobileNet", image_size=96, weights=tmp_path / "nan.weights.h5")


@pytest.mark.slow
def test_deviations_in_place_of_variances_are_mended(tmp_path):
    """As in the files that Keras publishes for EfficientNet, and mends only where it downloads them itself."""
    keras.utils.set_random_seed(0)
    source = keras.applications.EfficientNetB0(input_shape=(32, 32, 3), include_top=False, weights=None)
    normalization = next(layer for layer in source.layers if isinstance(layer, keras.layers.Normalization))
    normalization.adapt_mean.assign(np.reshape([0.485, 0.456, 0.406], normalization.adapt_mean.shape))
    normalization.adapt_variance.assign(np.reshape([0.229, 0.224, 0.225], normalization.adapt_variance.shape))
    source.save_weights(tmp_path / "published.weights.h5")
    found = applications.load("EfficientNetB0", image_size=32, weights=tmp_path / "published.weights.h5")
    ours = next(layer for layer in found.model.layers if isinstance(layer, keras.layers.Normalization))
    pixels = raw(32)
    wanted = (pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(keras.Model(found.model.inputs[0], ours.output)(pixels), wanted, atol=1e-4)
