"""A multilayer perceptron: dense layers over the numbers of a table's row, or of a short series."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

from kerastl.models import heads
from kerastl.types import Task


def build(
    task: Task,
    *,
    widths: Sequence[int] = (64, 64),
    dropout: float = 0.0,
    normalize: bool = False,
    name: str = "multilayer_perceptron",
) -> keras.Model:
    """A functional model: examples ``(batch, *task.inputs.shape)`` to ``(batch, task.target.outputs)``.

    Args:
        task: gives the input's shape, how it is standardized (see `heads.standardized`), and the outputs.
        widths: of the hidden layers, each with a ReLU.
        dropout: share dropped behind every hidden layer.
        normalize: whether a BatchNormalization stands before every ReLU.
        name: of the model.
    """
    given = keras.Input(task.inputs.shape, name=task.inputs.tensors[0])
    x = heads.standardized(given, task)
    if len(task.inputs.shape) > 1:
        x = layers.Flatten(name="flatten")(x)
    for index, width in enumerate(widths, start=1):
        x = layers.Dense(width, use_bias=not normalize, name=f"dense{index}")(x)
        if normalize:
            x = layers.BatchNormalization(momentum=0.9, name=f"dense{index}_norm")(x)
        x = layers.ReLU(name=f"dense{index}_relu")(x)
        if dropout:
            x = layers.Dropout(dropout, name=f"dense{index}_dropout")(x)
    return keras.Model(given, heads.outputs(x, task), name=name)


def small(task: Task, *, name: str = "small") -> keras.Model:
    """Two layers of 64."""
    return build(task, widths=(64, 64), name=name)
