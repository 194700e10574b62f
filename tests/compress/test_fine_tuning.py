from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from kerastl.compress import fine_tuning
from kerastl.compress.fine_tuning import TiedWeights


def kernel_of(shape, values, seed=0) -> tf.Variable:
    return tf.Variable(np.random.default_rng(seed).choice(np.asarray(values, "float32"), shape))


@pytest.mark.parametrize("channels", [1, 4])
def test_the_gradient_of_a_cluster_is_that_of_its_one_number(channels):
    """Against TensorFlow's own gradient of numbers that are gathered into the kernel."""
    kernel = kernel_of((3, 3, 2, 4), [-1.5, 0.0, 0.25, 2.0])
    columns = kernel.numpy().reshape(-1, channels)
    wanted = np.zeros_like(columns)
    weight = tf.constant(np.random.default_rng(1).normal(size=kernel.shape).astype("float32"))
    for channel in range(channels):
        values, members = np.unique(columns[:, channel], return_inverse=True)
        numbers = tf.Variable(values)
        with tf.GradientTape() as tape:
            gathered = tf.gather(numbers, members)
            loss = tf.reduce_sum(tf.sin(gathered) * tf.reshape(weight, (-1, channels))[:, channel])
        wanted[:, channel] = tf.convert_to_tensor(tape.gradient(loss, numbers)).numpy()[members]
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.sin(kernel) * weight)
    received = TiedWeights(kernel, channels=channels).tied(tape.gradient(loss, kernel))
    np.testing.assert_allclose(received.numpy().reshape(-1, channels), wanted, rtol=1e-5, atol=1e-5)


def test_weights_of_a_cluster_become_one_number_which_does_not_drift():
    kernel = kernel_of((200, 300), [0.1, 0.3, -0.7])
    values = kernel.numpy()
    shared = TiedWeights(kernel)
    for _ in range(50):
        shared.snap()
    np.testing.assert_array_equal(kernel.numpy(), values)  # the mean of 20,000 times 0.1 is not 0.1 to the last bit
    kernel.assign_add(np.random.default_rng(2).normal(0, 1e-6, kernel.shape))
    assert len(np.unique(kernel)) > 1000
    shared.snap()
    assert len(np.unique(kernel)) == 3
    np.testing.assert_allclose(kernel.numpy(), values, atol=1e-5)


def test_factors_of_a_batch_norm_that_is_folded_in_stay_positive():
    """A number of a kernel under both signs would be two in a file; next to nothing, its bias would be lost there."""
    norm = tf_keras.layers.BatchNormalization(epsilon=0.0)
    norm.build((None, 4))
    norm.set_weights([np.asarray(row, "float32") for row in ([4, -4, 1e-5, 1], [9] * 4, [9] * 4, [4, 4, 4, 16])])
    TiedWeights(kernel_of((3, 4), [1, 2]), norm=norm)
    gamma, *others = norm.get_weights()
    np.testing.assert_allclose(gamma, [4, 0.004, 0.004, 1], rtol=1e-6)
    assert [other.tolist() for other in others] == [[9] * 4, [9] * 4, [4, 4, 4, 16]]


def test_which_batch_norm_is_folded_into_a_kernel():
    layers = tf_keras.layers
    image = tf_keras.Input((8, 8, 1))
    x = layers.BatchNormalization(name="folded")(layers.Conv2D(4, 3, name="alone")(image))
    x = read = layers.Conv2D(4, 3, name="read_twice")(x)
    x = layers.Add()([layers.BatchNormalization()(x), read])
    x = layers.BatchNormalization()(layers.Conv2D(4, 3, activation="relu", name="rectified")(x))
    network = tf_keras.Model(image, layers.Conv2D(4, 1, name="last")(x))
    found = {name: fine_tuning.norm_behind(network.get_layer(name)) for name in ("read_twice", "rectified", "last")}
    assert set(found.values()) == {None}
    norm = fine_tuning.norm_behind(network.get_layer("alone"))
    assert norm is network.get_layer("folded")


def fit(network, batches, purpose="This", **options):
    """`fine_tuning.fit` of all variables, for a moment, with what is not named left out."""
    usual = {"epochs": 2, "learning_rate": 1e-2, "loss": None, "teacher": None, "validation": None, "workspace": None}
    usual |= {"callbacks": (), "trained": network.trainable_variables}
    fine_tuning.fit(network, batches, purpose=purpose, **(usual | options))


@pytest.mark.parametrize("kept", ["shared", "zeros"])
def test_every_step_keeps_what_a_kernel_holds(kept):
    """Whatever moves the weights: here, noise before every step."""
    tf_keras.utils.set_random_seed(0)
    image = tf_keras.Input((6,), name="image")
    layer = tf_keras.layers.Dense(40, name="hidden")
    network = tf_keras.Model(image, tf_keras.layers.Dense(3, name="logits")(layer(image)))
    layer.kernel.assign(kernel_of((6, 40), [-0.5, 0.0, 0.5]))
    before = layer.kernel.numpy()
    generator = np.random.default_rng(1)
    batches = tf.data.Dataset.from_tensor_slices((generator.normal(size=(32, 6)), np.arange(32) % 3)).batch(8)
    noise = tf_keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: layer.kernel.assign_add(generator.normal(0, 1e-3, (6, 40)))
    )
    holding = {"shared": [TiedWeights(layer.kernel)]} if kept == "shared" else {"zeros": [layer.kernel]}
    fit(network, batches, callbacks=[noise], **holding)
    after = layer.kernel.numpy()
    assert np.abs(after - before).max() > 1e-3
    if kept == "shared":
        assert len(np.unique(np.stack([before.ravel(), after.ravel()]), axis=1).T) == len(np.unique(after)) == 3
    else:
        np.testing.assert_array_equal(after == 0, before == 0)


