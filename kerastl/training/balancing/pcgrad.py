"""PCGrad (Yu et al. 2020): what of a task's gradient works against another task's is taken out of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import tensorflow as tf

from kerastl.types import NamedTargets


@dataclasses.dataclass(frozen=True)
class PCGrad:
    """Projecting conflicting gradients; see `balanced.Rule`.

    Yu et al. 2020, "Gradient surgery for multi-task learning", algorithm 1 (https://arxiv.org/abs/2001.06782). Each
    task's gradient is projected onto the normal plane of each other one that it conflicts with, in a random order. What
    comes out is a sum of the gradients themselves, so that their products are all that has to be known. A head, which
    only its own task sees, keeps its own gradient.

    Attributes:
        seed: of the orders.
    """

    seed: int = 0

    weighs_heads: ClassVar[bool] = False
    looks_again: ClassVar[bool] = False

    def start(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        return {"steps": np.zeros((), np.float32)}

    def weigh(
        self, losses: tf.Tensor, products: tf.Tensor, state: Mapping[str, tf.Tensor]
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        seed = tf.stack([tf.constant(self.seed, tf.int32), tf.cast(state["steps"], tf.int32)])
        orders = tf.argsort(tf.random.stateless_uniform(tf.shape(products), seed), axis=-1)
        return weights(products, orders), {"steps": state["steps"] + 1}


def for_tasks(target: NamedTargets, *, steps: int) -> PCGrad:
    """There is nothing to set, whatever the tasks."""
    return PCGrad()


def weights(products: tf.Tensor, orders: tf.Tensor) -> tf.Tensor:
    """How often each task's gradient stands in the sum of the projected ones, ``(tasks,)``.

    Args:
        products: of the tasks' gradients, ``(tasks, tasks)``.
        orders: of each task the order in which it meets all of them, int ``(tasks, tasks)``.
    """
    tasks, found = len(tf.unstack(products)), []
    for task in range(tasks):
        row = tf.one_hot(task, tasks, dtype=products.dtype)  # the projected gradient, as a sum of all
        for place in range(tasks):
            other = orders[task, place]
            against = tf.reduce_sum(row * tf.gather(products, other))
            conflict = tf.logical_and(against < 0, tf.not_equal(tf.cast(other, tf.int32), task))
            share = tf.math.divide_no_nan(against, products[other, other])
            row -= tf.where(conflict, share, tf.zeros_like(share)) * tf.one_hot(other, tasks, dtype=products.dtype)
        found.append(row)
    return tf.add_n(found)
