"""An anchor-free detector: each cell near an object's centre says its class and how far its sides are.

Zhou et al. 2019, "Objects as Points" (https://arxiv.org/abs/1904.07850), with distances to the sides in place of sizes
as in FCOS (Tian et al. 2019, https://arxiv.org/abs/1904.01355), on one map that a feature pyramid (Lin et al. 2017,
https://arxiv.org/abs/1612.03144) brings together.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import keras
from keras import layers

from kerastl.types import Task

_RARE = 0.02
"""Score of every class of every cell before training (Lin et al. 2017, "Focal Loss for Dense Object Detection", section
4.1): most cells are of no object, and would outweigh the others at first."""


def build(
    task: Task,
    *,
    grid: Sequence[int],
    widths: Sequence[int] = (16, 32, 56, 80),
    pyramid: int = 40,
    head: int = 48,
    name: str = "centre_net",
) -> keras.Model:
    """A functional model: pictures ``(batch, *task.inputs.shape)`` of raw pixels to ``(batch, cells, outputs)``.

    Args:
        task: gives the input shape and the number of outputs, four distances and a logit a class.
        grid: rows and columns of the map, as the target has it.
        widths: channels of the stages, each of half the side of the one before it.
        pyramid: channels in which maps of several sizes are added.
        head: channels of the last convolution.
        name: of the model.

    Raises:
        ValueError: no stage has the size of the grid, or sides are not halved without a rest.
    """
    image = keras.Input(task.inputs.shape, name="image")
    x = layers.Rescaling(1 / 255, name="rescale")(image)
    maps: list[keras.KerasTensor] = []
    for stage, width in enumerate(widths, start=1):
        x = _convolution(x, width, strides=2, name=f"stage{stage}_down")
        if stage > 1:
            x = _convolution(x, width, name=f"stage{stage}")
        maps.append(x)
    sizes = [tuple(one.shape[1:3]) for one in maps]
    if tuple(grid) not in sizes:
        raise ValueError(f"Wanted a stage of the size of the grid {tuple(grid)}. Received: stages of {sizes}.")
    first = sizes.index(tuple(grid))
    if any(size != (2 * after[0], 2 * after[1]) for size, after in itertools.pairwise(sizes[first:])):
        raise ValueError(f"Wanted sides that are halved without a rest. Received: stages of {sizes[first:]}.")
    merged = _lateral(maps[-1], pyramid, name=f"lateral{len(maps)}")
    for stage in range(len(maps) - 1, first, -1):
        # by nearest cells it would be TILE, of which the quantizer has no integers
        merged = layers.UpSampling2D(2, interpolation="bilinear", name=f"up{stage}")(merged)
        merged = layers.Add(name=f"merge{stage}")([merged, _lateral(maps[stage - 1], pyramid, name=f"lateral{stage}")])
        merged = layers.ReLU(name=f"merge{stage}_relu")(merged)
    x = _convolution(merged, head, name="head")
    bias = -math.log(1 / _RARE - 1)
    classes = task.target.outputs - 4
    small = keras.initializers.RandomNormal(stddev=0.01)
    sides = layers.Conv2D(4, 1, kernel_initializer=small, dtype="float32", name="sides")(x)
    kinds = layers.Conv2D(
        classes,
        1,
        kernel_initializer=small,
        bias_initializer=keras.initializers.Constant(bias),
        dtype="float32",
        name="classes",
    )(x)
    cells = grid[0] * grid[1]
    sides = layers.Reshape((cells, 4), name="sides_by_cell")(sides)
    kinds = layers.Reshape((cells, classes), name="classes_by_cell")(kinds)
    return keras.Model(image, layers.Concatenate(dtype="float32", name="logits")([sides, kinds]), name=name)


def _convolution(x: keras.KerasTensor, width: int, *, strides: int = 1, name: str) -> keras.KerasTensor:
    """A 3x3 convolution, normalized and rectified."""
    x = layers.Conv2D(
        width, 3, strides=strides, padding="same", use_bias=False, kernel_initializer="he_normal", name=name
    )(x)
    x = layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def _lateral(x: keras.KerasTensor, width: int, *, name: str) -> keras.KerasTensor:
    """A 1x1 convolution to the pyramid's width, normalized."""
    x = layers.Conv2D(width, 1, use_bias=False, kernel_initializer="he_normal", name=name)(x)
    return layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
