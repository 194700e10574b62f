"""Orders of examples as graph operations: the same on every machine and in every version, by seed and epoch alone."""

from __future__ import annotations

import fractions
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from kerastl import types
from kerastl.data import sampling
from kerastl.data.sampling import Sampling

Order = Callable[[tf.Tensor], tf.Tensor]
"""The number of an epoch, from 1, to the indices of its examples, int64 ``(examples,)``."""


def draw(shape: Sequence[int], seed: tf.Tensor) -> tf.Tensor:
    """Random int64 numbers: stateless and, by Philox, the same on every machine and in every version.

    Without bounds they come from all of int64, where no two of a few million are equal.
    """
    return tf.random.stateless_uniform(
        shape,
        seed,
        minval=None,  # pyright: ignore[reportArgumentType]
        dtype=tf.int64,
        alg="philox",
    )


def permutation(examples: int, *, seed: int, epoch: tf.Tensor) -> tf.Tensor:
    """One permutation (int64), another one for each epoch."""
    draws = draw((examples,), tf.stack([tf.constant(seed, tf.int64), tf.cast(epoch, tf.int64)]))
    # their complements the largest first, equal ones as they come: a stable sort, in one operation
    return tf.math.top_k(tf.bitwise.invert(draws), k=examples, index_type=tf.int64).indices


def poisson(examples: int, rate: float, *, seed: int, epoch: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
    """Indices of the examples of a batch into which each comes by a chance of its own, int64 ``(chosen,)``, ascending.

    Args:
        examples: how many there are to choose from.
        rate: the probability with which each one is chosen, above 0; to one part in 2 ** 64.
        seed, epoch, step: what the draws depend on, and nothing else; steps are below 2 ** 32.
    """
    bound = int(fractions.Fraction(rate) * 2**64) - 2**63
    if bound >= 2**63:
        return tf.range(examples, dtype=tf.int64)
    place = tf.cast(epoch, tf.int64) * 2**32 + tf.cast(step, tf.int64)
    draws = draw((examples,), tf.stack([tf.constant(seed, tf.int64), place]))
    return tf.reshape(tf.where(draws < bound), [-1])


def sampled(split: types.Split, how: Sampling, *, seed: int) -> Order:
    """An order in which examples come as often as `Sampling` says; an epoch has as many as the split.

    From a data set no example comes again before all the others of it have come: each goes through permutations of its
    own, where it was left in the epoch before.

    Args:
        split: of several tasks, see `sampling.data_sets`.
        how: shares, and whether the data sets take turns.
        seed: of all orders.

    Raises:
        ValueError: the split is of one task.
    """
    numbers = sampling.data_sets(split)
    members = [np.flatnonzero(numbers == number) for number in range(numbers.max() + 1)]
    counts = sampling.counts(np.array([len(rows) for rows in members]), how)
    turns = tf.constant(sampling.interleaved(counts)) if how.by == "round_robin" else None

    def order(epoch: tf.Tensor) -> tf.Tensor:
        drawn = [
            _stretch(rows, int(count), seed=seed + (number + 1) * 2**32, epoch=epoch)  # seeds are below 2 ** 32
            for number, (rows, count) in enumerate(zip(members, counts, strict=True))
        ]
        places = permutation(len(numbers), seed=seed, epoch=epoch) if turns is None else turns
        return tf.gather(tf.concat(drawn, axis=0), places)

    return order


def _stretch(rows: np.ndarray, count: int, *, seed: int, epoch: tf.Tensor) -> tf.Tensor:
    """The next examples of a data set, of an endless row of its permutations."""
    begin = (tf.cast(epoch, tf.int64) - 1) * count
    first = begin // len(rows)
    passes = [permutation(len(rows), seed=seed, epoch=first + place) for place in range(-(-count // len(rows)) + 1)]
    skipped = begin - first * len(rows)
    places = tf.concat(passes, axis=0)[skipped : skipped + count]
    return tf.gather(tf.constant(rows, tf.int64), places)
