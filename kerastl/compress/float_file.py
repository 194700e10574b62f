"""A float32 TFLite file as litert-quantizer takes it: its operators that hold kernels, and the quantizer over it."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils
from litert_quantizer import quantizer

from kerastl.types import Inputs

KINDS = {
    "CONV_2D": schema.BuiltinOperator.CONV_2D,
    "DEPTHWISE_CONV_2D": schema.BuiltinOperator.DEPTHWISE_CONV_2D,
    "CONV_2D_TRANSPOSE": schema.BuiltinOperator.TRANSPOSE_CONV,
    "FULLY_CONNECTED": schema.BuiltinOperator.FULLY_CONNECTED,
    "EMBEDDING_LOOKUP": schema.BuiltinOperator.EMBEDDING_LOOKUP,
}
"""Operators whose constants are quantized, by litert-quantizer's names."""
_PLACE = 1  # of the kernel among the inputs, in all of these


@dataclasses.dataclass(frozen=True)
class Operator:
    """An operator with a constant kernel.

    Attributes:
        name: of the tensor that the operator writes; no two operators write the same.
        kind: a key of `KINDS`.
        shape: of the kernel; a dense one's is ``(outputs, inputs)``, a convolution's
            ``(channels, height, width, inputs)``.
        groups: of a convolution, each with inputs of its own.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    groups: int = 1

    @property
    def weights(self) -> int:
        """How many numbers the kernel has."""
        return math.prod(self.shape)

    @property
    def channels(self) -> int:
        """How many numbers a place has that comes out, each with a scale of its own if the kernel has one a channel."""
        return self.shape[-1 if self.kind == "DEPTHWISE_CONV_2D" else 0]

    @property
    def may_have_one_scale(self) -> bool:
        """Whether LiteRT computes with a 4-bit kernel of one scale: it does not with groups, nor row by row."""
        return self.kind in ("CONV_2D", "FULLY_CONNECTED") and self.groups == 1

    @property
    def pattern(self) -> str:
        """A regular expression that litert-quantizer finds this operator by, and no other."""
        return f"^{re.escape(self.name)};$"


def operators(model: bytes) -> tuple[Operator, ...]:
    """Those of a file in its order.

    Args:
        model: a TFLite file whose tensors have names, as the converter wrote it.

    Raises:
        ValueError: if ``model`` is no TFLite file; if its tensors have no names, or several the same.
    """
    held = parsed(model)
    kinds = {number: name for name, number in KINDS.items()}
    found = []
    for graph in held.subgraphs:
        for operator in graph.operators:
            number = builtin_code(held, operator)
            if number not in kinds:
                continue
            kernel = graph.tensors[operator.inputs[_PLACE]]
            data = held.buffers[kernel.buffer].data
            if data is None or not len(data):
                continue  # computed, as in the product of two activations
            name = (graph.tensors[operator.outputs[0]].name or b"").decode()
            shape = tuple(int(size) for size in kernel.shape)
            groups = 1
            if number == schema.BuiltinOperator.CONV_2D:
                groups = int(graph.tensors[operator.inputs[0]].shape[-1]) // shape[-1]
            found.append(Operator(name, kinds[number], shape, groups))
    names = [operator.name for operator in found]
    if "" in names or len(set(names)) < len(names):
        raise ValueError(
            "Operators are told apart by the names of what they write. Received: a file with "
            f"{len(names)} kernels and {len(set(names) - {''})} names; take the file as the converter wrote it."
        )
    return tuple(found)


def opened(model: bytes) -> quantizer.Quantizer:
    """A quantizer over a float32 TFLite file.

    Raises:
        ValueError: if ``model`` is no TFLite file, or is quantized already.
    """
    reduced = {
        tensor.name.decode(): _type_name(tensor.type)
        for tensor in tensors(model)
        if tensor.type == schema.TensorType.FLOAT16 or (tensor.quantization and tensor.quantization.scale is not None)
    }
    if reduced:
        name, kind = next(iter(reduced.items()))
        raise ValueError(
            f"Quantization needs a float32 file. Received: a file that is quantized already, with {len(reduced)} "
            f"reduced tensors, among them {name!r} of {kind}. Quantize the float file that it was made from."
        )
    return quantizer.Quantizer(bytes(model))


def quantized(work: quantizer.Quantizer, statistics: dict | None = None) -> bytes:
    """The bytes that a quantizer makes of its file, by the configurations added to it and the statistics given."""
    result = work.quantize(statistics, enable_progress_bar=False, enable_progress_report=False)
    return bytes(result.quantized_model or b"")


def tensors(model: bytes) -> Iterable[Any]:
    """Every tensor of a file, of the generated API."""
    return (tensor for graph in parsed(model).subgraphs for tensor in graph.tensors)


def parsed(model: bytes) -> Any:
    """A file as an object of the generated API.

    Raises:
        ValueError: if ``model`` is no TFLite file.
    """
    if bytes(model[4:8]) != b"TFL3":
        raise ValueError(
            f"Quantization needs the bytes of a TFLite file. Received: {len(model)} bytes starting {model[:8]!r}."
        )
    found: Any = flatbuffer_utils.read_model_from_bytearray(bytearray(model))
    for buffer in found.buffers:
        if buffer.data is not None:  # of files that were quantized bytes, which are written again one by one
            buffer.data = np.frombuffer(buffer.data, np.uint8)
    return found


def serialized(model: schema.ModelT) -> bytes:
    """The bytes of a file that `parsed` opened."""
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def builtin_code(model: schema.ModelT, operator: schema.OperatorT) -> int:
    """What an operator is, a number of ``schema.BuiltinOperator``: small ones stand in an old field of their own."""
    code = model.operatorCodes[operator.opcodeIndex]
    return max(code.builtinCode, code.deprecatedBuiltinCode)


def input_range(calibration: np.ndarray, *, inputs: Inputs | None, shape: tuple[int, ...]) -> tuple[float, float]:
    """The numbers that a file's input has to hold, least and largest: those that its kind promises, or those measured.

    Args:
        calibration: examples ``(examples, *shape)``.
        inputs: their kind. One that says scale and zero point of 8 bits promises what these can hold; of others the
            range of the examples is measured, made to hold zero, as integers of a scale must. ``None``: raw pixels.
        shape: of one example.

    Raises:
        ValueError: the examples are none, of another shape, not finite, all zeros, outside of what is promised, or
            within the first of its steps.
    """
    calibration = np.asarray(calibration)
    promised = (1.0, 0) if inputs is None else inputs.calibration_range()
    if calibration.shape[1:] != shape or not len(calibration):
        raise ValueError(
            f"Calibration needs {'pictures' if promised else 'numbers'} ({', '.join(map(str, ('examples', *shape)))}). "
            f"Received: {calibration.shape}."
        )
    low, high = float(calibration.min()), float(calibration.max())
    if promised is None:
        if not np.isfinite([low, high]).all() or low == high == 0:
            raise ValueError(
                f"Calibration needs finite numbers that are not all zero. Received: values from {low:g} to {high:g}."
            )
        return min(low, 0.0), max(high, 0.0)
    scale, zero_point = promised
    least, most = scale * (0 - zero_point), scale * (255 - zero_point)
    if not (low >= least and least + scale < high <= most):
        raise ValueError(
            f"Calibration needs raw pixels, from {least:g} to {most:g}: the file takes them as the camera gives them. "
            f"Received: values from {low:g} to {high:g}. Of numbers in other units say the kind, "
            "inputs=kerastl.inputs.numbers.Numbers(shape): their range is then measured."
        )
    return least, most


def _type_name(kind: int) -> str:
    return next(name for name, value in vars(schema.TensorType).items() if value == kind).lower()