def test_soft_cross_entropy_against_numpy():
    generator = np.random.default_rng(0)
    student, teacher = generator.normal(size=(2, 5, 3)).astype("float32")
    target = np.exp(teacher) / np.exp(teacher).sum(1, keepdims=True)
    wanted = -(target * (student - np.log(np.exp(student).sum(1, keepdims=True)))).sum(1)
    np.testing.assert_allclose(fine_tuning._soft_cross_entropy(None, student, teacher), wanted, rtol=1e-5)


@pytest.mark.parametrize("epochs", [0, 1])
def test_examples_of_several_classes_are_refused_where_nothing_says_what_they_are(epochs):
    batches = tf.data.Dataset.from_tensors((np.zeros((2, 4), "float32"), np.ones((2, 3), "int32")))
    with pytest.raises(ValueError, match=r"Clustering takes labels for one index of a class.*shape \(2, 3\), int32"):
        fit(tf_keras.Sequential([tf_keras.layers.Dense(3, input_shape=(4,))]), batches, "Clustering", epochs=epochs)


def test_numbers_are_not_taken_for_classes():
    """Cut off behind the point they would be, without a word."""
    batches = tf.data.Dataset.from_tensors((np.zeros((2, 4), "float32"), np.array([0.5, 1.5], "float32")))
    network = tf_keras.Sequential([tf_keras.layers.Dense(3, input_shape=(4,))])
    with pytest.raises(ValueError, match=r"one index of a class an example.*shape \(2,\), float32"):
        fit(network, batches, "Clustering", epochs=1)


class TestStoredAnswers:
    """They teach as the teacher that gave them would, step by step."""

    LABELS = np.arange(32) % 3
    INPUTS = np.random.default_rng(3).normal(size=(32, 6)).astype("float32")

    def fitted(self, targets, **options):
        tf_keras.utils.set_random_seed(0)
        network = tf_keras.Sequential([tf_keras.layers.Dense(3, input_shape=(6,), name="logits")])
        fit(network, tf.data.Dataset.from_tensor_slices((self.INPUTS, targets)).batch(8), **options)
        return network

    @staticmethod
    def teacher(inputs):
        return inputs[:, :3] - 2 * inputs[:, 3:]

    @staticmethod
    def squares(labels, logits, answers):
        assert labels.shape == (None,)
        return tf.reduce_sum((logits - answers) ** 2, -1)

    @pytest.mark.parametrize("loss", [None, "squares"])
    def test_the_weights_are_those_under_the_teacher(self, loss):
        loss = loss and self.squares
        under = self.fitted(self.LABELS, loss=loss, teacher=self.teacher).get_weights()
        stored = self.fitted((self.LABELS, self.teacher(self.INPUTS)), loss=loss).get_weights()
        alone = self.fitted(self.LABELS).get_weights()
        for one, other in zip(stored, under, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
        assert np.abs(stored[0] - alone[0]).max() > 1e-3

    def test_validation_without_answers_is_scored_by_its_labels(self):
        targets = (self.LABELS, self.teacher(self.INPUTS))
        validation = tf.data.Dataset.from_tensor_slices((self.INPUTS, self.LABELS)).batch(20)  # and 12
        network = self.fitted(targets, loss=self.squares, validation=validation)
        logits = network(self.INPUTS).numpy()
        chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        found = fine_tuning.curves(network, stage="this").values
        assert found["val_loss"][-1] == pytest.approx(-np.log(chances[np.arange(32), self.LABELS]).mean(), rel=1e-5)
        assert found["val_accuracy"][-1] == pytest.approx((logits.argmax(1) == self.LABELS).mean())

    def test_answers_of_other_classes_and_a_second_teacher_are_refused(self):
        with pytest.raises(ValueError, match=r"as many classes as the network.*\(None, 3\), answers \(None, 6\)"):
            self.fitted((self.LABELS, self.INPUTS))
        with pytest.raises(ValueError, match="a teacher or stored answers"):
            self.fitted((self.LABELS, self.teacher(self.INPUTS)), teacher=self.teacher)


def test_the_learning_rate_decays_to_nothing_along_a_cosine():
    rates = []

    class Rates(tf_keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            rates.append(float(self.model.optimizer.learning_rate))

    inputs = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
    batches = tf.data.Dataset.from_tensor_slices((inputs, np.arange(32, dtype="int32") % 3)).batch(8)
    network = tf_keras.Sequential([tf_keras.Input((4,)), tf_keras.layers.Dense(3)])
    fit(network, batches, epochs=2, learning_rate=1e-2, callbacks=[Rates()])
    steps = len(rates)
    assert steps == 8
    wanted = [0.5e-2 * (1 + np.cos(np.pi * step / steps)) for step in range(steps)]
    np.testing.assert_allclose(rates, wanted, rtol=1e-4, atol=1e-8)
