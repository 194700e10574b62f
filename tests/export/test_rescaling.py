"""A scale of pixels costs no operator, and stays where it cannot be taken over."""

from __future__ import annotations

import numpy as np
import pytest
from toy import softmax

from kerastl.export import tflite
from tests.export.files import answers, operators, task_of


def test_rescaling_costs_no_operator(float_file, integer_file):
    assert operators(float_file) == ["CONV_2D"] * 4 + ["MEAN", "FULLY_CONNECTED", "SOFTMAX"]
    assert operators(integer_file) == [
        "QUANTIZE", *["CONV_2D"] * 4, "MEAN", "FULLY_CONNECTED", "SOFTMAX", "QUANTIZE",
    ]  # fmt: skip


def test_rescaling_with_an_offset_stays_in_the_graph(tmp_path, student, digits, pictures):
    import keras

    model = student(keras, scale=1 / 127.5, offset=-1.0)
    data = tflite.write(model, tmp_path / "model.tflite", digits)
    inputs, _ = pictures(4)
    wanted = softmax(model.predict(inputs.astype(np.float32), verbose=0).astype(np.float64))
    assert np.abs(answers(data, inputs) - wanted).max() < 1e-5
    assert operators(data)[:2] == ["MUL", "ADD"]


@pytest.mark.parametrize("branch", ["another scale", "none"])
def test_an_input_that_others_read_as_well_stays_as_it_is(branch):
    """The factor cannot be taken out of a graph whose other readers want plain pixels."""
    import keras

    keras.utils.set_random_seed(0)
    image = keras.Input((4, 4, 1), name="image")
    one = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))
    other = keras.layers.Flatten()(keras.layers.Rescaling(1 / 127.5)(image) if branch == "another scale" else image)
    model = keras.Model(image, keras.layers.Dense(3, name="logits")(keras.layers.Concatenate()([one, other])))
    inputs = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 1)).astype(np.float32)
    np.testing.assert_allclose(
        answers(tflite.convert(model, task_of(model)), inputs), softmax(model.predict(inputs, verbose=0)), atol=1e-5
    )


def test_a_sequential_takes_the_factor_over_as_well(tmp_path):
    """Loaded from a file every layer of one was called many times on the same input."""
    import keras

    keras.utils.set_random_seed(0)
    layers = [keras.layers.Rescaling(1 / 255), keras.layers.Conv2D(4, 3), keras.layers.Flatten(), keras.layers.Dense(3)]
    keras.Sequential([keras.Input((8, 8, 1), name="image"), *layers]).save(tmp_path / "model.keras")
    model = keras.saving.load_model(tmp_path / "model.keras")
    data = tflite.convert(model, task_of(model))
    assert "MUL" not in operators(data)
    inputs = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 1)).astype(np.float32)
    np.testing.assert_allclose(answers(data, inputs), softmax(model.predict(inputs, verbose=0)), atol=1e-5)
