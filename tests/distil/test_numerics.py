from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from kerastl.distil import numerics


def test_float64_stays_and_everything_else_becomes_float32():
    half, single, double = (tf.constant([1.0], kind) for kind in (tf.bfloat16, tf.float32, tf.float64))
    assert [one.dtype for one in numerics.as_float(half, single)] == [tf.float32] * 2
    assert [one.dtype for one in numerics.as_float(half, double)] == [tf.float64] * 2


@pytest.mark.parametrize("temperature", [0, -1.0, np.nan, np.inf])
def test_a_temperature_is_above_nothing_and_finite(temperature):
    with pytest.raises(ValueError, match="must be above 0"):
        numerics.check_temperature(temperature)
    numerics.check_temperature(0.5)
    numerics.check_temperature(tf.constant(0.0))  # of a schedule


def test_the_root_of_nothing_has_no_gradient():
    values = tf.Variable([0.0, 4.0])
    with tf.GradientTape() as tape:
        roots = numerics.safe_sqrt(values)
    np.testing.assert_array_equal(roots, [0.0, 2.0])
    np.testing.assert_array_equal(tape.gradient(roots, values), [0.0, 0.25])


def test_divergence_with_what_is_absent():
    absent = float(numerics.masked_logit(tf.constant(0.0)))
    teacher, student = np.array([[0.0, absent, np.log(3.0)]]), np.array([[1.0, absent, 1.0]])
    expected = 0.25 * np.log(0.25 / 0.5) + 0.75 * np.log(0.75 / 0.5)
    for kind in ("float32", "float64"):
        found = numerics.kl_divergence(tf.constant(teacher, kind), tf.constant(student, kind))
        assert found.dtype == kind
        np.testing.assert_allclose(found, [expected], rtol=1e-6)
