"""A small U-Net (Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597) of depthwise separable convolutions."""

from __future__ import annotations

import keras
from keras import layers

from kerastl.models import heads
from kerastl.types import Task

_LEVELS = 3


def build(task: Task, *, width: int = 24) -> keras.Model:
    """Pixels 0..255 ``(batch, height, width, channels)`` to logits of each, ``(batch, height, width, classes)``.

    Three times down to half the sides and up again; on the way up each level sees what the way down saw there. The
    first convolution has strides of two, and the last step up is of logits: full sides would take most of the time.

    Args:
        task: of pictures whose sides are multiples of 16; its outputs are the classes.
        width: channels of the first level; each further one has twice as many.

    Raises:
        ValueError: sides that cannot be halved so often.
    """
    height, breadth, _ = task.inputs.shape
    least = 2 ** (_LEVELS + 1)
    if height % least or breadth % least:
        raise ValueError(f"Wanted pictures whose sides are multiples of {least}. Received: {height} x {breadth}.")
    given = keras.Input(task.inputs.shape, name="image")
    x = _block(heads.standardized(given, task), width, name="stem", strides=2, separable=False)
    seen = []
    for level in range(1, _LEVELS + 1):
        x = _block(x, width * 2 ** (level - 1), name=f"down{level}")
        seen.append(x)
        x = layers.MaxPooling2D(2, name=f"down{level}_pool")(x)
    x = _block(x, width * 2**_LEVELS, name="bottom")
    for level in range(_LEVELS, 0, -1):
        x = layers.UpSampling2D(2, interpolation="bilinear", name=f"up{level}_size")(x)
        x = layers.Concatenate(name=f"up{level}_both")([x, seen[level - 1]])
        x = _block(x, width * 2 ** (level - 1), name=f"up{level}")
    x = layers.Conv2D(task.target.outputs, 1, dtype="float32", name="logits")(x)
    x = layers.UpSampling2D(2, interpolation="bilinear", dtype="float32", name="full_size")(x)
    return keras.Model(given, task.target.finish(x), name="small_u_net")


def _block(
    x: keras.KerasTensor, channels: int, *, name: str, strides: int = 1, separable: bool = True
) -> keras.KerasTensor:
    """Two convolutions with batch normalization and ReLU."""
    for number in (1, 2):
        kind = layers.SeparableConv2D if separable or number == 2 else layers.Conv2D
        step = strides if number == 1 else 1
        x = kind(channels, 3, strides=step, padding="same", use_bias=False, name=f"{name}_{number}")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"{name}_{number}_norm")(x)
        x = layers.ReLU(name=f"{name}_{number}_relu")(x)
    return x
