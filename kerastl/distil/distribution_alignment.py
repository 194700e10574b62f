"""Answers in which every class comes equally often: distribution alignment.

A teacher of few labels mistakes some classes for others more often than the other way round, and a student that learns
from what it names learns that too. Where it is known how often each class comes, the answers can be brought to it
(Berthelot et al. 2020, "ReMixMatch: Semi-Supervised Learning with Distribution Alignment and Augmentation Anchoring",
section 3.1, https://arxiv.org/abs/1911.09785). There probabilities are divided once, by their running mean, which does
little to answers that are sure; here the odds of a class are multiplied until it is as frequent as any other.
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from scipy import special

from kerastl.distil import numerics, teachers

LEAST_SHARE = 1e-6
"""Of a class in a batch that is taken for one that does not come at all: its odds then grow by a bounded step."""


def align(logits: tf.Tensor, odds: keras.Variable, *, decay: float) -> tf.Tensor:
    """The logits with every class made as much likelier as it has come too seldom so far.

    Runs in the compiled step, of each replica where there are several; shares are those over all of them. The logarithm
    of every class's odds moves by ``(decay - 1) * log(share * classes)``, ``share`` its mean probability in the batch:
    at rest all shares are equal.

    Args:
        logits: ``(batch, classes)``.
        odds: float32 ``(classes,)``, logarithms of what the odds are multiplied by; begins with zeros.
        decay: how slowly they follow, 0 or more and below 1: 0.99 takes some hundred steps.

    Returns:
        ``(batch, classes)``, float32, or float64 of such logits.
    """
    (logits,) = numerics.as_float(logits)
    moved = logits + tf.cast(odds.value, logits.dtype)
    context = tf.distribute.get_replica_context()
    total, rows = context.all_reduce(
        tf.distribute.ReduceOp.SUM,
        [tf.cast(tf.reduce_sum(tf.nn.softmax(moved), 0), tf.float32), tf.cast(tf.shape(logits)[0], tf.float32)],
    )
    shares = tf.maximum(tf.math.divide_no_nan(total, rows), LEAST_SHARE)
    change = (decay - 1) * tf.math.log(shares * tf.cast(tf.shape(shares)[0], tf.float32))
    change = tf.where(rows > 0, change, tf.zeros_like(change))

    def update(strategy: tf.distribute.Strategy, value: tf.Tensor) -> None:
        strategy.extended.update(odds.value, lambda old, new: old.assign_add(new), args=(value,))

    # a mirrored variable is written by all replicas together
    context.merge_call(update, args=(change,))
    return moved + tf.cast(change, logits.dtype)


def prior_correction(
    model: keras.Model, inputs: np.ndarray, *, rounds: int = 1000, tolerance: float = 1e-4
) -> keras.Model:
    """A copy whose mean probability over ``inputs`` is the same for every class.

    The biases of its last layer are moved: they multiply classes' odds. No label is looked at.

    Args:
        model: functional or sequential, with one output, logits ``(batch, classes)`` of a dense layer without
            activation that is used once.
        inputs: examples among which every class is as frequent as any other.
        rounds: most repetitions.
        tolerance: largest distance of a class's mean probability from an equal share.

    Raises:
        ValueError: the model ends in another way, or its answers cannot be brought to equal shares: a class is hardly
            ever among them, or the layer's numbers are too coarse.
    """
    last = _last(model)
    logits = model.predict(inputs, batch_size=500, verbose=0).astype(np.float64)
    moved, classes = np.zeros(logits.shape[1]), logits.shape[1]
    for _ in range(rounds):
        shares = _shares(logits + moved)
        if not shares.min() > 0 or np.abs(shares - 1 / classes).max() <= tolerance / 2:
            break
        moved -= np.log(shares * classes)
    copy = teachers.clone(model)
    bias = copy.get_layer(last.name).bias
    bias.assign(bias + moved)
    shares = _shares(copy.predict(inputs, batch_size=500, verbose=0).astype(np.float64))
    if not np.abs(shares - 1 / classes).max() <= tolerance:
        raise ValueError(
            f"Wanted answers that can be brought to equal shares, to {tolerance:g}. Received: shares "
            f"{np.round(shares, 4).tolist()} after {rounds} rounds at most."
        )
    return copy


def _shares(logits: np.ndarray) -> np.ndarray:
    """Mean probability of every class."""
    return special.softmax(logits, axis=1).mean(0)


def _last(model: keras.Model) -> keras.layers.Dense:
    """The dense layer that a model's logits come out of."""
    outputs = getattr(model, "outputs", None) or []
    received = f"{len(outputs)} outputs"
    if len(outputs) == 1:
        last = outputs[0]._keras_history.operation
        if isinstance(last, keras.layers.Dense) and last.use_bias and last.activation is keras.activations.linear:
            return last
        received = f"{type(last).__name__} {last.name!r}"
    raise ValueError(
        "Wanted a functional model with one output, of a dense layer with a bias and without activation. Received: "
        f"{received}."
    )
