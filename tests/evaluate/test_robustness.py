"""Robustness figures of errors whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from kerastl.evaluate import robustness

NAMES = ("noise", "blur")


def errors(share: float, *, seed: int) -> dict:
    random = np.random.default_rng(seed)
    return {
        (name, strength): (random.uniform(size=2000) < share * strength / 5).astype(float)
        for name in NAMES
        for strength in range(1, 6)
    }


def test_means_over_strengths_and_corruptions():
    clean, off = np.zeros(2000), errors(0.5, seed=0)
    found = robustness.measure(clean, off)
    assert found["clean"] == found["clean_high"] == 0
    assert found["corrupted"] == pytest.approx(np.mean([off[key].mean() for key in off]))
    assert found["corrupted_low"] < 0.3 < found["corrupted_high"] + 0.02
    assert found["by_name"]["blur"]["strengths"] == [float(off["blur", one].mean()) for one in range(1, 6)]
    assert found["by_name"]["blur"]["mean"] == pytest.approx(np.mean(found["by_name"]["blur"]["strengths"]))


def test_the_mean_corruption_error_is_hendrycks():
    """Sums over strengths as a share of the reference's, then the mean over corruptions."""
    one, other = errors(0.6, seed=1), errors(0.3, seed=2)
    found = robustness.mean_corruption_error(
        robustness.measure(np.zeros(2000), one), robustness.measure(np.zeros(2000), other)
    )
    sums = [[sum(of[name, s].mean() for s in range(1, 6)) for of in (one, other)] for name in NAMES]
    assert found == pytest.approx(np.mean([top / bottom for top, bottom in sums]))
    nothing = robustness.measure(np.zeros(2000), {key: np.zeros(2000) for key in one})
    assert robustness.mean_corruption_error(robustness.measure(np.zeros(2000), one), nothing) is None


def test_a_cost_that_grows_off_the_clean_data_is_told_from_one_that_does_not():
    random = np.random.default_rng(0)
    clean, off = (random.uniform(size=2000) < 0.1).astype(float), errors(0.5, seed=0)
    flips = random.uniform(size=2000) < 0.05
    worse = {key: np.maximum(of, flips) for key, of in off.items()}
    found = robustness.cost(clean, worse, reference_clean=clean, reference_corrupted=off)
    assert found["clean"] == 0
    assert found["corrupted"] == pytest.approx(0.05 * 0.7, abs=0.012)
    assert found["more_low"] > 0
    alike = robustness.cost(np.maximum(clean, flips), worse, reference_clean=clean, reference_corrupted=off)
    assert alike["more_low"] < 0.01
