"""What several files about compressed kernels begin with."""

from __future__ import annotations

import keras
import pytest


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """Two dense layers on small pictures, the first of kernels that blocks of 32 divide."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    image = keras.Input((8, 8, 1), name="image")
    x = layers.Flatten(name="flatten")(layers.Rescaling(1 / 255, name="rescale")(image))
    x = layers.Dense(64, activation="relu", name="hidden")(x)
    return keras.Model(image, layers.Dense(4, name="logits")(x))
