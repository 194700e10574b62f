from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from toy import changed

from kerastl import types, verify
from kerastl.export import final_guard, packing
from kerastl.inputs.image import Image
from kerastl.inputs.named import Named
from kerastl.inputs.numbers import Numbers
from kerastl.tasks.agreement import Agreement
from kerastl.tasks.multi_label import MultiLabel
from kerastl.tasks.multi_task import MultiTask
from kerastl.tasks.regression import Regression
from kerastl.tasks.single_label import SingleLabel
from kerastl.verify import checks
from kerastl.verify.answers import row_of

UINT8, INT16 = schema.TensorType.UINT8, schema.TensorType.INT16
LOOSE = verify.Tolerance(agreement=0.0, score_drop=1.0)


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
        split = types.Split("validation", tiny_files.inputs, tiny_files.labels, tiny_files.task).take(count)
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


def test_other_bytes_are_refused(checked):
    with pytest.raises(ValueError, match="TFLite"):
        verify.predict_tflite(b"PK\x03\x04 a zip file", np.zeros((1, 8, 8, 1)))
    with fails("format"):
        checked(b"PK\x03\x04 a zip file")


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
    verify.predict_tflite(data, tiny_files.inputs[:2])  # the interpreter has nothing against it
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
        verify.predict_tflite(data, tiny_files.inputs)


def test_input_scale_other_than_raw_bytes(tiny_files, checked):
    def scaled(model):
        model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]].quantization.scale = np.array([1 / 255], np.float32)

    with fails("input scale and zero point"):
        checked(changed(tiny_files.integer, scaled), tolerance=LOOSE, integer=True)


def test_numbers_have_the_scale_that_was_measured(tiny_files, tmp_path):
    """The same file is no file of pixels, and one of numbers in steps of a quarter."""

    def scaled(model):
        model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]].quantization.scale = np.array([0.25], np.float32)

    path = tmp_path / "model.tflite"
    path.write_bytes(changed(tiny_files.integer, scaled))
    task = dataclasses.replace(tiny_files.task, inputs=Numbers((8, 8, 1)))
    dark = tiny_files.inputs // 4
    split = types.Split("test", dark.astype(np.float32), tiny_files.labels, task)
    artifact = types.Artifact("tiny", "test", path, integer=True)
    expected = verify.predict_tflite(tiny_files.integer, dark)
    assert verify.check(artifact, split, expected=expected, tolerance=verify.FLOAT32).agreement == 1.0
    with fails("input scale and zero point"):
        verify.check(artifact, dataclasses.replace(split, task=tiny_files.task), expected=expected, tolerance=LOOSE)


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


RARE = types.Task("defects", Image((8, 8, 1)), SingleLabel(("sound", "defect")))
RARE_LABELS = np.repeat([1, 0], [20, 980]).astype(np.int32)


@pytest.mark.parametrize("asked_for", ["one class", "several classes", "several tasks"])
def test_a_rare_class_of_which_half_is_lost(asked_for, tmp_path, monkeypatch, tiny_files):
    """Two in a hundred have a defect: 99 % still agree, and the score falls by a point, of one of two tasks by half."""
    task, labels = RARE, RARE_LABELS
    expected = np.where(RARE_LABELS[:, None] == [0, 1], 0.9, 0.1)
    if asked_for == "several classes":
        task, labels = dataclasses.replace(RARE, target=MultiLabel(RARE.target.names)), np.eye(2, dtype="int32")[labels]
    if asked_for == "several tasks":  # of which half of the examples, all of them sound, lack the first
        side = np.arange(1000) % 2
        task = dataclasses.replace(
            RARE, target=MultiTask((("state", RARE.target), ("side", SingleLabel(("left", "right")))))
        )
        labels = {"state": np.where(np.arange(1000) < 500, labels, -1), "side": side}
        expected = {"state": expected, "side": np.where(side[:, None] == [0, 1], 0.9, 0.1)}
    split = types.Split("validation", np.zeros((1000, 8, 8, 1), np.uint8), labels, task)
    (tmp_path / "model.tflite").write_bytes(tiny_files.float32)
    artifact = types.Artifact("tiny", "test", tmp_path / "model.tflite")
    asked = dataclasses.replace(verify.INT8, agreement=0.95, score_drop=0.02)

    def check(lost):
        answers = types.each(np.copy, expected)
        table = answers["state"] if isinstance(answers, dict) else answers
        table[:lost] = table[:lost, ::-1]
        monkeypatch.setattr(checks, "predict_tflite", lambda _, given, **named: row_of(answers, np.arange(len(given))))
        return verify.check(artifact, split, expected=expected, tolerance=asked)

    assert check(5).agreement == 0.995
    wanted = r"recall of every class: wanted .*25%.*10 of 20 of 'defect'"
    with pytest.raises(verify.VerificationError, match=wanted) as found:
        check(10)
    assert found.value.tolerance == "agreement"


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
    split = types.Split("validation", tiny_files.inputs, tiny_files.labels, tiny_files.task)
    artifact = types.Artifact("tiny", "test", tmp_path / "model.tflite")
    with fails("output shape"):
        verify.check(artifact, split, expected=np.full((len(split), 7), 1 / 7), tolerance=LOOSE)
    with pytest.raises(ValueError, match=r"Wanted answers \(200, outputs\), not empty"):
        verify.check(artifact, split, expected=tiny_files.expected[:5], tolerance=LOOSE)
    with pytest.raises(ValueError, match="finite"):
        verify.check(artifact, split, expected=tiny_files.expected * np.nan, tolerance=LOOSE)
    with fails("running it"):
        other = types.Split("validation", np.zeros((len(split), 9, 9, 1), np.uint8), tiny_files.labels, tiny_files.task)
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


