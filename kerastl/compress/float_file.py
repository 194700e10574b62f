"""A float32 TFLite file as ai-edge-quantizer takes it: its operators that hold kernels, and the quantizer over it."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable
from typing import Any

from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils
from ai_edge_quantizer import quantizer

KINDS = {
    "CONV_2D": schema.BuiltinOperator.CONV_2D,
    "DEPTHWISE_CONV_2D": schema.BuiltinOperator.DEPTHWISE_CONV_2D,
    "CONV_2D_TRANSPOSE": schema.BuiltinOperator.TRANSPOSE_CONV,
    "FULLY_CONNECTED": schema.BuiltinOperator.FULLY_CONNECTED,
    "EMBEDDING_LOOKUP": schema.BuiltinOperator.EMBEDDING_LOOKUP,
}
"""Operators whose constants are quantized, by ai-edge-quantizer's names."""
_PLACE = 1  # of the kernel among the inputs, in all of these


@dataclasses.dataclass(frozen=True)
class Operator:
    """An operator with a constant kernel.

    Attributes:
        name: of the tensor that the operator writes; no two operators write the same.
        kind: a key of `KINDS`.
        shape: of the kernel; a dense one's is ``(outputs, inputs)``, a convolution's
            ``(channels, height, width, inputs)``.
    """

    name: str
    kind: str
    shape: tuple[int, ...]

    @property
    def weights(self) -> int:
        """How many numbers the kernel has."""
        return math.prod(self.shape)

    @property
    def pattern(self) -> str:
        """A regular expression that ai-edge-quantizer finds this operator by, and no other."""
        return f"^{re.escape(self.name)};$"


def operators(model: bytes) -> tuple[Operator, ...]:
    """Those of a file in its order.

    Args:
        model: a TFLite file whose tensors have names, as the converter wrote it.

    Raises:
        ValueError: if ``model`` is no TFLite file; if its tensors have no names, or several the same.
    """
    parsed = _parsed(model)
    kinds = {number: name for name, number in KINDS.items()}
    found = []
    for graph in parsed.subgraphs:
        for operator in graph.operators:
            code = parsed.operatorCodes[operator.opcodeIndex]
            number = max(code.builtinCode, code.deprecatedBuiltinCode)
            if number not in kinds:
                continue
            kernel = graph.tensors[operator.inputs[_PLACE]]
            data = parsed.buffers[kernel.buffer].data
            if data is None or not len(data):
                continue  # computed, as in the product of two activations
            name = (graph.tensors[operator.outputs[0]].name or b"").decode()
            found.append(Operator(name, kinds[number], tuple(int(size) for size in kernel.shape)))
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
    return (tensor for graph in _parsed(model).subgraphs for tensor in graph.tensors)


def _parsed(model: bytes) -> Any:
    if bytes(model[4:8]) != b"TFL3":
        raise ValueError(
            f"Quantization needs the bytes of a TFLite file. Received: {len(model)} bytes starting {model[:8]!r}."
        )
    return flatbuffer_utils.read_model_from_bytearray(bytearray(model))


def _type_name(kind: int) -> str:
    return next(name for name, value in vars(schema.TensorType).items() if value == kind).lower()
