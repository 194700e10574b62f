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
