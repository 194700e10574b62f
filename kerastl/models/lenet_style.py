"""The textbook CNN: two convolution-pooling blocks and a dense layer (LeCun et al. 1998, with ReLU)."""

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
    dropout: float = 0.0,
    normalize: bool = False,
    name: str = "plain_cnn",
) -> keras.Model:
    """A functional model: pictures ``(batch, *task.input_shape)`` of raw pixels to logits ``(batch,
    task.num_classes)``.

    Args:
        task: gives the input shape and the number of classes.
        filters: width of each convolution-pooling block.
        kernel_size: of every convolution, in pixels.
        dense_units: width of the hidden dense layer.
        dropout: share dropped before and after the hidden dense layer.
        normalize: whether a BatchNormalization follows every convolution.
        name: of the model.
    """
    image = keras.Input(task.input_shape, name="image")
    x = layers.Rescaling(1 / 255, name="rescale")(image)
    for index, width in enumerate(filters, start=1):
        x = layers.Conv2D(width, kernel_size, padding="same", use_bias=not normalize, name=f"block{index}_conv")(x)
        if normalize:
            x = layers.BatchNormalization(momentum=0.9, name=f"block{index}_norm")(x)
        # the maximum of rectified values is the rectified maximum, at a quarter of the work
        x = layers.MaxPooling2D(2, name=f"block{index}_pool")(x)
        x = layers.ReLU(name=f"block{index}_relu")(x)
    x = layers.Flatten(name="flatten")(x)
    if dropout:
        x = layers.Dropout(dropout, name="flatten_dropout")(x)
    x = layers.Dense(dense_units, name="dense")(x)
    x = layers.ReLU(name="dense_relu")(x)
    if dropout:
        x = layers.Dropout(dropout, name="dense_dropout")(x)
    return keras.Model(image, layers.Dense(task.num_classes, dtype="float32", name="logits")(x), name=name)


def textbook(task: Task) -> keras.Model:
    """Convolutions of 32 and 64 filters, dense 128: the network of the introductory MNIST lessons."""
    return build(task, dropout=0.4, name="plain_cnn_textbook")
