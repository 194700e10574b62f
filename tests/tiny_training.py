"""A network of two layers, batches for it and a quiet `fit`, for the tests of training and of what watches over it."""

from __future__ import annotations

import keras
import tensorflow as tf

from kerastl import train
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
    return train.fit(model, data, progress=False, **options)
