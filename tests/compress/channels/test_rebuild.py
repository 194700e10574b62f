from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from kerastl.compress.channels import rebuild


def nested() -> keras.Model:
    """A model called twice, a Sequential, a shared layer, an operation, own statistics, a name that comes twice."""
    keras.utils.set_random_seed(0)
    inner_in = keras.Input((8, 8, 4))
    inner = keras.Model(inner_in, layers.Conv2D(4, 3, padding="same", name="conv")(inner_in), name="inner")
    sequence = keras.Sequential([layers.Conv2D(4, 1, name="conv"), layers.ReLU(name="second")], name="sequence")
    image = keras.Input((8, 8, 3), name="picture")
    normalization = layers.Normalization(name="normalization")
    normalization.adapt(np.random.default_rng(0).normal(3, 5, (50, 8, 8, 3)))
    x = sequence(normalization(image))
    shared = layers.Conv2D(4, 1, kernel_regularizer="l2", dtype="mixed_bfloat16", name="shared")
    x = inner(shared(x)) + inner(shared(layers.Dropout(0.3, seed=7, name="dropout")(x)))
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(image, {"one": layers.Dense(2, name="logits")(x), "two": x}, name="nested")


def test_a_copy_without_changes_answers_bitwise_the_same():
    model = nested()
    model.get_layer("shared").trainable = False
    copy = rebuild.rebuilt(model, {})
    raw = np.random.default_rng(1).normal(size=(3, 8, 8, 3)).astype("float32")
    wanted, received = model(raw, training=False), copy(raw, training=False)
    assert set(received) == {"one", "two"}
    for name in wanted:
        np.testing.assert_array_equal(received[name], wanted[name])
    names = [layer.name for layer in copy.layers]
    assert not any(isinstance(layer, keras.Model) for layer in copy.layers)
    assert {"picture", "normalization", "conv", "second", "shared", "inner_conv", "norm", "logits"} <= set(names)
    assert copy.name == "nested"
    shared = copy.get_layer("shared")
    assert shared is not model.get_layer("shared")
    assert not shared.trainable
    assert copy.get_layer("norm").trainable
    assert shared.dtype_policy.name == "mixed_bfloat16"
    assert shared.kernel_regularizer is not None
    assert copy.get_layer("dropout").rate == 0.3
    assert copy.count_params() == model.count_params()


def test_the_model_that_was_given_is_left_alone():
    model = nested()
    before, config = model.get_weights(), model.to_json()
    copy = rebuild.rebuilt(model, {})
    for weight in copy.weights:
        weight.assign(np.zeros(weight.shape))
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert model.to_json() == config


def test_layers_of_other_sizes_have_slices_of_the_weights():
    model = keras.Sequential([keras.Input((4,), name="x"), layers.Dense(3, name="a"), layers.Dense(2, name="b")])
    kept = np.array([2, 0])
    changes = {
        "a": rebuild.Change({"units": 2}, {0: [(1, kept)], 1: [(0, kept)]}),
        "b": rebuild.Change({}, {0: [(0, kept)]}),
    }
    small = rebuild.rebuilt(model, changes)
    kernel, bias, last, last_bias = model.get_weights()
    for received, wanted in zip(small.get_weights(), (kernel[:, kept], bias[kept], last[kept], last_bias), strict=True):
        np.testing.assert_array_equal(received, wanted)


class Forgetful(layers.Layer):
    """Says more of itself than its constructor takes."""

    def call(self, inputs):
        return inputs

    def get_config(self):
        return {**super().get_config(), "extra": 1}


def relu(x):
    """Keras writes it down as its own."""
    return x[..., ::-1]


def test_what_cannot_be_made_again_is_named():
    image = keras.Input((8, 8, 3), name="image")
    with pytest.raises(ValueError, match=r"'turned' of class Activation .* takes Keras' 'relu' for the function"):
        rebuild.rebuilt(keras.Model(image, layers.Activation(relu, name="turned")(image)), {})
    rebuild.rebuilt(keras.Model(image, layers.Dense(2, activation=layers.ReLU())(image)), {})  # a layer is a new one
    with pytest.raises(ValueError, match="'forgetful' of class Forgetful cannot be made again"):
        rebuild.rebuilt(keras.Model(image, Forgetful(name="forgetful")(image)), {})

    class Sub(keras.Model):
        pass

    with pytest.raises(ValueError, match=r"functional model. Received: Sub"):
        rebuild.rebuilt(Sub(), {})
    with pytest.raises(ValueError, match="whose input has no shape yet"):
        rebuild.rebuilt(keras.Sequential([layers.Dense(2)], name="unbuilt"), {})
