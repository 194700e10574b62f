"""GradNorm against equations 1 and 2 of Chen et al. in NumPy, its gradient against differences."""

import numpy as np
import pytest

from kerastl.training.balancing import gradnorm

WEIGHTS, LENGTHS, SHARES = np.array([0.7, 1.3]), np.array([4.0, 0.5]), np.array([0.9, 0.3])


def test_the_gradient_is_that_of_the_distance_to_lengths_held_still():
    rates = SHARES / SHARES.mean()
    wanted = (WEIGHTS * LENGTHS).mean() * rates**1.5
    np.testing.assert_allclose(gradnorm.wanted_lengths(WEIGHTS, LENGTHS, SHARES, alpha=1.5), wanted)

    def distance(weights: np.ndarray) -> float:
        return np.abs(weights * LENGTHS - wanted).sum()

    steps = 1e-6 * np.eye(2)
    slope = [(distance(WEIGHTS + step) - distance(WEIGHTS - step)) / 2e-6 for step in steps]
    np.testing.assert_allclose(gradnorm.gradient(WEIGHTS, LENGTHS, SHARES, alpha=1.5), slope, atol=1e-6)


def test_a_rule_brings_gradients_to_one_length():
    """With alpha 0, and losses that stay: a gradient of 4 and one of 1 are weighed 0.4 and 1.6."""
    rule = gradnorm.GradNorm(alpha=0.0, learning_rate=0.002)
    state, losses = dict(rule.start(["side", "heat"])), np.array([2.0, 5.0], "float32")
    products = np.array([[16, -1], [-1, 1]], "float32")
    first, changed = rule.weigh(losses, products, state)
    np.testing.assert_array_equal(first, [1, 1])
    moved = np.array([1 - 0.002 * 4, 1 + 0.002])
    np.testing.assert_allclose(changed["weights"], 2 * moved / moved.sum(), rtol=1e-6)
    np.testing.assert_array_equal(changed["first"], losses)
    for _ in range(400):
        weights, changed = rule.weigh(losses / 2, products, state)
        state |= changed
    np.testing.assert_allclose(weights, [0.4, 1.6], atol=0.02)
    assert float(np.sum(weights)) == pytest.approx(2)
