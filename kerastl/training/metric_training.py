"""Training of an embedding with a loss of `metric_learning`: the proxies of its groups are learnt and left behind."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from kerastl.training import metric_learning, metric_losses
from kerastl.training.metric_losses import SUPERVISED_CONTRASTIVE
from kerastl.types import Split


class MetricLoss(keras.losses.Loss):
    """A loss of `metric_learning` for ``fit``: labels are groups, predictions what the function takes.

    Args:
        function: from predictions and groups ``(batch,)`` to the losses ``(batch,)``.
        name: of the loss.
    """

    def __init__(self, function: Callable[[Any, Any], Any], *, name: str) -> None:
        super().__init__(name=name)
        self.function = function

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self.function(y_pred, y_true)


class Cosines(keras.layers.Layer):
    """Cosines of vectors ``(batch, width)`` with a proxy a group, learnt: ``(batch, groups)`` in float32.

    Args:
        groups: how many there are.
        seed: of the proxies' first directions.
        options: of every layer.
    """

    def __init__(self, groups: int, *, seed: int = 0, **options: Any) -> None:
        super().__init__(dtype="float32", **options)
        self.groups, self.seed = groups, seed

    def build(self, input_shape: Any) -> None:
        first = keras.initializers.RandomNormal(stddev=1.0, seed=self.seed)
        self.proxies = self.add_weight(
            name="proxies", shape=(input_shape[-1], self.groups), initializer=first, dtype="float32"
        )

    def call(self, inputs: Any) -> Any:
        vectors = ops.normalize(ops.cast(inputs, "float32"), axis=-1)
        return ops.matmul(vectors, ops.normalize(self.proxies, axis=0))


def numbered(split: Split) -> tuple[Split, int]:
    """The split with its groups numbered without gaps, and how many there are: a proxy each, and none of nobody."""
    present, labels = np.unique(np.asarray(split.labels), return_inverse=True)
    return dataclasses.replace(split, labels=labels.astype("int32")), len(present)


def learner(
    model: keras.Model, name: str, *, groups: int, seed: int = 0
) -> tuple[keras.Model, keras.losses.Loss | None]:
    """What ``fit`` trains in place of an embedding, and the loss that it takes.

    Args:
        model: from examples to vectors ``(batch, width)``; its layers are shared, so that it learns.
        name: one of `names`.
        groups: of the training examples, see `numbered`.
        seed: of proxies.

    Returns:
        The model itself, or with the cosines to its proxies behind it, in a layer ``proxies``; and the loss, ``None``
        for that of the task.

    Raises:
        ValueError: there is no loss of that name (near names are offered), or fewer than two groups.
    """
    if fault := metric_losses.fault(name):
        raise ValueError(f"--loss {fault}. Received: {name!r}.")
    if groups < 2:
        raise ValueError(f"Wanted examples of two groups at least, to tell apart. Received: {groups}.")
    if name == SUPERVISED_CONTRASTIVE:
        return model, None
    found = getattr(metric_learning, name)
    loss = MetricLoss(found.loss, name=name)
    if not found.PROXIES:
        return model, loss
    return keras.Model(model.inputs, Cosines(groups, seed=seed, name="proxies")(model.output)), loss
