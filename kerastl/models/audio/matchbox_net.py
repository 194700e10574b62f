"""MatchboxNet: separable convolutions over time alone, with residuals (Majumdar & Ginsburg 2020,
https://arxiv.org/abs/2004.08531).

Every mel band is a channel, so that a place knows the whole spectrum at once. Written over pictures one place high,
which is what the bridge to tf_keras, quantization and channel pruning know.
"""

from __future__ import annotations

import keras
from keras import layers

from kerastl.models import heads
from kerastl.models.audio import front_end
from kerastl.types import Task


def build(
    task: Task,
    *,
    features: front_end.Features | None = None,
    blocks: int = 3,
    sub_blocks: int = 1,
    filters: int = 64,
    dropout: float = 0.1,
    name: str = "matchbox_net",
) -> keras.Model:
    """A functional model: samples ``(batch, *task.inputs.shape)`` to logits ``(batch,
    task.target.outputs)``.

    Args:
        task: gives the number of samples and of classes.
        features: what the front end makes of the samples; by default 40 log-mel bands every 10 ms.
        blocks, sub_blocks: residual ones, and separable convolutions in each: B and R of the paper.
        filters: width of a block, C of the paper.
        dropout: share dropped behind every block.
        name: of the model.

    Raises:
        ValueError: as `front_end.features`.
    """
    samples = keras.Input(task.inputs.shape, name="samples")
    x = front_end.image(samples, features or front_end.Features(), task=task)
    x = layers.Permute((1, 3, 2), name="bands")(x)
    x = _separable(x, 2 * filters, kernel=11, stride=2, name="stem")
    for index in range(1, blocks + 1):
        kernel, shortcut = 11 + 2 * index, x
        for place in range(1, sub_blocks + 1):
            last = place == sub_blocks
            x = _separable(x, filters, kernel=kernel, rectified=not last, name=f"block{index}_part{place}")
        shortcut = layers.Conv2D(filters, 1, use_bias=False, name=f"block{index}_shortcut")(shortcut)
        shortcut = layers.BatchNormalization(momentum=0.9, name=f"block{index}_shortcut_norm")(shortcut)
        x = layers.Add(name=f"block{index}_add")([x, shortcut])
        x = layers.ReLU(name=f"block{index}_relu")(x)
        if dropout:
            x = layers.Dropout(dropout, name=f"block{index}_dropout")(x)
    x = _separable(x, 2 * filters, kernel=29, dilation=2, name="wide")
    x = layers.Conv2D(2 * filters, 1, use_bias=False, name="deep")(x)
    x = layers.BatchNormalization(momentum=0.9, name="deep_norm")(x)
    x = layers.ReLU(name="deep_relu")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(samples, heads.outputs(x, task), name=name)


def small(task: Task) -> keras.Model:
    """MatchboxNet-3x1x64: 75,000 parameters beside the front end's."""
    return build(task, name="matchbox_net_small")


def _separable(
    x: keras.KerasTensor,
    width: int,
    *,
    kernel: int,
    stride: int = 1,
    dilation: int = 1,
    rectified: bool = True,
    name: str,
) -> keras.KerasTensor:
    """A depthwise convolution over time and a pointwise one, normalized; strides by keeping one place of two before."""
    if stride > 1:  # a depthwise kernel strides by the same along both axes, one of which has one place
        x = layers.MaxPooling2D((stride, 1), name=f"{name}_pool")(x)
    shape, dilations = (kernel, 1), (dilation, 1)
    convolution = layers.DepthwiseConv2D(
        shape, padding="same", dilation_rate=dilations, use_bias=False, name=f"{name}_depthwise"
    )
    x = convolution(x)
    x = layers.Conv2D(width, 1, use_bias=False, name=f"{name}_pointwise")(x)
    x = layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x) if rectified else x
