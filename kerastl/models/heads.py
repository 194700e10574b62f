"""Heads: what stands behind an architecture's features, the same for all of them."""

from __future__ import annotations

import keras
from keras import layers

from kerastl.types import Task


def outputs(features: keras.KerasTensor, task: Task) -> keras.KerasTensor:
    """One dense layer named ``logits`` from features to what the task asks for, in float32.

    Args:
        features: ``(batch, width)``.
        task: its target says how many outputs there are, and what stands behind them, see `types.Target.finish`.

    Returns:
        ``(batch, task.target.outputs)``: logits, or numbers in their units.
    """
    return task.target.finish(layers.Dense(task.target.outputs, dtype="float32", name="logits")(features))