@pytest.mark.parametrize("kind", ["float32", "integer"])
def test_claimed_clusters(kind, tiny_files, checked):
    """Every kernel of a claimed size is counted: one value too many, in one channel, fails the proof."""
    sizes = (tiny_files.kernel.size, tiny_files.dense.size)
    claims = {"tolerance": LOOSE, "integer": kind == "integer"}

    def coarse(model, *, whole=False, spoil=0):
        for axes in (2, 4):
            tensor, data = weights(model, axes=axes)
            values = data.view(np.float32 if kind == "float32" else np.int8).reshape(tensor.shape[0], -1)
            for group in values.reshape(1, -1) if whole else values:
                levels = np.linspace(group.min(), group.max(), 12 if whole else 6).astype(values.dtype)
                group[:] = levels[np.abs(group[:, None] * 1.0 - levels).argmin(-1)]
            values[-1, :spoil] = 0.7 * values[-1].max()

    data, claim = getattr(tiny_files, kind), types.ClusterClaim(6, sizes)
    with fails("claimed clusters"):
        checked(data, clusters=claim, **claims)
    checked(changed(data, coarse), clusters=claim, **claims)
    whole = changed(data, lambda model: coarse(model, whole=True))
    checked(whole, clusters=types.ClusterClaim(12, sizes, per_kernel=True), **claims)
    checked(whole, clusters=types.ClusterClaim(12, sizes), **claims)
    for wrong in (
        types.ClusterClaim(5, sizes),
        types.ClusterClaim(6, sizes, per_kernel=True),
        types.ClusterClaim(6, (*sizes, sizes[0])),
        types.ClusterClaim(6, (*sizes, 12345)),
    ):
        with fails("claimed clusters"):
            checked(changed(data, coarse), clusters=wrong, **claims)
    with fails("claimed clusters"):
        checked(changed(data, lambda model: coarse(model, spoil=1)), clusters=claim, **claims)


def test_one_example_is_always_allowed(tiny_files, tmp_path):
    """On 40 examples one that turns is 2.5 %, above every tolerance there is."""
    (tmp_path / "model.tflite").write_bytes(tiny_files.float32)
    artifact = types.Artifact("tiny", "test", tmp_path / "model.tflite")
    split = types.Split("test", tiny_files.inputs[:40], tiny_files.labels[:40], tiny_files.task)
    expected = tiny_files.expected[:40].copy()
    expected[3] = np.roll(expected[3], 1)
    strict = verify.Tolerance(agreement=0.9995, score_drop=1.0)
    assert verify.check(artifact, split, expected=expected, tolerance=strict).agreement == 39 / 40
    expected[4] = np.roll(expected[4], 1)
    with fails("agreement"):
        verify.check(artifact, split, expected=expected, tolerance=strict)
    assert verify.check(artifact, split, expected=expected, tolerance=verify.INT8).agreement == 38 / 40
    expected[5:7] = np.roll(expected[5:7], 1, 1)
    with fails("agreement"):  # two of forty are chance where 2 % may turn, four are not
        verify.check(artifact, split, expected=expected, tolerance=verify.INT8)


