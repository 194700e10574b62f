"""One last layer for every architecture."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np

from kerastl.inputs.image import Image
from kerastl.models import heads
from kerastl.tasks.multi_label import MultiLabel
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Task

TASK = Task("toy", Image((8, 8, 1)), SingleLabel(("a", "b", "c")))


class Halved(SingleLabel):
    """A target that puts something behind the last layer."""

    def finish(self, outputs):
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
