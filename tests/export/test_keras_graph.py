"""The ends of a model by name, and what it is called with, in both Kerases."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tf_keras

from kerastl.export import keras_graph


def two_by_two(library, *, dicts: bool = False):
    one, other = library.layers.Input((4,), name="b first"), library.layers.Input((2,), name="a")
    value = library.layers.Concatenate(name="joined")([one, other])
    outputs = [library.layers.Dense(3, name="z")(value), library.layers.Dense(1, name="y")(value)]
    if dicts:
        return library.Model({"wide": one, "narrow": other}, {"late": outputs[0], "early": outputs[1]})
    return library.Model([one, other], outputs)


@pytest.mark.parametrize("library", [keras, tf_keras], ids=["keras", "tf_keras"])
def test_names_are_the_models_own_in_its_order(library):
    model = two_by_two(library)
    assert keras_graph.names_of(model, "input") == ("b_first", "a")
    assert keras_graph.names_of(model, "output") == ("z", "y")
    specs = keras_graph.specs_of(model, batch=1)
    assert [(spec.name, tuple(spec.shape)) for spec in specs] == [("b_first", (1, 4)), ("a", (1, 2))]


class Own(keras.Model):
    """Somebody's own forward pass."""

    def __init__(self, last=keras.ops.softmax):
        super().__init__()
        self.dense, self.last = keras.layers.Dense(3), last

    def call(self, values):
        return self.last(self.dense(keras.ops.mean(values / 255.0, axis=(1, 2))))


def test_a_subclassed_model_is_one_of_the_inputs_that_it_was_called_on():
    own, x = Own(), np.random.default_rng(0).uniform(0, 255, (5, 4, 4, 2)).astype("float32")
    with pytest.raises(ValueError, match=r"model Own, which was never called on an example.*make it functional"):
        keras_graph.functional(own)
    wanted = own(x)
    found = keras_graph.functional(own)
    assert found.inputs[0].shape == (None, 4, 4, 2)
    np.testing.assert_allclose(found(x), wanted)
    assert keras_graph.functional(found) is found
    own.last = np.asarray  # which no symbol is
    with pytest.raises(ValueError, match=r"called on symbols.*the subclassed model Own, which says"):
        keras_graph.functional(own)


def test_what_changes_nothing_is_seen_through():
    row = keras.Input((4,))
    end = keras.layers.Dense(3, activation="softmax", name="end")(row)
    for layer in (keras.layers.Flatten(), keras.layers.Reshape((3,)), keras.layers.GaussianNoise(0.1)):
        assert keras_graph.changes_nothing(layer_of(layer, end))
        assert keras_graph.last_layer(keras.Model(row, layer(end))).name == "end"
    assert not keras_graph.changes_nothing(layer_of(keras.layers.Reshape((1, 3)), end))


def layer_of(layer, value):
    """The layer, called."""
    layer(value)
    return layer


@pytest.mark.parametrize("library", [keras, tf_keras], ids=["keras", "tf_keras"])
def test_dicts_give_their_keys_and_are_laid_flat(library):
    library.utils.set_random_seed(0)
    model = two_by_two(library, dicts=True)
    assert keras_graph.names_of(model, "input") == ("narrow", "wide")
    assert keras_graph.names_of(model, "output") == ("early", "late")
    wide, narrow = np.ones((2, 4), np.float32), np.full((2, 2), 3, np.float32)
    wanted = model({"wide": wide, "narrow": narrow})
    early, late = keras_graph.flat(model)([narrow, wide])
    np.testing.assert_allclose(early, wanted["early"], atol=1e-6)
    np.testing.assert_allclose(late, wanted["late"], atol=1e-6)


def test_one_input_and_one_output_are_called_as_they_are():
    numbers = keras.Input((4,), name="numbers")
    model = keras.Model(numbers, keras.layers.Dense(3)(numbers))
    assert keras_graph.flat(model) is model
    alone = keras.Model({"x": numbers}, {"y": keras.layers.Dense(3)(numbers)})
    assert keras_graph.names_of(alone, "input") == ("x",)
    assert not isinstance(keras_graph.flat(alone)([np.ones((1, 4))]), dict)


def test_outputs_of_one_layer_are_numbered():
    steps = keras.Input((5, 2), name="steps")
    model = keras.Model(steps, keras.layers.LSTM(3, return_state=True, name="lstm")(steps))
    assert keras_graph.names_of(model, "output") == ("lstm", "lstm_1", "lstm_2")


def test_a_sequential_has_names_as_well():
    model = keras.Sequential([keras.Input((4,), name="numbers"), keras.layers.Dense(3, name="last")])
    assert keras_graph.names_of(model, "input") == ("numbers",)
    assert keras_graph.names_of(model, "output") == ("last",)


def test_what_is_no_model_is_refused():
    with pytest.raises(ValueError, match=r"Keras 3 or tf_keras model. Received: builtins.int"):
        keras_graph.class_of_models(7)
