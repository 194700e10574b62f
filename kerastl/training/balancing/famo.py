"""FAMO (Liu et al. 2023): weights by which the losses of all tasks fall at one rate, without a gradient a task."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import tensorflow as tf

from kerastl.types import NamedTargets

LEAST = 1e-8
"""Least loss whose logarithm is taken."""


@dataclasses.dataclass(frozen=True)
class FAMO:
    """Fast adaptive multi-task optimization; see `balanced.Rule`.

    Liu, Feng, Stone & Liu 2023, "FAMO: fast adaptive multitask optimization", algorithm 1
    (https://arxiv.org/abs/2306.03792). The losses of a batch before and after a step say which task it has helped; the
    second look is a forward pass more, in training mode, so that batch normalization sees each batch twice.

    Attributes:
        learning_rate: of the weights' logits.
        decay: pulls them to 0, where all weights are alike.
    """

    learning_rate: float = 0.025
    decay: float = 1e-3

    weighs_heads: ClassVar[bool] = True
    looks_again: ClassVar[bool] = True

    def start(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        return {"logits": np.zeros(len(names), np.float32)}

    def weigh(
        self, losses: tf.Tensor, products: tf.Tensor, state: Mapping[str, tf.Tensor]
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        return weights(losses, state["logits"]), {}

    def look_again(self, before: tf.Tensor, after: tf.Tensor, state: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        slope = gradient(before, after, state["logits"]) + self.decay * state["logits"]
        return {"logits": state["logits"] - self.learning_rate * slope}


def for_tasks(target: NamedTargets, *, steps: int) -> FAMO:
    """The settings of the paper, whatever the tasks."""
    return FAMO()


def weights(losses: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """``z / loss`` over their sum, where ``z`` is the softmax of the logits; all ``(tasks,)``."""
    found = tf.nn.softmax(logits) / tf.maximum(losses, LEAST)
    return found / tf.reduce_sum(found)


def gradient(before: tf.Tensor, after: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """The derivative, by the logits, of the sum of ``z * (log(before) - log(after))``; all ``(tasks,)``."""
    fallen = tf.math.log(tf.maximum(before, LEAST)) - tf.math.log(tf.maximum(after, LEAST))
    shares = tf.nn.softmax(logits)
    return shares * (fallen - tf.reduce_sum(shares * fallen))
