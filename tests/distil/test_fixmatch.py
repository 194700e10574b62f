"""FixMatch's loss on one batch against NumPy: labelled rows by their labels, all by what the weak view is sure of."""

import keras
import numpy as np
import pytest
import toy

from kerastl.distil import fixmatch


class Stronger(keras.layers.Layer):
    """The strong view: what is seen doubles, in training alone."""

    def call(self, inputs, training=None):
        return 2 * inputs if training else inputs


def student():
    keras.utils.set_random_seed(0)
    vector = keras.Input((4,))
    return keras.Model(vector, keras.layers.Dense(3, name="logits")(Stronger()(vector)))


def log_softmax(logits):
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


@pytest.mark.parametrize("threshold", [0.0, 0.5, 1.0])
def test_a_batch_costs_what_numpy_says(threshold):
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(10, 4)).astype("float32")
    labels = np.array([0, 2, -1, -1, -1, 1, -1, -1, -1, -1], "int32")
    model = student()
    kernel, bias = model.get_weights()
    weak, strong = inputs @ kernel + bias, 2 * inputs @ kernel + bias
    known = labels >= 0
    supervised = -log_softmax(strong)[known, labels[known]].mean()
    sure = toy.softmax(weak).max(-1) >= threshold
    named = np.where(sure, -log_softmax(strong)[np.arange(10), weak.argmax(-1)], 0.0).mean()
    trained = toy.compiled(fixmatch.distiller(model, labelled_share=0.3, threshold=threshold, weight=2.0), 0.1)
    logs = trained.train_on_batch(inputs, labels, return_dict=True)
    assert sure.sum() == {0.0: 10, 1.0: 0}.get(threshold, sure.sum())
    assert logs["sure_loss"] == pytest.approx(named, rel=1e-5, abs=1e-7)
    assert logs["loss"] == pytest.approx(supervised + 2 * named, rel=1e-5)
    # the labels of the next step are named by the student as it is now
    np.testing.assert_array_equal(trained.average.get_weights()[0], model.get_weights()[0])


def test_what_is_unsure_grows_and_ranges_hold():
    trained = toy.compiled(fixmatch.distiller(student(), labelled_share=1.0, threshold=0.0, ramp_steps=10), 0.0)
    inputs = np.ones((4, 4), "float32")
    first = trained.train_on_batch(inputs, np.zeros(4, "int32"), return_dict=True)
    assert first["loss"] == pytest.approx(first["labels_loss"])  # nothing of it yet
    for wrong in ({"labelled_share": 0.0}, {"threshold": 1.2}, {"ramp_steps": -1}):
        with pytest.raises(ValueError, match="Received"):
            fixmatch.distiller(student(), **{"labelled_share": 0.5, **wrong})
