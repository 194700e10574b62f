"""A chain of strided convolutions and one dense layer: few operators, few bytes around the weights.

Most convolutions see at most a quarter of the pixels, which keeps training and inference cheap. After the
all-convolutional net (Springenberg et al. 2015).
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

from kerastl.models import heads
from kerastl.types import Task


def build(
    task: Task,
    *,
    filters: Sequence[int] = (12, 20, 24, 28),
    kernel_sizes: Sequence[int] = (5, 3, 3, 3),
    strides: Sequence[int] = (2, 1, 2, 1),
    flatten: bool = False,
    dense_units: int = 0,
    dropout: float = 0.0,
    name: str = "strided_cnn",
) -> keras.Model:
    """A functional model: pictures ``(batch, *task.inputs.shape)`` of raw pixels to logits ``(batch,
    task.target.outputs)``.

    Args:
        task: gives the input shape and the number of classes.
        filters, kernel_sizes, strides: one entry a convolution.
        flatten: whether the last map is flattened instead of averaged.
        dense_units: width of a hidden dense layer, 0 for none.
        dropout: share dropped before every dense layer.
        name: of the model.

    Raises:
        ValueError: if the three sequences differ in length.
    """
    if not len(filters) == len(kernel_sizes) == len(strides):
        raise ValueError(
            "A strided CNN needs one kernel size and one stride a convolution. Received: "
            f"filters={tuple(filters)}, kernel_sizes={tuple(kernel_sizes)}, strides={tuple(strides)}."
        )
    image = keras.Input(task.inputs.shape, name="image")
    x = layers.Rescaling(1 / 255, name="rescale")(image)
    for index, (width, kernel_size, stride) in enumerate(zip(filters, kernel_sizes, strides, strict=True), start=1):
        x = layers.Conv2D(
            width,
            kernel_size,
            strides=stride,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            name=f"conv{index}",
        )(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"conv{index}_norm")(x)
        x = layers.ReLU(name=f"conv{index}_relu")(x)
    x = layers.Flatten(name="flatten")(x) if flatten else layers.GlobalAveragePooling2D(name="pool")(x)
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    if dense_units:
        x = layers.Dense(dense_units, name="dense")(x)
        x = layers.ReLU(name="dense_relu")(x)
        if dropout:
            x = layers.Dropout(dropout, name="dense_dropout")(x)
    return keras.Model(image, heads.outputs(x, task), name=name)


def tiny(task: Task) -> keras.Model:
    """28,000 parameters on 28x28 grey pictures, the net of ``mnist_mobile``: narrow, and deep for its size.

    The first convolution sees every pixel, and the last map is averaged: under strong augmentation what a digit is does
    not depend on where it stands.
    """
    return build(
        task,
        filters=(16, 20, 24, 28, 28, 28),
        kernel_sizes=(3,) * 6,
        strides=(1, 2, 1, 2, 1, 1),
        name="strided_cnn_tiny",
    )


def wide(task: Task) -> keras.Model:
    """More than half a million parameters, most of them in the dense layer: a teacher that still trains fast."""
    return build(
        task,
        filters=(32, 64, 96),
        kernel_sizes=(5, 3, 3),
        strides=(2, 2, 1),
        flatten=True,
        dense_units=160,
        dropout=0.25,
        name="strided_cnn_wide",
    )
