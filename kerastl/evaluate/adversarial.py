"""Adversarial examples as a stress figure: FGSM and PGD at small budgets, on the float model, carried over to files.

The fast gradient sign method (Goodfellow et al. 2015, https://arxiv.org/abs/1412.6572) and projected gradient descent
(Madry et al. 2018, https://arxiv.org/abs/1706.06083) within the largest change of a value. A file has no gradient: what
fools the model is shown to it, which says how far an attack carries over, and nothing of attacks on the file itself.
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

STEPS = 10


def perturbed(
    model: keras.Model,
    examples: np.ndarray,
    labels: np.ndarray,
    *,
    budget: np.ndarray | float,
    steps: int = STEPS,
    limits: tuple[float, float] | None = None,
    whole: bool = False,
    batch_size: int = 100,
    seed: int = 0,
) -> np.ndarray:
    """Examples moved to where the model's loss is greater.

    Args:
        model: emits logits ``(batch, classes)``; of a probability that is 1 in float32 there is no slope left.
        examples: ``(examples, *shape)``, numbers.
        labels: class indices ``(examples,)``.
        budget: most that a value may change, or that for each place of the last axis, in the unit of the examples.
        steps: 1 is FGSM, more are PGD, which begins at a random place within the budget.
        limits: least and greatest value, 0 and 255 of pixels.
        whole: whether values are whole numbers in the end, as pixels of a file are.
        batch_size: examples at once.
        seed: of where PGD begins.

    Returns:
        float32 of the shape of the examples, none of which has moved further than the budget.
    """
    random, made = np.random.default_rng(seed), []
    bounds = np.broadcast_to(np.float32(budget), examples.shape[-1:])
    least, most = limits or (-np.inf, np.inf)
    for start in range(0, len(examples), batch_size):
        plain = np.asarray(examples[start : start + batch_size], np.float32)
        held = tf.constant(np.asarray(labels[start : start + batch_size], np.int32))
        moved = plain if steps == 1 else plain + bounds * random.uniform(-1, 1, plain.shape).astype(np.float32)
        size = bounds if steps == 1 else 2.5 * bounds / steps
        for _ in range(steps):
            slope = _slope(model, tf.constant(np.clip(moved, least, most)), held).numpy()
            moved = np.clip(moved + size * np.sign(slope), plain - bounds, plain + bounds)
        moved = np.clip(moved, least, most)
        if whole:  # towards the example, so that rounding never leaves the budget
            moved = plain + np.trunc(moved - plain)
        made.append(moved.astype(np.float32))
    return np.concatenate(made)


@tf.function(reduce_retracing=True)
def _slope(model: keras.Model, examples: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    with tf.GradientTape() as tape:
        tape.watch(examples)
        logits = tf.cast(model(examples, training=False), tf.float32)
        own = tf.one_hot(labels, tf.shape(logits)[-1], on_value=True, off_value=False)
        # The slope of the cross-entropy is this one times 1 - p, which is rounding noise where p is nearly 1.
        others = tf.reduce_logsumexp(tf.where(own, logits.dtype.min, logits), -1)
        loss = tf.reduce_sum(others - tf.gather(logits, labels, batch_dims=1))
    return tf.convert_to_tensor(tape.gradient(loss, examples))
