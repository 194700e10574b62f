"""Weights and temperatures that change while a student learns: pure functions of the step.

A step is the optimizer's count of steps, 0 at the first; it is kept in checkpoints, so a training that goes on has the
value that it would have had. Everything here runs inside the compiled step.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import tensorflow as tf

Scheduled = float | Callable[[tf.Tensor], tf.Tensor]
"""A number, or a function from the step (an integer tensor) to one: of this file, or of one's own."""


@dataclasses.dataclass(frozen=True)
class Ramp:
    """Goes from one value to another, and stays there.

    Attributes:
        start, end: the two values.
        steps: how many it takes, at least one.
        after: steps for which it stays at ``start`` first.
        form: of the share of the way at share ``x`` of the steps: ``"linear"`` x, ``"cosine"`` (1 - cos(pi x)) / 2.

    Raises:
        ValueError: a number is not finite, there are no steps, ``after`` is negative, or the form is another word.
    """

    start: float
    end: float
    steps: int
    after: int
    form: str

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start) and math.isfinite(self.end) and self.steps >= 1 and self.after >= 0):
            raise ValueError(
                "A schedule goes from one finite number to another in at least one step, after none or more. Received: "
                f"start={self.start}, end={self.end}, steps={self.steps}, after={self.after}."
            )
        if self.form not in ("linear", "cosine"):
            raise ValueError(f"A schedule is 'linear' or 'cosine'. Received: form={self.form!r}.")

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """The value at ``step``, a float32 tensor of the same shape."""
        # of integers, for float32 does not know the steps beyond 2^24 apart
        passed = tf.clip_by_value(tf.cast(step, tf.int64) - self.after, 0, self.steps)
        share = tf.cast(tf.cast(passed, tf.float64) / self.steps, tf.float32)
        if self.form == "cosine":
            share = (1 - tf.cos(math.pi * share)) / 2
        return self.start + (self.end - self.start) * share


def linear(start: float, end: float, *, steps: int, after: int = 0) -> Ramp:
    """``start`` to ``end`` in equal parts over ``steps`` steps.

    Raises:
        ValueError: see `Ramp`.
    """
    return Ramp(start, end, steps, after, "linear")


def cosine(start: float, end: float, *, steps: int, after: int = 0) -> Ramp:
    """``start`` to ``end`` along half a cosine: slow, fast, slow (Loshchilov & Hutter 2017, eq. 5, there downwards).

    Raises:
        ValueError: see `Ramp`.
    """
    return Ramp(start, end, steps, after, "cosine")


def value_at(value: Scheduled, step: tf.Tensor) -> float | tf.Tensor:
    """What a number or a schedule is at a step; a number stays a number."""
    return value(step) if callable(value) else value


def minimum(value: Scheduled) -> float | None:
    """The smallest value that it takes; ``None`` for a function of one's own, which nobody can know before."""
    if isinstance(value, Ramp):
        return min(value.start, value.end)
    return None if callable(value) else float(value)
