"""Which of the measured files goes to the phone, and which others somebody else might rather take."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kerastl import types
from kerastl.system import phrases
from kerastl.verify import chance
from kerastl.verify.checks import VerificationError

SLACK = 0.05
"""Share of bytes above the smallest file's within which ``"balanced"`` takes the fastest."""
NOISE = 0.1
"""Share by which two latencies may differ and be the same: what a machine measures twice."""


def select(
    variants: Sequence[types.Variant],
    *,
    target: types.Target,
    float_validation_score: float,
    float_errors: np.ndarray | None = None,
    prefer: str = "balanced",
    budget: float = 0.003,
    megabytes: float | None = None,
    milliseconds: float | None = None,
) -> types.Choice:
    """The variant that goes to the phone, by validation scores only.

    Args:
        variants: the files with everything measured about them.
        target: says how much worse one score is than another.
        float_validation_score: the float model's score on the validation split.
        float_errors: of each of its examples, see `types.Target.confidence`: with them, and those of a variant, a
            difference that chance explains is none (see `verify.chance`), else the two scores alone decide.
        prefer: ``"balanced"`` (the fastest of those within `SLACK` of the smallest; what is as fast within `NOISE` by
            bytes, then integers), ``"smallest"`` (bytes, then median latency) or ``"fastest"`` (the other way round).
        budget: how much worse than the float model's a validation score may be, see `types.Target.drop`.
        megabytes, milliseconds: most that a file may have, and that one inference may take here.

    Raises:
        ValueError: if ``prefer`` is another word, or there are no variants.
        VerificationError: if no variant is within the budget and the limits.
    """
    orders = {
        "balanced": _balanced,
        "smallest": lambda some: min(some, key=lambda one: (one.facts.bytes, one.latency.median)),
        "fastest": lambda some: min(some, key=lambda one: (one.latency.median, one.facts.bytes)),
    }
    if prefer not in orders or not variants:
        raise ValueError(
            f"Wanted variants, and prefer to be one of {', '.join(orders)}. "
            f"Received: {len(variants)} variants, prefer={prefer!r}."
        )

    own = chance.Answered(float_validation_score, float_errors if float_errors is not None else np.empty(0))
    kept = [one for one in variants if not _worse(target, _answered(one), own, allowed=budget)]
    names = ", ".join(f"{variant.artifact.name} {variant.validation.score.value:.4f}" for variant in variants)
    if not kept:
        wanted = _wanted(target, float_validation_score, budget)
        raise VerificationError("every variant", "the budget of the choice", wanted=wanted, got=names)
    small = [
        one
        for one in kept
        if (megabytes is None or one.facts.bytes <= 1e6 * megabytes)
        and (milliseconds is None or one.latency.median <= milliseconds)
    ]
    if not small:
        measured = [f"{v.artifact.name} {v.facts.bytes:,} bytes in {v.latency.median:.3f} ms" for v in kept]
        limits = [f"{phrases.plain(most)} {unit}" for most, unit in ((megabytes, "MB"), (milliseconds, "ms")) if most]
        wanted = f"at most {' and '.join(limits)}"
        raise VerificationError("every variant", "the limits of the choice", wanted=wanted, got=", ".join(measured))
    best = orders[prefer](small)
    ahead = [one for one in variants if one not in kept and orders[prefer]([one, best]) is one]
    why = _why(best, small, variants, own=own, target=target, prefer=prefer, budget=budget)
    if ahead:
        listed = ", ".join(f"{v.artifact.name} ({v.validation.score.value:.4f})" for v in ahead)
        why += f" {'Faster' if prefer == 'fastest' else 'Smaller'} but outside the budget: {listed}."
    return types.Choice(best.artifact.name, why, tuple(one.artifact.name for one in small))


def budget(target: types.Target, float_validation_score: float, *, allowed: float) -> dict[str, float]:
    """What a choice was counted from: ``float_validation_score``, ``allowed`` and ``least``, the score at the border.

    Args:
        target: says on which scale it is allowed, see `types.Target.drop`.
        float_validation_score: the float model's score on the validation split.
        allowed: how much worse a validation score may be.
    """
    own = allowed / abs(target.drop(1.0, 0.0))
    least = float_validation_score - own if target.higher_is_better else float_validation_score + own
    return {"float_validation_score": float_validation_score, "allowed": allowed, "least": least}


