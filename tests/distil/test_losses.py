"""Distillation losses against NumPy twins and numbers worked out by hand."""

import numpy as np
import pytest

from kerastl.distil import losses


def numpy_softmax(logits, temperature=1.0):
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def numpy_kullback_leibler(teacher_logits, student_logits, temperature):
    teacher, student = numpy_softmax(teacher_logits, temperature), numpy_softmax(student_logits, temperature)
    return temperature**2 * (teacher * (np.log(teacher) - np.log(student))).sum(axis=-1)


@pytest.fixture(params=[1, 7])
def logits(request):
    generator = np.random.default_rng(3)
    shape = (request.param, 10)
    return generator.normal(0, 2, shape).astype("float32"), generator.normal(0, 2, shape).astype("float32")


def test_mean_squared_error_by_hand():
    teacher, student = np.array([[0.0, 1.0], [0.5, 0.5]]), np.array([[0.25, 0.75], [0.5, 0.5]])
    # 1/2 ((1/4)^2 + (1/4)^2) = 1/16
    np.testing.assert_allclose(losses.soft_label_mean_squared_error(teacher, student), [0.0625, 0.0], atol=1e-6)


def test_mean_squared_error_equals_numpy(logits):
    teacher, student = (numpy_softmax(x) for x in logits)
    expected = 0.5 * ((student - teacher) ** 2).sum(axis=-1)
    np.testing.assert_allclose(losses.soft_label_mean_squared_error(teacher, student), expected, atol=1e-6)


def test_kullback_leibler_by_hand():
    # at T = 1: softmax(0, ln 3) = (1/4, 3/4) against (1/2, 1/2): 1/4 ln(1/2) + 3/4 ln(3/2)
    loss = losses.temperature_kullback_leibler(np.array([[0.0, np.log(3.0)]]), np.zeros((1, 2)), temperature=1.0)
    np.testing.assert_allclose(loss, [0.25 * np.log(0.5) + 0.75 * np.log(1.5)], atol=1e-6)
    # at T = 2 with logits twice as large the distributions are the same, and T^2 = 4 comes on top
    doubled = losses.temperature_kullback_leibler(np.array([[0.0, 2 * np.log(3.0)]]), np.zeros((1, 2)), temperature=2.0)
    np.testing.assert_allclose(doubled, 4 * np.asarray(loss), atol=1e-6)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 20.0])
def test_kullback_leibler_equals_numpy(logits, temperature):
    expected = numpy_kullback_leibler(*logits, temperature)
    actual = losses.temperature_kullback_leibler(*logits, temperature=temperature)
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-6)


def test_kullback_leibler_survives_extreme_and_half_precision_logits():
    import tensorflow as tf

    extreme = losses.temperature_kullback_leibler(np.array([[1e4, -1e4]]), np.array([[1e4, -1e4]]), temperature=1.0)
    np.testing.assert_allclose(extreme, [0.0], atol=1e-6)
    half = losses.temperature_kullback_leibler(
        tf.constant([[1.0, 2.0]], tf.bfloat16), tf.constant([[2.0, 1.0]], tf.bfloat16), temperature=2.0
    )
    assert half.dtype == tf.float32
    np.testing.assert_allclose(
        half, numpy_kullback_leibler(np.array([[1.0, 2.0]]), np.array([[2.0, 1.0]]), 2.0), atol=1e-6
    )


@pytest.mark.parametrize("temperature", [0.0, -1.0])
def test_temperature_must_be_positive(temperature):
    with pytest.raises(ValueError, match="above 0"):
        losses.temperature_kullback_leibler(np.zeros((1, 2)), np.zeros((1, 2)), temperature=temperature)
