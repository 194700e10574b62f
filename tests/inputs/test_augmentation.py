"""Augmentation: what its settings make of pictures."""

import dataclasses
import subprocess
import sys

import keras
import numpy as np
import pytest

from kerastl.data import pipeline
from kerastl.inputs import augmentation
from kerastl.inputs.image import Image
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Split, Task

TASK = Task("waves", Image((9, 9, 1)), SingleLabel(("a", "b", "c", "d")))


@pytest.fixture
def pictures():
    return np.random.default_rng(0).integers(0, 256, (4, 9, 9, 1)).astype("float32")


def test_training_changes_pictures_and_inference_does_not(pictures):
    model = augmentation.image_augmentation(
        rotation=0.1, translation=0.1, zoom=0.1, shear=0.1, horizontal_flip=True, erasing=0.5
    )
    assert model is not None
    np.testing.assert_array_equal(model(pictures, training=False), pictures)
    first, second = np.asarray(model(pictures, training=True)), np.asarray(model(pictures, training=True))
    assert first.shape == pictures.shape
    assert not np.allclose(first, pictures)
    assert not np.allclose(first, second)
    assert first.min() >= 0
    assert first.max() <= 255.001


def test_a_shift_alone_is_by_whole_pixels(pictures):
    """Every pixel that comes out is one that went in: nothing is blurred."""
    moved = np.asarray(augmentation.image_augmentation(translation=0.3)(pictures, training=True))
    assert np.isin(moved, np.append(pictures, 0)).all()
    assert not np.array_equal(moved, pictures)
    turned = np.asarray(augmentation.image_augmentation(translation=0.3, rotation=0.01)(pictures, training=True))
    assert not np.isin(turned, np.append(pictures, 0)).all()


def test_called_by_a_pipeline_it_changes_pictures(pictures):
    """Nobody says ``training`` there: the default has to be that of Keras' own random layers."""
    model = augmentation.image_augmentation(rotation=0.1, zoom=0.1)
    split = Split("train", pictures.astype("uint8"), np.zeros(len(pictures), "int32"), TASK)
    ((batch, _),) = pipeline.batches(split, batch_size=len(pictures), augment=model)
    assert np.abs(np.asarray(batch) - pictures).mean() > 1


def test_the_same_seed_gives_the_same_views(pictures):
    views = [
        np.asarray(augmentation.image_augmentation(rotation=0.1, zoom=0.2, seed=5)(pictures, training=True))
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*views)
    other = np.asarray(augmentation.image_augmentation(rotation=0.1, zoom=0.2, seed=6)(pictures, training=True))
    assert not np.array_equal(views[0], other)


def test_limits_hold():
    """A single bright pixel at the centre moves no further than the largest shift."""
    pictures = np.zeros((512, 21, 21, 1), "float32")
    pictures[:, 10, 10] = 255
    moved = np.asarray(augmentation.image_augmentation(translation=0.1)(pictures, training=True))[..., 0]
    rows, columns = (
        np.array([(m * np.arange(21)[shape]).sum() / m.sum() for m in moved]) - 10
        for shape in ((slice(None), None), (None, slice(None)))
    )
    for offsets in (rows, columns):
        assert np.abs(offsets).max() <= 2.1 + 1e-3
        assert np.abs(offsets).max() > 1.9
        assert abs(offsets.mean()) < 0.2


def test_nothing_asked_for_is_none():
    assert augmentation.image_augmentation() is None


def test_saves_and_loads(tmp_path, pictures):
    model = augmentation.image_augmentation(rotation=0.1, shear=0.2, seed=3)
    model(pictures, training=True)
    again = keras.Sequential.from_config(model.get_config())
    assert again.layers[0].limits == {"rotation": 0.1, "translation": 0.0, "zoom": 0.0, "shear": 0.2}


