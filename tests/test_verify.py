from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from kerastl import benchmark, types, verify

LOOSE = verify.Tolerance(agreement=0.0, score_drop=1.0)


def changed(data: bytes, change) -> bytes:
    """The file with its parsed form changed."""
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(data))
    for buffer in model.buffers:
        if buffer.data is not None:
            buffer.data = np.array(buffer.data, np.uint8)
    change(model)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def weights(model, *, axes: int) -> tuple[object, np.ndarray]:
    """The one constant tensor of so many axes, and its bytes, to be written to."""
    found = [t for t in model.subgraphs[0].tensors if t.shape is not None and len(t.shape) == axes]
    found = [t for t in found if model.buffers[t.buffer].data is not None]
    assert len(found) == 1
    return found[0], model.buffers[found[0].buffer].data


@pytest.fixture
def checked(tiny_files, tmp_path):
    """Writes bytes to a file and checks it against the tiny network."""

    def check(data: bytes, *, tolerance=verify.FLOAT32, count=None, **claims) -> types.Verification:
        path = tmp_path / "model.tflite"
        path.write_bytes(data)
        split = types.Split("validation", tiny_files.inputs, tiny_files.labels).head(count)
        artifact = types.Artifact("tiny", "test", path, **claims)
        return verify.check(artifact, split, expected=tiny_files.expected[:count], tolerance=tolerance)

    return check


def fails(check: str):
    return pytest.raises(verify.VerificationError, match=f"failed the check of {check}")


def test_files_that_are_the_model_pass(tiny_files, checked):
    wanted = (tiny_files.expected.argmax(-1) == tiny_files.labels).mean()
    assert wanted > 0.9
    found = checked(tiny_files.float32)
    assert found.float_score == found.score.value == wanted
    assert found.agreement == 1.0
    assert found.max_difference < 1e-5
    found = checked(tiny_files.integer, tolerance=verify.INT8, integer=True)
    assert found.agreement >= 0.98
    assert 0 < found.max_difference < 0.2


def test_float_file_gives_the_networks_own_numbers(tiny_files):
    for inputs in (tiny_files.inputs, tiny_files.inputs.astype(np.float64)):
        assert np.abs(verify.run_file(tiny_files.float32, inputs) - tiny_files.expected).max() < 1e-5


def test_integer_file_takes_camera_bytes_of_any_dtype(tiny_files, tmp_path):
    (tmp_path / "model.tflite").write_bytes(tiny_files.integer)
    answers = verify.run_file(tmp_path / "model.tflite", tiny_files.inputs)
    assert answers.dtype == np.float32
    assert np.abs(answers - tiny_files.expected).mean() < 0.02
    assert np.array_equal(answers * 256, np.rint(answers * 256))
    for dtype in (np.int64, np.float32):
        assert np.array_equal(verify.run_file(tiny_files.integer, tiny_files.inputs.astype(dtype)), answers)


@pytest.mark.parametrize("change", [lambda x: x / 255, lambda x: x - 1.0, lambda x: x * 2.0, lambda x: x * np.nan])
def test_integer_file_refuses_what_is_no_byte(change, tiny_files):
    with pytest.raises(ValueError, match=r"raw pixels.*Received"):
        verify.run_file(tiny_files.integer, change(tiny_files.inputs.astype(np.float32)))


def test_int8_input_takes_camera_bytes_too(tiny_files):
    def as_int8(model):
        """Cuts the QUANTIZE off: what it writes becomes the input."""
        graph = model.subgraphs[0]
        first = graph.operators.pop(0)
        graph.inputs = [first.outputs[0]]
        model.signatureDefs = None

    data = changed(tiny_files.integer, as_int8)
    assert benchmark.facts(data).input.dtype == "int8"
    answers = verify.run_file(data, tiny_files.inputs)
    assert np.array_equal(answers, verify.run_file(tiny_files.integer, tiny_files.inputs))


@pytest.mark.parametrize("shape", [(3, 8, 8), (3, 28, 28, 1), (8, 8, 1), (3, 8, 8, 3)])
def test_inputs_of_another_shape_are_refused(shape, tiny_files):
    with pytest.raises(ValueError, match=r"\(examples, 8, 8, 1\)"):
        verify.run_file(tiny_files.float32, np.zeros(shape, np.uint8))


