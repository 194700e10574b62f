"""What a file's kernels hold, counted from its bytes: zeros, and values that differ."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from ai_edge_litert import schema_py_generated as schema

_TYPES, _OPERATORS = schema.TensorType, schema.BuiltinOperator
_FLOATS = {_TYPES.FLOAT32: np.float32, _TYPES.FLOAT16: np.float16}
# The axis of a kernel along which its channels lie: what a folded batch norm and a scale multiply one by one.
_CHANNELS = {
    _OPERATORS.CONV_2D: 0,
    _OPERATORS.FULLY_CONNECTED: 0,
    _OPERATORS.TRANSPOSE_CONV: 0,
    _OPERATORS.DEPTHWISE_CONV_2D: 3,
}


class Kernel(NamedTuple):
    """A constant tensor of two or more axes that is a weight.

    Attributes:
        size, zeros: its elements, and those that are zero.
        rounded: whether they are integers.
        distinct: how many of the numbers stored in it differ.
        distinct_in_channel: the same in the channel that has most; where nothing says what a channel is, in all.
    """

    size: int
    zeros: int
    rounded: bool
    distinct: int
    distinct_in_channel: int


def of(model: Any) -> list[Kernel]:
    """Every kernel of a parsed TFLite file; a quantized weight is zero at its zero point."""
    found = []
    for graph in model.subgraphs:
        axes = _axes(model, graph)
        for index, tensor in enumerate(graph.tensors):
            data = model.buffers[tensor.buffer].data
            if data is None or not len(data) or tensor.shape is None or len(tensor.shape) < 2:
                continue
            values = _values(np.asarray(data, np.uint8), tensor)
            if values is None:
                continue
            points = getattr(tensor.quantization, "zeroPoint", None)
            if points is not None and len(set(points)) > 1:
                shape = [1] * len(tensor.shape)
                shape[tensor.quantization.quantizedDimension] = len(points)
                zeros = values == np.reshape(points, shape)
            else:
                zeros = values == (points[0] if points is not None and len(points) else 0)
            channels = np.moveaxis(values, axes[index], 0) if index in axes else values[None]
            found.append(
                Kernel(
                    values.size,
                    int(zeros.sum()),
                    tensor.type not in _FLOATS,
                    len(np.unique(values)),
                    max(len(np.unique(channel)) for channel in channels),
                )
            )
    return found


def _values(data: np.ndarray, tensor: Any) -> np.ndarray | None:
    """A tensor's numbers as they are stored, or ``None`` where they are no weights."""
    if tensor.type == _TYPES.INT4:
        size = int(np.prod(tensor.shape))
        # two to a byte, the first in the low bits; shifted up and down again for the sign
        values = (np.stack([data << 4, data], -1).reshape(-1)[:size]).view(np.int8) >> 4
    elif tensor.type in (_TYPES.INT8, _TYPES.UINT8):
        values = data.view(np.int8 if tensor.type == _TYPES.INT8 else np.uint8)
    elif tensor.type in _FLOATS:
        values = data.view(_FLOATS[tensor.type])
    else:
        return None
    return values.reshape(tensor.shape)


def _axes(model: Any, graph: Any) -> dict[int, int]:
    """Tensor -> the axis of its channels, for kernels; half floats reach their operator through a DEQUANTIZE."""
    axes, sources = {}, {}
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        kind = max(code.builtinCode, code.deprecatedBuiltinCode)
        if kind == _OPERATORS.DEQUANTIZE:
            sources[operator.outputs[0]] = operator.inputs[0]
        elif kind in _CHANNELS:
            kernel = operator.inputs[1]
            axes[sources.get(kernel, kernel)] = _CHANNELS[kind]
    return axes
