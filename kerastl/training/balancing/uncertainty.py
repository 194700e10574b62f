"""Weights by uncertainty (Kendall, Gal & Cipolla 2018): a task counts as much as its noise lets it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import tensorflow as tf

from kerastl.types import ClassTarget, NamedTargets


@dataclasses.dataclass(frozen=True)
class Uncertainty:
    """``sum(f * exp(-s) * loss + s / 2)``, where ``s`` is the logarithm of a task's variance; see `balanced.Rule`.

    Kendall, Gal & Cipolla 2018, "Multi-task learning using uncertainty to weigh losses", equations 7 and 10
    (https://arxiv.org/abs/1705.07115): ``f`` is 1/2 for a squared error, 1 for a cross-entropy. ``s`` begins at 0
    and goes down its own gradient, by plain descent: an optimizer's weight decay would pull it to a variance of 1.

    Attributes:
        squared: names of the tasks whose loss is a squared error.
        learning_rate: of ``s``.

    Raises:
        ValueError: one of ``squared`` is no task.
    """

    squared: tuple[str, ...] = ()
    learning_rate: float = 0.01

    weighs_heads: ClassVar[bool] = True
    looks_again: ClassVar[bool] = False

    def start(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        unknown = set(self.squared) - set(names)
        if unknown:
            raise ValueError(f"Wanted some of the tasks {', '.join(names)}. Received: squared={sorted(unknown)}.")
        factors = [0.5 if name in self.squared else 1.0 for name in names]
        return {"factors": np.array(factors, np.float32), "log_variances": np.zeros(len(names), np.float32)}

    def weigh(
        self, losses: tf.Tensor, products: tf.Tensor, state: Mapping[str, tf.Tensor]
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        factors, log_variances = state["factors"], state["log_variances"]
        moved = log_variances - self.learning_rate * gradient(losses, log_variances, factors)
        return weights(log_variances, factors), {"log_variances": moved}


def for_tasks(target: NamedTargets, *, steps: int) -> Uncertainty:
    """Squared errors are those of the tasks that are not of classes."""
    return Uncertainty(squared=tuple(name for name, part in target.parts if not isinstance(part, ClassTarget)))


def weights(log_variances: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
    """``f * exp(-s)`` of each task, all ``(tasks,)``."""
    return factors * tf.exp(-log_variances)


def total(losses: tf.Tensor, log_variances: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
    """What is minimized, a scalar; all ``(tasks,)``."""
    return tf.reduce_sum(weights(log_variances, factors) * losses + log_variances / 2)


def gradient(losses: tf.Tensor, log_variances: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
    """The derivative of `total` by each ``s``: 0 where the variance is that of the loss, ``exp(s) = 2 f loss``."""
    return 0.5 - weights(log_variances, factors) * losses
