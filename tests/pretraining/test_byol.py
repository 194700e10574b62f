"""BYOL's loss, moving average and predictor against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from kerastl.distil import schedules
from kerastl.pretraining import byol


@pytest.fixture
def pair():
    generator = np.random.default_rng(3)
    return generator.normal(0, 2, (6, 4)), generator.normal(0, 2, (6, 4))


def test_it_is_the_squared_distance_of_directions(pair):
    directions = [one / np.linalg.norm(one, axis=1, keepdims=True) for one in pair]
    wanted = ((directions[0] - directions[1]) ** 2).sum(1).mean()
    np.testing.assert_allclose(byol.loss(*pair), wanted, rtol=1e-10)
    np.testing.assert_allclose(byol.loss(*(one.astype("float32") for one in pair)), wanted, rtol=1e-6)


def test_by_hand():
    predictions = np.array([[2.0, 0], [0, 3], [1, 0], [0, 0]])
    targets = np.array([[5.0, 0], [0, -1], [0, 1], [1, 1]])
    np.testing.assert_allclose(byol.loss(predictions, targets), (0 + 4 + 2 + 2) / 4, atol=1e-12)


def test_neither_examples_nor_lengths_matter(pair):
    wanted = float(byol.loss(*pair))
    order = np.random.default_rng(0).permutation(6)
    lengths = np.random.default_rng(1).uniform(0.1, 10, (6, 1))
    for other in ((pair[1], pair[0]), (pair[0][order], pair[1][order]), (pair[0] * lengths, pair[1] * 1e8)):
        np.testing.assert_allclose(byol.loss(*other), wanted, rtol=1e-10)


def test_no_gradient_goes_to_the_targets(pair):
    predictions, targets = map(tf.constant, pair)
    with tf.GradientTape() as tape:
        tape.watch([predictions, targets])
        loss = byol.loss(predictions, targets)
    found = tape.gradient(loss, [predictions, targets])
    assert np.abs(found[0]).max() > 1e-3
    assert found[1] is None


@pytest.mark.parametrize("decay", [0.0, 0.9, 1.0, tf.constant(0.9)])
def test_a_moving_average_is_of_each_weight(decay):
    generator = np.random.default_rng(0)
    old = [generator.normal(size=(3, 2)).astype("float32"), generator.normal(size=4), np.array([1, 2], "int32")]
    new = [generator.normal(size=(3, 2)).astype("float32"), generator.normal(size=4), np.array([5, 6], "int32")]
    found = byol.moving_average(old, new, decay=decay)
    assert [one.dtype.name for one in found] == ["float32", "float64", "int32"]
    share = float(decay)
    for place in (0, 1):
        np.testing.assert_allclose(found[place], share * old[place] + (1 - share) * new[place], rtol=1e-6)
    np.testing.assert_array_equal(found[2], [5, 6])


def test_what_is_no_moving_average_is_refused():
    one, other = [np.zeros(3)], [np.zeros(4)]
    with pytest.raises(ValueError, match=r"1 and 1 weights of other shapes"):
        byol.moving_average(one, other, decay=0.9)
    with pytest.raises(ValueError, match=r"1 and 2 weights\."):
        byol.moving_average(one, one + one, decay=0.9)
    for decay in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match=r"in 0\.\.1"):
            byol.moving_average(one, one, decay=decay)


def test_the_papers_decay_is_a_schedule():
    steps = 40
    decay = schedules.cosine(0.996, 1.0, steps=steps)
    for step in (0, 10, 40):  # Grill et al. 2020, section 3.2
        wanted = 1 - (1 - 0.996) * (np.cos(np.pi * step / steps) + 1) / 2
        np.testing.assert_allclose(decay(tf.constant(step)), wanted, rtol=1e-6)


def test_a_predictor_is_four_layers():
    model = byol.predictor(3, hidden=5)
    assert (model.input_shape, model.output_shape) == ((None, 3), (None, 3))
    assert model.count_params() == 3 * 5 + 4 * 5 + 5 * 3 + 3
    with pytest.raises(ValueError, match="hidden=0"):
        byol.predictor(3, hidden=0)
