"""What a teacher gave: against numbers worked out by hand, tables, and the definition of an interval."""

import math

import numpy as np
import pytest

from kerastl.verify import baseline


def test_one_seed_has_a_share_and_no_interval():
    found = baseline.recovered_gap(teacher=0.94, alone=[0.90], distilled=[0.91])
    assert found.gap == pytest.approx(0.25)
    assert found.gain == pytest.approx(0.01)
    assert (found.low, found.high, found.gain_low, found.gain_high) == (None,) * 4
    assert found.words == (
        "On test the teacher has 94.00 %, its students 91.00 %, the same students alone 90.00 %: +1.00 points, 25 % of "
        "the gap recovered. One seed: no interval."
    )


def test_the_gain_has_students_interval_of_the_differences():
    alone, distilled = [0.90, 0.91, 0.92], [0.915, 0.918, 0.930]
    found = baseline.recovered_gap(teacher=0.94, alone=alone, distilled=distilled)
    gains = [0.015, 0.008, 0.010]
    mean = sum(gains) / 3
    deviation = math.sqrt(sum((gain - mean) ** 2 for gain in gains) / 2)
    half = 4.302653 * deviation / math.sqrt(3)
    assert found.gain == pytest.approx(0.011)
    assert found.gain_low == pytest.approx(mean - half, abs=1e-7)
    assert found.gain_high == pytest.approx(mean + half, abs=1e-7)
    assert found.gap == pytest.approx(0.011 / 0.03)
    assert "means of 3 seeds: +1.10 points (+0.20 to +2.00), 37 % of the gap recovered (" in found.words


@pytest.mark.parametrize("teacher", [0.94, [0.94, 0.95, 0.935, 0.942]])
def test_fiellers_interval_holds_the_shares_that_a_t_test_does_not_refuse(teacher):
    """By its definition: at a bound g the mean of ``(distilled - alone) - g (teacher - alone)`` is t errors from 0."""
    alone = np.array([0.900, 0.908, 0.903, 0.906])
    distilled = np.array([0.914, 0.918, 0.917, 0.915])
    found = baseline.recovered_gap(teacher=teacher, alone=alone, distilled=distilled)
    for bound in (found.low, found.high):
        rests = (distilled - alone) - bound * (np.asarray(teacher) - alone)
        statistic = rests.mean() / (rests.std(ddof=1) / 2)
        assert abs(statistic) == pytest.approx(3.182446, abs=1e-5)
    assert found.low < found.gap < found.high


def test_nineteen_of_twenty_intervals_hold_the_truth():
    """Of 4,000 made-up experiments of three seeds in which teachers close 40 % of a gap of three points."""
    draw = np.random.default_rng(0)
    inside = 0
    for _ in range(4000):
        alone = 0.90 + 0.002 * draw.standard_normal(3)
        distilled = 0.912 + 0.002 * draw.standard_normal(3)
        found = baseline.recovered_gap(teacher=0.93, alone=alone, distilled=distilled)
        inside += found.low <= 0.4 <= found.high
    assert inside / 4000 == pytest.approx(0.95, abs=0.012)


def test_a_gap_that_seeds_do_not_tell_from_none_has_no_interval():
    found = baseline.recovered_gap(teacher=0.905, alone=[0.89, 0.91, 0.90], distilled=[0.90, 0.91, 0.905])
    assert found.gap == pytest.approx(0.005 / 0.005)
    assert (found.low, found.high) == (None, None)
    assert found.gain_low is not None
    assert "the seeds do not tell the gap from none" in found.words


def test_a_teacher_that_is_no_better_leaves_no_gap():
    found = baseline.recovered_gap(teacher=0.90, alone=[0.90, 0.91], distilled=[0.92, 0.92])
    assert (found.gap, found.low, found.high) == (None, None, None)
    assert found.gain == pytest.approx(0.015)
    assert found.words.endswith("no gap to recover, for the teacher is not above them.")


def test_seeds_that_agree_leave_no_width():
    found = baseline.recovered_gap(teacher=0.94, alone=[0.90, 0.90], distilled=[0.92, 0.92])
    assert (found.low, found.gap, found.high) == pytest.approx((0.5, 0.5, 0.5))


@pytest.mark.parametrize(
    ("teacher", "alone", "distilled", "words"),
    [
        (0.9, [0.8], [0.8, 0.9], r"\(2,\) distilled, \(1,\) alone"),
        (0.9, [], [], r"\(0,\) distilled"),
        ([0.9], [0.8, 0.8], [0.8, 0.9], r"\(1,\) of the teacher"),
        (0.9, [float("nan")], [0.8], "finite scores"),
    ],
)
def test_scores_that_make_no_pairs_are_refused(teacher, alone, distilled, words):
    with pytest.raises(ValueError, match=words):
        baseline.recovered_gap(teacher=teacher, alone=alone, distilled=distilled)
