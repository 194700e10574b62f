"""Float files of operators that can be quantized after training: those that cannot become others of the same numbers.

litert-quantizer knows no NEG (of which Keras makes its layer norms) and no LEAKY_RELU, and leaves them and all their
neighbours float. From an infinite padding, which keras-hub puts around a picture before it takes maxima, it makes a
scale that is infinite, and the process ends in an abort.
"""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.schema_py_generated import ModelT, OperatorT, SubGraphT

from kerastl.export import packing
from kerastl.export.lookup import operator_of, replaced, tensor_of

_CODES, _TYPES = schema.BuiltinOperator, schema.TensorType


def as_quantizable(data: bytes) -> bytes:
    """A file in which three operators are others; its answers differ by no more than the rounding of one number.

    - ``NEG(x)`` is ``MUL(x, -1)``;
    - ``LEAKY_RELU(x)`` of a slope 0..1 is ``MAXIMUM(x, MUL(x, slope))``;
    - ``PADV2`` with minus infinity, read by MAX_POOL_2D alone, is ``MIRROR_PAD`` with the edge: same maxima.

    Args:
        data: bytes of a float TFLite file.

    Returns:
        The changed file, or ``data`` itself where there is none of them.

    Raises:
        ValueError: if the bytes are not a TFLite file.
    """
    return replaced(data, _others)


def _others(model: ModelT, graph: SubGraphT, operator: OperatorT) -> list[OperatorT] | None:
    code = packing.code_of(model, operator)
    if code not in (_CODES.NEG, _CODES.LEAKY_RELU, _CODES.PADV2):
        return None
    source, target = int(operator.inputs[0]), int(operator.outputs[0])
    if graph.tensors[source].type != _TYPES.FLOAT32:
        return None
    if code == _CODES.NEG:
        return [_times(model, graph, source, -1.0, target)]
    if code == _CODES.LEAKY_RELU:
        slope = operator.builtinOptions.alpha
        if not 0.0 <= slope <= 1.0:
            return None
        small = tensor_of(model, graph, list(graph.tensors[source].shape), _TYPES.FLOAT32, name=b"less")
        maximum = operator_of(model, _CODES.MAXIMUM, [source, small], target)
        maximum.builtinOptionsType = schema.BuiltinOptions.MaximumMinimumOptions
        maximum.builtinOptions = schema.MaximumMinimumOptionsT()
        return [_times(model, graph, source, slope, small), maximum]
    return _mirrored(model, graph, operator)


def _times(model: ModelT, graph: SubGraphT, source: int, factor: float, target: int) -> OperatorT:
    constant = tensor_of(model, graph, [1], _TYPES.FLOAT32, name=b"factor", values=np.asarray([factor], np.float32))
    operator = operator_of(model, _CODES.MUL, [source, constant], target)
    operator.builtinOptionsType = schema.BuiltinOptions.MulOptions
    operator.builtinOptions = schema.MulOptionsT()
    return operator


def _mirrored(model: ModelT, graph: SubGraphT, operator: OperatorT) -> list[OperatorT] | None:
    """A padding that goes on with the edge: every window that sees a number there sees it in the picture as well."""
    source, pads, value = (int(index) for index in operator.inputs)
    held, sizes = (model.buffers[graph.tensors[index].buffer].data for index in (value, pads))
    if held is None or sizes is None or np.frombuffer(bytes(held), np.float32)[0] > np.finfo(np.float32).min:
        return None  # the converter writes the least float for minus infinity
    kind = np.int64 if graph.tensors[pads].type == _TYPES.INT64 else np.int32
    rows = np.frombuffer(bytes(sizes), kind).reshape(-1, 2)
    readers = [one for one in graph.operators if operator.outputs[0] in one.inputs]
    for one in readers:
        if packing.code_of(model, one) != _CODES.MAX_POOL_2D or one.builtinOptions.padding != schema.Padding.VALID:
            return None
        # what a window sees of the mirror has to lie in the window itself
        window = (1, one.builtinOptions.filterHeight, one.builtinOptions.filterWidth, 1)
        if len(rows) != 4 or not (2 * rows.max(1) <= window).all():
            return None
    if not readers or operator.outputs[0] in graph.outputs:
        return None
    mirrored = operator_of(model, _CODES.MIRROR_PAD, [source, pads], int(operator.outputs[0]))
    mirrored.builtinOptionsType = schema.BuiltinOptions.MirrorPadOptions
    mirrored.builtinOptions = schema.MirrorPadOptionsT()
    mirrored.builtinOptions.mode = schema.MirrorPadMode.SYMMETRIC
    return [mirrored]
