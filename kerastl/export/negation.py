"""Negation that can be made of integers: NEG becomes a product with -1, the same numbers.

Quantizers know the second operator and leave the first one in float. Keras' layer normalization negates a mean, so that
no transformer would become integer throughout.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from kerastl.export import packing

_CODES = schema.BuiltinOperator


def as_products(data: bytes) -> bytes:
    """A file whose float32 negations are products; answers stay the same, but for the sign of a zero.

    Args:
        data: bytes of a TFLite file.

    Returns:
        The changed file, or ``data`` itself where nothing is negated.

    Raises:
        ValueError: if the bytes are not a TFLite file.
    """
    model = packing.unpack(data)
    found = False
    for graph in model.subgraphs:
        negations = [operator for operator in graph.operators if _negates(model, graph, operator)]
        if not negations:
            continue
        found, factor = True, _minus_one(model, graph)
        for operator in negations:
            operator.opcodeIndex = _code(model, _CODES.MUL)
            operator.inputs = [int(operator.inputs[0]), factor]
            operator.builtinOptionsType = schema.BuiltinOptions.MulOptions
            operator.builtinOptions = schema.MulOptionsT()
    return packing.pack(model) if found else data


def _negates(model: Any, graph: Any, operator: Any) -> bool:
    code = model.operatorCodes[operator.opcodeIndex]
    negates = max(code.builtinCode, code.deprecatedBuiltinCode) == _CODES.NEG
    return negates and graph.tensors[operator.inputs[0]].type == schema.TensorType.FLOAT32


def _code(model: Any, code: int) -> int:
    known = [max(one.builtinCode, one.deprecatedBuiltinCode) for one in model.operatorCodes]
    if code not in known:
        entry: Any = schema.OperatorCodeT()
        entry.builtinCode = entry.deprecatedBuiltinCode = code
        entry.version = 1
        model.operatorCodes.append(entry)
        known.append(code)
    return known.index(code)


def _minus_one(model: Any, graph: Any) -> int:
    buffer: Any = schema.BufferT()
    buffer.data = np.full(1, -1, "<f4").view(np.uint8)
    model.buffers.append(buffer)
    tensor: Any = schema.TensorT()
    tensor.shape, tensor.type, tensor.buffer = [1], schema.TensorType.FLOAT32, len(model.buffers) - 1
    tensor.name = f"minus_one_{len(graph.tensors)}".encode()
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1
