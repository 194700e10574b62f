"""Graphs of channels first become graphs of channels last, with the same weights and the same answers."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from kerastl.models.pretrained import channels_last, graph


def test_channels_first_become_channels_last():
    """Layers that know both layouts, that work number by number, and that look for channels where they were."""
    keras.utils.set_random_seed(0)
    first = {"data_format": "channels_first"}
    image = keras.Input((3, 8, 6))
    x = layers.Rescaling(1 / 255)(image)
    x = layers.BatchNormalization(axis=1)(layers.Conv2D(4, 3, padding="same", activation="relu", **first)(x))
    x = layers.Concatenate(axis=1)([x, layers.DepthwiseConv2D(3, padding="same", **first)(layers.ReLU()(x))])
    x = layers.Add()([x, layers.Dense(6)(x)])  # over the columns
    pooled = layers.GlobalAveragePooling2D(**first)(layers.MaxPooling2D(2, **first)(x))
    both = [pooled, layers.Flatten()(x), layers.Flatten(**first)(x)]
    model = keras.Model(image, layers.Dense(3, activation="softmax")(layers.Concatenate()(both)))
    for weight in model.weights:
        weight.assign(weight + 0.1 * np.random.default_rng(1).uniform(0, 1, weight.shape))
    assert channels_last.is_first(model)
    raw = np.random.default_rng(0).integers(0, 256, (2, 8, 6, 3)).astype("float32")
    picture = keras.Input((8, 6, 3))
    found = keras.Model(picture, graph.flatten(model, picture, moved=True))
    wanted = model(raw.transpose(0, 3, 1, 2), training=False)
    np.testing.assert_allclose(found(raw, training=False), wanted, atol=1e-4)
    assert not channels_last.is_first(found)
    assert (
        sum(isinstance(layer, layers.Permute) for layer in found.layers) == 4
    )  # around the Dense over columns, and what follows it


def test_rows_with_their_channels_first():
    keras.utils.set_random_seed(0)
    row = keras.Input((2, 9))
    x = layers.Conv1D(3, 3, data_format="channels_first")(row)
    model = keras.Model(row, layers.GlobalMaxPooling1D(data_format="channels_first", keepdims=True)(x))
    last = keras.Input((9, 2))
    found = keras.Model(last, graph.flatten(model, last, moved=True))
    raw = np.random.default_rng(0).normal(size=(4, 9, 2)).astype("float32")
    wanted = np.transpose(model(raw.transpose(0, 2, 1)), (0, 2, 1))
    np.testing.assert_allclose(found(raw), wanted, atol=1e-5)
