"""VICReg against NumPy's own variances and covariances, term by term."""

import numpy as np
import pytest

from kerastl.pretraining import vicreg

ALONE = {"invariance_weight": 0.0, "variance_weight": 0.0, "covariance_weight": 0.0}


def terms(first, second, deviation=1.0):
    """Bardes et al. 2022, algorithm 1."""
    variance = covariance = 0.0
    for one in (first, second):
        deviations = np.sqrt(one.var(0, ddof=1) + 1e-4)
        variance += np.maximum(0, deviation - deviations).mean()
        covariances = np.cov(one.T)
        covariance += (covariances**2).sum() / len(covariances) - (np.diag(covariances) ** 2).sum() / len(covariances)
    return {
        "invariance_weight": ((first - second) ** 2).mean(),
        "variance_weight": variance,
        "covariance_weight": covariance,
    }


@pytest.fixture
def views():
    generator = np.random.default_rng(3)
    first = generator.normal(1, 1, (9, 4)) * [0.2, 0.9, 1.5, 3]
    return first, first + generator.normal(0, 0.5, (9, 4))


@pytest.mark.parametrize("term", ALONE)
def test_each_term_equals_numpy(views, term):
    wanted = terms(*views)[term]
    assert wanted > 0.01
    np.testing.assert_allclose(vicreg.loss(*views, **{**ALONE, term: 2.0}), 2 * wanted, rtol=1e-10)


@pytest.mark.parametrize("deviation", [0.5, 1.0, 4.0])
def test_it_is_their_weighted_sum(views, deviation):
    found = terms(*views, deviation)
    wanted = 25 * found["invariance_weight"] + 25 * found["variance_weight"] + found["covariance_weight"]
    np.testing.assert_allclose(vicreg.loss(*views, deviation=deviation), wanted, rtol=1e-10)
    single = vicreg.loss(*(view.astype("float32") for view in views), deviation=deviation)
    np.testing.assert_allclose(single, wanted, rtol=1e-6)


def test_neither_views_nor_examples_nor_a_common_offset_matter(views):
    wanted = float(vicreg.loss(*views))
    order = np.random.default_rng(0).permutation(len(views[0]))
    offset = [1, -2, 3, 4]
    others = ((views[1], views[0]), (views[0][order], views[1][order]), (views[0] + offset, views[1] + offset))
    for other in others:
        np.testing.assert_allclose(vicreg.loss(*other), wanted, rtol=1e-10)


def test_embeddings_that_are_all_the_same_cost_their_variance():
    even = np.full((9, 4), 0.1, "float32")
    np.testing.assert_allclose(vicreg.loss(even, even), 2 * 25 * (1 - 0.01), rtol=1e-6)


@pytest.mark.parametrize("name", [*ALONE, "deviation"])
def test_a_negative_weight_is_refused(views, name):
    with pytest.raises(ValueError, match=f"{name}=-1"):
        vicreg.loss(*views, **{name: -1})
