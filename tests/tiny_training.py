"""A network of two layers, batches for it, a quiet `fit` and a death, for the tests of training and its watches."""

from __future__ import annotations

import keras
import tensorflow as tf

from kerastl.training import fitting
from kerastl.types import Schedule


def small_model(seed=0):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((4,), name="image")
    x = keras.layers.Dense(8, name="hidden")(inputs)
    x = keras.layers.ReLU()(x)
    return keras.Model(inputs, keras.layers.Dense(3, dtype="float32", name="logits")(x))


def batches(inputs, labels, size=8):
    return tf.data.Dataset.from_tensor_slices((inputs, labels)).batch(size)


def quiet(model, data, **options):
    options.setdefault("schedule", Schedule(epochs=2, batch_size=8, peak_learning_rate=1e-2))
    return fitting.fit(model, data, progress=False, **options)


class Killed(Exception):
    pass


class At(keras.callbacks.Callback):
    """Dies once, after so many steps of a process."""

    def __init__(self, step):
        super().__init__()
        self.left = step

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            raise Killed
