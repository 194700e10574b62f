"""The loss of one of several tasks against the same loss of the examples that have a label."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastl.tasks.multi_label import MultiLabel
from kerastl.tasks.multi_task import MultiTask
from kerastl.tasks.regression import Regression
from kerastl.tasks.single_label import SingleLabel

KINDS = {
    "side": (SingleLabel(("a", "b", "c")), np.array([0, 2, -1, 1, -1, 2]), 3),
    "signs": (MultiLabel(("a", "b")), np.array([[0, 1], [-1, -1], [1, 1], [0, 0], [-1, -1], [-1, -1]]), 2),
    "heat": (Regression(("h",), (5.0,), (2.0,)), np.array([[1.0], [np.nan], [7], [np.nan], [np.nan], [4]]), 1),
}
TARGET = MultiTask(tuple((name, kind) for name, (kind, _, _) in KINDS.items()))
OUTPUTS = {
    name: np.random.default_rng(len(name)).normal(size=(6, width)).astype("float32")
    for name, (_, _, width) in KINDS.items()
}


@pytest.mark.parametrize("name", KINDS)
def test_the_loss_is_that_of_the_labelled_examples(name):
    kind, labels, _ = KINDS[name]
    labels = labels.astype(kind.label_dtype)
    there = TARGET.labelled({key: one for key, (_, one, _) in KINDS.items()})[name]
    loss = TARGET.loss()[name]
    wanted = float(kind.loss()(labels[there], OUTPUTS[name][there]))
    assert float(loss(labels, OUTPUTS[name])) == pytest.approx(wanted, rel=1e-5)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert float(again(labels, OUTPUTS[name])) == pytest.approx(wanted, rel=1e-5)
    assert float(loss(labels[~there], OUTPUTS[name][~there])) == 0, "a batch without a label"


@pytest.mark.parametrize("name", KINDS)
def test_what_has_no_label_has_no_gradient(name):
    kind, labels, _ = KINDS[name]
    outputs = tf.constant(OUTPUTS[name])
    with tf.GradientTape() as tape:
        tape.watch(outputs)
        value = TARGET.loss()[name](labels.astype(kind.label_dtype), outputs)
    gradient = tape.gradient(value, outputs).numpy()
    there = TARGET.labelled({key: one for key, (_, one, _) in KINDS.items()})[name]
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(np.abs(gradient).sum(-1) > 0, there)


def test_classes_count_as_much_as_is_said():
    """The second class of `side` twice, and the first sign three times, where an example has it."""
    weights = {0: 1.0, 1: 1.0, 2: 2.0, 3: 3.0, 4: 1.0}
    losses, left = TARGET.weighted_loss(weights)
    assert left is None
    _, labels, _ = KINDS["side"]
    there = labels >= 0
    each = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=None)(
        labels[there], OUTPUTS["side"][there]
    )
    wanted = (np.asarray(each) * np.where(labels[there] == 2, 2, 1)).mean()
    assert float(losses["side"](labels, OUTPUTS["side"])) == pytest.approx(wanted, rel=1e-5)
    _, labels, _ = KINDS["signs"]
    known = labels[:, 0] >= 0
    own, _ = KINDS["signs"][0].weighted_loss({0: 3.0, 1: 1.0})
    wanted = float(own(labels[known], OUTPUTS["signs"][known]))
    assert float(losses["signs"](labels, OUTPUTS["signs"])) == pytest.approx(wanted, rel=1e-5)
    again = keras.losses.deserialize(keras.losses.serialize(losses["side"]))
    assert again.class_weight == {0: 1.0, 1: 1.0, 2: 2.0}
    with pytest.raises(ValueError, match="side a, side b"):
        TARGET.weighted_loss({0: 1.0})
