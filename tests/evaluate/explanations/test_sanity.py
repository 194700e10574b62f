"""Likeness of maps against SciPy; a model is itself again after a sanity check."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import toy
from scipy import stats

from kerastl.evaluate.explanations import sanity

ONE, OTHER = np.random.default_rng(0).normal(size=(2, 6, 7))


def test_correlations_are_scipys():
    assert sanity.correlation(ONE, OTHER) == pytest.approx(stats.pearsonr(ONE.ravel(), OTHER.ravel()).statistic)
    wanted = stats.spearmanr(np.abs(ONE).ravel(), np.abs(OTHER).ravel()).statistic
    assert sanity.rank_correlation(ONE, OTHER) == pytest.approx(wanted)
    assert np.isnan(sanity.correlation(ONE, np.ones((6, 7))))


def test_weights_are_shuffled_and_come_back():
    model = toy.at_random(toy.small_model())
    before = model.get_weights()
    with contextlib.suppress(KeyboardInterrupt), sanity.randomized(model):
        inside = model.get_weights()
        raise KeyboardInterrupt
    for was, shuffled, again in zip(before, inside, model.get_weights(), strict=True):
        np.testing.assert_array_equal(was, again)
        assert (was != shuffled).any()
        np.testing.assert_array_equal(np.sort(was.ravel()), np.sort(shuffled.ravel()))