def test_sparsity_is_the_one_that_was_asked_for(tiny_files, checked):
    """Half a point off is noticed: too few anywhere, too many in a float file; rounding may add some to integers."""

    def pruned(share):
        def change(model):
            for axes in (2, 4):
                values = weights(model, axes=axes)[1].view(np.float32)
                values[np.argsort(np.abs(values))[: round(share * len(values))]] = 0

        return changed(tiny_files.float32, change)

    claims = {"tolerance": LOOSE, "sparsity": 0.5}
    checked(pruned(0.5), **claims)
    for share in (0.47, 0.53):
        with fails("claimed sparsity"):
            checked(pruned(share), **claims)


def test_a_lost_class_is_noticed_where_agreement_would_let_it_go(tiny_files, tmp_path):
    """Six of 156 pictures are of class 3; the file answers class 2 to them, and still agrees on 96 %."""
    (tmp_path / "model.tflite").write_bytes(tiny_files.float32)
    artifact = types.Artifact("tiny", "test", tmp_path / "model.tflite")
    rare = np.flatnonzero(tiny_files.labels == 3)[:6]
    rows = np.r_[np.flatnonzero(tiny_files.labels != 3), rare]
    split = types.Split("test", tiny_files.inputs[rows], tiny_files.labels[rows], tiny_files.task)
    assert verify.check(artifact, split, expected=tiny_files.expected[rows], tolerance=verify.INT4).agreement == 1.0
    data = changed(tiny_files.float32, lambda model: _silence(model, 3))
    (tmp_path / "model.tflite").write_bytes(data)
    with fails("predictions of every class"):
        verify.check(
            artifact,
            split,
            expected=tiny_files.expected[rows],
            tolerance=dataclasses.replace(verify.INT4, score_drop=1.0),
        )


def _silence(model, index: int) -> None:
    """A class's kernel becomes negative, and what it reads is not: it is never the largest."""
    values = weights(model, axes=2)[1].view(np.float32).reshape(4, -1)
    values[index] = -10


def test_a_text_takes_integers_and_answers_in_float(tiny_text, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(tiny_text.float32)
    artifact = types.Artifact("float32", "float32", path)
    split = types.Split("test", tiny_text.inputs, tiny_text.labels, tiny_text.task)
    assert verify.check(artifact, split, expected=tiny_text.expected, tolerance=verify.FLOAT32).score.value == 1
    # the same file is no file of pictures
    task = dataclasses.replace(tiny_text.task, inputs=Image((4, 2, 1)))
    pictures = types.Split("test", tiny_text.inputs.reshape(-1, 4, 2, 1).astype(np.uint8), tiny_text.labels, task)
    with pytest.raises(verify.VerificationError, match="input dtype: wanted FLOAT32, got INT32"):
        verify.check(artifact, pictures, expected=tiny_text.expected, tolerance=verify.FLOAT32)


def test_plain_kernels_are_asked_as_well(tiny_files, tmp_path, monkeypatch):
    """An app without a delegate computes with LiteRT's plain kernels, and gets another network of some files."""
    path = tmp_path / "toy.tflite"
    path.write_bytes(tiny_files.float32)
    labels = tiny_files.expected.argmax(1).astype(np.int32)
    split = types.Split("validation", tiny_files.inputs, labels, tiny_files.task)
    artifact, asked = types.Artifact("toy", "test", path), []

    def without_delegate_wrong(data, inputs, *, kind, plain=False):
        asked.append((plain, len(inputs)))
        return np.roll(verify.predict_tflite(data, inputs, kind=kind), int(plain), -1)

    monkeypatch.setattr("kerastl.verify.checks.predict_tflite", without_delegate_wrong)
    with pytest.raises(verify.VerificationError, match=r"agreement of plain kernels.*needs XNNPACK"):
        verify.check(artifact, split, expected=tiny_files.expected, tolerance=verify.INT8)
    assert asked == [(False, len(split)), (True, 32)]
    model = packing.unpack(tiny_files.float32)
    final_guard.say_needs_xnnpack(model)
    path.write_bytes(packing.pack(model))
    verify.check(artifact, split, expected=tiny_files.expected, tolerance=verify.INT8)


def several(tiny_files, tmp_path, answers, expected, labels, *, tolerance=LOOSE):
    """The check of a file that answers with ``answers``, for examples that may have several classes."""
    path = tmp_path / "several.tflite"
    path.write_bytes(tiny_files.float32)
    task = dataclasses.replace(tiny_files.task, target=MultiLabel(tiny_files.task.target.names))
    split = types.Split("validation", tiny_files.inputs[: len(labels)], labels, task)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checks, "predict_tflite", lambda _, given, **__: row_of(answers, np.arange(len(given))))
        return verify.check(types.Artifact("toy", "test", path), split, expected=expected, tolerance=tolerance)


