"""PCGrad against algorithm 1 of Yu et al. on the gradients themselves, in NumPy."""

import itertools

import numpy as np
import pytest

from kerastl.training.balancing import pcgrad


def surgery(gradients: np.ndarray, orders) -> np.ndarray:
    total = np.zeros(gradients.shape[1])
    for task, gradient in enumerate(gradients):
        own = gradient.copy()
        for other in orders[task]:
            against = own @ gradients[other]
            if other != task and against < 0:
                own -= against / (gradients[other] @ gradients[other]) * gradients[other]
        total += own
    return total


def test_two_tasks_that_conflict():
    gradients = np.array([[1.0, 0.0], [-1.0, 1.0]])
    weights = pcgrad.weights(gradients @ gradients.T, np.array([[0, 1], [0, 1]]))
    # (1, 0) without its part along (-1, 1) is (1/2, 1/2); (-1, 1) without its part along (1, 0) is (0, 1)
    np.testing.assert_allclose(np.asarray(weights) @ gradients, [0.5, 1.5], atol=1e-9)


@pytest.mark.parametrize("place", range(4))
def test_four_tasks_in_any_order(place):
    draw = np.random.default_rng(place)
    gradients = draw.normal(size=(4, 3))
    assert any(one @ other < 0 for one, other in itertools.combinations(gradients, 2))
    orders = np.stack([draw.permutation(4) for _ in range(4)])
    weights = np.asarray(pcgrad.weights(gradients @ gradients.T, orders))
    np.testing.assert_allclose(weights @ gradients, surgery(gradients, orders), atol=1e-9)


def test_orders_are_drawn_anew_and_tasks_that_agree_are_left_alone():
    rule, draw = pcgrad.PCGrad(seed=1), np.random.default_rng(5)
    gradients = draw.normal(size=(4, 3)).astype("float32")
    products, state, found = gradients @ gradients.T, dict(rule.start(list("abcd"))), []
    for _ in range(6):
        weights, changed = rule.weigh(np.ones(4, "float32"), products, state)
        state |= changed
        found.append(tuple(np.round(weights, 5)))
    assert len(set(found)) > 1
    agreed = np.abs(gradients)
    np.testing.assert_array_equal(rule.weigh(np.ones(4, "float32"), agreed @ agreed.T, state)[0], np.ones(4))
