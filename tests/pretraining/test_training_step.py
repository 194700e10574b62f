"""One step against the same step by hand: weights, the loss that the curve knows, weights that nothing moves."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastl.pretraining import training_step

X = np.array([[1.0, 2.0], [3.0, -1.0], [0.5, 0.0]], np.float32)


class Model(keras.Model):
    """The mean of squares of ``x @ w``, and a weight that the loss does not know."""

    def __init__(self, *, idle=False):
        super().__init__()
        self.w = self.add_weight(shape=(2, 1), initializer="ones", regularizer=keras.regularizers.L2(0.5), name="w")
        self.other = self.add_weight(shape=(), initializer="ones", name="other")
        self.idle = idle
        self.built = True

    def train_step(self, data):
        x = keras.utils.unpack_x_y_sample_weight(data)[0]
        training_step.take(
            self,
            lambda: (tf.reduce_mean(tf.square(x @ self.w.value)), tf.shape(x)[0]),
            what="Squares are",
            idle=self.idle,
        )
        return self.get_metrics_result()


def fitted(model):
    model.compile(optimizer=keras.optimizers.SGD(0.1), run_eagerly=True)
    return model.fit(tf.data.Dataset.from_tensors(X), verbose=0).history["loss"]


@pytest.mark.parametrize("idle", [False, True])
def test_a_step_is_the_gradient_of_the_loss_and_of_what_layers_add(idle):
    model, w = Model(idle=idle), np.ones((2, 1))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        (loss,) = fitted(model)
    assert any("Gradients do not exist" in str(one.message) for one in caught) is not idle
    gradient = 2 * X.T @ (X @ w) / len(X) + 2 * 0.5 * w
    np.testing.assert_allclose(model.w.numpy(), w - 0.1 * gradient, rtol=1e-6)
    assert loss == pytest.approx(float(np.mean((X @ w) ** 2) + 0.5 * np.sum(w**2)), rel=1e-6)
    assert float(model.other.numpy()) == 1.0


def test_several_replicas_are_refused(monkeypatch):
    class Two:
        num_replicas_in_sync = 2

    monkeypatch.setattr(tf.distribute, "get_strategy", Two)
    with pytest.raises(ValueError, match=r"Squares are trained on one device\. Received: a strategy of 2 replicas"):
        training_step.take(Model(), lambda: (tf.constant(0.0), tf.constant(1)), what="Squares are")
