from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from toy import at_random

from kerastl.compress.channels import coupling, importance
from kerastl.inputs.numbers import Numbers
from kerastl.tasks.agreement import Agreement
from kerastl.tasks.multi_label import MultiLabel
from kerastl.types import Task

SEVERAL = Task("several", Numbers((6, 6, 2)), MultiLabel(("a", "b", "c")))


def network() -> keras.Model:
    image = keras.Input((6, 6, 2), name="image")
    stem = layers.Conv2D(4, 3, padding="same", use_bias=False, name="stem")(image)
    x = layers.ReLU(name="relu")(layers.BatchNormalization(name="norm")(stem))
    x = layers.Conv2D(4, 3, padding="same", name="back")(layers.DepthwiseConv2D(3, padding="same", name="deep")(x))
    x = layers.Flatten(name="flat")(layers.Add(name="add")([x, stem]))
    x = layers.Dense(5, activation="relu", name="hidden")(x)
    return at_random(keras.Model(image, layers.Dense(3, name="logits")(x)))


def examples() -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(3)
    return draw.normal(size=(12, 6, 6, 2)).astype("float32"), draw.integers(0, 3, 12).astype("int32")


def scores_of(scores: np.ndarray, found: coupling.Coupling, layer: str) -> np.ndarray:
    return scores[found.made[layer]]


@pytest.mark.parametrize("order", [1, 2])
def test_magnitude_sums_over_everything_coupled(order):
    model = network()
    found = coupling.coupled(model)
    scores = importance.magnitude(model, found, order=order)
    weights = {weight.path: np.abs(weight.numpy().astype("float64")) ** order for weight in model.weights}
    hidden = weights["hidden/kernel"].sum(0) + weights["hidden/bias"] + weights["logits/kernel"].sum(1)
    wanted = hidden ** (1 / order)
    np.testing.assert_allclose(scores_of(scores, found, "hidden"), wanted / wanted.mean(), rtol=1e-6)
    # the stem's four channels go through a norm, a depthwise convolution and a sum, into "back" and "hidden"
    stem = weights["stem/kernel"].sum((0, 1, 2)) + weights["back/kernel"].sum((0, 1, 2)) + weights["back/bias"]
    stem += weights["back/kernel"].sum((0, 1, 3)) + weights["deep/kernel"].sum((0, 1, 3)) + weights["deep/bias"]
    stem += sum(weights[f"norm/{name}"] for name in ("gamma", "beta"))
    stem += weights["hidden/kernel"].reshape(36, 4, 5).sum((0, 2))
    wanted = stem ** (1 / order)
    np.testing.assert_allclose(scores_of(scores, found, "stem"), wanted / wanted.mean(), rtol=1e-6)


def test_scales_of_norms():
    model = network()
    found = coupling.coupled(model)
    scores = importance.norm_scales(model, found)
    gamma = np.abs(model.get_layer("norm").gamma.numpy())
    np.testing.assert_allclose(scores_of(scores, found, "stem"), gamma / gamma.mean(), rtol=1e-6)
    assert np.isnan(scores_of(scores, found, "hidden")).all()


def gated(model: keras.Model, found: coupling.Coupling, unit: int, gate: float, inputs) -> np.ndarray:
    """Logits with every slice that reads a unit multiplied by a gate, through the model's own layers."""
    before = model.get_weights()
    for name, (read, axis) in {"back": ("stem", 2), "hidden": ("stem", 0), "logits": ("hidden", 0)}.items():
        kernel = model.get_layer(name).kernel
        hit = np.isin(found.made[read], unit)
        if name == "hidden":  # flattened
            hit = np.tile(hit, 36)
        values = np.moveaxis(kernel.numpy(), axis, 0).copy()
        values[hit] *= gate
        kernel.assign(np.moveaxis(values, 0, axis))
    logits = np.asarray(model(inputs, training=False), "float64")
    model.set_weights(before)
    return logits


def slopes(model: keras.Model, found: coupling.Coupling, unit: int, inputs, of) -> np.ndarray:
    """Derivatives by a unit's gate, by central differences."""
    step = 1e-2
    high, low = (of(gated(model, found, unit, 1 + sign * step, inputs)) for sign in (1, -1))
    return (high - low) / (2 * step)


