from __future__ import annotations

from pathlib import Path

import pytest

from kerastl import types, verify
from kerastl.tasks.single_label import SingleLabel

TARGET = SingleLabel(("a", "b"))


def variant(name: str, *, size: int, milliseconds: float, validation: float, test: float = 0.0) -> types.Variant:
    tensor = types.Tensor("image", "uint8", (1, 8, 8, 1), 1.0, 0)
    measured = [types.Verification(types.Score(v, v, v, 100), 0.99, 1.0, 0.0) for v in (validation, test)]
    return types.Variant(
        types.Artifact(name, "test", Path(f"{name}.tflite")),
        types.FileFacts("", size, size, size, 0.0, types.Operators(1, 1, 0, 0), (tensor,), (tensor,)),
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
    smallest = verify.select(variants, target=TARGET, float_validation_score=0.99, prefer="smallest", budget=0.003)
    assert smallest.name == "integer"
    assert "300 bytes" in smallest.why
    assert "int4 (0.9869)" in smallest.why
    assert "3 of 4" in smallest.why
    assert (
        verify.select(variants, target=TARGET, float_validation_score=0.99, prefer="fastest", budget=0.003).name
        == "fast"
    )
    with pytest.raises(verify.VerificationError, match=r"budget.*>= 0.9950.*integer 0.9880"):
        verify.select(variants, target=TARGET, float_validation_score=0.998, budget=0.003)
    with pytest.raises(ValueError, match="smallest, fastest"):
        verify.select(variants, target=TARGET, float_validation_score=0.99, prefer="prettiest")
    with pytest.raises(ValueError, match="0 variants"):
        verify.select([], target=TARGET, float_validation_score=0.99)


@pytest.mark.parametrize("prefer", ["smallest", "fastest"])
def test_what_is_equal_is_decided_by_the_other(prefer):
    sizes, times = ((300, 300), (0.2, 0.1)) if prefer == "smallest" else ((400, 300), (0.1, 0.1))
    variants = [
        variant(name, size=size, milliseconds=milliseconds, validation=0.99)
        for name, size, milliseconds in zip(("first", "better"), sizes, times, strict=True)
    ]
    assert verify.select(variants, target=TARGET, float_validation_score=0.99, prefer=prefer).name == "better"


def test_the_frontier_is_what_no_other_file_beats():
    variants = [
        variant("float32", size=900, milliseconds=0.3, validation=0.99),
        variant("float16", size=450, milliseconds=0.35, validation=0.99),
        variant("slow", size=450, milliseconds=0.4, validation=0.99, test=1.0),
        variant("integer", size=300, milliseconds=0.2, validation=0.988),
        variant("worse", size=310, milliseconds=0.2, validation=0.988, test=1.0),
        variant("twin", size=300, milliseconds=0.2, validation=0.988),
        variant("int4", size=100, milliseconds=0.5, validation=0.9),
    ]
    assert verify.pareto_front(variants, target=TARGET) == ("int4", "integer", "twin", "float16", "float32")
    assert verify.pareto_front(variants[::-1], target=TARGET) == ("int4", "twin", "integer", "float16", "float32")
    assert verify.pareto_front([], target=TARGET) == ()


class Error(SingleLabel):
    """A target whose score is an error: the lower, the better."""

    higher_is_better = False

    def drop(self, score: float, reference: float) -> float:
        return score - reference


def test_an_error_is_better_where_it_is_smaller():
    target = Error(("a", "b"))
    variants = [
        variant("float32", size=900, milliseconds=0.3, validation=0.10),
        variant("integer", size=300, milliseconds=0.2, validation=0.102),
        variant("int4", size=100, milliseconds=0.1, validation=0.2),
        variant("worse", size=900, milliseconds=0.3, validation=0.3),
    ]
    assert verify.select(variants, target=target, float_validation_score=0.10, budget=0.003).name == "integer"
    assert verify.pareto_front(variants, target=target) == ("int4", "integer", "float32")
    with pytest.raises(verify.VerificationError, match=r"within 0.003 of 0.0500"):
        verify.select(variants, target=target, float_validation_score=0.05)
