"""Clipped gradients without one gradient an example, beside a loop that takes one at a time."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from kerastl.training.private import clipping

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")
DRAW = np.random.default_rng(0)


def tanh_convolutions() -> keras.Model:
    """Both ways of a convolution: many places and few weights, few places and many; and of a dense layer."""
    given = keras.Input((12, 12, 1))
    x = layers.Conv2D(4, 3, padding="same", activation="tanh")(given)
    x = layers.Conv2D(24, 3, strides=3, use_bias=False, activation="tanh")(x)
    x = layers.Dense(3)(x)  # at every place
    return keras.Model(given, layers.Dense(3)(layers.Flatten()(x)))


def other_layers() -> keras.Model:
    """Layers that no rule is written for, a model inside the model, dilation, a layer that is not trained."""
    given = keras.Input((8, 8, 1))
    x = layers.Conv2D(4, 2, dilation_rate=2, activation="relu", trainable=False)(given)
    x = layers.GroupNormalization(2)(layers.Conv2D(4, 3, dilation_rate=2)(x))
    x = layers.DepthwiseConv2D(2, activation="tanh")(x)
    inner = keras.Sequential([keras.Input((12,)), layers.Dense(3, activation="tanh"), layers.LayerNormalization()])
    x = layers.Flatten()(layers.Conv2D(12, 1, groups=2)(x))
    return keras.Model(given, layers.Dense(3)(inner(x)))


def tokens() -> keras.Model:
    given = keras.Input((6,), dtype="int32")
    x = layers.Embedding(5, 4)(given)
    x = layers.Conv1D(3, 2)(x) + layers.Dense(3, activation="tanh")(x)[:, 1:]
    return keras.Model(given, layers.GlobalAveragePooling1D()(x))


EXAMPLES = {
    tanh_convolutions: DRAW.normal(size=(5, 12, 12, 1)).astype("float32"),
    other_layers: DRAW.normal(size=(5, 8, 8, 1)).astype("float32"),
    tokens: DRAW.integers(0, 3, (5, 6)).astype("int32"),  # several come again
}
LABELS = np.array([0, 1, 2, 1, 0])


def one_by_one(model, inputs, longest) -> tuple[np.ndarray, list[np.ndarray]]:
    """Squared lengths, and the sum of the clipped gradients."""
    squares, total = [], [np.zeros(one.shape) for one in model.trainable_variables]
    for row in range(len(inputs)):
        with tf.GradientTape() as tape:
            loss = LOSS(LABELS[row : row + 1], model(inputs[row : row + 1], training=True))
        found = tape.gradient(loss, [one.value for one in model.trainable_variables])
        found = [tf.convert_to_tensor(one).numpy().astype("float64") for one in found]
        squares.append(sum((one**2).sum() for one in found))
        for sum_, one in zip(total, found, strict=True):
            sum_ += one * min(1.0, longest / np.sqrt(squares[-1]))
    return np.array(squares), total


@pytest.mark.parametrize("build", EXAMPLES)
def test_lengths_and_clipped_sums_are_those_of_single_examples(build):
    keras.utils.set_random_seed(0)
    model, inputs = build(), EXAMPLES[build]
    squares, total = one_by_one(model, inputs, np.inf)
    longest = float(np.median(np.sqrt(squares)))  # some are clipped and some are not
    squares, total = one_by_one(model, inputs, longest)
    assert 0 < (squares > longest**2 * 1.0001).sum() < len(inputs)

    @tf.function
    def clipped(inputs, labels):
        watched_layers = clipping.layers_of(model)
        with clipping.watching(watched_layers) as watched, tf.GradientTape() as tape:
            loss = LOSS(labels, model(inputs, training=True))
        gradients = tape.gradient(loss, [one.outputs for one in watched])
        found = [clipping.squares_and_sum(one, part) for one, part in zip(watched, gradients, strict=True)]
        lengths = tf.add_n([part for part, _ in found])
        factors = clipping.factors(lengths, longest=longest)
        return lengths, {
            variable.path: part
            for one, (_, sum_) in zip(watched, found, strict=True)
            for variable, part in zip(one.layer.trainable_variables, sum_(factors), strict=True)
        }

    lengths, sums = clipped(tf.constant(inputs), tf.constant(LABELS))
    np.testing.assert_allclose(lengths, squares, rtol=1e-4)
    assert len(sums) == len(total)
    for variable, expected in zip(model.trainable_variables, total, strict=True):
        np.testing.assert_allclose(sums[variable.path], expected, rtol=1e-3, atol=1e-5, err_msg=variable.path)
    before = model(inputs).numpy()
    np.testing.assert_array_equal(model(inputs).numpy(), before)
    assert "call" not in model.layers[-1].__dict__, "layers are as they were"


def test_an_example_without_a_gradient_is_not_divided_by_nothing():
    np.testing.assert_allclose(clipping.factors(tf.constant([0.0, 0.25, 4.0]), longest=1.0), [1, 1, 0.5])


def through(layer: keras.layers.Layer) -> keras.Model:
    given = keras.Input((4, 4, 2))
    return keras.Model(given, layers.Dense(2)(layers.Flatten()(layer(given))))


def test_batch_normalization_is_refused_by_name_and_frozen_it_is_not():
    with pytest.raises(ValueError, match=r"(?s)Batch normalization.*GroupNormalization.*'norm'"):
        clipping.layers_of(through(layers.BatchNormalization(name="norm")))
    with pytest.raises(ValueError, match="Batch normalization"):
        clipping.layers_of(through(layers.BatchNormalization(center=False, scale=False)))
    assert len(clipping.layers_of(through(layers.BatchNormalization(trainable=False)))) == 1


def test_random_numbers_inside_a_layer_with_weights_are_refused():
    class Noisy(layers.Dense):
        def __init__(self):
            super().__init__(3)
            self.seed_generator = keras.random.SeedGenerator(0)

        def call(self, inputs):
            return super().call(inputs) + keras.random.normal((3,), seed=self.seed_generator)

    with pytest.raises(ValueError, match="random numbers"):
        clipping.layers_of(through(Noisy()))


def test_a_weight_outside_of_the_layers_is_refused():
    class Scaled(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense, self.factor = layers.Dense(2), self.add_weight(shape=(), initializer="ones", name="factor")

        def call(self, inputs):
            return self.dense(inputs) * self.factor

    model = Scaled()
    model.build((None, 3))
    with pytest.raises(ValueError, match="factor"):
        clipping.layers_of(model)


def test_a_layer_that_is_called_twice_is_refused():
    given, dense = keras.Input((3,)), layers.Dense(3)
    model = keras.Model(given, dense(dense(given)))
    with (
        pytest.raises(ValueError, match="is called again"),
        clipping.watching(clipping.layers_of(model)),
    ):
        model(np.zeros((1, 3), "float32"))
    assert model(np.zeros((1, 3), "float32")).shape == (1, 3), "and is as it was after it"
