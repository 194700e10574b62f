from __future__ import annotations

import itertools

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from kerastl import verify
from kerastl.compress import float_file, mixed_precision, ptq
from kerastl.compress.float_file import Operator
from kerastl.compress.mixed_precision import Sensitivity
from kerastl.tasks.multi_label import MultiLabel
from kerastl.tasks.single_label import SingleLabel
from tests.compress.test_ptq import LABELS, PICTURES, PIXELS, float_model  # noqa: F401  a fixture
from tests.compress.test_ptq import float_file as converted  # noqa: F401  a fixture


def answers(file: bytes) -> np.ndarray:
    return verify.predict_tflite(file, PICTURES[:64])


@pytest.fixture(scope="module")
def measured(converted):  # noqa: F811
    return mixed_precision.sensitivities(converted, answers=answers)


def made_up(*rows: tuple[str, int, int, float]) -> list[Sensitivity]:
    return [
        Sensitivity(Operator(name, "FULLY_CONNECTED", (1, weights)), bits, error) for name, weights, bits, error in rows
    ]


def kernel_types(file: bytes) -> dict[tuple[int, ...], int]:
    return {tuple(tensor.shape): tensor.type for tensor in float_file.tensors(file) if len(tensor.shape) > 1}


def test_every_kernel_is_measured_in_every_width_that_it_takes(converted, measured):  # noqa: F811
    widths = [(one.operator.kind, one.bits) for one in measured]
    assert widths == [
        ("CONV_2D", 8),
        ("CONV_2D", 4),
        ("DEPTHWISE_CONV_2D", 8),
        ("FULLY_CONNECTED", 8),
        ("FULLY_CONNECTED", 4),
        ("FULLY_CONNECTED", 8),
        ("FULLY_CONNECTED", 4),
    ]
    by_width = {(one.operator.name, one.bits): one.error for one in measured}
    hidden = next(one.operator for one in measured if one.operator.shape == (32, 256))
    assert by_width[hidden.name, 4] > 3 * by_width[hidden.name, 8] > 0


def test_the_error_is_the_divergence_of_one_kernel_alone(converted, measured):  # noqa: F811
    hidden = next(one for one in measured if one.operator.shape == (32, 256) and one.bits == 4)
    work = float_file.opened(converted)
    work.add_dynamic_config(hidden.operator.pattern, ptq._DENSE, num_bits=4)
    p, q = answers(converted).astype("float64"), answers(float_file.quantized(work)).astype("float64")
    assert hidden.error == pytest.approx(np.mean([sum(a * np.log(a / b)) for a, b in zip(p, q, strict=True)]), rel=1e-6)


def test_of_several_classes_an_example_each_counts_as_a_yes_or_no():
    p, q = np.array([[0.9, 0.8]]), np.array([[0.6, 0.8]])
    wanted = 0.9 * np.log(0.9 / 0.6) + 0.1 * np.log(0.1 / 0.4)
    assert mixed_precision._divergence(MultiLabel(("a", "b")))(p, q) == pytest.approx(wanted)
    with pytest.raises(ValueError, match=r"sum 1\.700; say target="):
        mixed_precision._divergence(None)(p, q)


def test_other_answers_differ_as_their_target_says():
    """As numbers do, whose logarithms mean nothing."""

    class Halves(SingleLabel):
        def served_activation(self) -> str:
            return "linear"

        def difference(self, answers, expected):
            return np.abs(answers - expected).max(-1) / 2

    p, q = np.array([[-3.0, 8.0], [1.0, 1.0]]), np.array([[-4.0, 8.0], [1.0, 4.0]])
    assert mixed_precision._divergence(Halves(("a", "b")))(p, q) == pytest.approx((0.5 + 1.5) / 2)
    single, p = SingleLabel(("a", "b")), np.array([[0.9, 0.1]])
    expected = 0.9 * np.log(0.9 / 0.6) + 0.1 * np.log(0.1 / 0.4)
    for target in (None, single):
        assert mixed_precision._divergence(target)(p, np.array([[0.6, 0.4]])) == pytest.approx(expected)


