"""The numbers inside a file, batch by batch of its calibration."""

from __future__ import annotations

import keras
import numpy as np

from kerastl.compress import calibration_runs, float_file
from kerastl.export import tflite
from kerastl.inputs.numbers import Numbers


def test_each_batch_has_its_own_tensors():
    numbers = keras.Input((3,), name="numbers")
    hidden = keras.layers.Dense(5, activation="relu", name="hidden")(numbers)
    model = keras.Model(numbers, keras.layers.Dense(2, name="values")(hidden))
    content = float_file.named(tflite.convert(model))
    rows = np.random.default_rng(0).normal(size=(7, 3)).astype("float32")
    sources = float_file.calibrated(content, rows, inputs=Numbers((3,)))
    wanted = keras.Model(numbers, hidden).predict(rows, verbose=0)
    found = []
    for interpreter in calibration_runs.each(content, sources):
        (place,) = [one["index"] for one in interpreter.get_tensor_details() if list(one["shape"]) == [1, 5]]
        found.append(interpreter.get_tensor(place)[0])
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)
