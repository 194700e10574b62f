"""The ConvNet for 3x32x32 pictures: convolutions of 32 and 64 filters, flatten, dense 128."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

from kerastl.types import Task


def build(
    task: Task,
    *,
    filters: Sequence[int] = (32, 64),
    kernel_size: int = 3,
    dense_units: int = 128,
    normalize: bool = True,
    dropout: float = 0.5,
    name: str = "conv_net",
) -> keras.Model:
    """A functional model: pictures ``(batch, *task.input_shape)`` of raw pixels to logits ``(batch,
    task.num_classes)``.

    Unlike ``lenet_style`` its convolutions stride by two instead of being pooled, which needs a quarter of the work.

    Args:
        task: gives the input shape and the number of classes.
        filters: width of each strided convolution.
        kernel_size: of every convolution, in pixels.
        dense_units: width of the hidden dense layer.
        normalize: whether a BatchNormalization follows every convolution.
        dropout: share dropped before the hidden dense layer.
        name: of the model.
    """
    image = keras.Input(task.input_shape, name="image")
    x = layers.Rescaling(1 / 255, name="rescale")(image)
    for index, width in enumerate(filters, start=1):
        x = layers.Conv2D(width, kernel_size, strides=2, padding="same", use_bias=not normalize, name=f"conv{index}")(x)
        if normalize:
            x = layers.BatchNormalization(momentum=0.9, name=f"conv{index}_norm")(x)
        x = layers.ReLU(name=f"conv{index}_relu")(x)
    x = layers.Flatten(name="flatten")(x)
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    x = layers.Dense(dense_units, name="dense")(x)
    x = layers.ReLU(name="dense_relu")(x)
    return keras.Model(image, layers.Dense(task.num_classes, dtype="float32", name="logits")(x), name=name)


def small(task: Task) -> keras.Model:
    """Convolutions of 32 and 64 filters and dense 128: 545,000 parameters on 32x32x3 pictures and ten classes."""
    return build(task, name="conv_net_small")
