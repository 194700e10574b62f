"""Adversarial examples: within the budget, worse than noise, and of a linear model the worst there are."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from kerastl.evaluate import adversarial


@pytest.fixture(scope="module")
def linear() -> keras.Model:
    inputs = keras.Input((6, 5, 1))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(inputs)))
    model.set_weights([np.random.default_rng(0).normal(0, 0.01, (30, 2)), np.zeros(2)])
    return model


def test_of_a_linear_model_fgsm_is_the_worst_within_the_budget(linear):
    random = np.random.default_rng(1)
    pictures = random.integers(20, 230, (50, 6, 5, 1)).astype(np.uint8)
    labels = np.asarray(linear(pictures.astype(np.float32))).argmax(-1)
    kernel = np.asarray(linear.get_weights()[0])
    for steps in (1, 10):
        found = adversarial.perturbed(
            linear, pictures, labels, budget=4.0, steps=steps, limits=(0, 255), whole=True, batch_size=20
        )
        moved = found - pictures
        assert np.abs(moved).max() == 4
        assert (moved == np.rint(moved)).all()
        if steps == 1:
            direction = (kernel[:, 1] - kernel[:, 0]).reshape(6, 5, 1) * np.where(labels, -1, 1)[:, None, None, None]
            np.testing.assert_array_equal(moved, 4 * np.sign(direction))
        logits = np.asarray(linear(found))
        margins = logits[np.arange(50), labels] - logits[np.arange(50), 1 - labels]
        before = np.asarray(linear(pictures.astype(np.float32)))
        lost = before[np.arange(50), labels] - before[np.arange(50), 1 - labels] - margins
        assert lost == pytest.approx(np.full(50, 4 * np.abs(kernel[:, 1] - kernel[:, 0]).sum()), rel=0.15)


def test_limits_and_a_budget_for_each_column_are_kept(linear):
    pictures = np.zeros((3, 6, 5, 1), np.float32)
    found = adversarial.perturbed(linear, pictures, np.zeros(3, int), budget=np.array([2.5]), limits=(0, 255))
    assert found.min() == 0
    assert 0 < found.max() <= 2.5


def test_pgd_is_worse_than_fgsm_where_the_model_is_not_linear():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8,))
    hidden = keras.layers.Dense(32, activation="tanh")(keras.layers.Dense(32, activation="tanh")(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3)(hidden))
    rows = np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)
    labels = np.asarray(model(rows)).argmax(-1)
    right = {
        steps: (
            np.asarray(model(adversarial.perturbed(model, rows, labels, budget=0.3, steps=steps))).argmax(-1) == labels
        ).mean()
        for steps in (1, 10)
    }
    noise = rows + 0.3 * np.sign(np.random.default_rng(1).normal(size=rows.shape)).astype(np.float32)
    assert right[10] <= right[1] < (np.asarray(model(noise)).argmax(-1) == labels).mean()