def test_other_bytes_are_refused(checked):
    with pytest.raises(ValueError, match="TFLite"):
        verify.run_file(b"PK\x03\x04 a zip file", np.zeros((1, 8, 8, 1)))
    with fails("format"):
        checked(b"PK\x03\x04 a zip file")


def test_files_of_two_outputs_are_refused(tiny_files):
    def doubled(model):
        graph = model.subgraphs[0]
        graph.outputs = [graph.operators[-1].inputs[0], *graph.outputs]
        model.signatureDefs = None

    with pytest.raises(ValueError, match="1 and 2"):
        verify.run_file(changed(tiny_files.float32, doubled), tiny_files.inputs)


def test_nan(tiny_files, checked):
    data = changed(tiny_files.float32, lambda model: weights(model, axes=4)[1].view(np.float32).fill(np.nan))
    with fails("finite answers"):
        checked(data, tolerance=LOOSE)


def test_float_file_that_claims_to_be_integer(tiny_files, checked):
    with fails("input dtype"):
        checked(tiny_files.float32, tolerance=LOOSE, integer=True)


def test_integer_file_that_does_not_say_so(tiny_files, checked):
    with fails("input dtype"):
        checked(tiny_files.integer, tolerance=LOOSE)


def test_float_operator_in_an_integer_file(tiny_files, checked):
    def with_float_softmax(model):
        """Reads the softmax as floats between a DEQUANTIZE and a QUANTIZE; integer ends stay."""
        graph = model.subgraphs[0]
        softmax = graph.operators[-2]
        inside = []
        for index in (softmax.inputs[0], softmax.outputs[0]):
            tensor = schema.TensorT()
            tensor.shape, tensor.type, tensor.buffer = graph.tensors[index].shape, schema.TensorType.FLOAT32, 0
            tensor.name = b"float%d" % index
            graph.tensors.append(tensor)
            inside.append(len(graph.tensors) - 1)
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
        code.version = 2
        model.operatorCodes.append(code)
        dequantize = schema.OperatorT()
        dequantize.opcodeIndex = len(model.operatorCodes) - 1
        dequantize.inputs, dequantize.outputs = [softmax.inputs[0]], [inside[0]]
        quantize = schema.OperatorT()
        quantize.opcodeIndex = graph.operators[0].opcodeIndex
        quantize.inputs, quantize.outputs = [inside[1]], [softmax.outputs[0]]
        softmax.inputs, softmax.outputs = [inside[0]], [inside[1]]
        graph.operators.insert(-2, dequantize)
        graph.operators.insert(-1, quantize)

    data = changed(tiny_files.integer, with_float_softmax)
    verify.run_file(data, tiny_files.inputs[:2])  # the interpreter has nothing against it
    with pytest.raises(verify.VerificationError, match=r"integer operators.*DEQUANTIZE.*SOFTMAX.*QUANTIZE"):
        checked(data, tolerance=LOOSE, integer=True)


@pytest.mark.parametrize("name", [b"FlexSoftmax", b"MyOwnSoftmax"])
def test_flex_and_custom_operators(name, tiny_files, checked):
    def foreign(model):
        code = model.operatorCodes[model.subgraphs[0].operators[-1].opcodeIndex]
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
        code.customCode = name

    data = changed(tiny_files.float32, foreign)
    with pytest.raises(verify.VerificationError, match=f"operators only: wanted no Flex.*{name.decode()}"):
        checked(data, tolerance=LOOSE)
    with pytest.raises(ValueError, match="built-in operators"):
        verify.run_file(data, tiny_files.inputs)


def test_input_scale_other_than_raw_bytes(tiny_files, checked):
    def scaled(model):
        model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]].quantization.scale = np.array([1 / 255], np.float32)

    with fails("input scale and zero point"):
        checked(changed(tiny_files.integer, scaled), tolerance=LOOSE, integer=True)


