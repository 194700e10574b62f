from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from toy import changed

from kerastl import verify
from kerastl.types import Split
from kerastl.verify import benchmark


def test_float_file_gives_the_networks_own_numbers(tiny_files):
    for inputs in (tiny_files.inputs, tiny_files.inputs.astype(np.float64)):
        assert np.abs(verify.predict_tflite(tiny_files.float32, inputs) - tiny_files.expected).max() < 1e-5


def test_the_score_of_a_file_is_that_of_its_answers_by_the_task(tiny_files):
    split = Split("validation", tiny_files.inputs, tiny_files.labels, tiny_files.task)
    labels = np.where(np.arange(len(split)) % 4, tiny_files.expected.argmax(1), (tiny_files.expected.argmax(1) + 1) % 4)
    found = verify.score_tflite(tiny_files.float32, dataclasses.replace(split, labels=labels.astype(np.int32)))
    assert found.value == pytest.approx((np.arange(len(split)) % 4 > 0).mean())
    assert found.low < found.value < found.high


def test_integer_file_takes_camera_bytes_of_any_dtype(tiny_files, tmp_path):
    (tmp_path / "model.tflite").write_bytes(tiny_files.integer)
    answers = verify.predict_tflite(tmp_path / "model.tflite", tiny_files.inputs)
    assert answers.dtype == np.float32
    assert np.abs(answers - tiny_files.expected).mean() < 0.02
    assert np.array_equal(answers * 256, np.rint(answers * 256))
    for dtype in (np.int64, np.float32):
        assert np.array_equal(verify.predict_tflite(tiny_files.integer, tiny_files.inputs.astype(dtype)), answers)


@pytest.mark.parametrize("change", [lambda x: x / 255, lambda x: x - 1.0, lambda x: x * 2.0, lambda x: x * np.nan])
def test_integer_file_refuses_what_is_no_byte(change, tiny_files):
    with pytest.raises(ValueError, match=r"raw pixels.*Received"):
        verify.predict_tflite(tiny_files.integer, change(tiny_files.inputs.astype(np.float32)))


def test_int8_input_takes_camera_bytes_too(tiny_files):
    def as_int8(model):
        """Cuts the QUANTIZE off: what it writes becomes the input."""
        graph = model.subgraphs[0]
        first = graph.operators.pop(0)
        graph.inputs = [first.outputs[0]]
        model.signatureDefs = None

    data = changed(tiny_files.integer, as_int8)
    assert benchmark.inspect(data).input.dtype == "int8"
    answers = verify.predict_tflite(data, tiny_files.inputs)
    assert np.array_equal(answers, verify.predict_tflite(tiny_files.integer, tiny_files.inputs))


@pytest.mark.parametrize("shape", [(3, 8, 8), (3, 28, 28, 1), (8, 8, 1), (3, 8, 8, 3)])
def test_inputs_of_another_shape_are_refused(shape, tiny_files):
    with pytest.raises(ValueError, match=r"\(examples, 8, 8, 1\)"):
        verify.predict_tflite(tiny_files.float32, np.zeros(shape, np.uint8))


def test_a_file_of_two_outputs_answers_by_their_names(tiny_files):
    def doubled(model):
        graph = model.subgraphs[0]
        graph.outputs = [graph.operators[-1].inputs[0], *graph.outputs]
        graph.tensors[graph.outputs[0]].name = b"logits"
        model.signatureDefs = None

    file = changed(tiny_files.float32, doubled)
    names = {tensor.name for tensor in benchmark.inspect(file).outputs}
    answers = verify.predict_tflite(file, tiny_files.inputs)
    assert set(answers) == names
    powers = np.exp(answers.pop("logits"))
    (probabilities,) = answers.values()
    np.testing.assert_array_equal(probabilities, verify.predict_tflite(tiny_files.float32, tiny_files.inputs))
    np.testing.assert_allclose(powers / powers.sum(-1, keepdims=True), probabilities, atol=1e-5)


