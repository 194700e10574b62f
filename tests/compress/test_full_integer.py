from __future__ import annotations

import re

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from kerastl import verify
from kerastl.compress import float_file, ptq
from kerastl.export import tflite
from kerastl.inputs.numbers import Numbers

SERIES = np.random.default_rng(0).normal(size=(64, 4, 6)).astype("float32")
KIND = Numbers((4, 6))


def file_of(*layers) -> tuple[keras.Model, bytes]:
    keras.utils.set_random_seed(0)
    series = keras.Input((4, 6), name="series")
    value = series
    for layer in layers:
        value = layer(value)
    model = keras.Model(series, keras.layers.Dense(3, name="values")(value))
    return model, tflite.convert(model)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_unrolled_recurrent_layers_become_integers_throughout(kind):
    """Of the first step the forget gate is read by nothing, which the quantizer can neither measure nor type."""
    model, file = file_of(getattr(keras.layers, kind)(8, unroll=True, name="steps"))
    wanted = model.predict(SERIES, verbose=0)
    for technique in (ptq.static_int8, ptq.static_int16_activations):
        small = technique(file, calibration=SERIES, inputs=KIND)
        assert np.abs(verify.predict_tflite(small, SERIES) - wanted).max() < 0.15 * np.abs(wanted).max()
        assert all(tensor.type != schema.TensorType.FLOAT32 for tensor in float_file.tensors(small))


@pytest.mark.parametrize(
    ("function", "kept"),
    [
        (lambda value: keras.ops.top_k(value, 2)[0], "TOPK_V2"),  # whose places nothing reads
        (lambda value: keras.ops.cast(keras.ops.top_k(value, 2)[1], "float32") * value[..., :1], "TOPK_V2 CAST"),
        (lambda value: keras.ops.linspace(value[:, 0], keras.ops.max(value, axis=1), 5, axis=1), "REDUCE_MAX"),
    ],
    ids=["values", "places", "two readers"],
)
def test_what_a_refusal_names_may_be_left_float(function, kept):
    model, file = file_of(keras.layers.Dense(6, name="first"), function, keras.layers.Flatten())
    labels = [label for label in float_file.labels_of(float_file.parsed(file)).values() if label]
    keep = [label for label in labels if label.split()[1] in kept.split()]
    with pytest.raises(ValueError, match="would stay float, at " + ", ".join(map(re.escape, keep))):
        ptq.static_int8(file, calibration=SERIES, inputs=KIND)
    small = ptq.static_int8(file, calibration=SERIES, inputs=KIND, keep_float=keep)
    wanted = model.predict(SERIES, verbose=0)
    assert np.median(np.abs(verify.predict_tflite(small, SERIES) - wanted)) < 0.05 * np.abs(wanted).max()


def test_a_padding_of_a_very_large_number_is_refused_as_an_infinite_one():
    """The scale of -1e9 leaves nothing of what is padded."""
    _, file = file_of(lambda value: keras.ops.pad(value, ((0, 0), (1, 1), (0, 0)), constant_values=-1e9))
    with pytest.raises(ValueError, match=r"paddings that 8 bits can hold.* PADV2 .*, which pads with -1e\+09"):
        ptq.static_int8(file, calibration=SERIES, inputs=KIND)


def test_a_front_end_is_left_float_and_the_rest_is_integer():
    front = keras.layers.Conv1D(8, 3, activation="relu", name="front")
    _, file = file_of(front, keras.layers.Conv1D(8, 2, activation="relu", name="behind"), keras.layers.Flatten())
    small = ptq.static_int8(file, calibration=SERIES, inputs=KIND, keep_float=["front"])
    model = float_file.parsed(small)
    (graph,) = model.subgraphs
    kernels = {
        re.split("[/_]", graph.tensors[one.outputs[0]].name.decode())[0]: graph.tensors[one.inputs[1]].type
        for one in graph.operators
        if float_file.builtin_code(model, one) in float_file.KINDS.values()
    }
    assert kernels["front"] == schema.TensorType.FLOAT32
    assert kernels["behind"] == kernels["values"] == schema.TensorType.INT8
    wanted = verify.predict_tflite(file, SERIES)
    assert np.abs(verify.predict_tflite(small, SERIES) - wanted).max() < 0.05 * np.abs(wanted).max()
    with pytest.raises(ValueError, match=r"Received: 'nobody'"):
        ptq.static_int8(file, calibration=SERIES, inputs=KIND, keep_float=["nobody"])
