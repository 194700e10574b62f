"""DS-CNN: a depthwise-separable network for keywords (Zhang et al. 2017, "Hello Edge: Keyword Spotting on
Microcontrollers", https://arxiv.org/abs/1711.07128), in the topology of MLPerf Tiny (Banbury et al. 2021).

One convolution over a patch of time and coefficients, four depthwise-separable blocks of equal width, a mean.
"""

from __future__ import annotations

import keras
from keras import layers

from kerastl.models import heads
from kerastl.models.audio import front_end
from kerastl.types import Task

MFCC = front_end.Features(kind="mfcc", frame=640, hop=320, fft_length=1024, high=4000.0, low=20.0)
"""Ten coefficients every 20 ms of frames of 40 ms, as the paper has them."""
SHORT = front_end.Features(kind="mfcc", frame=320, hop=160, fft_length=320, mels=20, high=4000.0, low=20.0)
"""Frames of 20 ms every 10 ms: their transform has a fifth of the weights, which are as many bytes of a file as those
of the network."""


def build(
    task: Task,
    *,
    features: front_end.Features = MFCC,
    filters: int = 64,
    blocks: int = 4,
    dropout: float = 0.2,
    name: str = "ds_cnn",
) -> keras.Model:
    """A functional model: samples ``(batch, *task.inputs.shape)`` to logits ``(batch,
    task.target.outputs)``.

    Args:
        task: gives the number of samples and of classes.
        features: what the front end makes of the samples.
        filters: width of every layer.
        blocks: depthwise-separable ones.
        dropout: share dropped behind the first convolution and before the logits.
        name: of the model.

    Raises:
        ValueError: as `front_end.features`.
    """
    samples = keras.Input(task.inputs.shape, name="samples")
    x = front_end.image(samples, features, task=task)
    kernel = (10, 4) if features.kind == "mfcc" else (10, 8)
    x = layers.Conv2D(filters, kernel, strides=2, padding="same", use_bias=False, name="stem")(x)
    x = layers.BatchNormalization(momentum=0.9, name="stem_norm")(x)
    x = layers.ReLU(name="stem_relu")(x)
    if dropout:
        x = layers.Dropout(dropout, name="stem_dropout")(x)
    for index in range(1, blocks + 1):
        x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name=f"block{index}_depthwise")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"block{index}_depthwise_norm")(x)
        x = layers.ReLU(name=f"block{index}_depthwise_relu")(x)
        x = layers.Conv2D(filters, 1, use_bias=False, name=f"block{index}_pointwise")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"block{index}_pointwise_norm")(x)
        x = layers.ReLU(name=f"block{index}_pointwise_relu")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(samples, heads.outputs(x, task), name=name)


def small(task: Task) -> keras.Model:
    """23,000 parameters, as MLPerf Tiny's, and a front end of 14,000 that do not learn."""
    return build(task, features=SHORT, name="ds_cnn_small")
