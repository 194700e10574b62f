from __future__ import annotations

from pathlib import Path

import pytest

from kerastl import types, verify


def score(value: float) -> types.Score:
    return types.Score(value, value - 0.01, value + 0.01, 1000)


def variant(name: str, *, validation: float, test: float) -> types.Variant:
    tensor = types.Tensor("ids", "int32", (1, 8))
    return types.Variant(
        types.Artifact(name, "test", Path(f"{name}.tflite")),
        types.FileFacts("", 9, 9, 9, 0.0, types.Operators(1, 0, 1, 0), tensor, tensor),
        types.Latency(0.1, 0.1, 1, 200),
        *(types.Verification(score(value), 0.5, 1.0, 0.0) for value in (validation, test)),
    )


VARIANTS = [variant("float32", validation=0.88, test=0.87), variant("alone", validation=0.85, test=0.86)]


def test_the_share_of_the_gap():
    found = verify.recovered(VARIANTS, validation=score(0.91), test=score(0.90), distilled="float32", alone="alone")
    assert found.gap_recovered["validation_score"] == pytest.approx(0.5)  # three of six points
    assert found.gap_recovered["score"] == pytest.approx(0.25)  # one of four
    assert found.teacher == {"validation_score": 0.91, "score": 0.90, "score_low": 0.89, "score_high": 0.91}
    assert (found.distilled, found.alone) == ("float32", "alone")
    assert "teacher has 90.00 %, its student 87.00 %, the same student alone 86.00 %: 25 % of the gap" in found.words


def test_a_student_that_lost_by_its_lessons():
    worse = [variant("float32", validation=0.88, test=0.84), VARIANTS[1]]
    found = verify.recovered(worse, validation=score(0.91), test=score(0.90), distilled="float32", alone="alone")
    assert found.gap_recovered["score"] == pytest.approx(-0.5)
    assert found.words.endswith("nothing of the gap is recovered.")


@pytest.mark.parametrize("teacher", [0.86, 0.8])
def test_a_teacher_that_is_not_above_leaves_no_gap(teacher):
    found = verify.recovered(VARIANTS, validation=score(0.91), test=score(teacher), distilled="float32", alone="alone")
    assert found.gap_recovered["score"] is None
    assert "no gap to recover" in found.words


def test_names_of_no_variant_are_refused():
    with pytest.raises(ValueError, match=r"Received: control\. Available: float32, alone"):
        verify.recovered(VARIANTS, validation=score(0.9), test=score(0.9), distilled="float32", alone="control")
