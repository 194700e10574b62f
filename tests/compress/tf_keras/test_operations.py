"""Operations without weights cross the bridge as layers of tf_keras, or are named."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from kerastl.compress.tf_keras import bridge

PROBE = np.random.default_rng(0).integers(0, 256, (4, 12, 12, 3)).astype("float32")


def test_operations_between_tensors_cross():
    ops = keras.ops
    image = keras.Input((8, 8, 4), name="image")
    vector = np.array([0.5, -1.0, 2.0, 3.0], "float32")
    x = 2.0 - ((image - 0.0) / 64.0 - 1.5) * vector + vector + 0.0
    x = ops.maximum(x, ops.relu6(x + 3.0) * (1 / 6)) - ops.hard_silu(x)
    x = x * ops.sigmoid(ops.mean(x, axis=(1, 2), keepdims=True)) + ops.minimum(ops.tanh(x), ops.silu(x))
    first, second, third = ops.split(x, [1, 3], axis=-1)
    x = ops.concatenate([third, second, first], axis=-1)
    x = ops.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], constant_values=float("-inf"))
    x = keras.layers.MaxPooling2D(3, 2, name="pool")(x)
    x = ops.reshape(ops.transpose(x, (0, 3, 1, 2)), (-1, 64))
    model = keras.Model(image, ops.hard_sigmoid(ops.relu(x)))
    values = np.random.default_rng(3).normal(60, 90, (3, 8, 8, 4)).astype("float32")
    bridged = bridge.to_tf_keras(model, probe=values)
    np.testing.assert_allclose(bridged(values[::-1]), model(values[::-1]), rtol=1e-4, atol=1e-4)
    assert np.ptp(np.asarray(bridged(values))) > 0.1


@pytest.mark.parametrize(
    ("operation", "named"),
    [
        (lambda x: 1.0 / (x + 2.0), "'true_divide' of class .*TrueDivide"),
        (lambda x: x * np.ones((8, 1, 1), "float32"), "'multiply' of class .*Multiply"),
        (lambda x: keras.ops.mean(x, axis=1), "'mean' of class .*Mean"),
        (lambda x: keras.ops.mean(x, keepdims=True), "'mean' of class .*Mean"),
        (lambda x: x / 0.0, "'true_divide' of class .*TrueDivide"),
        (lambda x: keras.ops.split(x, 2, axis=1)[0], "'split' of class .*Split"),
        (lambda x: keras.ops.flip(x, axis=1), "'flip' of class .*Flip"),
    ],
)
def test_an_operation_that_cannot_cross_is_named(operation, named):
    keras.backend.clear_session()
    image = keras.Input((8, 8, 4), name="image")
    with pytest.raises(ValueError, match=f"Received: layer {named}.*Available: .*'Add'"):
        bridge.to_tf_keras(keras.Model(image, operation(image)), probe=np.ones((1, 8, 8, 4), "float32"))
