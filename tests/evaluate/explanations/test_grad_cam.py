"""Grad-CAM against the formula in NumPy."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
import toy

from kerastl.evaluate.explanations import grad_cam, sanity


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, 1), name="image")
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.Conv2D(6, 3, strides=2, activation="relu", padding="same", name="conv")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    made = toy.at_random(keras.Model(image, keras.layers.Dense(3, name="logits")(x)))
    kernel, bias = made.get_layer("conv").get_weights()
    made.get_layer("conv").set_weights([np.abs(kernel) - 0.1, bias])
    made.get_layer("logits").set_weights([np.eye(3).repeat(2, 0) * [2, 1, 1.5] - 0.3, np.zeros(3)])
    return made


PICTURES = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 1)).astype(np.uint8)


def test_maps_are_those_of_the_formula(model):
    """Behind a mean and a dense layer the mean slope of a feature map is its weight divided by its places."""
    classes = np.array([0, 1, 2, 0, 1])
    features = np.asarray(keras.Model(model.inputs, model.get_layer("conv").output)(PICTURES.astype(np.float32)))
    kernel = np.asarray(model.get_layer("logits").get_weights()[0])
    raw = np.maximum((features * kernel[:, classes].T[:, None, None] / 64).sum(-1), 0)
    wanted = tf.image.resize(raw[..., None], (16, 16)).numpy()[..., 0]
    wanted /= np.maximum(wanted.max((1, 2), keepdims=True), 1e-30)
    found = grad_cam.explainer(model)(PICTURES, classes)
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    np.testing.assert_array_equal(grad_cam.explainer(model, layer="conv")(PICTURES, classes), found)


def test_another_classs_map_is_another_and_so_is_that_of_other_weights(model):
    explain = grad_cam.explainer(model)
    zeros, ones = np.zeros(5, int), np.ones(5, int)
    before = explain(PICTURES, zeros)
    assert abs(sanity.correlation(before, explain(PICTURES, ones))) < 0.9
    with sanity.randomized(model):
        assert sanity.rank_correlation(before, explain(PICTURES, zeros)) < 0.9
    np.testing.assert_array_equal(explain(PICTURES, zeros), before)


@pytest.mark.parametrize("scaling", [keras.layers.Rescaling(1 / 255), keras.layers.Normalization(mean=1, variance=2)])
def test_a_scaled_picture_is_no_feature_map(scaling):
    image = keras.Input((6, 6, 1))
    flat = keras.layers.Flatten()(scaling(image))
    with pytest.raises(grad_cam.NoFeatureMaps):
        grad_cam.explainer(keras.Model(image, keras.layers.Dense(2)(flat)))


def test_models_without_feature_maps_are_refused(model):
    rows = keras.Input((4,))
    with pytest.raises(ValueError, match="with feature maps"):
        grad_cam.explainer(keras.Model(rows, keras.layers.Dense(2)(rows)))
    with pytest.raises(ValueError, match="no layer 'convolution'"):
        grad_cam.explainer(model, layer="convolution")
