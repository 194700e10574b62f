"""Operations without weights (``x + y``, ``keras.ops.pad``) as the layers of tf_keras that do the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import keras
import numpy as np
import tf_keras

from kerastl.compress.tf_keras import tf_keras_layers

# Operations without weights, by the name of their class: what they are of tensors, and of a tensor and a constant.
_OF_TENSORS: dict[str, type] = {
    "Add": tf_keras.layers.Add,
    "Subtract": tf_keras.layers.Subtract,
    "Multiply": tf_keras.layers.Multiply,
    "Maximum": tf_keras.layers.Maximum,
    "Minimum": tf_keras.layers.Minimum,
}
_AFFINE = ("Add", "Subtract", "Multiply", "TrueDivide", "Divide")
_FUNCTIONS: dict[str, Any] = {
    "Relu": "relu",
    "Relu6": tf_keras_layers.relu6,
    "Sigmoid": "sigmoid",
    "Silu": "silu",
    "Tanh": "tanh",
    "HardSigmoid": tf_keras_layers.hard_sigmoid,
    "HardSilu": tf_keras_layers.hard_silu,
    "Log": tf_keras_layers.natural_logarithm,
}
_OTHERS = ("Concatenate", "Flip", "Mean", "Pad", "Reshape", "Split", "Transpose")


def unknown(layer: keras.Operation, available: list[str]) -> str:
    """What an error says of a layer or an operation that cannot cross."""
    return (
        "The bridge needs layers that tf_keras has and that are known to compute the same there. Received: layer "
        f"{layer.name!r} of class {type(layer).__module__}.{type(layer).__name__}. Available: {available}; and "
        "compress.prune and compress.ptq, which need no bridge."
    )


class Arguments(Protocol):
    """What an operation without weights is called with, as Keras keeps it."""

    args: Sequence[object]
    kwargs: Mapping[str, Any]


def bridged(
    operation: keras.Operation, arguments: Arguments, outputs: list[keras.KerasTensor], *, names: list[str]
) -> list[Callable]:
    """The tf_keras layers, one an output, that do what an operation without weights does to its tensors."""
    if type(operation).__name__ == "Split" and operation.axis in (-1, len(outputs[0].shape) - 1):
        ends = np.cumsum([0, *(output.shape[-1] for output in outputs)]).tolist()
        return [tf_keras_layers.Channels(*pair, name=name) for *pair, name in zip(ends, ends[1:], names, strict=False)]
    if len(names) > 1:
        raise ValueError(unknown(operation, _operations()))
    return [_of_one_output(operation, arguments, outputs[0], name=names[0])]


def _of_one_output(
    operation: keras.Operation, arguments: Arguments, output: keras.KerasTensor, *, name: str
) -> Callable:
    kind = type(operation).__name__ if type(operation).__module__.startswith("keras.src.ops") else ""
    values = keras.tree.flatten(arguments.args)
    constants = [value for value in values if not isinstance(value, keras.KerasTensor)]
    rank = len(output.shape)
    settings = vars(operation)
    if kind in _OF_TENSORS and not constants:
        return _OF_TENSORS[kind](name=name)
    if kind in _AFFINE and len(constants) == 1:
        first = isinstance(values[0], keras.KerasTensor)
        affine = _affine(kind, constants[0], first=first, channels=output.shape[-1])
        if affine is not None:
            return tf_keras.layers.Rescaling(affine[0], offset=affine[1], name=name)
    if kind in _FUNCTIONS and len(values) == 1:
        return tf_keras.layers.Activation(_FUNCTIONS[kind], name=name)
    if kind == "Mean" and rank == 4 and settings["keepdims"] and tuple(settings["axis"] or ()) in ((1, 2), (-3, -2)):
        return tf_keras.layers.GlobalAveragePooling2D(keepdims=True, name=name)
    if kind == "Reshape" and settings["newshape"][0] in (-1, None):
        return tf_keras.layers.Reshape(settings["newshape"][1:], name=name)
    if kind == "Transpose" and settings["axes"] and settings["axes"][0] == 0:
        return tf_keras.layers.Permute(settings["axes"][1:], name=name)
    if kind == "Concatenate":
        return tf_keras.layers.Concatenate(settings["axis"], name=name)
    mirrored = kind == "GetItem" and arguments.args[1] == (..., slice(None, None, -1))
    if output.shape[-1] and (mirrored or (kind == "Flip" and settings["axis"] in (-1, rank - 1))):
        return _mirrored(output.shape[-1], name)
    if kind == "Pad" and settings["mode"] == "constant":
        return tf_keras_layers.Pad(
            settings["pad_width"], float(arguments.kwargs.get("constant_values") or 0.0), name=name
        )
    raise ValueError(unknown(operation, _operations()))


def _mirrored(channels: int, name: str) -> Callable:
    """What puts the last channel first, as models of Caffe want colours."""
    order = range(channels - 1, -1, -1)
    parts = [tf_keras_layers.Channels(place, place + 1, name=f"{name}_{place}") for place in order]
    together = tf_keras.layers.Concatenate(name=name)
    return lambda tensor: together([part(tensor) for part in parts]) if channels > 1 else tensor


def _operations() -> list[str]:
    return sorted({*_OF_TENSORS, *_AFFINE, *_FUNCTIONS, *_OTHERS})


def _affine(kind: str, constant: object, *, first: bool, channels: int | None) -> tuple[Any, Any] | None:
    """Factor and offset of ``x + c``, ``c - x`` and the like, numbers or one a channel; ``first``: x is the first."""
    value = np.asarray(keras.ops.convert_to_numpy(constant), "float64")
    if value.size not in (1, channels) or (value.size > 1 and value.shape[-1] != value.size):
        return None
    value = float(value.reshape(-1)[0]) if value.size == 1 else value.reshape(-1)
    ones = np.ones_like(value)
    if kind in ("TrueDivide", "Divide"):
        if not first or not np.all(value):
            return None
        kind, value = "Multiply", 1.0 / value
    found = {
        "Add": (ones, value),
        "Subtract": (ones, -value) if first else (-ones, value),
        "Multiply": (value, 0.0 * ones),
    }[kind]
    return np.asarray(found[0]).tolist(), np.asarray(found[1]).tolist()
