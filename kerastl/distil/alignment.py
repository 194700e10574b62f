"""Answers in which every class comes equally often: distribution alignment.

A teacher of few labels mistakes some classes for others more often than the other way round, and a student that learns
from what it names learns that too. Where it is known how often each class comes, the answers can be brought to it
(Berthelot et al. 2020, "ReMixMatch: Semi-Supervised Learning with Distribution Alignment and Augmentation Anchoring",
section 3.1, https://arxiv.org/abs/1911.09785). Here every class comes as often as any other.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerastl.distil import teachers


def aligned(logits: Any, shares: keras.Variable, *, decay: float) -> Any:
    """The logits of probabilities divided by their running mean, which this batch moves on.

    Runs in the compiled step, of each replica where there are several; the mean is that over all of them.

    Args:
        logits: ``(batch, classes)``.
        shares: ``(classes,)``, the running mean of probabilities; begins with equal ones.
        decay: how much of it stays, 0 or more and below 1.

    Returns:
        ``(batch, classes)``, up to a constant a row.
    """
    context = tf.distribute.get_replica_context()
    now = tf.reduce_mean(tf.nn.softmax(tf.cast(logits, tf.float32)), 0)
    mean = decay * shares.value + (1 - decay) * context.all_reduce(tf.distribute.ReduceOp.MEAN, now)

    def update(strategy: Any, value: Any) -> None:
        strategy.extended.update(shares.value, lambda old, new: old.assign(new), args=(value,))

    # a mirrored variable is written by all replicas together
    context.merge_call(update, args=(mean,))
    return logits - tf.cast(tf.math.log(mean), logits.dtype)


def balanced(model: keras.Model, inputs: np.ndarray, *, rounds: int = 1000, tolerance: float = 1e-4) -> keras.Model:
    """A copy whose mean probability over ``inputs`` is the same for every class.

    The biases of its last layer are moved: multiplying classes' odds is what alignment does, and it is repeated until
    nothing is left to align. No label is looked at.

    Args:
        model: functional, ends in a dense layer without activation; emits logits ``(batch, classes)``.
        inputs: examples among which every class is as frequent as any other.
        rounds: most repetitions.
        tolerance: largest distance of a class's mean probability from an equal share.

    Raises:
        ValueError: the model does not end in a dense layer with a bias and without activation, or a class is so rare in
            its answers that the rounds do not suffice.
    """
    (output,) = model.outputs
    last = output._keras_history.operation
    if not isinstance(last, keras.layers.Dense) or last.bias is None or last.activation is not keras.activations.linear:
        raise ValueError(
            "Wanted a model that ends in a dense layer with a bias, without activation. Received: "
            f"{type(last).__name__} {last.name!r}."
        )
    logits = model.predict(inputs, batch_size=500, verbose=0).astype(np.float64)
    moved, classes = np.zeros(logits.shape[1]), logits.shape[1]
    for _ in range(rounds):
        odds = np.exp(logits + moved - (logits + moved).max(1, keepdims=True))
        shares = (odds / odds.sum(1, keepdims=True)).mean(0)
        if np.abs(shares - 1 / classes).max() <= tolerance:
            break
        moved -= np.log(shares * classes)
    else:
        raise ValueError(
            f"Wanted answers that can be brought to equal shares within {rounds} rounds. Received: shares "
            f"{np.round(shares, 3).tolist()} after them."
        )
    copy = teachers.copy_of(model)
    bias = copy.get_layer(last.name).bias
    bias.assign(bias + moved)
    return copy
