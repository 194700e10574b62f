from __future__ import annotations

import keras
import numpy as np
import pytest
import tf_keras

from kerastl.compress.tf_keras import composite_layers


class Pair(keras.layers.Layer):
    """Two dense layers, and on demand a weight of its own or a step that no symbol can take."""

    def __init__(self, *, own=False, eager=False, **options):
        super().__init__(**options)
        self.one, self.two = keras.layers.Dense(4, name="dense"), keras.layers.Dense(4, name="dense_of_two")
        self.own, self.eager = own, eager

    def build(self, shape):
        self.one.build(shape)
        self.two.build(shape)
        if self.own:
            self.add_weight(name="own", shape=(4,))
        self.built = True

    def compute_output_shape(self, shape):
        return shape

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs.shape)

    def call(self, inputs):
        if self.eager:
            inputs = keras.ops.convert_to_tensor(np.asarray(inputs))
        return self.two(keras.ops.relu(self.one(inputs))) + inputs


def model(**options) -> keras.Model:
    values = keras.Input((4,), name="values")
    x = Pair(name="pair", **options)(values)
    inner = keras.Sequential([keras.Input((4,)), Pair(name="pair_inside")], name="inner")
    return keras.Model(values, keras.layers.Dense(2, name="dense")(inner(x)))


def test_leaves_come_once_each_in_the_order_of_the_model():
    net = model()
    found = list(composite_layers.leaves(net))
    dense = [layer for layer in found if isinstance(layer, keras.layers.Dense)]
    assert [layer.name for layer in dense] == ["dense", "dense_of_two", "dense", "dense_of_two", "dense"]
    assert len({id(layer) for layer in dense}) == 5
    assert dense[-1] is net.layers[-1]
    assert not any(isinstance(layer, Pair | keras.Model) for layer in found)


def test_leaves_of_tf_keras_are_found_by_the_same_walk():
    inner = tf_keras.Sequential([tf_keras.layers.InputLayer((4,)), tf_keras.layers.Dense(4, name="one")])
    net = tf_keras.Sequential([tf_keras.layers.InputLayer((4,)), inner, tf_keras.layers.Dense(2, name="two")])
    assert [layer.name for layer in composite_layers.leaves(net) if hasattr(layer, "kernel")] == ["one", "two"]


def test_names_are_ones_own_where_they_are_free():
    net = model()
    names = composite_layers.flat_names(net)
    dense = [names[id(layer)] for layer in composite_layers.leaves(net) if isinstance(layer, keras.layers.Dense)]
    assert dense == ["pair_dense", "dense_of_two", "inner_pair_inside_dense", "inner_pair_inside_dense_of_two", "dense"]
    taken = {"add", "add_1"}
    assert [composite_layers.free_name("add", taken) for _ in range(2)] == ["add_2", "add_3"]


def test_a_graph_computes_what_the_layer_does_and_leaves_it_as_it_was():
    pair = model().get_layer("pair")
    symbol = keras.KerasTensor((None, 4))
    with composite_layers.graph_of(pair, ((symbol,), {})) as graph:
        assert [type(one).__name__ for one in graph.operations] == ["InputLayer", "Dense", "Relu", "Dense", "Add"]
        values = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
        np.testing.assert_allclose(graph(values), pair(values), rtol=1e-6)
    assert [len(part._inbound_nodes) for part in (pair.one, pair.two)] == [0, 0]
    assert [len(part._outbound_nodes) for part in (pair.one, pair.two)] == [0, 0]


def test_a_loop_is_said_to_be_one_and_what_does_without_training():
    series = keras.KerasTensor((None, 5, 3))
    loop = keras.layers.GRU(4, name="memory")
    loop.build(series.shape)
    words = r"layer 'memory' of class .*GRU, which has no such parts: it runs in a loop\. .*--tune\.epochs 0"
    with pytest.raises(ValueError, match=words), composite_layers.graph_of(loop, ((series,), {})):
        pass


@pytest.mark.parametrize(
    ("options", "said"),
    [({"own": True}, r"with \['pair/own'\]"), ({"eager": True}, "which has no such parts: it says, .*: .")],
)
def test_what_cannot_be_taken_apart_is_named(options, said):
    pair = model(**options).get_layer("pair")
    wanted = rf"Received: layer 'pair' of class .*Pair,? {said}"
    with (
        pytest.raises(ValueError, match=wanted),
        composite_layers.graph_of(pair, ((keras.KerasTensor((None, 4)),), {})),
    ):
        pass
    assert [len(part._inbound_nodes) for part in (pair.one, pair.two)] == [0, 0]
