"""Residuals over the range of a number, against a count by hand."""

from __future__ import annotations

import numpy as np
import pytest

from kerastl.tasks import residuals

DRAW = np.random.default_rng(0)
WANTED = DRAW.normal(50, 10, 203)
GIVEN = WANTED + DRAW.normal(1, 3, 203)


def test_fifths_by_the_true_number():
    rows = residuals.by_range(WANTED, GIVEN)
    edges = np.sort(WANTED)
    assert [row["examples"] for row in rows] == [41, 41, 41, 40, 40]
    assert (rows[0]["low"], rows[-1]["high"]) == (edges[0], edges[-1])
    for row in rows:
        own = (row["low"] <= WANTED) & (row["high"] >= WANTED)
        assert own.sum() == row["examples"]
        assert row["mean_absolute_error"] == pytest.approx(np.abs(GIVEN - WANTED)[own].mean())
        assert row["bias"] == pytest.approx((GIVEN - WANTED)[own].mean())
        assert row["error_low"] < row["mean_absolute_error"] < row["error_high"]
    table = residuals.table("price", rows, units=" in EUR")
    assert all(len(cells) == len(table["columns"]) for cells in table["rows"])
    assert len(residuals.by_range(WANTED[:3], GIVEN[:3])) == 3


def test_a_share_of_the_errors_stays_within_its_quantile():
    errors = np.abs(GIVEN - WANTED)
    for row in residuals.quantiles(errors):
        assert np.mean(errors <= row["error"]) == pytest.approx(row["share"], abs=0.01)
    cells = residuals.quantile_table(residuals.quantiles(errors), units="")["rows"]
    assert [cell[0] for cell in cells] == ["50 %", "80 %", "90 %", "95 %", "99 %"]


def test_points_of_the_chart_are_residuals():
    chart = residuals.chart("price", WANTED, GIVEN, units=" in EUR")
    (series,) = chart["series"]
    np.testing.assert_allclose(np.array(series["points"]), np.stack([WANTED, GIVEN - WANTED], -1), rtol=1e-5)
    assert (chart["y"], chart["line"]) == ("residual in EUR", 0.0)
