"""Graphs whose pictures have their channels first, as ones whose channels are last: the layout of phones and of files.

Every tensor of such a graph stands for one with its channels first. Layers that know both layouts are made again for
the other one, with the same weights; what works number by number is called as it is; in front of anything else the
channels are put where it looks for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

_BY_NUMBER = (
    layers.Activation,
    layers.ReLU,
    layers.LeakyReLU,
    layers.ELU,
    layers.Dropout,
    layers.GaussianNoise,
    layers.Identity,
    layers.Add,
    layers.Subtract,
    layers.Multiply,
    layers.Average,
    layers.Maximum,
    layers.Minimum,
)
_WITH_AXIS = (layers.BatchNormalization, layers.Concatenate)


class Layout:
    """What is known of the tensors of one graph on its way: which of them have their channels last by now."""

    def __init__(self) -> None:
        self._moved: dict[int, keras.KerasTensor] = {}  # a tensor that is let go would lend its number to another

    def move(self, tensor: keras.KerasTensor) -> None:
        """Notes that a tensor, channels last, stands for one with its channels first."""
        self._moved[id(tensor)] = tensor

    def settings(self, layer: keras.layers.Layer, arguments: Sequence[object]) -> dict[str, object] | None:
        """What a copy of a layer is made with besides its own settings; ``None`` where it cannot take moved tensors."""
        tensors = [one for one in keras.tree.flatten(list(arguments)) if isinstance(one, keras.KerasTensor)]
        if getattr(layer, "data_format", None) == "channels_first":
            return {"data_format": "channels_last"}
        if not tensors or not all(self.is_moved(one) for one in tensors):
            return None
        if isinstance(layer, _WITH_AXIS) and layer.axis in (1, -3):
            return {"axis": -1}
        if isinstance(layer, layers.Rescaling) and np.ndim(layer.scale) == np.ndim(layer.offset) == 0:
            return {}
        softmax = getattr(getattr(layer, "activation", None), "__name__", "") in ("softmax", "log_softmax")
        return {} if isinstance(layer, _BY_NUMBER) and not softmax else None

    def is_moved(self, tensor: keras.KerasTensor) -> bool:
        """Whether a tensor has its channels last, and stands for one with its channels first."""
        return id(tensor) in self._moved

    def given(self, arguments: Any, *, last: bool) -> Any:
        """Arguments as a layer takes them: with their channels last, or where they were."""

        def put(value: Any) -> Any:
            if not isinstance(value, keras.KerasTensor) or self.is_moved(value) == last:
                return value
            rank = len(value.shape)
            order = (*range(2, rank), 1) if last else (rank - 1, *range(1, rank - 1))
            return layers.Permute(order)(value) if rank > 2 else value

        return keras.tree.map_structure(put, arguments)

    def call(self, copy: keras.layers.Layer, arguments: Any, options: Mapping[str, Any], *, last: bool) -> Any:
        """What a copy of a layer answers to arguments that are put right for it; its outputs are noted."""
        output = copy(*self.given(arguments, last=last), **self.given(dict(options), last=last))
        if last:
            for one in keras.tree.flatten(output):
                if len(one.shape) > 2 and not isinstance(copy, layers.Flatten):
                    self.move(one)
        return output


def is_first(model: keras.Model) -> bool:
    """Whether a layer of a model looks for channels in front."""
    return any(getattr(layer, "data_format", None) == "channels_first" for layer in model._flatten_layers())
