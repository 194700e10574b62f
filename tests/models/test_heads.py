"""One last layer for every architecture."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np

from kerastl.inputs.image import Image
from kerastl.inputs.numbers import Numbers
from kerastl.models import heads
from kerastl.tasks.multi_label import MultiLabel
from kerastl.tasks.multi_task import MultiTask
from kerastl.tasks.regression import Regression
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Task

TASK = Task("toy", Image((8, 8, 1)), SingleLabel(("a", "b", "c")))


class Halved(SingleLabel):
    """A target that puts something behind the last layer."""

    def finish(self, outputs, *, name=None):
        return keras.layers.Rescaling(0.5, name="halved")(outputs)


def network(task: Task) -> keras.Model:
    keras.utils.set_random_seed(0)
    features = keras.Input((5,))
    return keras.Model(features, heads.outputs(features, task))


def test_a_dense_layer_named_logits_in_float32_whatever_the_policy():
    row = np.random.default_rng(0).normal(size=(2, 5)).astype("float32")
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = network(TASK)
    finally:
        keras.config.set_dtype_policy("float32")
    assert (model.layers[-1].name, model.layers[-1].activation) == ("logits", keras.activations.linear)
    assert model.output.dtype == "float32"
    kernel, bias = model.layers[-1].get_weights()
    np.testing.assert_allclose(model(row), row @ kernel + bias, atol=0.05)
    assert network(dataclasses.replace(TASK, target=MultiLabel(("a", "b")))).output_shape == (None, 2)


def test_the_target_says_what_stands_behind_it():
    row = np.random.default_rng(0).normal(size=(2, 5)).astype("float32")
    halved, plain = (
        network(dataclasses.replace(TASK, target=kind(TASK.target.names))) for kind in (Halved, SingleLabel)
    )
    assert [layer.name for layer in halved.layers][-2:] == ["logits", "halved"]
    np.testing.assert_allclose(halved(row), np.asarray(plain(row)) / 2, atol=1e-6)


def test_raw_inputs_are_brought_to_the_size_of_one():
    """Pixels by one layer; numbers place by place, and what lies far outside counts as ten deviations."""
    image = keras.Input((8, 8, 1))
    pixels = keras.Model(image, heads.standardized(image, TASK))
    assert [type(layer).__name__ for layer in pixels.layers] == ["InputLayer", "Rescaling"]
    rows = np.array([[0.0, 255.0], [255.0, 0.0]]).repeat(32, 1).reshape(2, 8, 8, 1)
    np.testing.assert_allclose(pixels(rows), rows / 255, atol=1e-6)
    kind = Numbers((2,), mean=(100.0, -0.5), spread=(10.0, 0.001))
    row = keras.Input((2,))
    numbers = keras.Model(row, heads.standardized(row, dataclasses.replace(TASK, inputs=kind)))
    table = np.array([[100.0, -0.5], [115.0, -0.501], [1e6, 7.0], [-1e6, -7.0]], np.float32)
    np.testing.assert_allclose(numbers(table), [[0, 0], [1.5, -1], [10, 10], [-10, -10]], atol=1e-3)


def test_several_tasks_have_a_head_each_on_the_same_features():
    """Two of numbers, whose last layers would else be called alike."""
    number = Regression(("y",), (5.0,), (2.0,))
    target = MultiTask((("side", TASK.target), ("heat", number), ("cold", number)))
    model = network(dataclasses.replace(TASK, target=target))
    assert model.count_params() == 6 * (3 + 1 + 1)
    row = np.random.default_rng(0).normal(size=(2, 5)).astype("float32")
    found = {name: values.numpy() for name, values in model(row).items()}
    assert {name: values.shape for name, values in found.items()} == {"side": (2, 3), "heat": (2, 1), "cold": (2, 1)}
    kernel, bias = model.get_layer("logits_heat").get_weights()
    np.testing.assert_allclose(found["heat"], 2 * (row @ kernel + bias) + 5, atol=1e-5)
