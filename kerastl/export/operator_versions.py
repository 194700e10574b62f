"""Versions of operators: a file is right in an old runtime, or refused by it when it is loaded.

A runtime refuses an operator of a version that it does not know. Quantizers write version 1 whatever they made of the
operator, and a runtime that is older than that kind of kernel then takes it for what it knows: it answers at chance,
without an error, or writes beyond its memory. The rules are those of the schema's own tool (LiteRT's `op_version.cc`
and `runtime_version.cc`), as facts: operator, types, version, first runtime.

The tool has no rule for 4-bit weights between float activations. Measured here, of one net each: dense ones are right
since tflite-runtime 2.14; convolutions destroy the memory of LiteRT 1.0.1 and are right since 1.1.2; dense ones in
blocks are wrong in 2.14, in LiteRT 1.0.1 to 1.2.0, in 1.4.0 and in 2.0.2, right in 1.3.0 and since 2.1.0. Blocks get
the version that 2.1.0 is the first to know, convolutions the newest there is: tflite-runtime 2.14 refuses it. No
version of an operator that networks have tells LiteRT 1.0.1 from 1.1.2: 1.0.1 goes on taking what it cannot run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.schema_py_generated import ModelT, OperatorT, SubGraphT, TensorT

_TYPES = schema.TensorType
_NAMES = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
_F16, _F32, _F64, _BF16 = _TYPES.FLOAT16, _TYPES.FLOAT32, _TYPES.FLOAT64, _TYPES.BFLOAT16
_I2, _I4, _I8, _I16, _I32, _I64 = (getattr(_TYPES, f"INT{bits}") for bits in (2, 4, 8, 16, 32, 64))
_U4, _U8, _U16, _U32 = (getattr(_TYPES, f"UINT{bits}") for bits in (4, 8, 16, 32))
_BOOL, _TEXT, _COMPLEX = _TYPES.BOOL, _TYPES.STRING, _TYPES.COMPLEX64

BY_TYPE: dict[str, dict[int, int]] = {
    **{name: {_I16: 3, _I8: 2} for name in ["AVERAGE_POOL_2D", "MAX_POOL_2D"]},
    **{name: {_I16: 3, _I8: 2} for name in ["TANH", "LOGISTIC", "LESS", "GREATER_EQUAL"]},
    **{name: {_I16: 3, _I8: 2} for name in ["MEAN", "MIRROR_PAD", "REDUCE_MAX", "REDUCE_MIN", "RELU6", "RSQRT"]},
    **{name: {_I8: 2} for name in ["SPACE_TO_DEPTH", "SPLIT_V", "SUM", "LOG_SOFTMAX", "GREATER", "LESS_EQUAL"]},
    **{name: {_I8: 2} for name in ["SQUARED_DIFFERENCE", "DEPTH_TO_SPACE", "L2_NORMALIZATION"]},
    **{name: {_I8: 2, _I16: 2} for name in ["EXP", "LOG", "SQRT", "REDUCE_PROD"]},
    **{name: {_BOOL: 3, _I8: 2} for name in ["ARG_MAX", "ARG_MIN"]},
    "SOFTMAX": {_F16: 4, _I16: 3, _I8: 2},
    "CONCATENATION": {_F16: 6, _I4: 5, _U32: 4, _I16: 3, _I8: 2},
    "RELU": {_I16: 3, _I8: 2, _U8: 2},
    "GELU": {_I8: 2, _U8: 2},
    "LEAKY_RELU": {_I16: 2},
    "PACK": {_I8: 2, _I16: 3, _U32: 4},
    "UNPACK": {_I8: 2, _U8: 2, _BOOL: 3, _I16: 4, _F16: 5, _BF16: 5},
    "TILE": {_I8: 3, _TEXT: 2},
    "SQUEEZE": {_TEXT: 2},
    "REVERSE_V2": {_I8: 3, _BOOL: 2},
    "EQUAL": {_I16: 5, _TEXT: 3, _I8: 2},
    "NOT_EQUAL": {_I16: 4, _TEXT: 3, _I8: 2},
    "FLOOR_DIV": {_I16: 3, _I8: 3, _F32: 2},
    "FLOOR_MOD": {_I16: 2, _I8: 2},
    "SELECT_V2": {_U32: 2},
    "RANGE": {_I64: 2},
    "SIGN": {_I32: 2},
    "ABS": {_I32: 5, _I16: 3, _I8: 2, _U8: 2},
}
"""Operator -> type of its first input -> version, 1 for every other type."""


class _Signature(NamedTuple):
    """What the rules look at."""

    inputs: Sequence[TensorT | None]
    outputs: Sequence[TensorT | None]
    options: Any

    def type(self, place: int) -> int | None:
        tensor = self.inputs[place] if place < len(self.inputs) else None
        return None if tensor is None else tensor.type

    def axes(self, place: int = 0) -> int:
        tensor = self.inputs[place] if place < len(self.inputs) else None
        return 0 if tensor is None or tensor.shape is None else len(tensor.shape)

    @property
    def types(self) -> tuple[int | None, int | None, int | None]:
        """Of the first input, of the weights, and of the output."""
        output = self.outputs[0] if self.outputs else None
        return self.type(0), self.type(1), None if output is None else output.type

    def option(self, name: str) -> Any:
        return getattr(self.options, name, 0) or 0


def _scales(tensor: TensorT | None) -> int:
    quantization = None if tensor is None else tensor.quantization
    return 0 if quantization is None or quantization.scale is None else len(quantization.scale)


def _per_channel(tensor: TensorT | None, axis: int) -> bool:
    return tensor is not None and tensor.shape is not None and 0 < _scales(tensor) == int(tensor.shape[axis])


def _convolution(one: _Signature) -> int:
    kernel, source = one.inputs[1], one.inputs[0]
    if one.types == (_I16, _I8, _I16) and one.option("quantizedBiasType"):
        return 8
    if kernel is not None and source is not None and one.axes() == 4 and kernel.shape[3] != source.shape[3]:
        return 6  # groups
    if one.types == (_F32, _I8, _F32):
        return 5 if _per_channel(kernel, 0) else 2
    found = {(_I16, _I16, _I16): 4, (_I8, _I8, _I8): 3, (_I8, _I4, _I8): 7, (_F32, _I4, _F32): 8}
    return found.get(one.types, 1)


def _depthwise(one: _Signature) -> int:
    if one.types == (_F32, _I8, _F32):
        return 6 if _per_channel(one.inputs[1], 3) else 4
    found = {(_I16, _I16, _I16): 5, (_I8, _I8, _I8): 3, (_I8, _I4, _I8): 7, (_F32, _I4, _F32): 7}
    dilated = max(one.option("dilationWFactor"), one.option("dilationHFactor")) > 1
    return found.get(one.types, 2 if dilated else 1)


def _dense(one: _Signature) -> int:
    weights = one.inputs[1]
    second = one.type(1)
    if second == _I2 or isinstance(getattr(weights.quantization, "details", None), schema.BlockwiseQuantizationT):  # pyright: ignore
        return 14
    if one.types == (_I16, _I4, _I16):
        return 13
    if one.types == (_F32, _I8, _F32) and _per_channel(weights, 0):
        return 12
    if one.types == (_I16, _I8, _I16) and one.option("quantizedBiasType"):
        return 11
    if weights is not None and weights.sparsity is not None:
        return 8
    if one.types == (_I16, _I16, _I16):
        return 7
    if second == _I4:
        return 10
    if len(one.inputs) == 2:
        return 6
    if one.option("keepNumDims"):
        return 5
    if one.types == (_I8, _I8, _I8):
        return 4
    if one.types == (_F32, _I8, _F32):
        return 9 if one.option("asymmetricQuantizeInputs") else 3
    return 1


def _lookup(one: _Signature) -> int:
    table = one.inputs[1]
    if one.type(1) == _I2:
        return 5
    return 4 if one.type(1) == _I4 or (_scales(table) > 1 and _per_channel(table, 0)) else 1


def _add(one: _Signature) -> int:
    first, _, last = one.types
    if first == _F16:
        return 6
    if first == _I16 and one.inputs[0].quantization is None:  # pyright: ignore[reportOptionalMemberAccess]
        return 5
    if first == last == _I16 and not one.option("potScaleInt16"):
        return 3
    return {_I64: 4, _I8: 2}.get(first, 1) if first is not None else 1


def _subtract(one: _Signature) -> int:
    first, _, last = one.types
    if first == last == _I16 and not one.option("potScaleInt16"):
        return 5
    return 4 if first == _I64 else 3 if _broadcasts(one) else 2 if first == _I8 else 1


def _multiply(one: _Signature) -> int:
    first, *_ = one.types
    scales = [_first_scale(tensor) for tensor in (*one.inputs[:2], *one.outputs[:1])]
    plain = all(tensor is None or tensor.quantization is None for tensor in one.inputs[:2])
    if (first == _I16 and plain) or first == _U32:
        return 7
    known = {_F16: 8, _COMPLEX: 6, _I64: 5, _I16: 4}
    if first in known:
        return known[first]
    if len(scales) == 3 and all(scales) and scales[0] * scales[1] / scales[2] >= 1:
        return 3
    return 2 if first == _I8 else 1


def _first_scale(tensor: TensorT | None) -> float:
    return float(tensor.quantization.scale[0]) if tensor is not None and _scales(tensor) else 0.0


def _broadcasts(one: _Signature) -> bool:
    shapes = [[] if tensor is None or tensor.shape is None else list(tensor.shape) for tensor in one.inputs[:2]]
    return len(shapes) == 2 and shapes[0] != shapes[1] and max(map(len, shapes)) > 4


def _extreme(one: _Signature) -> int:
    first, _, last = one.types
    return 4 if first == last == _I16 else 3 if _broadcasts(one) else 2 if first == _I8 else 1


def _pad(one: _Signature) -> int:
    first, axes = one.type(0), one.axes()
    return 5 if first == _BOOL else 4 if axes > 4 else 3 if first == _I16 else 2 if first == _I8 else 1


def _dequantize(one: _Signature) -> int:
    source = one.inputs[0]
    first = one.type(0)
    axis = 0 if source is None or source.quantization is None else source.quantization.quantizedDimension
    if first == _I8 and _scales(source) > 1 and _per_channel(source, axis):
        return 5
    return {_U4: 8, _I2: 7, _I4: 6, _I16: 3, _F16: 3, _I8: 2}.get(first, 1) if first is not None else 1


def _quantize(one: _Signature) -> int:
    first, _, last = one.types
    target = one.outputs[0]
    if _U4 in (first, last):
        return 5
    if _I4 in (first, last):
        return 4
    axis = 0 if target is None or target.quantization is None else target.quantization.quantizedDimension
    return 3 if _scales(target) > 1 and _per_channel(target, axis) else 2 if last == _I16 else 1


def _transpose(one: _Signature) -> int:
    first, axes = one.type(0), one.axes()
    order = [
        (first == _F16, 9), (axes > 6 or first == _BF16, 8), (first == _I4, 7), (axes > 5, 6), (first == _I16, 5),
        (axes > 4, 4), (first == _BOOL, 3), (first == _I8, 2),
    ]  # fmt: skip
    return next((version for holds, version in order if holds), 1)


def _transposed_convolution(one: _Signature) -> int:
    if one.types == (_I16, _I8, _I16) and one.option("quantizedBiasType"):
        return 5
    if one.option("fusedActivationFunction"):
        return 4
    return 3 if len(one.inputs) == 4 and one.inputs[3] is not None else 2 if one.type(1) == _I8 else 1


def _matmul(one: _Signature) -> int:
    if one.types == (_F32, _I8, _F32) and one.option("asymmetricQuantizeInputs"):
        return 4
    return {_I16: 3, _I8: 2}.get(one.type(0) or 0, 1)


def _gather(one: _Signature) -> int:
    first = one.type(0)
    if first == _I4:
        return 7
    if one.type(1) == _I16:
        return 6
    if one.option("batchDims"):
        return 5
    return {_I16: 4, _BOOL: 3, _I8: 2}.get(first, 1) if first is not None else 1


def _slice(one: _Signature) -> int:
    first = one.type(0)
    order = [
        (first == _F16, 8), (first == _I4, 7), (first == _U32, 6), (one.axes() > 4, 5), (first == _I16, 4),
        (first == _TEXT, 3), (first == _I8, 2),
    ]  # fmt: skip
    return next((version for holds, version in order if holds), 1)


def _strided_slice(one: _Signature) -> int:
    first = one.type(0)
    order = [
        (one.option("offset"), 8), (first == _U32, 7), (one.option("ellipsisMask") or one.option("newAxisMask"), 6),
        (first == _TEXT, 5), (one.axes() > 4, 4), (first == _BOOL, 3), (first == _I8, 2),
    ]  # fmt: skip
    return next((version for holds, version in order if holds), 1)


def _split(one: _Signature) -> int:
    return {_I16: 4, _I32: 3, _I8: 2}.get(one.type(1) or 0, 1)


def _resize(one: _Signature) -> int:
    centred = one.option("halfPixelCenters") or ("Nearest" in type(one.options).__name__ and one.option("alignCorners"))
    first = one.type(0)
    return 4 if first == _I16 else 3 if centred else 2 if first == _I8 else 1


def _cast(one: _Signature) -> int:
    ends = {one.type(0), one.types[2]}
    for kinds, version in (({_I2, _U4}, 8), ({_BF16}, 7), ({_F64, _F16}, 5), ({_U16}, 4), ({_I8}, 3), ({_U32}, 2)):
        if version == 5 and one.type(0) == _I4 and one.types[2] == _F32:
            return 6
        if ends & kinds:
            return version
    return 1


def _space(one: _Signature) -> int:
    first = one.type(0)
    return 4 if first == _I16 else 3 if one.axes() != 4 else 2 if first == _I8 else 1


def _lstm(one: _Signature) -> int:
    first, last = one.type(0), one.types[2]
    if first == last == _I16 and one.type(2) == _I8:
        return 5
    if first == last == _F32 and one.type(2) == _I8:
        return 3 if one.option("asymmetricQuantizeInputs") else 2
    return 1


RULES: dict[str, Callable[[_Signature], int]] = {
    "CONV_2D": _convolution, "DEPTHWISE_CONV_2D": _depthwise, "FULLY_CONNECTED": _dense, "EMBEDDING_LOOKUP": _lookup,
    "ADD": _add, "SUB": _subtract, "MUL": _multiply, "MAXIMUM": _extreme, "MINIMUM": _extreme, "PAD": _pad,
    "PADV2": _pad, "DEQUANTIZE": _dequantize, "QUANTIZE": _quantize, "TRANSPOSE": _transpose,
    "TRANSPOSE_CONV": _transposed_convolution, "BATCH_MATMUL": _matmul, "GATHER": _gather, "SLICE": _slice,
    "STRIDED_SLICE": _strided_slice, "SPLIT": _split, "RESIZE_BILINEAR": _resize, "RESIZE_NEAREST_NEIGHBOR": _resize,
    "CAST": _cast, "UNIDIRECTIONAL_SEQUENCE_LSTM": _lstm, "SPACE_TO_BATCH_ND": _space, "BATCH_TO_SPACE_ND": _space,
    "DIV": lambda one: 2 if _broadcasts(one) else 1,
    "BROADCAST_TO": lambda one: 3 if one.type(0) in (_I8, _I16) else 2,
}  # fmt: skip
"""Operators whose version more than a type decides."""

RUNTIMES = {
    "SPACE_TO_BATCH_ND": "1.6 1.14 2.3 2.12", "BATCH_TO_SPACE_ND": "1.6 1.14 2.3 2.12",
    "CONV_2D": "1.5 1.14 1.14 2.3 2.4 2.9 2.11 2.15", "DEPTHWISE_CONV_2D": "1.5 1.12 1.14 2.2 2.3 2.3 2.11",
    "FULLY_CONNECTED": "1.5 1.10 1.14 1.14 2.0 2.1 2.3 2.3 2.3 2.11 2.15 2.17 2.18 2.21",
    "EMBEDDING_LOOKUP": "1.13 1.14 1.14 2.18 2.21", "ADD": "1.5 1.14 2.4 2.6 2.13 2.23", "SUB": "1.6 1.14 2.3 2.4 2.4",
    "MUL": "1.5 1.14 1.15 2.3 2.6 2.11 2.13 2.23", "DEQUANTIZE": "1.13 1.14 1.15 2.2 2.7 2.18 2.21 2.22",
    "QUANTIZE": "1.14 1.15 2.7 2.21 2.21", "BATCH_MATMUL": "2.3 2.3 2.4 2.5", "GELU": "2.9 2.9",
    "CONCATENATION": "1.5 1.14 2.3 2.14 2.21 2.23", "SOFTMAX": "1.5 1.14 2.3 2.23", "PAD": "1.5 1.14 2.4 2.6 2.20",
    "PADV2": "1.9 1.14 2.4 2.6 2.20", "TRANSPOSE": "1.6 1.14 1.15 2.3 2.4 2.12 2.14 2.22 2.23",
    "TRANSPOSE_CONV": "1.9 2.2 2.3 2.13 2.15", "GATHER": "1.6 1.14 1.15 2.4 2.5 2.13 2.15",
    "SLICE": "1.14 1.14 1.14 2.4 2.5 2.14 2.21 2.23", "STRIDED_SLICE": "1.6 1.14 2.1 2.2 2.5 2.6 2.14 2.14",
    "MEAN": "1.6 1.14 2.4", "RELU": "1.5 2.1 2.5", "RELU6": "1.5 1.14 2.5", "LOGISTIC": "1.14 1.14 2.3",
    "TANH": "1.14 1.14 2.3", "RSQRT": "1.10 2.5 2.15", "SQRT": "1.10 2.21", "EXP": "1.7 2.12", "LOG": "1.14 2.15",
    "CAST": "1.5 2.7 2.8 2.9 2.12 2.15 2.17 2.21", "UNIDIRECTIONAL_SEQUENCE_LSTM": "1.13 1.14 2.3 2.12",
    "AVERAGE_POOL_2D": "1.5 1.14 2.3", "MAX_POOL_2D": "1.5 1.14 2.3", "BROADCAST_TO": "2.5 2.5 2.5",
    "RESIZE_BILINEAR": "1.7 1.14 2.2 2.5", "RESIZE_NEAREST_NEIGHBOR": "1.13 1.14 2.3 2.4", "HARD_SWISH": "1.15",
    "LEAKY_RELU": "1.13 2.3", "ELU": "1.14", "PRELU": "1.8", "SQUARED_DIFFERENCE": "1.13 2.5", "WHILE": "1.15",
    "MAXIMUM": "1.14 1.14 2.3 2.3", "MINIMUM": "1.14 1.14 2.3 2.3", "SPLIT": "1.5 1.14 1.14 2.3", "PACK": "1.11 1.14",
}  # fmt: skip
"""Operator -> the TensorFlow whose runtime first knew version 1, 2, ..."""


def stamp(model: ModelT) -> None:
    """Gives every operator of a file the version that its types need, and never a lower one than it has."""
    needed: dict[int, int] = {}
    for graph in model.subgraphs:
        for operator in graph.operators:
            place = operator.opcodeIndex
            needed[place] = max(needed.get(place, 1), _version(model, graph, operator))
    for place, version in needed.items():
        model.operatorCodes[place].version = max(model.operatorCodes[place].version, version)


def minimum_runtime(model: ModelT) -> str:
    """The TensorFlow whose runtime is the first that knows every operator of a file: ``"2.17.0"``."""
    found = [(1, 5)]
    for code in model.operatorCodes:
        known = RUNTIMES.get(name_of(code), "").split()
        if code.version <= len(known):
            major, minor = known[code.version - 1].split(".")
            found.append((int(major), int(minor)))
    return "{}.{}.0".format(*max(found))


def name_of(code: Any) -> str:
    """The name of an operator, of its entry in a file's table: ``"CONV_2D"``."""
    return _NAMES.get(max(code.builtinCode, code.deprecatedBuiltinCode), "")


def _version(model: ModelT, graph: SubGraphT, operator: OperatorT) -> int:
    name = name_of(model.operatorCodes[operator.opcodeIndex])
    inputs, outputs = (
        [graph.tensors[index] if index >= 0 else None for index in ends if ends is not None]
        for ends in (_listed(operator.inputs), _listed(operator.outputs))
    )
    one = _Signature(inputs, outputs, operator.builtinOptions)
    if name in RULES:
        return RULES[name](one)
    first = one.type(0)
    return 1 if first is None else BY_TYPE.get(name, {}).get(first, 1)


def _listed(places: Any) -> list[int]:
    return [] if places is None else np.asarray(places).tolist()
