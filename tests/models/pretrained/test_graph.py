from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from kerastl.models.pretrained import graph


def nested() -> keras.Model:
    """A model in a model, a Sequential, a shared layer, an operation without weights, and statistics of its own."""
    keras.utils.set_random_seed(0)
    inner_in = keras.Input((8, 8, 4))
    inner = keras.Model(inner_in, layers.Conv2D(4, 3, padding="same", name="inner_conv")(inner_in), name="inner")
    sequence = keras.Sequential([layers.Conv2D(4, 1, name="first"), layers.ReLU(name="second")], name="sequence")
    image = keras.Input((8, 8, 3), name="picture")
    normalization = layers.Normalization(name="normalization")
    normalization.adapt(np.random.default_rng(0).normal(3, 5, (50, 8, 8, 3)))
    x = sequence(normalization(image))
    shared = layers.Conv2D(4, 1, name="shared")
    x = shared(x) + inner(shared(x))
    return keras.Model(image, layers.GlobalAveragePooling2D(name="pool")(x), name="nested")


def test_a_flat_graph_answers_the_same():
    model = nested()
    assert not graph.is_flat(model)
    image = keras.Input((8, 8, 3), name="image")
    flat = keras.Model(image, graph.flatten(model, image))
    assert graph.is_flat(flat)
    raw = np.random.default_rng(1).normal(size=(3, 8, 8, 3)).astype("float32")
    np.testing.assert_allclose(flat(raw), model(raw), atol=1e-5)
    names = [layer.name for layer in flat.layers]
    assert {"first", "second", "inner_conv", "shared", "normalization"} <= set(names)
    assert names.count("shared") == 1


def test_layers_are_copies_with_one_output_each():
    model = nested()
    image = keras.Input((8, 8, 3), name="image")
    flat = keras.Model(image, graph.flatten(model, image))
    keras.Model(flat.inputs, flat.get_layer("inner_conv").output)  # of this graph, not of the other
    before = [weight.numpy() for weight in model.weights]
    for weight in flat.weights:
        weight.assign(np.zeros(weight.shape))
    for old, weight in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(old, weight.numpy())


def test_what_is_frozen_stays_frozen():
    model = nested()
    model.get_layer("shared").trainable = False
    image = keras.Input((8, 8, 3), name="image")
    flat = keras.Model(image, graph.flatten(model, image))
    assert not flat.get_layer("shared").trainable
    assert flat.get_layer("first").trainable


class Forgetful(layers.Layer):
    """Says more of itself than its constructor takes."""

    def call(self, inputs):
        return inputs

    def get_config(self):
        return {**super().get_config(), "extra": 1}


def test_what_cannot_be_laid_flat_is_named():
    image = keras.Input((8, 8, 3), name="image")
    one = keras.Input((8, 8, 3))
    two = keras.Model([one, keras.Input((2,), name="other")], one)
    with pytest.raises(ValueError, match=r"from one picture to one tensor. Received: .* inputs \['keras_tensor"):
        graph.flatten(two, image)
    with pytest.raises(ValueError, match="and 2 outputs"):
        graph.flatten(keras.Model(one, [one, one + 1]), image)
    with pytest.raises(ValueError, match="'forgetful' of class Forgetful cannot be made again"):
        graph.flatten(keras.Model(one, Forgetful(name="forgetful")(one)), image)
    dense = keras.Model(one, layers.Dense(2, name="dense")(layers.Flatten()(one)))
    with pytest.raises(ValueError, match="layer 'dense' do not fit pictures of this size"):
        graph.flatten(dense, keras.Input((16, 16, 3)))

    class Sub(keras.Model):
        pass

    with pytest.raises(ValueError, match="the subclassed model Sub"):
        graph.flatten(Sub(), image)


def test_several_inputs_and_outputs_are_laid_flat_in_their_order():
    given = [keras.Input((4,), name="left"), keras.Input((4,), name="right")]
    inner = keras.Model(given, [layers.Subtract()(given), layers.Dense(2, name="dense")(given[0])], name="inner")
    outer = [keras.Input((4,)), keras.Input((4,))]
    difference, dense = inner(outer)
    model = keras.Model(outer, [dense, difference])
    fresh = [keras.Input((4,), name="one"), keras.Input((4,), name="two")]
    flat = keras.Model(fresh, graph.flatten_all(model, fresh))
    assert graph.is_flat(flat)
    random = np.random.default_rng(0)
    values = [random.normal(size=(3, 4)).astype("float32") for _ in fresh]
    for one, other in zip(flat(values), model(values), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
