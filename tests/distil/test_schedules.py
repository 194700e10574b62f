"""Schedules against the formulas, inside a graph as outside."""

import math

import numpy as np
import pytest
import tensorflow as tf

from kerastl.distil import schedules


@pytest.mark.parametrize("step", [0, 9, 10, 11, 60, 109, 110, 10**9])
def test_values_are_those_of_the_formulas(step):
    share = min(max(step - 10, 0), 100) / 100
    inside = tf.function(lambda schedule, at: schedule(at), autograph=False, jit_compile=False)
    for make, form in ((schedules.linear, share), (schedules.cosine, (1 - math.cos(math.pi * share)) / 2)):
        schedule = make(8.0, 2.0, steps=100, after=10)
        assert float(schedule(step)) == pytest.approx(8 - 6 * form, abs=1e-5)
        assert float(inside(schedule, tf.constant(step, tf.int64))) == float(schedule(step))


def test_a_number_stays_itself_and_functions_of_ones_own_are_asked():
    assert schedules.value_at(0.5, tf.constant(7)) == 0.5
    assert schedules.value_at(lambda step: 2 * step, 7) == 14
    late = schedules.linear(0.0, 1.0, steps=10, after=2**40)  # beyond what float32 counts to
    np.testing.assert_allclose(late(tf.constant(2**40 + 5, tf.int64)), 0.5)


def test_the_least_value_is_known_of_numbers_and_ramps():
    assert schedules.minimum(3) == 3.0
    assert schedules.minimum(schedules.linear(1.0, -2.0, steps=3)) == -2.0
    assert schedules.minimum(lambda step: step) is None


@pytest.mark.parametrize("numbers", [(1.0, math.nan, 5, 0), (math.inf, 1.0, 5, 0), (1.0, 2.0, 0, 0), (1.0, 2.0, 5, -1)])
def test_a_schedule_that_leads_nowhere_is_refused(numbers):
    start, end, steps, after = numbers
    with pytest.raises(ValueError, match="from one finite number"):
        schedules.linear(start, end, steps=steps, after=after)


def test_a_form_that_nobody_knows_is_refused():
    with pytest.raises(ValueError, match="form='square'"):
        schedules.Ramp(0.0, 1.0, 5, 0, "square")