def test_output_without_a_scale(tiny_files, checked):
    def bare(model):
        model.subgraphs[0].tensors[model.subgraphs[0].outputs[0]].quantization = None

    with fails("output scale"):
        checked(changed(tiny_files.integer, bare), tolerance=LOOSE, integer=True)


def test_file_of_another_model(tiny_files, checked):
    data = changed(tiny_files.float32, lambda model: np.negative(*[weights(model, axes=4)[1].view(np.float32)] * 2))
    with fails("agreement"):
        checked(data, tolerance=dataclasses.replace(LOOSE, agreement=0.98))
    with fails("score on validation"):
        checked(data, tolerance=dataclasses.replace(LOOSE, score_drop=0.003))
    with fails("score above chance"):
        checked(rotated(tiny_files.float32), tolerance=LOOSE)
    with fails("largest difference"):
        checked(data, tolerance=dataclasses.replace(LOOSE, max_difference=0.1, agreement=0.0), count=1)


def rotated(data: bytes) -> bytes:
    """The answers of one class go to the next: never right, always sure."""

    def change(model):
        tensor, values = weights(model, axes=2)
        values.view(np.float32).reshape(tensor.shape)[:] = np.roll(values.view(np.float32).reshape(tensor.shape), 1, 0)

    return changed(data, change)


def test_constant_answers(tiny_files, checked):
    data = changed(tiny_files.float32, lambda model: weights(model, axes=2)[1].fill(0))
    with fails("answers that depend on the input"):
        checked(data, tolerance=LOOSE)


def test_logits_in_place_of_probabilities(tiny_files, checked):
    def without_softmax(model):
        graph = model.subgraphs[0]
        graph.outputs = [graph.operators.pop().inputs[0]]
        model.signatureDefs = None

    with fails("probabilities"):
        checked(changed(tiny_files.float32, without_softmax), tolerance=LOOSE)


def test_other_number_of_classes(tiny_files, tmp_path):
    (tmp_path / "model.tflite").write_bytes(tiny_files.float32)
    split = types.Split("validation", tiny_files.inputs, tiny_files.labels)
    artifact = types.Artifact("tiny", "test", tmp_path / "model.tflite")
    with fails("output shape"):
        verify.check(artifact, split, expected=np.full((len(split), 7), 1 / 7), tolerance=LOOSE)
    with pytest.raises(ValueError, match="Wanted probabilities"):
        verify.check(artifact, split, expected=tiny_files.expected[:5], tolerance=LOOSE)
    with pytest.raises(ValueError, match="finite"):
        verify.check(artifact, split, expected=tiny_files.expected * np.nan, tolerance=LOOSE)
    with fails("running it"):
        other = types.Split("validation", np.zeros((len(split), 9, 9, 1), np.uint8), tiny_files.labels)
        verify.check(artifact, other, expected=tiny_files.expected, tolerance=LOOSE)


