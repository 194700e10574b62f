"""What an attack reached, beside counts of all pairs and known intervals."""

from __future__ import annotations

import statistics

import numpy as np
import pytest

from kerastl.evaluate.privacy import attack


def test_the_area_is_the_share_of_pairs_in_which_the_member_is_ahead():
    draw = np.random.default_rng(0)
    members, others = draw.integers(0, 9, 40).astype(float), draw.integers(0, 7, 30).astype(float)
    pairs = members[:, None] - others[None, :]
    assert attack.area(members, others) == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.35])
def test_no_lower_threshold_gives_as_few_false_alarms(rate):
    draw = np.random.default_rng(1)
    members, others = draw.normal(0.5, 1, 300).round(1), draw.normal(0, 1, 200).round(1)
    best = max(
        (members > threshold).mean()
        for threshold in np.unique(np.r_[members, others])
        if (others > threshold).mean() <= rate
    )
    assert attack.rate_at(members, others, false_positive_rate=rate) == best


def test_scores_of_two_normal_laws_reach_what_these_do():
    """AUC of a shift by d is Phi(d / sqrt 2), the true positive rate Phi(d - 2.326) at 1 %, the interval DeLong's."""
    quantile = np.vectorize(statistics.NormalDist().inv_cdf)
    members, others = 1 + quantile((np.arange(2000) + 0.5) / 2000), quantile((np.arange(1500) + 0.5) / 1500)
    found = attack.measured(members, others, name="shift")
    assert found.auc == pytest.approx(0.7602, abs=1e-3)
    assert found.rate == pytest.approx(0.0924, abs=3e-3)
    ahead = members[:, None] > others[None, :]
    error = np.sqrt(ahead.mean(1).var(ddof=1) / 2000 + ahead.mean(0).var(ddof=1) / 1500)  # DeLong et al. 1988
    np.testing.assert_allclose(found.auc_interval, (found.auc - 1.96 * error, found.auc + 1.96 * error), atol=0.003)
    assert found.rate_interval[0] < found.rate < found.rate_interval[1]
    assert (found.members, found.others) == (2000, 1500)
    assert found == attack.measured(members, others, name="shift")
    assert f"AUC {found.auc:.3f}" in found.words


def test_guessing_is_a_half():
    draw = np.random.default_rng(3)
    found = attack.measured(draw.normal(size=1000), draw.normal(size=1000), name="guess")
    assert found.auc_interval[0] < 0.5 < found.auc_interval[1]


@pytest.mark.parametrize(
    ("members", "others", "rate"),
    [([], [1.0] * 200, 0.01), ([np.nan], [1.0] * 200, 0.01), ([1.0], [1.0] * 99, 0.01), ([1.0], [1.0] * 200, 0.0)],
)
def test_what_cannot_be_judged_is_refused(members, others, rate):
    with pytest.raises(ValueError, match="Received"):
        attack.measured(np.array(members), np.array(others), name="none", false_positive_rate=rate)