def test_the_way_lies_on_the_hull_of_all_assignments():
    """Of all assignments there are, none is below the line between two neighbours of the way."""
    random = np.random.default_rng(0)
    names, weights = "abcde", (100, 1000, 50, 400, 400)
    rows = [
        (name, count, bits, float(random.uniform(0, 1) * (4 if bits == 4 else 1)))
        for name, count in zip(names, weights, strict=True)
        for bits in (8, 4)
    ]
    way = mixed_precision.assignments(made_up(*rows))
    errors = {(name, bits): error for name, _, bits, error in rows} | {(name, 32): 0.0 for name in names}
    every = []
    for bits in itertools.product((32, 8, 4), repeat=5):
        size = sum(width * count / 8 + 4 * (width < 32) for width, count in zip(bits, weights, strict=True))
        every.append((size, sum(errors[pair] for pair in zip(names, bits, strict=True))))
    for before, after in itertools.pairwise(way):
        assert before.weight_bytes > after.weight_bytes
        slope = (after.error - before.error) / (before.weight_bytes - after.weight_bytes)
        for size, error in every:
            assert error >= before.error + slope * (before.weight_bytes - size) - 1e-9
    assert way[0].bits == dict.fromkeys(names, 32)
    assert way[0].error == 0
    assert way[-1].bits == dict.fromkeys(names, 4)
    assert way[-1].weight_bytes == sum(weights) // 2 + 4 * 5  # and a scale each


def test_a_width_that_is_never_worth_it_is_left_out():
    way = mixed_precision.assignments(made_up(("a", 100, 8, 0.5), ("a", 100, 4, 0.1)))
    assert [one.bits["a"] for one in way] == [32, 4]


def test_a_kernel_that_its_scales_make_larger_stays_as_it_is():
    """A scale of four bytes for every weight."""
    depthwise = Operator("a", "DEPTHWISE_CONV_2D", (1, 1, 1, 50))
    way = mixed_precision.assignments([Sensitivity(depthwise, 8, 0.1), *made_up(("b", 50, 8, 0.1))])
    assert [one.bits for one in way] == [{"a": 32, "b": 32}, {"a": 32, "b": 8}]
    assert [one.weight_bytes for one in way] == [400, 200 + 54]


def test_one_scale_is_a_width_of_its_own(converted):  # noqa: F811
    """Fewer bytes than a scale a channel; of a kernel of one channel there is nothing to be saved."""
    measured = mixed_precision.sensitivities(converted, answers=answers, calibration=PICTURES[64:128], inputs=PIXELS)
    widths = [(one.operator.kind, one.bits, one.per_channel) for one in measured]
    assert widths == [
        *[("CONV_2D", 8, True), ("CONV_2D", 4, True), ("CONV_2D", 4, False), ("DEPTHWISE_CONV_2D", 8, True)],
        *[("FULLY_CONNECTED", 8, True), ("FULLY_CONNECTED", 4, True), ("FULLY_CONNECTED", 4, False)] * 2,
    ]
    plain = {(one.operator, one.bits): one.error for one in mixed_precision.sensitivities(converted, answers=answers)}
    by_width = {(one.operator, one.bits): one.error for one in measured if one.per_channel}
    assert sum(by_width.values()) < 0.7 * sum(plain.values())
    way = mixed_precision.assignments(measured)
    last, held = way[-1], float_file.operators(converted)
    assert last.one_scale == {one.name for one in held if one.kind != "DEPTHWISE_CONV_2D"}
    assert last.weight_bytes == sum(
        one.weights + 4 * 16 if one.kind == "DEPTHWISE_CONV_2D" else one.weights // 2 + 4 for one in held
    )
    smallest = mixed_precision.apply(converted, last, calibration=PICTURES[64:128], inputs=PIXELS)
    assert smallest == ptq.int4_weights(converted, calibration=PICTURES[64:128], inputs=PIXELS, per_channel=False)
    sizes = [len(mixed_precision.apply(converted, one)) for one in way]
    assert sizes == sorted(sizes, reverse=True)


def test_a_kernel_of_one_channel_or_of_groups_has_no_scales_to_spare():
    for operator in (Operator("a", "FULLY_CONNECTED", (1, 50)), Operator("a", "CONV_2D", (4, 3, 3, 2), groups=2)):
        assert [width.per_channel for width in mixed_precision._widths(operator, (8, 4), rounds=True)] == [True, True]


