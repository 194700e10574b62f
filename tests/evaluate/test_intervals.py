"""Wilson's interval and the bootstrap, against SciPy and the normal approximation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from kerastl.evaluate import intervals


@pytest.mark.parametrize(("successes", "count"), [(0, 10), (3, 10), (10, 10), (997, 1000)])
def test_wilson_is_scipys(successes, count):
    wanted = stats.binomtest(successes, count).proportion_ci(0.95, method="wilson")
    assert intervals.wilson(successes, count) == pytest.approx((wanted.low, wanted.high), abs=1e-12)


def test_of_nothing_everything_is_possible_and_too_many_are_refused():
    assert intervals.wilson(0, 0) == (0.0, 1.0)
    with pytest.raises(ValueError, match=r"0 to 3 successes. Received: 4"):
        intervals.wilson(4, 3)


def test_the_bootstrap_of_a_mean_is_near_the_normal_interval():
    values = np.random.default_rng(1).normal(3, 2, 400)
    half = 1.96 * values.std() / 20
    assert intervals.of_mean(values) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.05)
    assert intervals.of_mean(values) == intervals.of_mean(values)
