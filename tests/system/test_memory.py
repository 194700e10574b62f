from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework import ops

from kerastl.system import memory

TABLE = ops.gradient_registry._registry


def trained() -> None:
    """A training step with a custom gradient, as Keras' optimizers trace one."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile(keras.optimizers.AdamW(1e-3), "mse", jit_compile=False)
    model.fit(np.ones((8, 4), "float32"), np.ones((8, 2), "float32"), batch_size=4, verbose=0)


def test_nothing_is_registered_beyond_the_block():
    before = set(TABLE)
    trained()
    leaked = set(TABLE) - before
    assert any(name.startswith("CustomGradient-") for name in leaked), "the leak that the guard is for is gone"
    before = set(TABLE)
    with memory.release_graphs():
        trained()
    assert set(TABLE) == before


def test_what_was_traced_inside_still_runs_and_other_gradients_stay():
    @tf.custom_gradient
    def doubled(value):
        return 2 * value, lambda upstream: 7 * upstream

    outside = tf.function(lambda value: doubled(value) + 1)
    assert outside(tf.constant(1.0)) == 3
    with memory.release_graphs():
        inside = tf.function(lambda value: doubled(value) + 2)
        assert inside(tf.constant(1.0)) == 4
    assert inside(tf.constant(2.0)) == 6
    variable = tf.Variable(1.0)
    with tf.GradientTape() as tape:
        value = outside(variable)
    assert tape.gradient(value, variable) == 7
