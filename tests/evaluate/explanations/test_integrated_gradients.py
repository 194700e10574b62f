"""Integrated gradients against slopes written by hand and SciPy's integral, and their completeness."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import toy
from scipy import integrate

from kerastl.evaluate.explanations import integrated_gradients, sanity

X = np.random.default_rng(0).normal(0, 2, (3, 4)).astype(np.float32)
BASELINE = np.array([0.5, 0, -1, 0], np.float32)


@pytest.fixture(scope="module")
def smooth() -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Dense(8, activation="tanh")(inputs)))


def by_hand(model, example, place) -> np.ndarray:
    """The integral of the slope, one number after the other, with no TensorFlow."""
    first, bias, second, _ = (np.asarray(weight, np.float64) for weight in model.get_weights())
    way = example.astype(np.float64) - BASELINE

    def slope(share, number):
        hidden = np.tanh((BASELINE + share * way) @ first + bias)
        return (first[number] * (1 - hidden**2)) @ second[:, place]

    return np.array([way[one] * integrate.quad(slope, 0, 1, args=(one,), epsabs=1e-12)[0] for one in range(4)])


def test_they_are_an_independent_implementations_to_1e4(smooth):
    found = integrated_gradients.explainer(smooth)(X, np.array([0, 1, 2]), BASELINE)
    wanted = np.stack([by_hand(smooth, example, place) for place, example in enumerate(X)])
    assert np.abs(found.values - wanted).max() < 1e-4
    assert found.incomplete.max() < 1e-4
    assert found.steps == integrated_gradients.STEPS


def test_contributions_sum_to_the_difference_within_a_hundredth_where_slopes_jump():
    model = toy.at_random(toy.one_convolution())
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (4, 8, 8, 1)).astype(np.float32)
    places, black = np.array([0, 1, 2, 3]), np.zeros((8, 8, 1), np.float32)
    found = integrated_gradients.explainer(model)(pictures, places, black)
    outputs = np.asarray(model(pictures)) - np.asarray(model(black[None]))
    moved = outputs[np.arange(4), places]
    assert np.abs(found.values.sum((1, 2, 3)) / moved - 1).max() < 0.01
    assert found.incomplete == pytest.approx(np.abs(found.values.sum((1, 2, 3)) / moved - 1), abs=1e-4)
    with sanity.randomized(model):
        again = integrated_gradients.explainer(model)(pictures, places, black)
    seen = np.s_[:, :7, :7]  # what no kernel covers is 0 under any weights
    assert sanity.rank_correlation(found.values[seen], again.values[seen]) < 0.7


def test_the_mean_slope_is_that_of_the_noisy_examples(smooth):
    found = integrated_gradients.smooth_grad(smooth, X[:1], np.array([1]), noise=0.3, count=2000)
    first, bias, second, _ = (np.asarray(weight, np.float64) for weight in smooth.get_weights())
    noisy = X[0] + 0.3 * np.random.default_rng(5).normal(size=(20_000, 4))
    wanted = ((1 - np.tanh(noisy @ first + bias) ** 2) * second[:, 1]) @ first.T
    assert found[0] == pytest.approx(wanted.mean(0), abs=0.02)
