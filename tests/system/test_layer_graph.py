"""The graph of a model gone through: each layer is called as often as the model calls it, in an order that works."""

import keras
import numpy as np
import pytest

from kerastl.system import layer_graph


@pytest.fixture
def nested():
    """A model inside a model, a layer that is called twice, an operation without weights, two ends."""
    keras.utils.set_random_seed(0)
    inner_input = keras.Input((4,), name="inner_input")
    inner = keras.Model(inner_input, keras.layers.Dense(4, activation="tanh", name="inside")(inner_input), name="inner")
    first, second = keras.Input((4,), name="first"), keras.Input((4,), name="second")
    shared = keras.layers.Dense(4, name="shared")
    both = shared(inner(first)) + shared(second)
    return keras.Model([first, second], [keras.layers.Dense(2, name="wide")(both), keras.layers.ReLU(name="r")(both)])


def test_layers_called_again_give_the_same_answers(nested):
    calls = []

    def call(layer, arguments, options, owner):
        calls.append((owner, layer.name))
        return layer(*arguments, **options)

    inputs = [keras.Input((4,)) for _ in range(2)]
    again = keras.Model(inputs, layer_graph.replayed(nested, inputs, call))
    examples = [np.random.default_rng(place).normal(size=(3, 4)).astype("float32") for place in range(2)]
    for one, other in zip(again(examples), nested(examples), strict=True):
        np.testing.assert_array_equal(one, other)
    names = [name for _, name in calls]
    assert sorted(names) == ["inside", "r", "shared", "shared", "wide"]
    assert ("inner", "inside") in calls
    assert all(owner == nested.name for owner, name in calls if name != "inside")


@pytest.mark.parametrize("inner_by", ["list", "dict"])
def test_an_inner_model_called_with_a_mapping_gets_its_inputs_by_name(inner_by):
    """Also where the names are in another order than the inputs, or there is a name more."""
    keras.utils.set_random_seed(0)
    b, a = keras.Input((2,), name="b"), keras.Input((2,), name="a")
    inner = keras.Model([b, a] if inner_by == "list" else {"b": b, "a": a}, 10 * b + a, name="inner")
    first, second = keras.Input((2,), name="first"), keras.Input((2,), name="second")
    outer = keras.Model([first, second], inner({"a": first, "b": second}))
    inputs = [keras.Input((2,)) for _ in range(2)]
    again = layer_graph.replayed(outer, inputs, lambda layer, args, options, _: layer(*args, **options))
    examples = [np.full((1, 2), 1.0, "float32"), np.full((1, 2), 2.0, "float32")]
    np.testing.assert_array_equal(outer(examples), [[21.0, 21.0]])
    np.testing.assert_array_equal(keras.Model(inputs, again)(examples), [[21.0, 21.0]])


def test_a_sequential_model_has_a_graph_and_a_subclassed_one_has_none():
    sequential = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    inputs = keras.Input((4,))
    (output,) = layer_graph.replayed(sequential, [inputs], lambda layer, args, options, _: layer(*args, **options))
    assert output.shape == (None, 2)

    class Own(keras.Model):
        def call(self, inputs):
            return inputs

    assert not layer_graph.is_functional(Own())
    assert not layer_graph.is_functional(keras.layers.Dense(2))


def test_a_layer_is_made_again_with_other_settings_or_refused_by_name():
    layer = keras.layers.Dense(2, activation="relu", name="first")
    again = layer_graph.made_again(layer, {"units": 5, "name": "other"})
    assert (again.units, again.name, again.activation) == (5, "other", layer.activation)

    class Forgetful(keras.layers.Layer):
        def __init__(self, width):
            super().__init__(name="forgetful")
            self.width = width

        def get_config(self):
            return {"name": self.name}

    with pytest.raises(
        ValueError, match=r"'forgetful' of class Forgetful cannot be made again from its own configuration"
    ):
        layer_graph.made_again(Forgetful(3), {})
