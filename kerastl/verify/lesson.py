"""What a teacher gave to its student, against the same student without it."""

from __future__ import annotations

from collections.abc import Sequence

from kerastl import types


def recovered(
    variants: Sequence[types.Variant], *, validation: types.Score, test: types.Score, distilled: str, alone: str
) -> types.Distillation:
    """Which share of the gap between student and teacher the teaching has closed.

    Args:
        variants: the files with everything measured about them.
        validation, test: the teacher's scores.
        distilled: name of the variant that was taught.
        alone: name of the variant of the same student that learnt as long from the labels alone.

    Raises:
        ValueError: there is no variant of one of the names.
    """
    measured = {variant.artifact.name: variant for variant in variants}
    if lacking := [name for name in (distilled, alone) if name not in measured]:
        raise ValueError(
            f"A student and its control are variants. Received: {', '.join(lacking)}. Available: {', '.join(measured)}."
        )
    student, control = measured[distilled], measured[alone]
    shares = {
        "validation_score": _share(validation, student.validation.score, control.validation.score),
        "score": _share(test, student.test.score, control.test.score),
    }
    percent = [f"{100 * score.value:.2f} %" for score in (test, student.test.score, control.test.score)]
    words = "On test the teacher has {}, its student {}, the same student alone {}: ".format(*percent)
    share = shares["score"]
    if share is None:
        words += "the teacher is not above it, there is no gap to recover."
    else:
        words += f"{100 * share:.0f} % of the gap is recovered." if share > 0 else "nothing of the gap is recovered."
    teacher = {"validation_score": validation.value}
    teacher |= {"score": test.value, "score_low": test.low, "score_high": test.high}
    return types.Distillation(teacher, distilled, alone, shares, words)


def _share(teacher: types.Score, student: types.Score, control: types.Score) -> float | None:
    gap = teacher.value - control.value
    return (student.value - control.value) / gap if gap > 0 else None
