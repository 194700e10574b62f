"""Which of the measured files goes to the phone, and which others somebody else might rather take."""

from __future__ import annotations

from collections.abc import Sequence

from kerastl import types
from kerastl.verify.checks import VerificationError


def select(
    variants: Sequence[types.Variant],
    *,
    float_validation_score: float,
    prefer: str = "smallest",
    budget: float = 0.003,
) -> types.Choice:
    """The variant that goes to the phone, by validation scores only.

    Args:
        variants: the files with everything measured about them.
        float_validation_score: the float model's score on the validation split.
        prefer: ``"smallest"`` (bytes, then median latency) or ``"fastest"`` (median latency, then bytes).
        budget: how far below the float model's a validation score may be.

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
    least = float_validation_score - budget
    within = [variant for variant in variants if variant.validation.score.value >= least - 1e-12]
    names = ", ".join(f"{variant.artifact.name} {variant.validation.score.value:.4f}" for variant in variants)
    if not within:
        raise VerificationError("every variant", "the budget of the choice", wanted=f">= {least:.4f}", got=names)
    best = min(within, key=orders[prefer])
    ahead = [v for v in variants if orders[prefer](v) < orders[prefer](best)]
    why = (
        f"{best.artifact.name} ({best.artifact.technique}) is the {prefer} of the {len(within)} of {len(variants)} "
        f"variants whose validation score is within {budget:g} of the float model's {float_validation_score:.4f}: "
        f"{best.facts.bytes:,} bytes, {best.latency.median:.3f} ms, validation score "
        f"{best.validation.score.value:.4f}."
    )
    if ahead:
        listed = ", ".join(f"{v.artifact.name} ({v.validation.score.value:.4f})" for v in ahead)
        why += f" {'Smaller' if prefer == 'smallest' else 'Faster'} but outside the budget: {listed}."
    return types.Choice(best.artifact.name, why)


def pareto_front(variants: Sequence[types.Variant]) -> tuple[str, ...]:
    """Names of the variants that no other one beats: none is as small, as fast and as good, and better in one of them.

    Args:
        variants: the files with everything measured about them; their validation scores count, not those on test.

    Returns:
        The smallest first (the Pareto frontier of bytes, median latency and validation score).
    """

    def costs(variant: types.Variant) -> tuple[float, float, float]:
        return variant.facts.bytes, variant.latency.median, -variant.validation.score.value

    def beaten(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
        return one != other and all(theirs <= own for own, theirs in zip(one, other, strict=True))

    kept = [one for one in variants if not any(beaten(costs(one), costs(other)) for other in variants)]
    return tuple(one.artifact.name for one in sorted(kept, key=costs))