def test_answers_of_several_classes(tiny_files, tmp_path):
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, (100, 4)).astype(np.uint8)
    expected = np.clip(labels * 0.8 + 0.1 + generator.normal(0, 0.02, labels.shape), 0, 1).astype(np.float32)
    answers = expected.copy()
    answers[:3, 1] = 1 - answers[:3, 1]
    found = several(tiny_files, tmp_path, answers, expected, labels)
    assert (found.agreement, found.score.value, found.float_score) == (0.97, 0.97, 1.0)
    for change, check in (
        (lambda table: table * 1.2, "probabilities"),
        (lambda table: table - 0.2, "probabilities"),
        (lambda table: np.where(np.arange(4) == 2, 0.4, table), "predictions of every class"),
        (lambda table: np.broadcast_to(table[:1], table.shape), "answers that depend on the input"),
        (lambda table: 1 - table, "score above chance"),
    ):
        with fails(check):
            several(tiny_files, tmp_path, change(expected), expected, labels)
    several(tiny_files, tmp_path, answers, expected, labels, tolerance=verify.INT8)  # three of 100: chance
    answers[:8, 1] = 1 - expected[:8, 1]
    with fails("agreement with its model"):
        several(tiny_files, tmp_path, answers, expected, labels, tolerance=verify.INT8)
    with fails("outputs"):
        several(tiny_files, tmp_path, {"one": answers, "more": answers}, expected, labels)


def test_bounds_of_numbers_have_their_unit(tiny_files, tmp_path):
    path = tmp_path / "prices.tflite"
    path.write_bytes(tiny_files.float32)
    names = ("a", "b", "c", "d")
    labels = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32) * 1000
    task = dataclasses.replace(tiny_files.task, target=Regression(names, (0.0,) * 4, (1000.0,) * 4, "EUR"))
    split = types.Split("validation", tiny_files.inputs[:100], labels, task)

    def check(answers, tolerance):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(checks, "predict_tflite", lambda _, given, **__: answers[: len(given)])
            return verify.check(types.Artifact("toy", "test", path), split, expected=labels, tolerance=tolerance)

    loose = checks.Tolerance(agreement=0.0, score_drop=0.5)
    for off, tolerance, words in (
        (600.0, loose, r"score on validation: wanted <= 0\.0000 \+ 0\.5 standard deviations of the labels \(500 EUR\)"),
        (200.0, dataclasses.replace(loose, mean_difference=0.1), "wanted <= 0.1 standard deviations of the labels"),
        (200.0, dataclasses.replace(loose, max_difference=0.1), "largest difference: wanted <= 0.1 standard dev"),
    ):
        with pytest.raises(verify.VerificationError, match=words):
            check(labels + np.float32(off), tolerance)


def test_a_file_that_is_less_sure_than_its_model(tiny_files, checked):
    """It answers alike on every example."""

    def with_another_temperature(model):
        model.subgraphs[0].operators[-1].builtinOptions.beta = 0.3

    data = changed(tiny_files.float32, with_another_temperature)
    assert checked(data, tolerance=LOOSE).agreement == 1.0
    with fails("mean difference"):
        checked(data, tolerance=verify.INT8)


def test_an_output_whose_numbers_go_beyond_one(tiny_files, checked):
    def rescaled(model):
        graph = model.subgraphs[0]
        quantization = graph.tensors[graph.outputs[0]].quantization
        quantization.scale = np.asarray(quantization.scale, np.float32) * np.float32(2)

    with fails("output scale"):
        checked(changed(tiny_files.integer, rescaled), tolerance=LOOSE, integer=True)


