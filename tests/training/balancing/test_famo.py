"""FAMO against algorithm 1 of Liu et al. in NumPy, its gradient against differences."""

import numpy as np
import pytest

from kerastl.training.balancing import famo

BEFORE, AFTER, LOGITS = np.array([0.8, 3.0]), np.array([0.6, 2.9]), np.array([0.4, -0.1])


def shares(logits: np.ndarray) -> np.ndarray:
    return np.exp(logits) / np.exp(logits).sum()


def test_weights_are_those_of_the_logarithms_of_the_losses():
    found = np.asarray(famo.weights(BEFORE, LOGITS))
    np.testing.assert_allclose(found, shares(LOGITS) / BEFORE / (shares(LOGITS) / BEFORE).sum(), atol=1e-9)
    assert found.sum() == pytest.approx(1)


def test_the_gradient_by_the_logits():
    def value(logits: np.ndarray) -> float:
        return shares(logits) @ (np.log(BEFORE) - np.log(AFTER))

    steps = 1e-6 * np.eye(2)
    slope = [(value(LOGITS + step) - value(LOGITS - step)) / 2e-6 for step in steps]
    np.testing.assert_allclose(famo.gradient(BEFORE, AFTER, LOGITS), slope, atol=1e-8)


def test_a_rule_helps_the_task_whose_loss_fell_less():
    rule = famo.FAMO(learning_rate=0.1, decay=0.01)
    state = {"logits": LOGITS}
    moved = rule.look_again(BEFORE, AFTER, state)["logits"]
    slope = np.asarray(famo.gradient(BEFORE, AFTER, LOGITS))
    np.testing.assert_allclose(moved, LOGITS - 0.1 * (slope + 0.01 * LOGITS), atol=1e-9)
    assert moved[1] - moved[0] > LOGITS[1] - LOGITS[0]
    weights, changed = rule.weigh(BEFORE, np.eye(2), state)
    np.testing.assert_allclose(weights, famo.weights(BEFORE, LOGITS))
    assert changed == {}
