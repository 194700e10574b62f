"""Softplus of large numbers is the number itself, in files as in models."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from kerastl.export import softplus, tflite
from kerastl.verify import predict_tflite
from tests.export.files import operators

NUMBERS = np.array([[-1e30, -200, -80, -20, -3, -0.5, 0, 0.5, 3, 20, 80, 90, 200, 1e30]], np.float32)


def model_of(function) -> keras.Model:
    numbers = keras.Input((NUMBERS.shape[1],), name="numbers")
    return keras.Model(numbers, function(numbers))


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize(
    "function",
    [
        keras.layers.Activation("softplus"),
        lambda value: keras.ops.log(1 + keras.ops.exp(value)),
        lambda value: keras.ops.softplus(value) * keras.ops.softplus(value - 1),
    ],
    ids=["activation", "by_hand", "twice"],
)
def test_large_numbers_stay_what_they_are(function, plain):
    data = tflite.convert(model_of(function))
    numbers = np.clip(NUMBERS, -1e15, 1e15)
    exact = np.logaddexp(0, numbers.astype(np.float64))
    wanted = exact * np.logaddexp(0, numbers.astype(np.float64) - 1) if operators(data).count("LOG") == 2 else exact
    np.testing.assert_allclose(predict_tflite(data, numbers, plain=plain), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "beside",
    [
        keras.ops.selu,  # whose exponential is the same operator in a file
        lambda value: keras.ops.tanh(keras.ops.exp(value) + 1),
    ],
    ids=["exponential", "sum"],
)
def test_what_another_function_reads_stays(beside):
    model = model_of(lambda value: [keras.ops.softplus(value), beside(value)])
    data, numbers = tflite.convert(model), np.clip(NUMBERS, -80, 1e15)
    for found, wanted in zip(predict_tflite(data, numbers).values(), model(numbers), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    kinds = operators(data)
    assert (kinds.count("LOG"), kinds.count("EXP")) == (1, 2)


def test_a_network_of_softplus_answers_like_the_model():
    keras.utils.set_random_seed(1)
    numbers = keras.Input((12,), name="numbers")
    value = keras.layers.Dense(16, activation="softplus")(numbers)
    model = keras.Model(numbers, keras.layers.Dense(3, activation="softplus")(value))
    inputs = np.random.default_rng(0).uniform(0, 250, (8, 12)).astype(np.float32)
    np.testing.assert_allclose(
        predict_tflite(tflite.convert(model), inputs), model.predict(inputs, verbose=0), rtol=1e-4, atol=1e-5
    )


def test_other_logarithms_are_left():
    data = tflite.convert(model_of(lambda value: keras.ops.log(2 + keras.ops.exp(keras.ops.tanh(value)))))
    assert softplus.as_stable(data) is data
    assert "MINIMUM" not in operators(data)
