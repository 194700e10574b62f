"""Corruptions of tables: noise in each column's own unit, values that are missing, categories that stay whole."""

from __future__ import annotations

import numpy as np
import pytest

from kerastl.evaluate.corruptions import tables

COUNT = 4000
FACTS = {"mean": np.array([5.0, -100.0, 0.5, 0.5]), "spread": np.array([2.0, 50.0, 0.5, 0.5]), "categories": [[2, 3]]}


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    random = np.random.default_rng(0)
    kind = random.integers(0, 2, COUNT)
    return np.c_[random.normal(5, 2, COUNT), random.normal(-100, 50, COUNT), kind, 1 - kind].astype(np.float32)


def test_noise_is_a_share_of_each_columns_spread_and_leaves_categories(rows):
    found = tables.corrupted(rows, "gaussian_noise", 4, **FACTS)
    assert (found - rows)[:, :2].std(0) == pytest.approx([0.8, 20], rel=0.05)
    np.testing.assert_array_equal(found[:, 2:], rows[:, 2:])
    assert rows[:, 0].std() == pytest.approx(2, rel=0.05), "the examples themselves stay"


def test_as_many_values_are_missing_as_is_stated_a_category_together(rows):
    for strength, share in zip(tables.STRENGTHS, tables.LEVELS["missing"], strict=True):
        found = tables.corrupted(rows, "missing", strength, **FACTS)
        assert (found[:, 0] == 5).mean() == pytest.approx(share, abs=0.03)
        assert (found[:, 1] == -100).mean() == pytest.approx(share, abs=0.03)
        assert set(found[:, 2:].sum(-1)) == {0.0, 1.0}
        assert (found[:, 2:].sum(-1) == 0).mean() == pytest.approx(share, abs=0.03)


def test_series_have_their_columns_last(rows):
    series = rows.reshape(-1, 10, 4)
    assert tables.corrupted(series, "missing", 2, **FACTS).shape == series.shape


def test_what_does_not_fit_is_refused(rows):
    with pytest.raises(ValueError, match="gaussian_noise, missing"):
        tables.corrupted(rows, "dust", 1, **FACTS)
    with pytest.raises(ValueError, match="each of 4 columns"):
        tables.corrupted(rows, "missing", 1, mean=np.zeros(3), spread=np.ones(3))
