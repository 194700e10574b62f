"""Uncertainty weighting against equations 7 and 10 of Kendall et al. in NumPy, its gradient against differences."""

import numpy as np
import pytest

from kerastl.training.balancing import uncertainty

LOSSES, S, FACTORS = np.array([0.8, 3.0]), np.array([0.3, -0.5]), np.array([1.0, 0.5])
"""A cross-entropy, and a squared error."""


def total(s: np.ndarray) -> float:
    sigma = np.exp(s / 2)
    return LOSSES[0] / sigma[0] ** 2 + np.log(sigma[0]) + LOSSES[1] / (2 * sigma[1] ** 2) + np.log(sigma[1])


def test_the_total_and_its_gradient():
    assert float(uncertainty.total(LOSSES, S, FACTORS)) == pytest.approx(total(S), abs=1e-9)
    steps = 1e-6 * np.eye(2)
    slope = [(total(S + step) - total(S - step)) / 2e-6 for step in steps]
    np.testing.assert_allclose(uncertainty.gradient(LOSSES, S, FACTORS), slope, atol=1e-6)
    np.testing.assert_allclose(uncertainty.weights(S, FACTORS), np.exp(-S) * FACTORS)


def test_a_rule_goes_to_the_variance_of_each_loss():
    rule = uncertainty.Uncertainty(squared=("heat",), learning_rate=0.2)
    state = dict(rule.start(["side", "heat"]))
    first, changed = rule.weigh(LOSSES.astype("float32"), np.eye(2), state)
    np.testing.assert_allclose(first, [1, 0.5])
    np.testing.assert_allclose(changed["log_variances"], -0.2 * (0.5 - FACTORS * LOSSES), rtol=1e-6)
    for _ in range(300):
        state |= rule.weigh(LOSSES.astype("float32"), np.eye(2), state)[1]
    np.testing.assert_allclose(np.exp(state["log_variances"]), 2 * FACTORS * LOSSES, rtol=1e-3)


def test_a_task_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="squared="):
        uncertainty.Uncertainty(squared=("heats",)).start(["side", "heat"])