def test_an_input_of_another_scale_takes_numbers_in_their_own_unit(tiny_files):
    """In as many steps as they are; what lies beyond the range is its end."""

    def scaled(model):
        model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]].quantization.scale = np.array([0.25], np.float32)

    file, dark = changed(tiny_files.integer, scaled), tiny_files.inputs // 4  # 0..63, in steps of a quarter 0..255
    answers = verify.predict_tflite(file, dark.astype(np.float32))
    np.testing.assert_array_equal(answers, verify.predict_tflite(tiny_files.integer, dark))
    ends = np.where(dark > 30, np.float32(63.75), np.float32(0))
    beyond = np.where(dark > 30, np.float32(1e6), np.float32(-7))
    np.testing.assert_array_equal(verify.predict_tflite(file, beyond), verify.predict_tflite(file, ends))


def test_a_text_is_fed_ids_mask_and_segments(tiny_text):
    interpreter = Interpreter(model_content=tiny_text.float32)
    interpreter.allocate_tensors()
    ids = tiny_text.inputs[:1]
    by_hand = {"ids": ids, "mask": (ids > 0).astype(np.int32), "segment_ids": np.zeros((1, 8), np.int32)}
    for source in interpreter.get_input_details():
        interpreter.set_tensor(source["index"], by_hand[source["name"]])
    interpreter.invoke()
    wanted = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_array_equal(verify.predict_tflite(tiny_text.float32, ids, kind=tiny_text.task.inputs), wanted)
    by_name = {name: np.repeat(values, 3, 0) for name, values in by_hand.items()}
    np.testing.assert_array_equal(verify.predict_tflite(tiny_text.float32, by_name), np.repeat(wanted, 3, 0))
    with pytest.raises(ValueError, match=r"by the names of the inputs\. Received: one array, and 3 inputs in the file"):
        verify.predict_tflite(tiny_text.float32, ids)


def test_other_inputs_are_named(tiny_text):
    def renamed(model):
        graph = model.subgraphs[0]
        graph.tensors[graph.inputs[1]].name = b"weights"

    with pytest.raises(ValueError, match=r"ids, mask, segment_ids\. Received: .*weights.* in the file"):
        verify.predict_tflite(changed(tiny_text.float32, renamed), tiny_text.inputs, kind=tiny_text.task.inputs)


@pytest.mark.parametrize("workers", [1, 2, 3, None])
def test_answers_do_not_depend_on_the_number_of_workers(tiny_files, workers):
    inputs = np.random.default_rng(5).integers(0, 256, (401, *tiny_files.inputs.shape[1:]), np.uint8)
    alone = verify.predict_tflite(tiny_files.integer, inputs, workers=1)
    np.testing.assert_array_equal(verify.predict_tflite(tiny_files.integer, inputs, workers=workers), alone)
    assert len(verify.predict_tflite(tiny_files.integer, inputs[:0], workers=workers)) == 0


def test_streamed_pictures_answer_as_the_array(tiny_files, stream):
    inputs = stream(tiny_files.inputs)
    for file in (tiny_files.float32, tiny_files.integer):
        np.testing.assert_array_equal(
            verify.predict_tflite(file, inputs), verify.predict_tflite(file, tiny_files.inputs)
        )
    with pytest.raises(ValueError, match=r"Received: \(200, 8, 9, 1\)"):
        verify.predict_tflite(tiny_files.float32, stream(np.zeros((200, 8, 9, 1), np.uint8)))


def test_no_more_than_a_few_inputs_are_brought_into_the_files_dtype_at_once(tiny_files):
    import tracemalloc

    inputs = np.random.default_rng(5).integers(0, 256, (5000, *tiny_files.inputs.shape[1:]), np.uint8)
    tracemalloc.start()
    verify.predict_tflite(tiny_files.integer, inputs, workers=1)
    assert tracemalloc.get_traced_memory()[1] < 8 * inputs.nbytes / 3  # as float64 they would be eight times as large
    tracemalloc.stop()
