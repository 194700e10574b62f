"""The fused step against the layer as Keras writes it, which stands beside it in every test."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastl import training
from kerastl.inputs.numbers import Numbers
from kerastl.tasks.single_label import SingleLabel
from kerastl.training import fused_normalization
from kerastl.types import Schedule, Task


def network(**settings) -> keras.Model:
    keras.utils.set_random_seed(3)
    inputs = keras.Input((6, 5, 2))
    x = keras.layers.Conv2D(4, 3, padding="same")(inputs)
    x = keras.layers.BatchNormalization(**settings, name="norm")(x)
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x * x))


def step(model: keras.Model, inputs: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """What a model answers in training, and the gradients of a sum of it; the moving statistics move."""
    with tf.GradientTape() as tape:
        answers = model(inputs, training=True)
        loss = tf.reduce_sum(tf.cast(answers, tf.float32) * np.linspace(-1, 2, 4, dtype=np.float32))
    gradients = tape.gradient(loss, [weight.value for weight in model.trainable_weights])
    return answers.numpy(), [gradient.numpy() for gradient in gradients]


def operations(model: keras.Model) -> set[str]:
    function = tf.function(lambda x: model(x, training=True)).get_concrete_function(tf.TensorSpec([None, 6, 5, 2]))
    return {one.type for one in function.graph.get_operations()}


@pytest.mark.parametrize("examples", [1, 8])
def test_answers_gradients_and_moving_statistics_are_those_of_keras(examples):
    inputs = np.random.default_rng(0).normal(3, 2, (examples, 6, 5, 2)).astype(np.float32)
    own, other = network(momentum=0.9), network(momentum=0.9)
    with fused_normalization.fused(own) as count:
        found = step(own, inputs)
    wanted = step(other, inputs)
    assert count == 1
    np.testing.assert_allclose(found[0], wanted[0], rtol=1e-4, atol=1e-5)
    for one, same in zip(found[1], wanted[1], strict=True):
        np.testing.assert_allclose(one, same, rtol=1e-3, atol=1e-4)
    for one, same in zip(own.weights, other.weights, strict=True):
        np.testing.assert_allclose(one.numpy(), same.numpy(), rtol=1e-4, atol=1e-5)
    # and an independent calculation of the statistics
    values = other.layers[1](inputs).numpy().reshape(-1, 4)
    norm = own.get_layer("norm")
    np.testing.assert_allclose(norm.moving_mean.numpy(), 0.1 * values.mean(0), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(norm.moving_variance.numpy(), 0.9 + 0.1 * values.var(0), rtol=1e-3)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("channels", [4, 16])
def test_half_precision_has_statistics_in_full(policy, channels):
    inputs = np.random.default_rng(1).normal(30, 1, (16, 4, 4, channels)).astype(np.float32)

    def built() -> keras.Model:
        source = keras.Input((4, 4, channels))
        return keras.Model(source, keras.layers.BatchNormalization(momentum=0.5, dtype=policy)(source))

    own, other = built(), built()
    with fused_normalization.fused(own):
        answers = own(inputs, training=True)
    wanted = other(inputs, training=True)
    assert answers.dtype == wanted.dtype
    np.testing.assert_allclose(np.float32(answers), np.float32(wanted), atol=0.05)
    for one, same in zip(own.weights, other.weights, strict=True):
        np.testing.assert_allclose(one.numpy(), same.numpy(), rtol=2e-3)


def test_a_training_step_is_fused_and_nothing_is_afterwards(tmp_path):
    model = network()
    with fused_normalization.fused(model):
        assert "FusedBatchNormV3" in operations(model)
    assert "FusedBatchNormV3" not in operations(model)
    assert "call" not in vars(model.get_layer("norm"))
    model.save(tmp_path / "model.keras")
    assert type(keras.saving.load_model(tmp_path / "model.keras").get_layer("norm")) is keras.layers.BatchNormalization


def test_inference_is_bitwise_that_of_keras():
    model, inputs = network(), np.random.default_rng(0).normal(size=(8, 6, 5, 2)).astype(np.float32)
    step(model, inputs)
    wanted = model(inputs, training=False).numpy()
    with fused_normalization.fused(model):
        np.testing.assert_array_equal(model(inputs, training=False).numpy(), wanted)
        model.get_layer("norm").trainable = False  # which in Keras means inference mode
        np.testing.assert_array_equal(model(inputs, training=True).numpy(), wanted)


@pytest.mark.parametrize("settings", [{"scale": False}, {"center": False}, {"renorm": True}, {"axis": 1}], ids=str)
def test_what_the_operation_does_not_know_is_left(settings):
    model = network(**settings)
    with fused_normalization.fused(model) as count:
        assert count == 0
        assert "FusedBatchNormV3" not in operations(model)


def test_fit_trains_by_it_models_inside_models_too(monkeypatch):
    counted = []
    plain = fused_normalization._call
    monkeypatch.setattr(
        fused_normalization, "_call", lambda *given, **named: counted.append(1) or plain(*given, **named)
    )
    inner, source = network(), keras.Input((6, 5, 2))
    model = keras.Model(source, keras.layers.Dense(3)(inner(source)))
    data = np.random.default_rng(0).normal(size=(8, 6, 5, 2)).astype(np.float32), np.arange(8) % 3
    training.fit(
        model,
        data,
        task=Task("pixels", Numbers((6, 5, 2)), SingleLabel(("a", "b", "c"))),
        schedule=Schedule(epochs=1, batch_size=4, peak_learning_rate=1e-3),
        progress=False,
    )
    assert counted
