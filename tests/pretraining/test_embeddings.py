"""What objectives compute with, against NumPy in float64."""

import numpy as np
import pytest
import tensorflow as tf

from kerastl.pretraining import embeddings

RANDOM = np.random.default_rng(0).normal(3, 2, (6, 4))


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e30])
def test_directions_and_features_know_no_scale(kind, scale):
    values = (RANDOM * scale).astype(kind)
    wanted = RANDOM / np.linalg.norm(RANDOM, axis=1, keepdims=True)
    np.testing.assert_allclose(embeddings.unit(tf.constant(values)), wanted, atol=1e-6)
    centred = RANDOM - RANDOM.mean(0)
    wanted = centred / np.linalg.norm(centred, axis=0)
    np.testing.assert_allclose(embeddings.standardized(tf.constant(values)), wanted, atol=1e-6)


@pytest.mark.parametrize("function", [embeddings.unit, embeddings.standardized])
def test_gradients_are_finite_differences(function):
    weights = np.random.default_rng(1).normal(size=RANDOM.shape)
    computed, measured = tf.test.compute_gradient(lambda values: tf.reduce_sum(weights * function(values)), [RANDOM])
    np.testing.assert_allclose(computed, measured, atol=1e-6)
    assert np.abs(computed[0]).max() > 1e-2


@pytest.mark.parametrize("function", [embeddings.unit, embeddings.standardized])
def test_what_has_no_direction_is_zero_and_so_is_its_gradient(function):
    values = tf.Variable(np.zeros((5, 3), "float32"))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(function(values))
    np.testing.assert_array_equal(tape.gradient(total, values), np.zeros((5, 3)))
    np.testing.assert_array_equal(function(values), np.zeros((5, 3)))


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e5])
@pytest.mark.parametrize("examples", [7, 100])
def test_a_rounding_is_no_deviation(value, examples):
    value = np.float32(value)
    noise = np.random.default_rng(0).random((examples, 2)) < 0.5  # in the last digit
    for even in (np.full((examples, 2), value), np.where(noise, value, np.nextafter(value, np.float32(np.inf)))):
        np.testing.assert_array_equal(embeddings.standardized(tf.constant(even)), np.zeros((examples, 2)))


@pytest.mark.parametrize(
    ("first", "second"),
    [((3, 4), (3, 5)), ((3, 4), (2, 4)), ((3,), (3,)), ((3, 2, 4), (3, 2, 4)), ((1, 4), (1, 4)), ((3, 0), (3, 0))],
)
def test_other_shapes_are_refused(first, second):
    with pytest.raises(ValueError, match=r"2 or more examples each.*Received: \("):
        embeddings.as_pair(tf.zeros(first), tf.zeros(second), least=2)


def test_a_batch_of_unknown_size_is_taken():
    taken = tf.function(lambda first, second: embeddings.as_pair(first, second, least=2)[0])
    spec = tf.TensorSpec((None, 3), tf.float16)
    assert taken.get_concrete_function(spec, spec).output_dtypes == tf.float32


@pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf])
def test_a_weight_is_named(weight):
    with pytest.raises(ValueError, match="Received: redundancy_weight="):
        embeddings.check_weights(redundancy_weight=weight)
