"""Zeros in a file's kernels, counted from its bytes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from ai_edge_litert import schema_py_generated as schema

_TYPES = schema.TensorType
_FLOATS = {_TYPES.FLOAT32: np.float32, _TYPES.FLOAT16: np.float16}


class Kernel(NamedTuple):
    """A constant tensor of two or more axes that is a weight: its elements, how many are zero, whether rounded."""

    size: int
    zeros: int
    rounded: bool


def kernels(model: Any) -> list[Kernel]:
    """Every kernel of a parsed TFLite file; a quantized weight is zero at its zero point."""
    found = []
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            data = model.buffers[tensor.buffer].data
            if data is None or not len(data) or tensor.shape is None or len(tensor.shape) < 2:
                continue
            data, size = np.asarray(data, np.uint8), int(np.prod(tensor.shape))
            if tensor.type == _TYPES.INT4:
                values = np.stack([data & 15, data >> 4], -1).reshape(-1)[:size]  # zero is the same in either sign
            elif tensor.type in (_TYPES.INT8, _TYPES.UINT8):
                values = data.view(np.int8 if tensor.type == _TYPES.INT8 else np.uint8)
            elif tensor.type in _FLOATS:
                values = data.view(_FLOATS[tensor.type])
            else:
                continue
            points = getattr(tensor.quantization, "zeroPoint", None)
            if points is not None and len(set(points)) > 1:
                shape = [1] * len(tensor.shape)
                shape[tensor.quantization.quantizedDimension] = len(points)
                zeros = values.reshape(tensor.shape) == np.reshape(points, shape)
            else:
                zeros = values == (points[0] if points is not None and len(points) else 0)
            found.append(Kernel(size, int(zeros.sum()), tensor.type not in _FLOATS))
    return found
