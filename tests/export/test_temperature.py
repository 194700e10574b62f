"""A temperature inside of a model, in floats and in integers, whatever the model ends in."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import toy

from kerastl import verify
from kerastl.compress import ptq
from kerastl.export import serving, temperature, tflite
from kerastl.inputs.numbers import Numbers
from kerastl.tasks.multi_label import MultiLabel
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Task

X = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)


def ends(kind: str) -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,), name="numbers")
    hidden = keras.layers.Dense(8, activation="relu", name="hidden")(inputs)
    if kind == "softmax inside":
        return keras.Model(inputs, keras.layers.Dense(3, activation="softmax", name="end")(hidden))
    logits = keras.layers.Dense(3, name="logits")(hidden)
    if kind == "softmax behind":
        return keras.Model(inputs, keras.layers.Softmax(name="probabilities")(logits))
    if kind == "sum":
        return keras.Model(inputs, keras.layers.Add(name="sum")([logits, keras.layers.Dense(3)(hidden)]))
    if kind == "nested":
        inner = keras.Model(inputs, logits, name="inner")
        outer = keras.Input((4,), name="numbers")
        return keras.Model(outer, inner(outer))
    return keras.Model(inputs, logits)


@pytest.mark.parametrize("kind", ["logits", "softmax inside", "softmax behind", "sum", "nested"])
def test_logits_are_divided_whatever_the_model_ends_in(kind):
    model = ends(kind)
    before = [weight.copy() for weight in model.get_weights()]
    plain = np.asarray(serving.with_logits(model, toy.DIRECTIONS)(X), np.float64)
    made = temperature.fold(model, toy.DIRECTIONS, temperature=2.5)
    np.testing.assert_allclose(np.asarray(made(X)), plain / 2.5, atol=1e-6)
    answers = np.asarray(serving.with_answers(made, toy.DIRECTIONS)(X))
    np.testing.assert_allclose(answers, toy.softmax(plain, 2.5), atol=1e-6)
    for weight, again in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, again)
    if kind == "logits":
        assert [layer.name for layer in made.layers] == [layer.name for layer in model.layers]


def test_one_logit_for_two_classes_is_divided():
    inputs = keras.Input((4,), name="numbers")
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid", name="end")(inputs))
    kernel, bias = model.get_layer("end").get_weights()
    made = temperature.fold(model, Task("two", Numbers((4,)), SingleLabel(("no", "yes"))), temperature=4.0)
    wanted = np.c_[np.zeros(len(X)), (X @ kernel + bias) / 4]
    np.testing.assert_allclose(np.asarray(made(X)), wanted, atol=1e-6)


def test_the_files_have_it_float_and_integer_without_an_operation_more(tiny_files):
    model = toy.at_random(toy.one_convolution())
    model.get_layer("logits").set_weights([10 * weight for weight in model.get_layer("logits").get_weights()])
    made, task = temperature.fold(model, tiny_files.task, temperature=3.0), tiny_files.task
    logits = np.asarray(model(tiny_files.inputs.astype(np.float32)), np.float64)
    wanted = toy.softmax(logits, 3.0)
    assert np.abs(wanted - toy.softmax(logits)).max() > 0.1
    content = tflite.convert(made, task)
    np.testing.assert_allclose(verify.predict_tflite(content, tiny_files.inputs), wanted, atol=1e-5)
    integer = ptq.static_int8(content, calibration=tiny_files.inputs, inputs=task.inputs)
    assert np.abs(verify.predict_tflite(integer, tiny_files.inputs) - wanted).max() < 0.05
    plain = verify.benchmark.inspect(tflite.convert(model, task))
    assert verify.benchmark.inspect(content).operators == plain.operators


@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan")])
def test_what_is_no_temperature_is_refused(value):
    with pytest.raises(ValueError, match="positive temperature"):
        temperature.fold(ends("logits"), toy.DIRECTIONS, temperature=value)


def test_classes_that_do_not_exclude_one_another_are_refused():
    several = Task("several", Numbers((4,)), MultiLabel(("a", "b", "c")))
    with pytest.raises(ValueError, match="of one class an example"):
        temperature.fold(ends("logits"), several, temperature=2.0)
