"""A small residual net for aligned faces: what a published face embedding is distilled into."""

from __future__ import annotations

import keras
from keras import layers

from kerastl.models import heads
from kerastl.types import Task

WIDTH = 128
"""Numbers that it answers, as the published embedding does."""
_MOMENTUM = 0.9
"""Of moving statistics: few faces make few steps, and 0.99 would still be where it began."""


def build(task: Task, *, width: int = 24) -> keras.Model:
    """Pixels 0..255 ``(batch, side, side, 3)`` to vectors ``(batch, 128)``, finished as the task's target wants them.

    Five stages, each half as large: depthwise separable convolutions (Howard et al. 2017, "MobileNets") with a residual
    block behind each (He et al. 2016), and at the end a depthwise convolution over all places, which unlike their mean
    knows where in a face something is (Chen et al. 2018, "MobileFaceNets", section 3.1).

    Args:
        task: of aligned faces.
        width: channels of the first layer; the last stage has eight times as many.
    """
    given = keras.Input(task.inputs.shape, name="image")
    x = _step(heads.standardized(given, task), width, name="stem", strides=2, separable=False)
    for stage, factor in enumerate((2, 4, 8, 8), 1):
        x = _step(x, factor * width, name=f"stage{stage}_down", strides=2)
        y = _step(x, factor * width, name=f"stage{stage}_block")
        x = layers.Add(name=f"stage{stage}_add")([x, y])
    x = layers.DepthwiseConv2D(x.shape[1:3], use_bias=False, name="all_places")(x)
    x = layers.Flatten(name="pool")(layers.BatchNormalization(momentum=_MOMENTUM, name="all_places_norm")(x))
    x = layers.Dense(WIDTH, name="vector")(x)
    return keras.Model(given, heads.outputs(x, task), name="face_student")


def _step(
    x: keras.KerasTensor, channels: int, *, name: str, strides: int = 1, separable: bool = True
) -> keras.KerasTensor:
    kind = layers.SeparableConv2D if separable else layers.Conv2D
    x = kind(channels, 3, strides=strides, padding="same", use_bias=False, name=name)(x)
    return layers.ReLU(name=f"{name}_relu")(layers.BatchNormalization(momentum=_MOMENTUM, name=f"{name}_norm")(x))
