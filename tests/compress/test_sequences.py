"""Models of sequences as pictures a place wide: the same answers, and integers throughout after training for them."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tf_keras
from keras import layers

from kerastl import types, verify
from kerastl.compress import qat, sequences
from kerastl.compress.tf_keras import bridge
from kerastl.data import pipeline
from kerastl.export import tflite
from kerastl.inputs.numbers import Numbers
from kerastl.tasks.single_label import SingleLabel
from kerastl.verify import benchmark

ROWS = np.random.default_rng(0).normal(size=(64, 32, 3)).astype("float32")
MIDDLES = {
    "plain": lambda x: layers.Conv1D(8, 3, strides=2, activation="relu")(x),
    "normalized": lambda x: layers.ReLU()(
        layers.BatchNormalization()(layers.Conv1D(8, 3, padding="same", use_bias=False)(x))
    ),
    "causal": lambda x: layers.Conv1D(8, 2, padding="causal", dilation_rate=2, activation="relu")(x),
    "separable": lambda x: layers.SeparableConv1D(8, 3, strides=2, padding="same", depth_multiplier=2)(x),
    "depthwise": lambda x: layers.DepthwiseConv1D(3, strides=2, depth_multiplier=2, activation="relu")(x),
    "transposed": lambda x: layers.Conv1DTranspose(8, 3, strides=2, padding="same")(layers.MaxPooling1D(2)(x)),
    "residual": lambda x: layers.Add()([layers.Conv1D(8, 3, padding="same")(x), layers.Conv1D(8, 1)(x)]),
    "padded": lambda x: layers.UpSampling1D(2)(
        layers.Cropping1D(1)(layers.ZeroPadding1D((2, 1))(layers.Conv1D(4, 3)(layers.AveragePooling1D(2)(x))))
    ),
    "dense between": lambda x: layers.Conv1D(4, 3)(layers.Dense(6, activation="relu")(layers.Conv1D(4, 3)(x))),
    "joined": lambda x: layers.Concatenate()([layers.Conv1D(3, 3, padding="same")(x), x]),
    "squeezed": lambda x: layers.Multiply()(
        [layers.Conv1D(3, 1)(x), layers.GlobalAveragePooling1D(keepdims=True)(layers.Conv1D(3, 1)(x))]
    ),
}


def network(name: str, *, end: str = "pooled") -> keras.Model:
    keras.utils.set_random_seed(0)
    series = keras.Input((32, 3), name="series")
    x = MIDDLES[name](series)
    x = layers.GlobalAveragePooling1D()(x) if end == "pooled" else layers.Flatten()(x)
    model = keras.Model(series, layers.Dense(2)(x))
    random = np.random.default_rng(1)
    model.set_weights([np.abs(random.normal(size=one.shape)) + 0.1 for one in model.get_weights()])
    return model


@pytest.mark.parametrize("name", list(MIDDLES))
def test_the_answers_stay(name):
    model = network(name, end="flat" if name in ("plain", "residual") else "pooled")
    whole = bridge.to_tf_keras(model, probe=ROWS[:4])
    laid = sequences.as_pictures(whole)
    wanted = np.asarray(model(ROWS[:8], training=False))
    np.testing.assert_allclose(laid(ROWS[:8], training=False), wanted, rtol=1e-4, atol=1e-4)
    assert not [layer for layer in laid.layers if isinstance(layer, sequences._KERNELS)]
    assert {layer.name for layer in whole.layers} <= {layer.name for layer in laid.layers}


def test_what_has_no_sequence_is_left_alone():
    rows = tf_keras.Input((4,))
    model = tf_keras.Model(rows, tf_keras.layers.Dense(2)(rows))
    assert sequences.as_pictures(model) is model
    series = tf_keras.Input((None, 3))
    model = tf_keras.Model(series, tf_keras.layers.Conv1D(2, 3)(series))
    assert sequences.as_pictures(model) is model, "a picture of any height has no shape to be laid in"


def test_a_layer_that_is_called_twice_is_made_once():
    series = tf_keras.Input((8, 2))
    shared = tf_keras.layers.Conv1D(2, 3, padding="same")
    model = tf_keras.Model(series, shared(shared(series)))
    laid = sequences.as_pictures(model)
    assert len(laid.weights) == 2
    np.testing.assert_allclose(laid(ROWS[:2, :8, :2]), model(ROWS[:2, :8, :2]), atol=1e-5)


@pytest.mark.parametrize("name", ["normalized", pytest.param("separable", marks=pytest.mark.slow)])
def test_it_learns_integers_and_becomes_a_file_of_them(name, tmp_path):
    task = types.Task("series", Numbers((32, 3)), SingleLabel(("a", "b")))
    train = types.Split("train", ROWS, (ROWS.mean((1, 2)) > 0).astype("int32"), task)
    batches = pipeline.batches(train, batch_size=16, shuffle=True)
    model = network(name)
    aware = qat.train(bridge.to_tf_keras(model, probe=ROWS[:4]), batches, epochs=1, learning_rate=1e-5)
    content = tflite.convert(aware, task, integer=True)
    (tmp_path / "model.tflite").write_bytes(content)
    operators = benchmark.inspect(tmp_path / "model.tflite").operators
    assert operators.float == 0
    assert "CONV_2D" in operators.by_type or "DEPTHWISE_CONV_2D" in operators.by_type
    assert not {"MUL", "BATCH_NORM"} & set(operators.by_type), "the normalization is folded"
    said = verify.predict_tflite(content, ROWS, kind=task.inputs)
    wanted = np.asarray(keras.ops.softmax(model.predict(ROWS, verbose=0)))
    assert np.abs(said - wanted).mean() < 0.05
