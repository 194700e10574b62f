"""Barlow Twins against NumPy's own correlations."""

import numpy as np
import pytest

from kerastl.pretraining import barlow_twins


def by_hand(first, second, weight):
    width = first.shape[1]
    value = 0.0
    for i in range(width):
        for j in range(width):
            correlation = np.corrcoef(first[:, i], second[:, j])[0, 1]
            value += (1 - correlation) ** 2 if i == j else weight * correlation**2
    return value


@pytest.fixture
def views():
    generator = np.random.default_rng(3)
    first = generator.normal(1, 2, (9, 4))
    return first, first + generator.normal(0, 1, (9, 4))


@pytest.mark.parametrize("weight", [0.0, 0.005, 2.0])
def test_it_equals_numpy(views, weight):
    wanted = by_hand(*views, weight)
    np.testing.assert_allclose(barlow_twins.loss(*views, redundancy_weight=weight), wanted, rtol=1e-10)
    single = barlow_twins.loss(*(view.astype("float32") for view in views), redundancy_weight=weight)
    np.testing.assert_allclose(single, wanted, rtol=1e-6, atol=1e-6)


def test_features_that_correlate_with_themselves_alone_are_the_least():
    # columns of a Hadamard matrix: mean 0, and orthogonal
    views = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], "float64")
    np.testing.assert_allclose(barlow_twins.loss(views, 2 * views + 5), 0, atol=1e-12)
    repeated = views[:, [0, 0, 0]]
    np.testing.assert_allclose(barlow_twins.loss(repeated, repeated), 6 * 0.005, rtol=1e-10)


def test_neither_views_nor_examples_nor_scale_and_offset_of_a_feature_matter(views):
    wanted = float(barlow_twins.loss(*views))
    order = np.random.default_rng(0).permutation(len(views[0]))
    scaled = views[0] * [1e-3, 1, 7, 1e6] + [5, 0, -3, 100]
    for other in ((views[1], views[0]), (views[0][order], views[1][order]), (scaled, views[1])):
        np.testing.assert_allclose(barlow_twins.loss(*other), wanted, rtol=1e-9)


def test_what_does_not_vary_correlates_with_nothing():
    even = np.full((9, 4), 0.1, "float32")
    assert float(barlow_twins.loss(even, even)) == 4
    views = np.random.default_rng(0).normal(size=(9, 4)).astype("float32")
    assert float(barlow_twins.loss(even, views)) == 4


def test_a_negative_weight_is_refused(views):
    with pytest.raises(ValueError, match="redundancy_weight=-1"):
        barlow_twins.loss(*views, redundancy_weight=-1)