def test_a_picture_is_no_array_of_32_bit_integers(tiny_files, checked):
    def widened(model):
        """Reads int32 and casts them to the bytes that the network takes."""
        graph = model.subgraphs[0]
        inner = graph.inputs[0]
        source = schema.TensorT()
        source.shape, source.type, source.buffer = graph.tensors[inner].shape, schema.TensorType.INT32, 0
        source.name, graph.tensors[inner].name = b"image", b"inner"
        graph.tensors.append(source)
        graph.inputs = [len(graph.tensors) - 1]
        for signature in model.signatureDefs or []:
            signature.inputs[0].tensorIndex = graph.inputs[0]
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CAST
        code.version = 1
        model.operatorCodes.append(code)
        cast = schema.OperatorT()
        cast.opcodeIndex = len(model.operatorCodes) - 1
        cast.inputs, cast.outputs = [graph.inputs[0]], [inner]
        graph.operators.insert(0, cast)

    with fails("input dtype"):
        checked(changed(tiny_files.integer, widened), tolerance=LOOSE, integer=True)


@pytest.mark.parametrize("what", ["error", "clipped"])
def test_a_layer_that_is_no_number_off_is_not_proven(what, monkeypatch, tiny_files, tmp_path):
    row = types.LayerError(**{"layer": "1. CONV_2D", "error": 0.0, "clipped": 0.0, what: float("nan")})
    monkeypatch.setattr(checks, "layer_errors", lambda *_, **__: [row])
    artifact = types.Artifact("tiny", "test", tmp_path / "model.tflite")
    with fails(".*1. CONV_2D"):
        verify.check_layers(artifact, b"", inputs=tiny_files.inputs, tolerance=verify.LAYERS_INT8)


def test_zeros_in_a_small_kernel_are_no_sparse_file(tiny_text, tmp_path):
    """Half of the 128 weights behind a table of 832, and the file claims half."""

    def pruned(model):
        kernel = next(tensor for tensor in model.subgraphs[0].tensors if tuple(tensor.shape) == (2, 64))
        model.buffers[kernel.buffer].data.view(np.float32)[::2] = 0

    path = tmp_path / "model.tflite"
    path.write_bytes(changed(tiny_text.float32, pruned))
    split = types.Split("test", tiny_text.inputs, tiny_text.labels, tiny_text.task)
    artifact = types.Artifact("tiny", "test", path, sparsity=0.5)
    with fails("claimed sparsity"):
        verify.check(artifact, split, expected=tiny_text.expected, tolerance=LOOSE)


def test_each_of_several_inputs_is_checked_by_its_own_kind():
    """Bytes of a picture have scale 1, and beside them numbers a scale that was measured."""
    both = Named((("picture", Image((4, 4, 1))), ("row", Numbers((3,)))))
    artifact = types.Artifact("toy", "test", Path("toy.tflite"), integer=True)

    def tensor(kind: int, scale: float):
        made = schema.TensorT()
        made.type, made.quantization = kind, schema.QuantizationParametersT()
        made.quantization.scale, made.quantization.zeroPoint = np.array([scale]), np.array([0])
        return made

    for name, kind, scale in (("picture", UINT8, 1.0), ("row", UINT8, 0.3), ("row", INT16, 0.3)):
        checks._check_input(artifact, tensor(kind, scale), types.kind_of(both, name))
    with fails("input scale and zero point"):
        checks._check_input(artifact, tensor(UINT8, 0.3), types.kind_of(both, "picture"))
    with fails("input dtype"):
        checks._check_input(artifact, tensor(INT16, 1.0), types.kind_of(both, "picture"))


def test_a_number_an_example_is_an_answer_where_outputs_are_of_any_shape(tiny_files):
    """A model of distances may have no axis but that of the examples."""
    given = np.arange(5, dtype=np.float32)
    task = dataclasses.replace(tiny_files.task, target=Agreement.of(given))
    checks._check_expected(given, types.Split("test", tiny_files.inputs[:5], given, task))
    classes = types.Split("test", tiny_files.inputs[:5], tiny_files.labels[:5], tiny_files.task)
    with pytest.raises(ValueError, match=r"Wanted answers \(5, outputs\)"):
        checks._check_expected(given, classes)