def losses_of(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.log(np.exp(logits).sum(-1)) - np.take_along_axis(logits, labels[:, None], -1)[:, 0]


def test_taylor_is_the_derivative_by_a_gate_squared_and_averaged_over_examples():
    model, (inputs, labels) = network(), examples()
    found = coupling.coupled(model)
    single = tf.data.Dataset.from_tensor_slices((inputs, labels)).batch(1)
    before = model.get_weights()
    scores = importance.taylor(model, found, batches=single)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    wanted, looked_at = np.zeros(found.count), [*found.made["stem"].tolist(), *found.made["hidden"].tolist()]
    for unit in looked_at:
        wanted[unit] = np.mean(slopes(model, found, unit, inputs, lambda logits: losses_of(logits, labels)) ** 2)
        assert scores[unit] == pytest.approx(wanted[unit], rel=0.03, abs=1e-6), unit
    # in batches the signs of the examples are random, and what two have in common drops out in the mean
    many = importance.taylor(model, found, batches=single.unbatch().batch(6).repeat(300))
    np.testing.assert_allclose(many[looked_at], wanted[looked_at], rtol=0.2, atol=0.02 * wanted.max())


def test_outputs_move_by_the_gates_whatever_the_labels():
    model, (inputs, labels) = network(), examples()
    found = coupling.coupled(model)

    def centred(logits: np.ndarray) -> np.ndarray:
        return logits - logits.mean(-1, keepdims=True)

    wanted, looked_at = np.zeros(found.count), [*found.made["stem"].tolist(), *found.made["hidden"].tolist()]
    for unit in looked_at:
        wanted[unit] = np.mean(np.sum(slopes(model, found, unit, inputs, centred) ** 2, -1))
    unlabelled = tf.data.Dataset.from_tensor_slices(inputs).batch(6).repeat(300)
    received = importance.outputs(model, found, batches=unlabelled)
    np.testing.assert_allclose(received[looked_at], wanted[looked_at], rtol=0.2, atol=0.02 * wanted.max())
    labelled = tf.data.Dataset.from_tensor_slices((inputs, labels)).batch(6).repeat(300)
    np.testing.assert_allclose(importance.outputs(model, found, batches=labelled), received, rtol=1e-5)


def test_what_moves_all_outputs_alike_counts_where_each_is_a_probability_of_its_own():
    model, (inputs, labels) = network(), examples()
    found = coupling.coupled(model)
    units, wanted = [*found.made["stem"].tolist(), *found.made["hidden"].tolist()], np.zeros(found.count)
    for unit in units:
        wanted[unit] = np.mean(np.sum(slopes(model, found, unit, inputs, lambda logits: logits) ** 2, -1))
    several = tf.data.Dataset.from_tensor_slices((inputs, np.eye(3, dtype="int32")[labels])).batch(6).repeat(300)
    received = importance.outputs(model, found, batches=several, task=SEVERAL)
    np.testing.assert_allclose(received[units], wanted[units], rtol=0.2, atol=0.02 * wanted.max())


def test_taylor_of_several_classes_and_of_a_loss_of_ones_own():
    model, (inputs, labels) = network(), examples()
    found = coupling.coupled(model)
    several = np.eye(3, dtype="int32")[labels]
    data = tf.data.Dataset.from_tensor_slices((inputs, several)).batch(4)
    received = importance.taylor(model, found, batches=data, task=SEVERAL)
    own = keras.losses.BinaryCrossentropy(from_logits=True, reduction=None)
    np.testing.assert_allclose(received, importance.taylor(model, found, batches=data, loss=own), rtol=1e-3, atol=1e-9)
    single = importance.taylor(model, found, batches=tf.data.Dataset.from_tensor_slices((inputs, labels)).batch(4))
    assert not np.allclose(received, single, rtol=0.1)
    # one number for a batch is squared as it is: the slope of the mean over all twelve
    mean = importance.taylor(
        model,
        found,
        batches=tf.data.Dataset.from_tensor_slices((inputs, labels)).batch(12),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    for unit in found.made["stem"].tolist():
        slope = np.mean(slopes(model, found, unit, inputs, lambda logits: losses_of(logits, labels)))
        assert mean[unit] == pytest.approx(slope**2, rel=0.05, abs=1e-6)


def test_labels_that_are_no_classes_want_a_task_or_a_loss():
    model, (inputs, labels) = network(), examples()
    found = coupling.coupled(model)
    numbers = tf.data.Dataset.from_tensor_slices((inputs, labels + 0.5)).batch(4)
    with pytest.raises(ValueError, match=r"say task=, or loss=\. Received: labels of"):
        importance.taylor(model, found, batches=numbers)
    squared = keras.losses.MeanSquaredError(reduction=None)
    columns = tf.data.Dataset.from_tensor_slices((inputs, np.eye(3)[labels])).batch(4)
    assert np.isfinite(importance.taylor(model, found, batches=columns, loss=squared)).all()


def test_a_frozen_layer_counts_and_no_batch_is_refused():
    model, (inputs, labels) = network(), examples()
    found = coupling.coupled(model)
    batches = tf.data.Dataset.from_tensor_slices((inputs, labels)).batch(4)
    wanted = importance.taylor(model, found, batches=batches)
    model.trainable = False
    np.testing.assert_allclose(importance.taylor(model, found, batches=batches), wanted, rtol=1e-5)
    with pytest.raises(ValueError, match="Received: 0 batches"):
        importance.taylor(model, found, batches=batches.take(0))
    model.get_layer("logits").bias.assign([np.nan, 0, 0])
    with pytest.raises(ValueError, match="scores not finite"):
        importance.taylor(model, found, batches=batches)


@pytest.mark.parametrize("listed", [False, True], ids=["by name", "in a list"])
def test_taylor_of_several_outputs_is_that_of_the_sum_of_their_losses(listed):
    keras.utils.set_random_seed(0)
    row = keras.Input((3,), name="row")
    x = layers.Dense(8, name="hidden")(row)
    ends = {"one": layers.Dense(2, name="one")(x), "two": layers.Dense(2, name="two")(x)}
    flat = keras.Model(row, list(ends.values())[::-1] if listed else ends)  # in another order than the task's names
    random, spreads = np.random.default_rng(0), {"one": 0.5, "two": 2.0}
    rows = random.normal(size=(6, 3)).astype("float32")
    labels = {name: random.normal(size=(6, 2)).astype("float32") for name in ends}
    task = Task("rows", Numbers((3,)), Agreement(tuple(spreads), tuple(spreads.values())))
    found, joined = coupling.coupled(flat), keras.Model(row, layers.Concatenate()(list(ends.values())))

    def total(wanted, given):
        gaps = [(given[:, 2 * place : 2 * place + 2] - labels[name]) / spreads[name] for place, name in enumerate(ends)]
        return keras.ops.sum(keras.ops.stack([keras.ops.mean(keras.ops.square(gap), -1) for gap in gaps]), 0)

    expected = importance.taylor(joined, coupling.coupled(joined), batches=[(rows, labels["one"])], loss=total)
    scores = importance.taylor(flat, found, batches=[(rows, labels)], task=task)
    np.testing.assert_allclose(np.sort(scores), np.sort(expected), rtol=1e-4)
    assert importance.outputs(flat, found, batches=[(rows, flat(rows))], task=task).shape == (found.count,)


def test_outputs_of_other_sizes_count_alike():
    """In standard deviations: one that is told in thousands hides nothing of another."""
    keras.utils.set_random_seed(0)
    row = keras.Input((3,), name="row")
    hidden = layers.Dense(8, activation="relu", name="hidden")(row)
    model = keras.Model(row, {name: layers.Dense(2, name=name)(hidden) for name in ("one", "two")})
    rows = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
    found, scores = coupling.coupled(model), []
    for spread in (1.0, 1000.0):
        task = Task("rows", Numbers((3,)), Agreement(("one", "two"), ((0.5, 2.0), spread)))
        scores.append(importance.outputs(model, found, batches=[rows] * 4, task=task))
        two = model.get_layer("two")
        two.set_weights([1000 * weight for weight in two.get_weights()])
    np.testing.assert_allclose(scores[1], scores[0], rtol=1e-4)
