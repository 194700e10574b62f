"""GradNorm (Chen et al. 2018): weights by which the tasks' gradients have lengths that go by how fast each learns."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import tensorflow as tf

from kerastl.types import NamedTargets

LEAST = 1e-3
"""No weight becomes less: one below 0 would train a task to be wrong."""


@dataclasses.dataclass(frozen=True)
class GradNorm:
    """Weights go down the gradient of ``sum(|G - mean(G) * rate^alpha|)``, and sum to the number of tasks.

    Chen et al. 2018, "GradNorm: gradient normalization for adaptive loss balancing in deep multitask networks",
    equations 1 and 2, algorithm 1 (https://arxiv.org/abs/1711.02257). ``G`` is the length of a task's weighted gradient
    in all weights that tasks share, where the paper takes those of the last shared layer alone; ``rate`` is its loss as
    a share of its first one, over the mean of these shares. See `balanced.Rule`.

    Attributes:
        alpha: how much a task that learns slowly is helped; 0 makes all gradients of one length.
        learning_rate: of the weights.
    """

    alpha: float = 1.5
    learning_rate: float = 0.025

    weighs_heads: ClassVar[bool] = True
    looks_again: ClassVar[bool] = False

    def start(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        ones = np.ones(len(names), np.float32)
        return {"weights": ones, "first": np.zeros_like(ones)}

    def weigh(
        self, losses: tf.Tensor, products: tf.Tensor, state: Mapping[str, tf.Tensor]
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        now = state["weights"]
        begun = tf.reduce_any(state["first"] > 0)
        first = tf.where(begun, state["first"], losses)
        lengths = tf.sqrt(tf.linalg.diag_part(products))
        slope = gradient(now, lengths, tf.math.divide_no_nan(losses, first), alpha=self.alpha)
        moved = tf.maximum(now - self.learning_rate * slope, LEAST)
        moved *= tf.cast(tf.shape(moved)[0], moved.dtype) / tf.reduce_sum(moved)
        return now, {"weights": moved, "first": first}


def for_tasks(target: NamedTargets, *, steps: int) -> GradNorm:
    """The settings of the paper, whatever the tasks."""
    return GradNorm()


def wanted_lengths(weights: tf.Tensor, lengths: tf.Tensor, shares: tf.Tensor, *, alpha: float) -> tf.Tensor:
    """What the lengths of the weighted gradients should be: their mean times ``rate^alpha``, a constant."""
    rates = tf.math.divide_no_nan(shares, tf.reduce_mean(shares))
    return tf.reduce_mean(weights * lengths) * rates**alpha


def gradient(weights: tf.Tensor, lengths: tf.Tensor, shares: tf.Tensor, *, alpha: float) -> tf.Tensor:
    """The derivative by each weight, the wanted lengths held still; all ``(tasks,)``.

    Args:
        weights: of the losses.
        lengths: of the gradients without their weights.
        shares: each loss as a share of its first one.
        alpha: as `GradNorm`.
    """
    return tf.sign(weights * lengths - wanted_lengths(weights, lengths, shares, alpha=alpha)) * lengths
