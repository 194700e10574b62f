"""Corruptions of pictures: what each one does, graded, against SciPy, Pillow and TensorFlow."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy import ndimage

from kerastl.evaluate.corruptions import pictures


@pytest.fixture(scope="module")
def photos() -> np.ndarray:
    """Smooth pictures of 40 by 32 pixels in colour, with an edge."""
    random = np.random.default_rng(0)
    made = ndimage.gaussian_filter(random.uniform(0, 255, (6, 40, 32, 3)), (0, 3, 3, 0))
    made = (made - made.min()) / (made.max() - made.min()) * 200 + 20
    made[:, 10:20, 8:16] = 240
    return made.astype(np.uint8)


@pytest.mark.parametrize("name", pictures.LEVELS)
def test_each_is_the_worse_the_stronger_and_the_same_again(name, photos):
    away = []
    for strength in pictures.STRENGTHS:
        found = pictures.corrupted(photos, name, strength)
        assert found.shape == photos.shape
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, pictures.corrupted(photos, name, strength))
        away.append(np.abs(found.astype(float) - photos).mean())
    assert all(np.diff(away) > 0), away
    assert away[0] > 0.2
    assert len(pictures.corrupted(photos[:0], name, 1)) == 0


@pytest.mark.parametrize("name", ["gaussian_noise", "shift"])
def test_another_seed_is_another_draw(name, photos):
    assert (pictures.corrupted(photos, name, 3) != pictures.corrupted(photos, name, 3, seed=1)).any()


def test_noise_and_light_are_of_the_stated_size():
    grey = np.full((20, 32, 32, 1), 128, np.uint8)
    assert pictures.corrupted(grey, "gaussian_noise", 2).std() == pytest.approx(255 * 0.12, rel=0.02)
    assert (pictures.corrupted(grey, "brightness", 1) == round(128 + 25.5)).all()


def test_contrast_keeps_each_pictures_mean(photos):
    found = pictures.corrupted(photos, "contrast", 2)
    assert found.std((1, 2)) == pytest.approx(photos.std((1, 2)) / 2, abs=1)
    assert found.mean((1, 2)) == pytest.approx(photos.mean((1, 2)), abs=0.6)


def test_jpeg_is_pillows(photos):
    with io.BytesIO() as sink:
        Image.fromarray(photos[0]).save(sink, "JPEG", quality=15)
        np.testing.assert_array_equal(pictures.corrupted(photos, "jpeg", 3)[0], np.asarray(Image.open(sink)))
    assert pictures.corrupted(photos[..., :1], "jpeg", 3).shape == (6, 40, 32, 1)


def test_a_rotation_is_scipys(photos):
    found = pictures.corrupted(photos, "rotation", 4)
    either = [
        ndimage.rotate(photos[0].astype(float), angle, axes=(0, 1), reshape=False, order=1, mode="nearest")
        for angle in (22, -22)
    ]
    assert min(np.abs(found[0] - one)[4:-4, 4:-4].mean() for one in either) < 0.6


def test_resizing_is_tensorflows_without_antialiasing(photos):
    """Which is MediaPipe's: four neighbours of each sample."""
    wanted = tf.image.resize(photos.astype(np.float32), (13, 11), method="bilinear", antialias=False).numpy()
    np.testing.assert_allclose(pictures.resized(photos, (13, 11)), wanted, atol=1e-3)
    averaged = tf.image.resize(photos.astype(np.float32), (13, 11), method="bilinear", antialias=True).numpy()
    assert np.abs(wanted - averaged).mean() > 1


def test_a_shift_goes_as_far_as_stated():
    dot = np.zeros((8, 50, 50, 1), np.uint8)
    dot[:, 25, 25] = 255
    found = pictures.corrupted(dot, "shift", 5).astype(float)[..., 0]
    places = [ndimage.center_of_mass(one) for one in found]
    assert np.hypot(*(np.array(places).T - 25)) == pytest.approx(10, abs=0.6)
    assert len({tuple(np.round(place)) for place in places}) > 3, "each its own direction"


def test_what_there_is_not_is_refused(photos):
    with pytest.raises(ValueError, match="gaussian_noise, blur"):
        pictures.corrupted(photos, "snow", 1)
    with pytest.raises(ValueError, match="at 1 to 5"):
        pictures.corrupted(photos, "blur", 6)
    with pytest.raises(ValueError, match="uint8"):
        pictures.corrupted(photos.astype(float), "blur", 1)
