"""Layer errors against the same network in NumPy, and against files whose ranges were set by the wrong pictures."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils

from kerastl import types, verify
from kerastl.compress import ptq
from kerastl.export import tflite


def test_errors_against_numpy(tiny_files):
    """The last dense layer of the dynamic file, computed by hand from its own rounded weights."""
    quantized = ptq.dynamic_int8(tiny_files.float32)
    rows = verify.layer_errors(quantized, tiny_files.float32, inputs=tiny_files.inputs[:20])
    assert [row.layer.split()[1] for row in rows] == ["CONV_2D", "FULLY_CONNECTED", "SOFTMAX"]
    softmax = rows[-1]
    wanted, got = (verify.predict_tflite(data, tiny_files.inputs[:20]) for data in (tiny_files.float32, quantized))
    by_hand = np.sqrt(np.square(got - wanted).sum() / np.square(wanted).sum())
    assert softmax.error == pytest.approx(by_hand, rel=0.2, abs=1e-3)  # other kernels than the delegate's
    assert all(row.clipped == 0.0 for row in rows)
    assert 0 < max(row.error for row in rows) < 0.05


def test_a_file_has_no_error_against_itself(tiny_files):
    rows = verify.layer_errors(tiny_files.float32, tiny_files.float32, inputs=tiny_files.inputs[:5])
    assert [(row.error, row.clipped) for row in rows] == [(0.0, 0.0)] * 3


def test_layers_are_computed_as_on_a_phone():
    """LiteRT's plain kernels compute 4-bit kernels in blocks wrongly: off by the size of the answers."""
    keras.utils.set_random_seed(0)
    numbers = keras.Input((64,), name="numbers")
    x = keras.layers.Dense(32, activation="relu", name="hidden")(numbers)
    file = tflite.convert(keras.Model(numbers, keras.layers.Dense(4, name="values")(x)))
    inputs = np.random.default_rng(0).uniform(0, 1, (30, 64)).astype("float32")
    blocks = ptq.int4_weights(file, block_size=32)
    rows = verify.layer_errors(blocks, file, inputs=inputs)
    got, wanted = (verify.predict_tflite(one, inputs) for one in (blocks, file))
    assert rows[-1].error == pytest.approx(np.linalg.norm(got - wanted) / np.linalg.norm(wanted), rel=1e-3)
    assert max(row.error for row in rows) < 0.3
    plain = verify.predict_tflite(blocks, inputs, plain=True)
    assert np.linalg.norm(plain - wanted) > 0.5 * np.linalg.norm(wanted), "LiteRT has mended it: see export.final_guard"


def test_clipped_numbers_are_counted(tiny_files):
    """Half the scale of the logits halves their range: what lies beyond it is counted from the float numbers."""
    quantized = ptq.static_int8(tiny_files.float32, calibration=tiny_files.inputs, inputs=tiny_files.task.inputs)
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(quantized))
    graph = model.subgraphs[0]
    logits = next(o.outputs[0] for o in graph.operators if list(graph.tensors[o.outputs[0]].shape) == [1, 4])
    tensor = graph.tensors[logits]
    tensor.quantization.scale = np.asarray(tensor.quantization.scale, np.float32) / 2
    scale, zero_point = float(tensor.quantization.scale[0]), int(tensor.quantization.zeroPoint[0])
    narrow = bytes(flatbuffer_utils.convert_object_to_bytearray(model))
    row = verify.layer_errors(narrow, tiny_files.float32, inputs=tiny_files.inputs)[1]
    features = np.maximum(_convolved(tiny_files), 0)
    values = features @ tiny_files.dense.astype(np.float64) + _bias(tiny_files)
    low, high = (-128 - zero_point - 1) * scale, (127 - zero_point + 1) * scale
    assert row.clipped == pytest.approx(((values < low) | (values > high)).mean(), abs=0.003)
    assert row.clipped > 0.1


def _convolved(files) -> np.ndarray:
    blocks = files.inputs.astype(np.float64).reshape(-1, 2, 4, 2, 4).transpose(0, 1, 3, 2, 4).reshape(-1, 4, 16)
    return (blocks @ files.kernel.reshape(16, -1).astype(np.float64)).reshape(len(files.inputs), -1)


def _bias(files) -> np.ndarray:
    interpreter = Interpreter(model_content=files.float32)
    interpreter.allocate_tensors()
    biases = [t for t in interpreter.get_tensor_details() if tuple(t["shape"]) == (4,) and t["dtype"] == np.float32]
    return interpreter.get_tensor(biases[0]["index"])


def test_files_of_other_layers_are_refused(tiny_files, float_file):
    with pytest.raises(ValueError, match="same layers"):
        verify.layer_errors(tiny_files.float32, float_file, inputs=tiny_files.inputs[:1])
    with pytest.raises(ValueError, match="0 examples"):
        verify.layer_errors(tiny_files.float32, tiny_files.float32, inputs=tiny_files.inputs[:0])


@pytest.fixture
def float_file(tiny_files):
    """The same network without its softmax."""
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(tiny_files.float32))
    last = model.subgraphs[0].operators.pop()
    model.subgraphs[0].outputs = [last.inputs[0]]
    model.signatureDefs = []
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


@pytest.mark.parametrize("wrong", ["dark", "blank"])
def test_wrong_calibration_is_named_by_its_layer(wrong, tiny_files, tmp_path):
    pictures = tiny_files.inputs // 4 if wrong == "dark" else np.full_like(tiny_files.inputs, 40)
    path = tmp_path / "model.tflite"
    artifact = types.Artifact("static_int8", "test", path, integer=True)
    path.write_bytes(
        ptq.static_int8(tiny_files.float32, calibration=tiny_files.inputs[:100], inputs=tiny_files.task.inputs)
    )
    held_out = {"inputs": tiny_files.inputs[100:], "tolerance": verify.LAYERS_INT8}
    worst = verify.check_layers(artifact, tiny_files.float32, **held_out)
    assert worst.error < 0.1
    path.write_bytes(ptq.static_int8(tiny_files.float32, calibration=pictures, inputs=tiny_files.task.inputs))
    for tolerance, words in (
        (verify.LAYERS_INT8, r"(CONV_2D|FULLY_CONNECTED)"),
        (verify.LayerTolerance(error=100.0, clipped=0.005), r"the range of \d\. (CONV_2D|FULLY_CONNECTED)"),
        (verify.LayerTolerance(error=0.1, clipped=1.0), r"layer \d\. (CONV_2D|FULLY_CONNECTED)"),
    ):
        with pytest.raises(verify.VerificationError, match=words):
            verify.check_layers(artifact, tiny_files.float32, inputs=held_out["inputs"], tolerance=tolerance)
