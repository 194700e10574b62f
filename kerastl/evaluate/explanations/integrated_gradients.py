"""Integrated gradients and SmoothGrad: what each number of an example contributes to an output of a model.

Sundararajan et al. 2017, https://arxiv.org/abs/1703.01365: the slope of the output, integrated on the straight way from
a baseline to the example, times the way. Contributions sum to the difference of the two outputs (completeness), which
is checked. SmoothGrad (Smilkov et al. 2017, https://arxiv.org/abs/1706.03825) is the mean slope around an example.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

STEPS, MOST_STEPS = 32, 1024


class Attributions(NamedTuple):
    """Contributions to an output.

    Attributes:
        values: float32, of the examples' shape.
        incomplete: of each example how far their sum is from the difference of outputs, as a share of that.
        steps: of the integral that gave them.
    """

    values: np.ndarray
    incomplete: np.ndarray
    steps: int


def explainer(
    model: keras.Model, *, tolerance: float = 0.01, batch_size: int = 64
) -> Callable[[np.ndarray, np.ndarray, np.ndarray], Attributions]:
    """A function that explains examples, traced once.

    Args:
        model: emits logits ``(batch, classes)``, or numbers; its input is of numbers, not of token ids.
        tolerance: how incomplete an explanation may be: steps are doubled until none is more so, up to 1,024.
        batch_size: examples that the model sees at once.

    Returns:
        Takes examples, indices of outputs ``(examples,)``, and a baseline of one example's shape (black, or the mean).
    """
    slopes = slope_of(model)

    def outputs(examples: np.ndarray, places: np.ndarray) -> np.ndarray:
        found = model(tf.constant(examples), training=False)
        return np.asarray(found, np.float64)[np.arange(len(examples)), places]

    def integral(example: np.ndarray, place: int, baseline: np.ndarray, steps: int) -> np.ndarray:
        nodes, weights = _rule(steps)
        total = np.zeros(example.shape, np.float64)
        for start in range(0, len(nodes), batch_size):
            some = nodes[start : start + batch_size].astype(np.float32).reshape(-1, *[1] * example.ndim)
            found = slopes(baseline + some * (example - baseline), np.full(len(some), place))
            total += np.tensordot(weights[start : start + batch_size], found, 1)
        return total * (example - baseline)

    def explain(examples: np.ndarray, places: np.ndarray, baseline: np.ndarray) -> Attributions:
        examples, baseline = np.asarray(examples, np.float32), np.asarray(baseline, np.float32)
        moved = outputs(examples, places) - outputs(np.repeat(baseline[None], len(examples), 0), places)
        values = np.zeros(examples.shape, np.float64)
        incomplete = np.full(len(examples), np.inf)
        steps = STEPS
        while True:
            for row in np.flatnonzero(incomplete > tolerance):
                values[row] = integral(examples[row], int(places[row]), baseline, steps)
                incomplete[row] = abs(values[row].sum() - moved[row]) / max(abs(moved[row]), 1e-6)
            if (incomplete <= tolerance).all() or steps >= MOST_STEPS:
                return Attributions(values.astype(np.float32), incomplete, steps)
            steps *= 2

    return explain


def smooth_grad(
    model: keras.Model,
    examples: np.ndarray,
    places: np.ndarray,
    *,
    noise: np.ndarray | float,
    count: int = 32,
    seed: int = 0,
) -> np.ndarray:
    """The mean slope of an output around each example, float32 of the examples' shape.

    Args:
        model: as for `explainer`.
        examples, places: examples, and the index of an output of each.
        noise: standard deviation, in the unit of the examples, that of the paper 10 to 20 % of their range.
        count: noisy copies of each.
        seed: of the noise.
    """
    slopes, random, made = slope_of(model), np.random.default_rng(seed), []
    for example, place in zip(np.asarray(examples, np.float32), places, strict=True):
        noisy = example + np.asarray(noise, np.float32) * random.standard_normal((count, *example.shape), np.float32)
        made.append(slopes(noisy.astype(np.float32), np.full(count, place)).mean(0))
    return np.asarray(made, np.float32)


def slope_of(model: keras.Model) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """A function of examples and an output of each: its slope, of the examples' shape."""

    @tf.function(reduce_retracing=True)
    def slope(examples: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(examples)
            found = tf.reduce_sum(tf.gather(model(examples, training=False), places, batch_dims=1))
        return tf.convert_to_tensor(tape.gradient(found, examples))

    return lambda examples, places: slope(
        tf.constant(np.asarray(examples, np.float32)), tf.constant(np.asarray(places, np.int32))
    ).numpy()


def _rule(steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Places and weights on 0..1: Gauss and Legendre's of 8 places, on parts of it, for slopes that jump."""
    nodes, weights = np.polynomial.legendre.leggauss(8)
    parts = max(steps // 8, 1)
    starts = np.arange(parts)[:, None] / parts
    return (starts + (nodes + 1) / 2 / parts).ravel(), np.tile(weights / 2 / parts, parts)
