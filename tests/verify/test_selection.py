from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from kerastl import types, verify
from kerastl.tasks.regression import Regression
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
    assert smallest.within == ("float32", "integer", "fast")
    assert "300 bytes" in smallest.why
    assert "int4 (0.9869)" in smallest.why
    assert "3 of 4" in smallest.why
    assert (
        verify.select(variants, target=TARGET, float_validation_score=0.99, prefer="fastest", budget=0.003).name
        == "fast"
    )
    with pytest.raises(verify.VerificationError, match=r"budget.*>= 0.9950.*integer 0.9880"):
        verify.select(variants, target=TARGET, float_validation_score=0.998, budget=0.003)
    with pytest.raises(ValueError, match="balanced, smallest, fastest"):
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


def test_what_numbers_may_lose_has_its_unit_and_that_of_the_score():
    target = Regression(("price",), (2e5,), (80_000.0,), unit="EUR")
    variants = [variant("float32", size=900, milliseconds=0.3, validation=25_000)]
    why = verify.select(variants, target=target, float_validation_score=25_000, budget=0.5).why
    assert "within 0.5 standard deviations of the labels (40,000 EUR) of the float model's 25000.0000" in why
    with pytest.raises(verify.VerificationError, match=r"within 0\.1 standard deviations of the labels \(8,000 EUR\)"):
        verify.select(variants, target=target, float_validation_score=1.0, budget=0.1)
    with pytest.raises(verify.VerificationError, match=r"at most 0\.0001 MB and 0\.1 ms"):
        verify.select(variants, target=target, float_validation_score=25_000, megabytes=1e-4, milliseconds=0.1)


def chosen(variants, **options):
    return verify.select(variants, target=TARGET, float_validation_score=0.99, **options).name


def test_balanced_is_the_fastest_of_those_hardly_larger_than_the_smallest():
    """Not a file 29 times slower for 3.5 % fewer bytes; and not the fastest of all, whatever it weighs."""
    variants = [
        variant("slow", size=1000, milliseconds=29.0, validation=0.99),
        variant("quick", size=1035, milliseconds=1.0, validation=0.99),
        variant("quicker", size=1200, milliseconds=0.5, validation=0.99),
    ]
    assert chosen(variants) == chosen(variants[::-1]) == "quick"
    assert chosen(variants, prefer="smallest") == "slow"
    assert chosen(variants, prefer="fastest") == "quicker"
    why = verify.select(variants, target=TARGET, float_validation_score=0.99).why
    assert "the fastest within 5% of the smallest of the 3 of 3" in why


def test_what_is_as_fast_within_noise_goes_by_bytes_and_then_integers():
    variants = [
        variant("larger", size=1010, milliseconds=1.0, validation=0.99),
        variant("smaller", size=1000, milliseconds=1.08, validation=0.99),
        variant("integer", size=1000, milliseconds=1.09, validation=0.99),
    ]
    integer = dataclasses.replace(variants[2], artifact=dataclasses.replace(variants[2].artifact, integer=True))
    assert chosen(variants) == "smaller"
    assert chosen([*variants[:2], integer]) == "integer"


def test_limits_are_kept_or_said():
    variants = [
        variant("small", size=1_000_000, milliseconds=9.0, validation=0.99),
        variant("quick", size=3_000_000, milliseconds=1.0, validation=0.99),
    ]
    assert chosen(variants, milliseconds=2.0) == "quick"
    assert chosen(variants, megabytes=2.0, prefer="fastest") == "small"
    words = r"limits of the choice: wanted at most 2 MB and 2 ms, got small 1,000,000 bytes in 9\.000 ms, quick 3"
    with pytest.raises(verify.VerificationError, match=words):
        chosen(variants, megabytes=2.0, milliseconds=2.0)


def measured(one, errors):
    found = types.Verification(types.Score(1 - np.mean(errors), 0, 1, len(errors)), 0.99, 1.0, 0.0, np.array(errors))
    return dataclasses.replace(one, validation=found)


def test_nothing_is_ahead_by_noise_alone():
    wrong = {"float32": [1.0] * 10 + [0.0] * 90, "integer": [1.0] * 11 + [0.0] * 89, "int4": [1.0] * 30 + [0.0] * 70}
    variants = [
        measured(variant("float32", size=900, milliseconds=0.95, validation=0), wrong["float32"]),
        measured(variant("integer", size=300, milliseconds=1.0, validation=0), wrong["integer"]),
        measured(variant("int4", size=100, milliseconds=1.0, validation=0), wrong["int4"]),
    ]
    assert verify.pareto_front(variants, target=TARGET) == ("int4", "integer")
    faster = measured(variant("float32", size=900, milliseconds=0.5, validation=0), wrong["float32"])
    assert verify.pareto_front([faster, *variants[1:]], target=TARGET) == ("int4", "integer", "float32")


def test_what_few_examples_cannot_tell_is_no_failure_and_is_said():
    """Two of 24 more are wrong, which says nothing; eight more do."""
    own = [1.0] * 3 + [0.0] * 21
    variants = [
        measured(variant("float32", size=900, milliseconds=0.9, validation=0), own),
        measured(variant("integer", size=300, milliseconds=0.9, validation=0), [1.0] * 5 + [0.0] * 19),
        measured(variant("int4", size=100, milliseconds=0.9, validation=0), [1.0] * 11 + [0.0] * 13),
    ]
    options = {"target": TARGET, "float_validation_score": 21 / 24, "budget": 0.01}
    found = verify.select(variants, float_errors=np.array(own), **options)
    assert found.name == "integer"
    assert found.within == ("float32", "integer")
    assert "0.8750, or no further off than chance explains on 24 examples: 300 bytes" in found.why
    assert "Smaller but outside the budget: int4" in found.why
    assert verify.select(variants, **options).name == "float32", "the scores alone"
    assert "chance" not in verify.select(variants, **options).why
