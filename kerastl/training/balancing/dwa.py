"""Dynamic weight average (DWA; Liu, Johns & Davison 2019): a task whose loss falls slowly counts more."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import tensorflow as tf

from kerastl.types import NamedTargets


@dataclasses.dataclass(frozen=True)
class DynamicWeightAverage:
    """Weights of an epoch by how the mean losses of the two before it fell; see `balanced.Rule`.

    Liu, Johns & Davison 2019, "End-to-end multi-task learning with attention", equation 7
    (https://arxiv.org/abs/1803.10704). In the first two epochs all weights are 1.

    Attributes:
        steps: of an epoch.
        temperature: the higher, the more alike the weights.

    Raises:
        ValueError: there is no step in an epoch, or the temperature is not positive.
    """

    steps: int
    temperature: float = 2.0

    weighs_heads: ClassVar[bool] = True
    looks_again: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.steps < 1 or not 0 < self.temperature < np.inf:
            raise ValueError(
                f"Wanted a step or more an epoch and a temperature above 0. Received: steps={self.steps}, "
                f"temperature={self.temperature}."
            )

    def start(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        zeros = np.zeros(len(names), np.float32)
        return {"sum": zeros, "last": zeros, "before": zeros, "seen": np.zeros((), np.float32)}

    def weigh(
        self, losses: tf.Tensor, products: tf.Tensor, state: Mapping[str, tf.Tensor]
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        chosen = weights(state["last"], state["before"], temperature=self.temperature)
        found = tf.where(state["seen"] < 2 * self.steps, tf.ones_like(losses), chosen)
        summed, seen = state["sum"] + losses, state["seen"] + 1
        ended = tf.equal(tf.math.floormod(seen, float(self.steps)), 0)
        return found, {
            "sum": tf.where(ended, tf.zeros_like(summed), summed),
            "last": tf.where(ended, summed / self.steps, state["last"]),
            "before": tf.where(ended, state["last"], state["before"]),
            "seen": seen,
        }


def for_tasks(target: NamedTargets, *, steps: int) -> DynamicWeightAverage:
    """The temperature of the paper, for epochs of so many steps."""
    return DynamicWeightAverage(steps)


def weights(last: tf.Tensor, before: tf.Tensor, *, temperature: float = 2.0) -> tf.Tensor:
    """``tasks * softmax(last / before / temperature)``, of the mean losses of the last epoch and of the one before."""
    rates = tf.math.divide_no_nan(last, before)
    return tf.cast(tf.shape(last)[0], last.dtype) * tf.nn.softmax(rates / temperature)
