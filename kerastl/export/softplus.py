"""Softplus that holds for large numbers: the converter writes ``log(exp(x) + 1)``, which is infinite beyond 88.

In its place stands ``max(x, 0) + log(1 + exp(-|x|))``, the same number, of operators that every runtime has.
"""

from __future__ import annotations

from typing import NamedTuple

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


class _Softplus(NamedTuple):
    """The operators of a ``log(exp(x) + 1)``.

    Attributes:
        exponential, total, logarithm: one after the other.
        shared: the first of them whose numbers something else reads, as a selu reads the same exponential.
    """

    exponential: OperatorT
    total: OperatorT
    logarithm: OperatorT
    shared: OperatorT | None


def _others(model: ModelT, graph: SubGraphT, operator: OperatorT) -> list[OperatorT] | None:
    if packing.code_of(model, operator) not in (_CODES.EXP, _CODES.ADD, _CODES.LOG):
        return None
    for found in _softpluses(model, graph):
        source, target = int(found.exponential.inputs[0]), int(operator.outputs[0])
        shape = [int(size) for size in graph.tensors[source].shape]
        if operator is found.exponential and found.shared is None:
            return _exponential(model, graph, source, target)
        if operator is found.total and found.shared is found.exponential:
            return _sum(model, graph, found, target)
        if operator is found.logarithm:
            before, total = [], int(operator.inputs[0])
            if found.shared is found.total:
                total = tensor_of(model, graph, shape, _TYPES.FLOAT32, name=b"sum")
                before = _sum(model, graph, found, total)
            high, rest = (tensor_of(model, graph, shape, _TYPES.FLOAT32, name=name) for name in (b"high", b"rest"))
            return [
                *before,
                operator_of(model, _CODES.RELU, [source], high),
                operator_of(model, _CODES.LOG, [total], rest),
                _with_options(operator_of(model, _CODES.ADD, [high, rest], target), "AddOptions"),
            ]
    return None


def _sum(model: ModelT, graph: SubGraphT, found: _Softplus, target: int) -> list[OperatorT]:
    """``exp(-|x|) + 1``, with an exponential of its own."""
    source = int(found.exponential.inputs[0])
    shape = [int(size) for size in graph.tensors[source].shape]
    least = tensor_of(model, graph, shape, _TYPES.FLOAT32, name=b"exp")
    ones = next(int(place) for place in found.total.inputs if place != found.exponential.outputs[0])
    added = _with_options(operator_of(model, _CODES.ADD, [least, ones], target), "AddOptions")
    return [*_exponential(model, graph, source, least), added]


def _exponential(model: ModelT, graph: SubGraphT, source: int, target: int) -> list[OperatorT]:
    """``exp(-|x|)``."""
    shape = [int(size) for size in graph.tensors[source].shape]
    negative, least = (tensor_of(model, graph, shape, _TYPES.FLOAT32, name=name) for name in (b"minus", b"low"))
    one = tensor_of(model, graph, [1], _TYPES.FLOAT32, name=b"factor", values=np.asarray([-1.0], np.float32))
    return [
        _with_options(operator_of(model, _CODES.MUL, [source, one], negative), "MulOptions"),
        _with_options(operator_of(model, _CODES.MINIMUM, [source, negative], least), "MaximumMinimumOptions"),
        operator_of(model, _CODES.EXP, [least], target),
    ]


def _softpluses(model: ModelT, graph: SubGraphT) -> list[_Softplus]:
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
            # What reads the sum keeps it, and then the exponential, too.
            shared = next((one for one in (total, exponential) if _is_shared(graph, int(one.outputs[0]))), None)
            found.append(_Softplus(exponential, total, logarithm, shared))
    return found


def _is_shared(graph: SubGraphT, place: int) -> bool:
    return place in graph.outputs or sum(int(index) == place for one in graph.operators for index in one.inputs) > 1


def _with_options(operator: OperatorT, name: str) -> OperatorT:
    operator.builtinOptionsType = getattr(schema.BuiltinOptions, name)
    operator.builtinOptions = getattr(schema, f"{name}T")()
    return operator
