"""Pairs, the equal error rate, thresholds and MAP@R against loops."""

import numpy as np
import pytest

from kerastl.tasks import pair_metrics

RANDOM = np.random.default_rng(0)
LABELS = RANDOM.integers(0, 5, 40)
LABELS[7] = 9  # alone in its group
VECTORS = np.eye(10)[LABELS] + RANDOM.normal(size=(40, 10)) * 0.6
UNITS = (VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)).astype("float32")


def test_pairs_are_all_of_them():
    found = pair_metrics.pairs(UNITS, LABELS)
    genuine, impostor = [], []
    for one in range(40):
        for other in range(one + 1, 40):
            (genuine if LABELS[one] == LABELS[other] else impostor).append(float(UNITS[one] @ UNITS[other]))
    np.testing.assert_allclose(np.sort(found.genuine), np.sort(genuine), atol=1e-6)
    np.testing.assert_allclose(np.sort(found.impostor), np.sort(impostor), atol=1e-6)


def test_very_many_pairs_are_drawn(monkeypatch):
    whole = pair_metrics.equal_error_rate(pair_metrics.pairs(UNITS, LABELS))[0]
    monkeypatch.setattr(pair_metrics, "_MOST_PAIRS", 600)
    some = pair_metrics.pairs(UNITS, LABELS)
    assert 500 < len(some.genuine) + len(some.impostor) <= 600
    assert pair_metrics.equal_error_rate(some)[0] == pytest.approx(whole, abs=0.1)


def test_the_equal_error_rate_is_where_both_errors_meet():
    found = pair_metrics.pairs(UNITS, LABELS)
    rate, threshold = pair_metrics.equal_error_rate(found)
    rejected, accepted = (found.genuine < threshold).mean(), (found.impostor >= threshold).mean()
    assert rate == pytest.approx((rejected + accepted) / 2)
    for other in np.linspace(-1, 1, 400):
        apart = abs((found.genuine < other).mean() - (found.impostor >= other).mean())
        assert abs(rejected - accepted) <= apart + 1e-12
    assert pair_metrics.equal_error_rate(pair_metrics.Pairs(np.array([0.9, 0.8]), np.array([0.1, 0.2])))[0] == 0
    assert pair_metrics.equal_error_rate(pair_metrics.Pairs(np.array([0.1, 0.2]), np.array([0.9, 0.8])))[0] == 1
    with pytest.raises(ValueError, match="0 impostors"):
        pair_metrics.equal_error_rate(pair_metrics.Pairs(np.array([0.9]), np.array([])))


@pytest.mark.parametrize("wanted", [0.001, 0.01, 0.05, 0.2, 0.5])
def test_a_threshold_accepts_no_more_than_the_share(wanted):
    impostors = RANDOM.normal(size=500).clip(-1, 1).astype("float32")
    impostors[:50] = impostors[50]  # as near as each other: all are accepted, or none
    found = pair_metrics.threshold_for(impostors, false_accept_rate=wanted)
    assert (impostors >= found.threshold).mean() == found.false_accept_rate <= wanted
    lower = impostors[impostors < found.threshold].max()
    assert (impostors >= lower).mean() > wanted
    assert found.low <= found.false_accept_rate + 1e-12
    assert found.false_accept_rate <= found.high
    assert found.count == 500
    with pytest.raises(ValueError, match="rate"):
        pair_metrics.threshold_for(impostors, false_accept_rate=0)


def test_mean_average_precision_is_its_formula():
    values = []
    for one in range(40):
        others = sum(LABELS[one] == LABELS) - 1
        if not others:
            continue
        order = sorted(
            (other for other in range(40) if other != one), key=lambda other, one=one: -UNITS[one] @ UNITS[other]
        )
        right = [LABELS[other] == LABELS[one] for other in order[:others]]
        values.append(sum(np.mean(right[: place + 1]) for place in range(others) if right[place]) / others)
    assert pair_metrics.mean_average_precision_at_r(UNITS, LABELS) == pytest.approx(np.mean(values), abs=1e-6)
    perfect = np.eye(10, dtype="float32")[LABELS]
    assert pair_metrics.mean_average_precision_at_r(perfect, LABELS) == 1
