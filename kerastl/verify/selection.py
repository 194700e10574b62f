"""Which of the measured files goes to the phone, and which others somebody else might rather take."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kerastl import types
from kerastl.verify.checks import VerificationError


def select(
    variants: Sequence[types.Variant],
    *,
    target: types.Target,
    float_validation_score: float,
    prefer: str = "smallest",
    budget: float = 0.003,
    within: Callable[[types.Variant], bool] | None = None,
) -> types.Choice:
    """The variant that goes to the phone, by validation scores only.

    Args:
        variants: the files with everything measured about them.
        target: says how much worse one score is than another.
        float_validation_score: the float model's score on the validation split.
        prefer: ``"smallest"`` (bytes, then median latency) or ``"fastest"`` (median latency, then bytes).
        budget: how much worse than the float model's a validation score may be, see `types.Target.drop`.
        within: whether a file is, by default from the two scores alone; who has the answers can tell a difference from
            chance, see `verify.chance`.

    Raises:
        ValueError: if ``prefer`` is another word, or there are no variants.
        VerificationError: if no variant is within the budget.
    """
    orders = {
        "smallest": lambda variant: (variant.facts.bytes, variant.latency.median),
        "fastest": lambda variant: (variant.latency.median, variant.facts.bytes),
    }
    if prefer not in orders or not variants:
        raise ValueError(
            f"Wanted variants, and prefer to be one of {', '.join(orders)}. "
            f"Received: {len(variants)} variants, prefer={prefer!r}."
        )

    def close(variant: types.Variant) -> bool:
        return target.drop(variant.validation.score.value, float_validation_score) <= budget + 1e-12

    kept = [variant for variant in variants if (within or close)(variant)]
    names = ", ".join(f"{variant.artifact.name} {variant.validation.score.value:.4f}" for variant in variants)
    if not kept:
        wanted = _wanted(target, float_validation_score, budget)
        raise VerificationError("every variant", "the budget of the choice", wanted=wanted, got=names)
    best = min(kept, key=orders[prefer])
    ahead = [v for v in variants if orders[prefer](v) < orders[prefer](best)]
    why = (
        f"{best.artifact.name} ({best.artifact.technique}) is the {prefer} of the {len(kept)} of {len(variants)} "
        f"variants whose validation score is within {budget:g} of the float model's {float_validation_score:.4f}: "
        f"{best.facts.bytes:,} bytes, {best.latency.median:.3f} ms, validation score "
        f"{best.validation.score.value:.4f}."
    )
    if ahead:
        listed = ", ".join(f"{v.artifact.name} ({v.validation.score.value:.4f})" for v in ahead)
        why += f" {'Smaller' if prefer == 'smallest' else 'Faster'} but outside the budget: {listed}."
    return types.Choice(best.artifact.name, why)


def _wanted(target: types.Target, score: float, budget: float) -> str:
    """In a target of shares the least score itself, else what it is counted from."""
    return f">= {score - budget:.4f}" if target.higher_is_better else f"within {budget:g} of {score:.4f}"


def pareto_front(variants: Sequence[types.Variant], *, target: types.Target) -> tuple[str, ...]:
    """Names of the variants that no other one beats: none is as small, as fast and as good, and better in one of them.

    Args:
        variants: the files with everything measured about them; their validation scores count, not those on test.
        target: says which of two scores is the better one.

    Returns:
        The smallest first (the Pareto frontier of bytes, median latency and validation score).
    """

    def costs(variant: types.Variant) -> tuple[float, float, float]:
        score = variant.validation.score.value
        return variant.facts.bytes, variant.latency.median, -score if target.higher_is_better else score

    def beaten(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
        return one != other and all(theirs <= own for own, theirs in zip(one, other, strict=True))

    kept = [one for one in variants if not any(beaten(costs(one), costs(other)) for other in variants)]
    return tuple(one.artifact.name for one in sorted(kept, key=costs))