@pytest.mark.parametrize("kind", ["float32", "integer"])
def test_claimed_sparsity(kind, tiny_files, checked):
    data = getattr(tiny_files, kind)
    claims = {"tolerance": LOOSE, "integer": kind == "integer"}

    def pruned(model):
        for axes in (2, 4):
            values = weights(model, axes=axes)[1].view(np.float32 if kind == "float32" else np.int8)
            values[np.argsort(np.abs(values))[: len(values) // 2]] = 0

    with fails("claimed sparsity"):
        checked(data, sparsity=0.5, **claims)
    checked(changed(data, pruned), sparsity=0.5, **claims)
    with fails("claimed sparsity"):
        checked(changed(data, pruned), sparsity=0.6, **claims)


def test_one_example_is_always_allowed(tiny_files, tmp_path):
    """On 40 examples one that turns is 2.5 %, above every tolerance there is."""
    (tmp_path / "model.tflite").write_bytes(tiny_files.float32)
    artifact = types.Artifact("tiny", "test", tmp_path / "model.tflite")
    split = types.Split("test", tiny_files.inputs[:40], tiny_files.labels[:40])
    expected = tiny_files.expected[:40].copy()
    expected[3] = np.roll(expected[3], 1)
    assert verify.check(artifact, split, expected=expected, tolerance=verify.INT8).agreement == 39 / 40
    expected[4] = np.roll(expected[4], 1)
    with fails("agreement"):
        verify.check(artifact, split, expected=expected, tolerance=verify.INT8)


def test_wilson_interval_against_written_down_numbers():
    """Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662; 0 of 20 gives 0 to 0.1611."""
    for right, count, low, high in ((81, 263, 0.2553, 0.3662), (0, 20, 0.0, 0.1611), (29, 29, 0.8830, 1.0)):
        rows = np.zeros((count, 2))
        rows[:right, 1] = 1
        rows[right:, 0] = 1
        found = verify.score(rows, np.ones(count, int))
        assert found.value == right / count
        assert found.count == count
        assert (round(found.low, 4), round(found.high, 4)) == (low, high)
    with pytest.raises(ValueError, match="one label a row"):
        verify.score(np.zeros((0, 2)), np.zeros(0))


def variant(name: str, *, size: int, milliseconds: float, validation: float, test: float = 0.0) -> types.Variant:
    tensor = types.Tensor("image", "uint8", (1, 8, 8, 1), 1.0, 0)
    measured = [types.Verification(types.Score(v, v, v, 100), 0.99, 1.0, 0.0) for v in (validation, test)]
    return types.Variant(
        types.Artifact(name, "test", Path(f"{name}.tflite")),
        types.FileFacts("", size, size, size, 0.0, types.Operators(1, 1, 0, 0), tensor, tensor),
        types.Latency(milliseconds, milliseconds, 1, 200),
        *measured,
    )


def test_choice_is_made_on_validation_within_the_budget():
    variants = [
        variant("float32", size=900, milliseconds=0.3, validation=0.99, test=0.1),
        variant("integer", size=300, milliseconds=0.2, validation=0.988, test=0.1),
        variant("fast", size=500, milliseconds=0.1, validation=0.987, test=0.1),
        variant("int4", size=100, milliseconds=0.05, validation=0.9869, test=1.0),
    ]
    smallest = verify.choose(variants, float_validation_score=0.99, prefer="smallest", budget=0.003)
    assert smallest.name == "integer"
    assert "300 bytes" in smallest.why
    assert "int4 (0.9869)" in smallest.why
    assert "3 of 4" in smallest.why
    assert verify.choose(variants, float_validation_score=0.99, prefer="fastest", budget=0.003).name == "fast"
    with pytest.raises(verify.VerificationError, match=r"budget.*>= 0.9950.*integer 0.9880"):
        verify.choose(variants, float_validation_score=0.998, budget=0.003)
    with pytest.raises(ValueError, match="smallest, fastest"):
        verify.choose(variants, float_validation_score=0.99, prefer="prettiest")
    with pytest.raises(ValueError, match="0 variants"):
        verify.choose([], float_validation_score=0.99)


def test_by_class_against_a_count_by_hand():
    labels = np.array([0, 0, 0, 0, 1, 1, 3])
    answers = np.eye(4)[[0, 0, 0, 2, 1, 0, 3]]
    found = verify.by_class(answers, labels, class_names=("a", "b", "c", "d"))
    assert found.examples == {"a": 4, "b": 2, "c": 0, "d": 1}
    assert found.recall == {"a": 0.75, "b": 0.5, "c": None, "d": 1.0}
    assert found.balanced_accuracy == pytest.approx(0.75)
    assert found.majority_baseline == pytest.approx(4 / 7)
    with pytest.raises(ValueError, match="Wanted probabilities of shape"):
        verify.by_class(answers, labels, class_names=("a", "b"))


@pytest.mark.parametrize("workers", [1, 2, 3, None])
def test_answers_do_not_depend_on_the_number_of_workers(tiny_files, workers):
    inputs = np.random.default_rng(5).integers(0, 256, (401, *tiny_files.inputs.shape[1:]), np.uint8)
    alone = verify.run_file(tiny_files.integer, inputs, workers=1)
    np.testing.assert_array_equal(verify.run_file(tiny_files.integer, inputs, workers=workers), alone)
    assert len(verify.run_file(tiny_files.integer, inputs[:0], workers=workers)) == 0