def test_brightness_shifts_and_contrast_stretches_every_picture(pictures):
    grey = 80 + pictures / 4  # nothing reaches the ends of the range
    brighter = augmentation.image_augmentation(brightness=0.2, seed=1)
    steeper = augmentation.image_augmentation(contrast=0.3, seed=1)
    assert brighter is not None
    assert steeper is not None
    change = np.asarray(brighter(grey)) - grey
    np.testing.assert_allclose(change, np.broadcast_to(change[:, :1, :1], change.shape), atol=1e-3)
    assert 0 < np.abs(change).max() <= 0.2 * 255 + 1e-3
    centred = grey - grey.mean((1, 2), keepdims=True)
    factor = (np.asarray(steeper(grey)) - grey.mean((1, 2), keepdims=True)) / np.where(centred == 0, np.nan, centred)
    spread = np.nanmax(factor, axis=(1, 2, 3)) - np.nanmin(factor, axis=(1, 2, 3))
    assert (spread < 1e-2).all()
    assert (np.abs(np.nanmedian(factor, axis=(1, 2, 3)) - 1) <= 0.3 + 1e-3).all()


def test_a_pipeline_mixes_anew_in_every_epoch_and_the_same_again(pictures):
    split = Split("train", np.repeat(pictures, 8, 0).astype("uint8"), np.arange(32, dtype="int32") // 8, TASK)

    def epochs(first):
        batches = pipeline.batches(
            split, batch_size=8, augment=augmentation.image_augmentation(mixup=1.0, cutout=0.3, seed=3)
        )
        batches.epochs_begun.assign(first)
        return [np.concatenate([np.asarray(batch) for batch, _ in batches]) for _ in range(2)]

    one, two = epochs(0)
    np.testing.assert_array_equal(epochs(1)[0], two)
    assert not np.array_equal(one, two)


def test_views_inside_of_a_model_are_of_training_alone(pictures):
    image = keras.Input((9, 9, 1), name="image")
    inner = keras.Model(image, keras.layers.Flatten()(image), name="inner")
    model = augmentation.with_augmentation(inner, augmentation.image_augmentation(translation=0.3, cutout=0.4, seed=2))
    np.testing.assert_array_equal(model(pictures, training=False), pictures.reshape(4, 81))
    one, two = (np.asarray(model(pictures, training=True)) for _ in range(2))
    assert not np.array_equal(one, pictures.reshape(4, 81))
    assert not np.array_equal(one, two)
    assert model.get_layer("inner") is inner
    again = keras.models.clone_model(model).get_layer("inner")
    np.testing.assert_array_equal(again(pictures), pictures.reshape(4, 81))


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_a_rectangle_is_blanked_in_so_many_pictures(share):
    white = np.full((2000, 16, 16, 1), 255, np.float32)
    blanked = (np.asarray(augmentation.image_augmentation(erasing=share)(white, training=True)) == 0).any((1, 2, 3))
    assert blanked.mean() == pytest.approx(share, abs=0.04)


def test_every_setting_is_a_layer_of_its_own():
    settings = {
        "rotation": 0.1, "translation": 0.1, "zoom": 0.1, "shear": 0.1, "elastic": 0.02, "horizontal_flip": True,
        "brightness": 0.1, "contrast": 0.1, "exposure": 0.1, "erasing": 0.1, "cutout": 0.1, "mixup": 0.1,
        "crop": 0.1, "saturation": 0.1, "hue": 0.1, "grayscale": 0.1,
    }  # fmt: skip
    assert set(settings) == {field.name for field in dataclasses.fields(augmentation.Augmentation)} - {"fill"}
    for name, value in settings.items():
        assert len(augmentation.Augmentation(**{name: value}).build(seed=1).layers) == 1, name
    assert len(augmentation.Augmentation(**settings).build().layers) == 9
    with pytest.raises(dataclasses.FrozenInstanceError):
        augmentation.Augmentation().zoom = 0.1


def test_settings_are_read_without_keras():
    code = "import sys; from kerastl.inputs import augmentation; print('keras' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
