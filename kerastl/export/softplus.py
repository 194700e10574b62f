"""Softplus that holds for large numbers: the converter writes ``log(exp(x) + 1)``, which is infinite beyond 88.

In its place stands ``max(x, 0) + log(1 + exp(-|x|))``, the same number, of operators that every runtime has.
"""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.schema_py_generated import ModelT, OperatorT, SubGraphT

from kerastl.export import packing
from kerastl.export.lookup import operator_of, replaced, tensor_of

_CODES, _TYPES = schema.BuiltinOperator, schema.TensorType


def as_stable(data: bytes) -> bytes:
    """A file whose every softplus is one that does not overflow; answers to other numbers differ by rounding.

    Args:
        data: bytes of a float TFLite file.

    Returns:
        The changed file, or ``data`` itself where there is no softplus.

    Raises:
        ValueError: if the bytes are not a TFLite file.
    """
    return replaced(data, _others)


def _others(model: ModelT, graph: SubGraphT, operator: OperatorT) -> list[OperatorT] | None:
    code = packing.code_of(model, operator)
    if code not in (_CODES.EXP, _CODES.LOG):
        return None
    for exponential, logarithm in _softpluses(model, graph):
        source = int(exponential.inputs[0])
        shape = [int(size) for size in graph.tensors[source].shape]
        if operator is exponential:
            negative, least = (tensor_of(model, graph, shape, _TYPES.FLOAT32, name=name) for name in (b"minus", b"low"))
            one = tensor_of(model, graph, [1], _TYPES.FLOAT32, name=b"factor", values=np.asarray([-1.0], np.float32))
            return [
                _with_options(operator_of(model, _CODES.MUL, [source, one], negative), "MulOptions"),
                _with_options(operator_of(model, _CODES.MINIMUM, [source, negative], least), "MaximumMinimumOptions"),
                operator_of(model, _CODES.EXP, [least], int(exponential.outputs[0])),
            ]
        if operator is logarithm:
            high, rest = (tensor_of(model, graph, shape, _TYPES.FLOAT32, name=name) for name in (b"high", b"rest"))
            target = int(logarithm.outputs[0])
            return [
                operator_of(model, _CODES.RELU, [source], high),
                operator_of(model, _CODES.LOG, [int(logarithm.inputs[0])], rest),
                _with_options(operator_of(model, _CODES.ADD, [high, rest], target), "AddOptions"),
            ]
    return None


def _softpluses(model: ModelT, graph: SubGraphT) -> list[tuple[OperatorT, OperatorT]]:
    """The EXP and the LOG of each ``log(exp(x) + 1)`` whose steps nothing else reads."""
    writers = {int(one.outputs[0]): one for one in graph.operators if len(one.outputs) == 1}
    found = []
    for logarithm in graph.operators:
        if packing.code_of(model, logarithm) != _CODES.LOG:
            continue
        total = writers.get(int(logarithm.inputs[0]))
        if total is None or packing.code_of(model, total) != _CODES.ADD:
            continue
        for first, second in (total.inputs, total.inputs[::-1]):
            exponential = writers.get(int(first))
            values = model.buffers[graph.tensors[second].buffer].data
            ones = values is not None and (np.frombuffer(bytes(values), np.float32) == 1).all()
            if exponential is None or packing.code_of(model, exponential) != _CODES.EXP or not ones:
                continue
            inner = int(exponential.outputs[0]), int(total.outputs[0])
            if all(_readers(graph, place) == 1 and place not in graph.outputs for place in inner):
                found.append((exponential, logarithm))
    return found


def _readers(graph: SubGraphT, place: int) -> int:
    return sum(int(index) == place for one in graph.operators for index in one.inputs)


def _with_options(operator: OperatorT, name: str) -> OperatorT:
    operator.builtinOptionsType = getattr(schema.BuiltinOptions, name)
    operator.builtinOptions = getattr(schema, f"{name}T")()
    return operator