def ties(variants: Sequence[types.Variant], name: str, *, target: types.Target) -> tuple[str, ...]:
    """Names of the variants whose validation score differs from that of one of them by no more than chance explains.

    Args:
        variants: the files with everything measured about them.
        name: of the one, which is not named itself.
        target: says which of two scores is the better one.
    """
    one = next(variant for variant in variants if variant.artifact.name == name)
    others = [variant for variant in variants if variant is not one]
    pairs = [(other, _answered(other), _answered(one)) for other in others]
    return tuple(
        other.artifact.name
        for other, theirs, own in pairs
        if not _worse(target, theirs, own, allowed=0.0) and not _worse(target, own, theirs, allowed=0.0)
    )


def _why(
    best: types.Variant,
    small: Sequence[types.Variant],
    variants: Sequence[types.Variant],
    *,
    own: chance.Answered,
    target: types.Target,
    prefer: str,
    budget: float,
) -> str:
    """The choice in words, with what few examples cannot tell."""
    what = f"the fastest within {SLACK:.0%} of the smallest" if prefer == "balanced" else f"the {prefer}"
    off = any(target.drop(one.validation.score.value, own.score) > budget + 1e-12 for one in small)
    chanced = f", or no further off than chance explains on {len(own.errors)} examples" if off else ""
    return (
        f"{best.artifact.name} ({best.artifact.technique}) is {what} of the {len(small)} of {len(variants)} "
        f"variants whose validation score is within {chance.drop_words(target, budget)} of the float model's "
        f"{own.score:.4f}{chanced}: "
        f"{best.facts.bytes:,} bytes, {best.latency.median:.3f} ms, validation score "
        f"{best.validation.score.value:.4f}."
    )


def _answered(variant: types.Variant) -> chance.Answered:
    measured = variant.validation
    return chance.Answered(measured.score.value, measured.errors if measured.errors is not None else np.empty(0))


def _worse(target: types.Target, one: chance.Answered, other: chance.Answered, *, allowed: float) -> bool:
    """Whether one is worse by more than is allowed, beyond chance where each example's answers are known of both."""
    if not len(one.errors) or len(one.errors) != len(other.errors):
        return target.drop(one.score, other.score) > allowed + 1e-12
    return chance.worse(target, one, other, allowed=allowed)


def _balanced(variants: Sequence[types.Variant]) -> types.Variant:
    least = min(one.facts.bytes for one in variants)
    small = [one for one in variants if one.facts.bytes <= (1 + SLACK) * least]
    quickest = min(one.latency.median for one in small)
    quick = [one for one in small if one.latency.median <= (1 + NOISE) * quickest]
    return min(quick, key=lambda one: (one.facts.bytes, not one.artifact.integer, one.latency.median))


def _wanted(target: types.Target, score: float, budget: float) -> str:
    """In a target of shares the least score itself, else what it is counted from."""
    if target.higher_is_better:
        return f">= {score - budget:.4f}"
    return f"within {chance.drop_words(target, budget)} of {score:.4f}"


def pareto_front(variants: Sequence[types.Variant], *, target: types.Target) -> tuple[str, ...]:
    """Names of the variants that no other one beats: none is as small, as fast and as good, and better in one of them.

    A latency within `NOISE` is the same, and so is a score that chance explains: nothing is ahead by these alone.

    Args:
        variants: the files with everything measured about them; their validation scores count, not those on test.
        target: says which of two scores is the better one.

    Returns:
        The smallest first (the Pareto frontier of bytes, median latency and validation score).
    """

    def worse(one: types.Variant, other: types.Variant) -> bool:
        return _worse(target, _answered(one), _answered(other), allowed=0.0)

    def slower(one: types.Variant, other: types.Variant) -> bool:
        return one.latency.median > (1 + NOISE) * other.latency.median

    def beaten(one: types.Variant, other: types.Variant) -> bool:
        if other.facts.bytes > one.facts.bytes or slower(other, one) or worse(other, one):
            return False
        return other.facts.bytes < one.facts.bytes or slower(one, other) or worse(one, other)

    kept = [one for one in variants if not any(beaten(one, other) for other in variants)]
    return tuple(one.artifact.name for one in sorted(kept, key=lambda one: (one.facts.bytes, one.latency.median)))
