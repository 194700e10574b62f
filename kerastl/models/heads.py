"""Heads: what stands before and behind an architecture's features, the same for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import layers

from kerastl.types import NamedTargets, Task

FURTHEST = 10.0
"""Standard deviations from the mean beyond which a number is cut off."""


def outputs(features: keras.KerasTensor | Mapping[str, keras.KerasTensor], task: Task) -> Any:
    """One dense layer named ``logits`` from features to what the task asks for, in float32.

    Of several tasks one such layer each, ``logits_NAME``, on the same features: hard parameter sharing (Caruana 1997,
    "Multitask Learning").

    Args:
        features: ``(batch, width)``; of several tasks, where each has some of its own, a mapping by their names.
        task: its target says how many outputs there are, and what stands behind them, see `types.Target.finish`.

    Returns:
        ``(batch, task.target.outputs)``: logits, or numbers in their units; of several tasks such a tensor by each
        one's name. Of a target that takes any outputs the features as they are, behind them what it finishes them with.
    """
    if not task.target.outputs and not isinstance(task.target, NamedTargets):
        return task.target.finish(features)
    if isinstance(task.target, NamedTargets):
        own = features if isinstance(features, Mapping) else dict.fromkeys(task.target.names, features)
        dense = {
            name: layers.Dense(part.outputs, dtype="float32", name=f"logits_{name}")(own[name])
            for name, part in task.target.parts
        }
        return {name: part.finish(dense[name], name=f"answers_{name}") for name, part in task.target.parts}
    return task.target.finish(layers.Dense(task.target.outputs, dtype="float32", name="logits")(features))


def standardized(inputs: keras.KerasTensor, task: Task, *, name: str = "rescale") -> keras.KerasTensor:
    """Raw inputs brought to the size of one inside the graph.

    Pixels need one Rescaling layer. Numbers of several units are standardized place by place, and what lies further
    than `FURTHEST` standard deviations from the mean counts as that far. Without that cut the converter multiplies the
    factors into the next kernel, and a kernel whose columns are of the size of 0.003 and of 1 has no 8-bit scale that
    fits both: every answer was off by five standard deviations.

    Args:
        inputs: ``(batch, *task.inputs.shape)``: pixels 0..255, or numbers in their own units.
        task: its inputs say by what they are scaled, see `types.Inputs.scaling`.
        name: of the layer.
    """
    scale, offset = task.inputs.scaling()
    if not isinstance(scale, list) or not isinstance(offset, list):
        return layers.Rescaling(scale, offset=offset, name=name)(inputs)
    factors, moved = ([one / FURTHEST for one in part] for part in (scale, offset))
    x = layers.Rescaling(factors, offset=moved, name=name)(inputs)
    x = layers.Activation("hard_tanh", name=f"{name}_cut")(x)  # which cuts off at -1 and 1
    return layers.Rescaling(FURTHEST, name=f"{name}_back")(x)
