from __future__ import annotations

import keras
import numpy as np
import pytest
import tf_keras

from kerastl.compress.tf_keras import tf_keras_layers

VALUES = np.random.default_rng(0).normal(0, 4, (2, 5, 5, 6)).astype("float32")


@pytest.mark.parametrize("name", sorted(tf_keras_layers.ACTIVATIONS))
def test_an_activation_is_keras_3s_function(name):
    wanted = keras.ops.convert_to_numpy(getattr(keras.activations, name)(VALUES))
    np.testing.assert_allclose(tf_keras_layers.ACTIVATIONS[name](VALUES), wanted, rtol=1e-5, atol=1e-6)


def copied(layer: tf_keras.layers.Layer) -> tf_keras.layers.Layer:
    """As TF-MOT copies: through the configuration, by the registered name."""
    return tf_keras.layers.deserialize(tf_keras.layers.serialize(layer))


def test_scale_multiplies_each_channel():
    layer = copied(tf_keras_layers.Scale(name="scale"))
    layer(VALUES)
    factors = np.arange(6, dtype="float32")
    layer.set_weights([factors])
    np.testing.assert_allclose(layer(VALUES), VALUES * factors)


def test_channels_are_a_slice():
    layer = copied(tf_keras_layers.Channels(1, 4, name="some"))
    np.testing.assert_array_equal(layer(VALUES), VALUES[..., 1:4])


@pytest.mark.parametrize("value", [0.0, 1.5, -np.inf, None])
def test_pad_is_numpys(value):
    pads = ((0, 0), (1, 2), (0, 1), (0, 0))
    layer = copied(tf_keras_layers.Pad(pads, value, name="pad"))
    options = {"mode": "symmetric"} if value is None else {"constant_values": value}
    np.testing.assert_array_equal(layer(VALUES), np.pad(VALUES, pads, **options))


def test_functions_can_be_copied_with_their_layers():
    for function in tf_keras_layers.ACTIVATIONS.values():
        assert copied(tf_keras.layers.Activation(function)).activation is function
