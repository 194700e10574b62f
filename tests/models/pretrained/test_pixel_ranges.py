"""The range of pixels that a model was trained for: what makes it of bytes, and when it is chosen or asked for."""

from __future__ import annotations

import re

import keras
import numpy as np
import pytest

from kerastl.models.pretrained import pixel_ranges
from kerastl.models.pretrained.pixel_ranges import RANGES


def own(raw: np.ndarray, pixels: str) -> np.ndarray:
    """Pixels 0..255 in a model's own range, by the book."""
    if pixels == "mean_std":
        return (raw / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    if pixels == "caffe_bgr":
        return raw[..., ::-1] - np.array([103.939, 116.779, 123.68])
    return {"0..255": raw, "0..1": raw / 255, "-1..1": raw / 127.5 - 1}[pixels]


@pytest.mark.parametrize("pixels", RANGES)
def test_bytes_become_a_models_own_pixels(pixels):
    raw = np.random.default_rng(0).integers(0, 256, (2, 3, 3, 3)).astype("float32")
    image = keras.Input((3, 3, 3))
    found = keras.Model(image, RANGES[pixels].behind(image) * 1)(raw)
    np.testing.assert_allclose(found, own(raw, pixels), rtol=1e-5, atol=1e-4)


def test_the_modes_are_those_of_keras():
    raw = np.random.default_rng(0).integers(0, 256, (2, 3, 3, 3)).astype("float32")
    for pixels, mode in (("caffe_bgr", "caffe"), ("mean_std", "torch"), ("-1..1", "tf")):
        theirs = keras.applications.imagenet_utils.preprocess_input(raw.copy(), mode=mode)
        np.testing.assert_allclose(own(raw, pixels), theirs, atol=1e-3)


def test_grey_pictures_have_no_ranges_of_colours():
    assert pixel_ranges.of_channels(1) == ("0..255", "0..1", "-1..1")
    assert pixel_ranges.of_channels(3) == tuple(RANGES)


def answered(share: float, sure: float, *, classes: int = 4, count: int = 400, seed: int = 0) -> pixel_ranges.Fit:
    """A share of labels answered right, by logits that reach ``sure`` above the others."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, count)
    shown = np.where(np.arange(count) < share * count, labels, (labels + 1) % classes)
    return pixel_ranges.fit(sure * np.eye(classes)[shown] + random.normal(0, 0.1, (count, classes)), labels)


def test_a_fit_is_the_log_loss_of_the_labels():
    logits, labels = np.array([[2.0, 0.0, -1.0], [0.0, 1.0, 3.0]]), np.array([0, 1])
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    found = pixel_ranges.fit(logits, labels)
    np.testing.assert_allclose(found.losses, -np.log(shares[[0, 1], labels]))
    assert found.right.tolist() == [True, False]
    assert found.share == 0.5
    assert pixel_ranges.fit(np.full((2, 3), np.nan), labels).loss == np.inf


def test_the_least_log_loss_is_taken_whatever_the_share_says():
    """A network without biases: as many right answers, and everything is certain."""
    fits = {"0..255": answered(0.9, 500.0), "0..1": answered(0.9, 3.0)}
    assert pixel_ranges.best(fits) == "0..1"
    assert list(pixel_ranges.doubts(fits, classes=4)) == []


@pytest.mark.parametrize(
    ("fits", "words"),
    [
        ({"a": answered(0.9, 3.0), "b": answered(0.9, 3.0, seed=1)}, "fit alike"),
        ({"a": answered(0.9, 3.0), "b": answered(0.9, 3.01)}, "fit alike"),
        # without a mistake whoever is surer has the smaller loss
        ({"a": answered(1.0, 500.0), "b": answered(1.0, 5.0)}, "fit alike"),
        # that one is sure of nothing is no merit: it has no fit
        ({"a": answered(0.6, 30.0), "b": answered(0.6, 0.3)}, "b has the least log-loss"),
        ({"a": answered(0.8, 20.0), "b": answered(0.5, 0.5)}, "a of .* answers 80.0% right, where b has 50.0%"),
    ],
)
def test_a_doubt_is_said(fits, words):
    ((name, said),) = pixel_ranges.doubts(fits, classes=4)
    assert name != pixel_ranges.best(fits)
    assert re.search(words, said)


def test_what_cannot_be_is_no_doubt():
    fits = {"a": answered(0.9, 3.0), "b": pixel_ranges.fit(np.full((400, 4), np.inf), np.zeros(400, int))}
    assert pixel_ranges.best(fits) == "a"
    assert list(pixel_ranges.doubts(fits, classes=4)) == []
