"""Pairs of labelled texts, of one class or of two, by which an encoder learns what belongs together (SetFit).

Tunstall et al. 2022, "Efficient Few-Shot Learning Without Prompts", https://arxiv.org/abs/2209.11055: a few labelled
texts make many pairs; the encoder brings the cosine of two texts near 1 where they are of one class and near 0 where
they are not, and a linear head is fitted on its new features.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import numpy as np

from kerastl.training import fitting, transfer
from kerastl.types import History, Schedule, Split

PAIRS = 6400
"""About as many pairs are learnt from, each once, in 400 steps of 16."""
_MOST, _BATCH, _RATE = 20, 16, 2e-5  # rounds, pairs a step and learning rate of Tunstall et al., section 4


class Pairs(NamedTuple):
    """Which texts stand together.

    Attributes:
        first, second: numbers of texts, int64 ``(pairs,)``.
        same: 1 where both are of one class, else 0; float32 ``(pairs, 1)``.
    """

    first: np.ndarray
    second: np.ndarray
    same: np.ndarray


def schedule(examples: int) -> tuple[int, Schedule]:
    """How many pairs of each kind are drawn for a text, and how the encoder learns from all of them.

    Raises:
        ValueError: there are fewer texts than two.
    """
    if examples < 2:
        raise ValueError(f"A pair is of two texts. Received: {examples} to learn from.")
    rounds = min(max(round(PAIRS / (2 * examples)), 1), _MOST)
    return rounds, Schedule(1, batch_size=_BATCH, peak_learning_rate=_RATE, weight_decay=0.01)


def drawn(labels: np.ndarray, *, rounds: int, seed: int) -> Pairs:
    """For each text and round a pair with another of its class, and one with a text of another class.

    A text that is alone in its class has no pair of the first kind; no text is paired with itself.

    Args:
        labels: class of each text, ``(texts,)``.
        rounds: pairs of each kind for a text.
        seed: of the partners.

    Raises:
        ValueError: all texts are of one class, or there is no round.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or len(np.unique(labels)) < 2 or rounds < 1:
        raise ValueError(
            f"Pairs are of texts of two classes or more, one each. Received: labels {labels.shape} of "
            f"{len(np.unique(labels))} classes, {rounds} rounds."
        )
    draw = np.random.default_rng(seed)
    order = np.argsort(labels, kind="stable")  # classes one behind the other
    _, starts, counts = np.unique(labels[order], return_index=True, return_counts=True)
    of_class = np.searchsorted(np.unique(labels), labels)
    start, count = starts[of_class], counts[of_class]
    place = np.empty(len(labels), np.int64)
    place[order] = np.arange(len(labels))
    first, second, same = [], [], []
    for _ in range(rounds):
        texts = np.flatnonzero(count > 1)
        beside = draw.integers(1, count[texts])  # so many places further on within the class
        like = order[start[texts] + (place[texts] - start[texts] + beside) % count[texts]]
        beyond = draw.integers(0, len(labels) - count)  # places of other classes, counted from behind the own one
        other = order[(start + count + beyond) % len(labels)]
        first += [texts, np.arange(len(labels))]
        second += [like, other]
        same += [np.ones(len(texts)), np.zeros(len(labels))]
    return Pairs(np.concatenate(first), np.concatenate(second), np.concatenate(same).astype(np.float32)[:, None])


def fit(model: keras.Model, pairs: Split, *, schedule: Schedule, **options: Any) -> History:
    """Moves the cosine of two texts' features to 1 or 0, by the mean of squared errors; the head stays as it was.

    Args:
        model: a classifier of texts with layers ``pool`` and ``logits``; trained in place.
        pairs: token ids of two texts, one behind the other, and `Pairs.same`.
        schedule: of the encoder.
        options: of `fitting.fit`: ``workspace``, ``seed`` ...

    Returns:
        Its curves.
    """
    network = cosines(transfer.feature_extractor(model))
    loss = keras.losses.MeanSquaredError()
    return fitting.fit(network, pairs, schedule=schedule, loss=loss, metrics=(), keep="last", **options)


def cosines(body: keras.Model) -> keras.Model:
    """Two texts, one behind the other, to the cosine of their features: ``(batch, 2 * length)`` to ``(batch, 1)``.

    Args:
        body: from token ids to features ``(batch, width)``, see `transfer.feature_extractor`; its layers are shared.
    """
    (given,) = body.inputs
    length = given.shape[1]
    both = keras.Input((2 * length,), dtype=given.dtype, name="both")
    features = body(keras.ops.reshape(both, (-1, length)))  # all texts in one call
    width = features.shape[1]
    unit = keras.layers.UnitNormalization(dtype="float32", name="unit")(features)
    two = keras.ops.reshape(unit, (-1, 2, width))
    return keras.Model(both, keras.ops.sum(two[:, 0] * two[:, 1], axis=-1, keepdims=True), name="cosines")
