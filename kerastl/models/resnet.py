"""A residual CNN (He et al. 2016, "Deep residual learning for image recognition", figure 2)."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

from kerastl.models import heads
from kerastl.types import Task


def build(
    task: Task,
    *,
    widths: Sequence[int] = (16, 32, 64),
    blocks: int | Sequence[int] = 1,
    stem_pool: int = 1,
    dropout: float = 0.0,
    name: str = "residual_cnn",
) -> keras.Model:
    """A functional model: pictures ``(batch, *task.inputs.shape)`` of raw pixels to logits ``(batch,
    task.target.outputs)``.

    Args:
        task: gives the input shape and the number of classes.
        widths: filters of each stage; every stage after the first halves height and width.
        blocks: residual blocks a stage, or of each stage. With none in the first, the whole picture is seen by the stem
            alone, and what that saves can be spent on smaller maps.
        stem_pool: side in pixels of a max pooling behind the first convolution; 2 quarters the work of all that
            follows, and costs less accuracy than a convolution that strides.
        dropout: share dropped before the logits.
        name: of the model.

    Raises:
        ValueError: blocks are not one number a stage.
    """
    each = [blocks] * len(widths) if isinstance(blocks, int) else list(blocks)
    if len(each) != len(widths):
        raise ValueError(f"Wanted the number of blocks of each stage. Received: widths={widths}, blocks={blocks}.")
    image = keras.Input(task.inputs.shape, name="image")
    x = layers.Rescaling(1 / 255, name="rescale")(image)
    x = _convolution(x, widths[0], kernel_size=3, stride=1, name="stem")
    if stem_pool > 1:
        x = layers.MaxPooling2D(stem_pool, name="stem_pool")(x)
    x = layers.ReLU(name="stem_relu")(x)
    for stage, (width, count) in enumerate(zip(widths, each, strict=True), start=1):
        for block in range(1, count + 1):
            stride = 2 if block == 1 and stage > 1 else 1
            x = _residual_block(x, width, stride=stride, name=f"stage{stage}_block{block}")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(image, heads.outputs(x, task), name=name)


def small(task: Task) -> keras.Model:
    """Widths 16, 32, 64 with one block each: 79,000 parameters, the shape of MLPerf Tiny's ResNet-8.

    Banbury et al. 2021, "MLPerf Tiny Benchmark", section 4.1 (https://arxiv.org/abs/2106.07597): on CIFAR-10 the same
    convolutions on maps of the same sizes; the projected shortcuts there have a bias in place of a normalization.
    """
    return build(task, name="residual_cnn_small")


def mobile(task: Task) -> keras.Model:
    """Widths 24, 40, 64 behind a pooled stem: 99,000 parameters, the net of ``shrink_model``."""
    return build(task, widths=(24, 40, 64), stem_pool=2, name="residual_cnn_mobile")


def medium(task: Task) -> keras.Model:
    """Widths 32, 64, 128 behind a pooled stem: 309,000 parameters, a teacher for small grey pictures."""
    return build(task, widths=(32, 64, 128), stem_pool=2, dropout=0.2, name="residual_cnn_medium")


def wide(task: Task) -> keras.Model:
    """Widths 32, 64, 128 with two blocks each: 700,000 parameters, a teacher."""
    return build(task, widths=(32, 64, 128), blocks=2, dropout=0.2, name="residual_cnn_wide")


def _residual_block(x: keras.KerasTensor, width: int, *, stride: int, name: str) -> keras.KerasTensor:
    """Two 3x3 convolutions around a shortcut, which is projected where stride or width change."""
    shortcut = x
    if stride != 1 or x.shape[-1] != width:
        shortcut = _convolution(x, width, kernel_size=1, stride=stride, name=f"{name}_shortcut")
    x = _convolution(x, width, kernel_size=3, stride=stride, name=f"{name}_conv1")
    x = layers.ReLU(name=f"{name}_relu1")(x)
    x = _convolution(x, width, kernel_size=3, stride=1, name=f"{name}_conv2")
    x = layers.Add(name=f"{name}_add")([x, shortcut])
    return layers.ReLU(name=f"{name}_relu2")(x)


def _convolution(x: keras.KerasTensor, width: int, *, kernel_size: int, stride: int, name: str) -> keras.KerasTensor:
    x = layers.Conv2D(
        width,
        kernel_size,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )(x)
    return layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