def test_embeddings_beside_what_is_rounded(tiny_text):
    ids = tiny_text.inputs
    kind = tiny_text.task.inputs

    def answers(file: bytes) -> np.ndarray:
        return verify.predict_tflite(file, ids[:20], kind=kind)

    measured = mixed_precision.sensitivities(tiny_text.float32, answers=answers, calibration=ids[60:], inputs=kind)
    assert [(one.operator.kind, one.bits, one.per_channel) for one in measured] == [
        *[("EMBEDDING_LOOKUP", 8, True), ("EMBEDDING_LOOKUP", 4, True)],
        *[("FULLY_CONNECTED", 8, True), ("FULLY_CONNECTED", 4, True), ("FULLY_CONNECTED", 4, False)],
    ]


def test_the_cheapest_file_is_rounded_by_its_calibration(converted):  # noqa: F811
    def score(file: bytes) -> float:
        return float(np.mean(verify.predict_tflite(file, PICTURES[:64]).argmax(1) == LABELS[:64]))

    some = PICTURES[64:128]
    measured = mixed_precision.sensitivities(converted, answers=answers, bits=(4,), calibration=some, inputs=PIXELS)
    found = mixed_precision.search(
        converted, measured, score=score, least=score(converted) - 0.02, calibration=some, inputs=PIXELS
    )
    assert found.content == mixed_precision.apply(converted, found.assignment, calibration=some, inputs=PIXELS)
    assert found.content != mixed_precision.apply(converted, found.assignment)
    assert found.assignment.one_scale


def test_applying_an_assignment_quantizes_those_kernels(converted, measured):  # noqa: F811
    way = mixed_precision.assignments(measured)
    assert mixed_precision.apply(converted, way[0]) == converted
    held = {operator.name: operator for operator in float_file.operators(converted)}
    wanted = {32: schema.TensorType.FLOAT32, 8: schema.TensorType.INT8, 4: schema.TensorType.INT4}
    for assignment in (way[len(way) // 2], way[-1]):
        types = kernel_types(mixed_precision.apply(converted, assignment))
        for name, bits in assignment.bits.items():
            assert types[held[name].shape] == wanted[bits]
    smallest = mixed_precision.apply(converted, way[-1])
    np.testing.assert_array_equal(answers(smallest), answers(ptq.int4_weights(converted)))


def test_the_cheapest_file_within_the_budget(converted, measured):  # noqa: F811
    def score(file: bytes) -> float:
        return float(np.mean(verify.predict_tflite(file, PICTURES).argmax(1) == LABELS))

    found = mixed_precision.search(converted, measured, score=score, least=score(converted) - 0.02)
    assert found.score == score(found.content) >= score(converted) - 0.02
    assert found.content == mixed_precision.apply(converted, found.assignment)
    assert len(found.content) < len(ptq.dynamic_int8(converted))
    smaller = [size for size, value in found.tried.items() if size < found.assignment.weight_bytes]
    assert all(found.tried[size] < score(converted) - 0.02 for size in smaller)


def test_scores_that_rise_again_are_looked_past(converted, measured):  # noqa: F811
    way = mixed_precision.assignments(measured)
    files = [mixed_precision.apply(converted, one) for one in way]
    dip = len(way) // 2  # the first that is asked for in the middle
    scores = {file: 0.5 if place == dip else 0.9 for place, file in enumerate(files)}
    found = mixed_precision.search(converted, measured, score=scores.__getitem__, least=0.8)
    assert found.assignment == way[dip + 1]
    with pytest.raises(ValueError, match=r"score of 0\.95. Received: 0\.9"):
        mixed_precision.search(converted, measured, score=scores.__getitem__, least=0.95)


def test_what_cannot_be_measured_or_applied_is_refused(converted, measured):  # noqa: F811
    with pytest.raises(ValueError, match="8 or 4 bits"):
        mixed_precision.sensitivities(converted, answers=answers, bits=(2,))
    with pytest.raises(ValueError, match="bytes of a TFLite file"):
        mixed_precision.sensitivities(b"nothing", answers=answers)
    with pytest.raises(ValueError, match="quantized already"):
        mixed_precision.sensitivities(ptq.float16(converted), answers=answers)
    with pytest.raises(ValueError, match="Wanted sensitivities"):
        mixed_precision.assignments([])
    strange = mixed_precision.assignments(made_up(("elsewhere", 10, 8, 0.1)))[-1]
    with pytest.raises(ValueError, match="without 'elsewhere'; it has"):
        mixed_precision.apply(converted, strange)
