"""A depthwise-separable CNN (Howard et al. 2017, "MobileNets", section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

from kerastl.types import Task


def build(
    task: Task,
    *,
    stem_filters: int = 16,
    filters: Sequence[int] = (32, 32, 48, 48, 64),
    strides: Sequence[int] = (1, 1, 2, 1, 1),
    stem_kernel_size: int = 3,
    dropout: float = 0.0,
    name: str = "mobile_cnn",
) -> keras.Model:
    """A functional model: pictures ``(batch, *task.input_shape)`` of raw pixels to logits ``(batch,
    task.num_classes)``.

    Args:
        task: gives the input shape and the number of classes.
        stem_filters: of the first, ordinary convolution, which strides by two.
        filters, strides: one entry a depthwise-separable block.
        stem_kernel_size: in pixels.
        dropout: share dropped before the logits.
        name: of the model.

    Raises:
        ValueError: if ``filters`` and ``strides`` differ in length.
    """
    if len(filters) != len(strides):
        raise ValueError(
            f"A mobile CNN needs one stride a block. Received: filters={tuple(filters)}, strides={tuple(strides)}."
        )
    image = keras.Input(task.input_shape, name="image")
    x = layers.Rescaling(1 / 255, name="rescale")(image)
    x = layers.Conv2D(
        stem_filters,
        stem_kernel_size,
        strides=2,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name="stem",
    )(x)
    x = layers.BatchNormalization(momentum=0.9, name="stem_norm")(x)
    x = layers.ReLU(name="stem_relu")(x)
    for index, (width, stride) in enumerate(zip(filters, strides, strict=True), start=1):
        x = _separable_block(x, width, stride=stride, name=f"block{index}")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(image, layers.Dense(task.num_classes, dtype="float32", name="logits")(x), name=name)


def tiny(task: Task) -> keras.Model:
    """12,500 parameters on 28x28 grey pictures."""
    return build(task, name="mobile_cnn_tiny")


def small(task: Task) -> keras.Model:
    """73,000 parameters on 28x28 grey pictures."""
    return build(
        task,
        stem_filters=32,
        filters=(64, 64, 96, 128, 128, 160),
        strides=(1, 1, 2, 1, 1, 1),
        name="mobile_cnn_small",
    )


def _separable_block(x: keras.KerasTensor, width: int, *, stride: int, name: str) -> keras.KerasTensor:
    """A depthwise 3x3 convolution and a pointwise one, each normalized and rectified."""
    x = layers.DepthwiseConv2D(
        3,
        strides=stride,
        padding="same",
        use_bias=False,
        depthwise_initializer=keras.initializers.RandomNormal(stddev=(2 / 9) ** 0.5),  # He: each output sees 9 inputs
        name=f"{name}_depthwise",
    )(x)
    x = layers.BatchNormalization(momentum=0.9, name=f"{name}_depthwise_norm")(x)
    x = layers.ReLU(name=f"{name}_depthwise_relu")(x)
    x = layers.Conv2D(width, 1, use_bias=False, kernel_initializer="he_normal", name=f"{name}_pointwise")(x)
    x = layers.BatchNormalization(momentum=0.9, name=f"{name}_pointwise_norm")(x)
    return layers.ReLU(name=f"{name}_pointwise_relu")(x)
