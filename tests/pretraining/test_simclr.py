"""NT-Xent against a loop over all pairs of views."""

import numpy as np
import pytest

from kerastl.pretraining import simclr


def by_hand(first, second, temperature):
    """Chen et al. 2020, algorithm 1, pair by pair."""
    views = [view for pair in zip(first, second, strict=True) for view in pair]  # 2k and 2k + 1 are partners
    similarity = [[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in views] for a in views]

    def term(i, j):
        below = sum(np.exp(similarity[i][k] / temperature) for k in range(len(views)) if k != i)
        return -np.log(np.exp(similarity[i][j] / temperature) / below)

    return sum(term(k, k + 1) + term(k + 1, k) for k in range(0, len(views), 2)) / len(views)


@pytest.fixture(params=[2, 7])
def views(request):
    generator = np.random.default_rng(3)
    return generator.normal(0, 2, (request.param, 5)), generator.normal(0, 2, (request.param, 5))


@pytest.mark.parametrize("temperature", [0.1, 0.5, 3.0])
def test_it_equals_numpy(views, temperature):
    wanted = by_hand(*views, temperature)
    np.testing.assert_allclose(simclr.loss(*views, temperature=temperature), wanted, rtol=1e-10)
    single = simclr.loss(*(view.astype("float32") for view in views), temperature=temperature)
    np.testing.assert_allclose(single, wanted, rtol=1e-6, atol=1e-6)


def test_by_hand_of_two_orthogonal_examples():
    # partners at cosine 1, two others at 0: -log(e^2 / (e^2 + 2))
    np.testing.assert_allclose(simclr.loss(np.eye(2), 3 * np.eye(2)), np.log(1 + 2 * np.exp(-2)), rtol=1e-10)


def test_of_embeddings_that_are_all_the_same_the_partner_is_one_of_the_others():
    for value in (0.0, 1.0, 1e25):
        same = np.full((5, 3), value, "float32")
        np.testing.assert_allclose(simclr.loss(same, same), np.log(9), rtol=1e-6)


def test_neither_views_nor_examples_nor_lengths_matter(views):
    wanted = float(simclr.loss(*views))
    order = np.random.default_rng(0).permutation(len(views[0]))
    lengths = np.random.default_rng(1).uniform(0.1, 10, (len(order), 1))
    for other in ((views[1], views[0]), (views[0][order], views[1][order]), (views[0] * lengths, views[1] * 1e8)):
        np.testing.assert_allclose(simclr.loss(*other), wanted, rtol=1e-12)
    if len(order) > 2:
        assert float(simclr.loss(views[0], views[1][order])) != pytest.approx(wanted)


def test_a_low_temperature_stays_finite():
    views = np.random.default_rng(0).normal(size=(2, 6, 4)).astype("float32")
    found = float(simclr.loss(*views, temperature=1e-4))
    np.testing.assert_allclose(found, by_hand_of_a_limit(*views) / 1e-4, rtol=1e-3)


def by_hand_of_a_limit(first, second):
    """As the temperature goes to 0: the nearest other view's cosine less the partner's."""
    views = np.concatenate([first, second]).astype(np.float64)
    views /= np.linalg.norm(views, axis=1, keepdims=True)
    cosines = views @ views.T
    partners = cosines[np.arange(12), np.roll(np.arange(12), 6)]
    np.fill_diagonal(cosines, -2)
    return (cosines.max(1) - partners).mean()


@pytest.mark.parametrize("temperature", [0.0, -1.0, np.inf])
def test_the_temperature_is_above_0(views, temperature):
    with pytest.raises(ValueError, match="above 0"):
        simclr.loss(*views, temperature=temperature)
