"""An adapter a task: one trunk, and between it and each head a small residual block of the task's own."""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import layers

from kerastl.models import heads
from kerastl.types import NamedTargets, Task


def build(trunk: Callable[[Task], keras.Model], task: Task, *, width: int = 32) -> keras.Model:
    """A network of several tasks: features ``x`` of one trunk, and of each task ``x + up(relu(norm(down(x))))``.

    Residual adapters: Rebuffi et al. 2017, "Learning multiple visual domains with residual adapters", section 3. There
    one stands behind every convolution, so that the trunk runs once for each domain; here all tasks ask about one
    example, the adapters stand where the trunk ends, and it runs once. The bottleneck, and beginning at nothing, which
    is hard sharing, are those of Houlsby et al. 2019, "Parameter-Efficient Transfer Learning for NLP", section 2.1.

    Args:
        trunk: builds a network of several tasks whose heads read the same features ``(batch, features)``.
        task: of several tasks.
        width: of the bottleneck; an adapter has about ``2 * features * width`` weights.

    Raises:
        ValueError: one thing is asked alone, or the width is no positive number.
    """
    if not isinstance(task.target, NamedTargets) or width < 1:
        raise ValueError(
            f"Wanted several tasks, each with an adapter of a width of 1 or more. Received: {task.target.kind}, "
            f"width={width}."
        )
    model = trunk(task)
    features = model.get_layer(f"logits_{task.target.names[0]}").input
    own = {name: _adapted(features, width, name=f"adapter_{name}") for name, _ in task.target.parts}
    return keras.Model(model.input, heads.outputs(own, task), name=model.name)


def _adapted(features: keras.KerasTensor, width: int, *, name: str) -> keras.KerasTensor:
    x = layers.Dense(width, use_bias=False, name=f"{name}_down")(features)
    x = layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
    x = layers.ReLU(name=f"{name}_relu")(x)
    x = layers.Dense(features.shape[-1], kernel_initializer="zeros", name=f"{name}_up")(x)
    return layers.Add(name=f"{name}_add")([features, x])
