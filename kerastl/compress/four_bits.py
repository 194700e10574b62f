"""4-bit kernels as files hold them: two integers to a byte, with a scale a channel, or one a block of a row.

The scale of a block is a half float of seven bits, and XNNPACK refuses a file in which one is below the smallest normal
number of these: of a block of zeros, as pruning leaves them, or of a unit that weight decay shrank.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from kerastl.compress import float_file
from kerastl.export import final_guard

LARGEST = 7
"""Integers lie evenly around zero, as LiteRT's specification of quantized kernels wants them."""
LEAST_SCALE, MOST_SCALE = float(np.finfo(np.float16).tiny), 65280.0
"""Scales that a block can have."""
_LOST = 1e-3  # share of a kernel's norm that blocks of too small weights may lose


def packed(integers: np.ndarray) -> np.ndarray:
    """4-bit integers two to a byte, the first in the low bits."""
    pairs = np.pad(integers.reshape(-1).astype(np.int8), (0, integers.size % 2)).reshape(-1, 2) & 15
    return (pairs[:, 0] | pairs[:, 1] << 4).astype(np.uint8)


def scales_of_blocks(scales: np.ndarray) -> np.ndarray:
    """The nearest scales that blocks can have: seven bits behind the point, neither too small nor too large."""
    bits = np.ascontiguousarray(scales, np.float32).view(np.uint32)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)).view(np.float32)
    return np.clip(rounded, LEAST_SCALE, MOST_SCALE)


def hold(weights: np.ndarray, size: int) -> bool:
    """Whether blocks of a size can hold a kernel ``(outputs, inputs)``, or a scale a channel, a float32, has to.

    Args:
        weights: of the kernel.
        size: of a block. Those of too small weights may lose a thousandth of the kernel's norm.
    """
    blocks = weights.reshape(weights.shape[0], -1, size).astype(np.float64)
    scales = np.abs(blocks).max(-1) / LARGEST
    lost = np.linalg.norm(blocks[scales < LEAST_SCALE])
    return bool(scales.max() <= MOST_SCALE and lost <= _LOST * np.linalg.norm(blocks))


def with_sound_blocks(result: bytes, weights: Mapping[str, np.ndarray]) -> bytes:
    """A quantized file whose blocks all have a scale that loads; it says that it needs XNNPACK.

    LiteRT's plain kernels compute blocks wrongly: off by 0.05 to 0.15 where XNNPACK is by 0.006 to 0.010.

    Args:
        result: the quantizer's file; one without blocks is returned as it is.
        weights: of the float kernels, by the names of `float_file.operators`.
    """
    held = float_file.parsed(result)
    found = False
    for name, graph, kernel in _kernels_in_blocks(held):
        found = True
        details = kernel.quantization.details
        integers, scales = _nearest(weights[name].reshape(-1, details.blockSize).astype(np.float64))
        write(held, kernel, packed(integers))
        write(held, graph.tensors[details.scales], scales.astype(np.float16))
    if not found:
        return result
    final_guard.say_needs_xnnpack(held)
    return float_file.serialized(held)


def _nearest(blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Integers and scales of blocks ``(blocks, weights)``."""
    scales = scales_of_blocks(np.abs(blocks).max(-1) / LARGEST)
    integers = np.clip(np.rint(blocks / scales[:, None]), -LARGEST, LARGEST)
    return _balanced(blocks, integers, scales), scales


def _balanced(blocks: np.ndarray, integers: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Integers of which those nearest to the middle between two go the other way, until the errors of a block sum to
    nothing: what a kernel is given, pixels or what a ReLU left, has a mean, and that takes the sum with it.
    """
    errors = blocks / scales[:, None] - integers
    lacking = np.rint(errors.sum(-1))
    sign = np.sign(lacking)[:, None]
    gain = np.where((blocks != 0) & (np.abs(integers + sign) <= LARGEST), errors * sign, -np.inf)
    rank = np.argsort(np.argsort(-gain, -1, kind="stable"), -1)
    return integers + sign * ((rank < np.abs(lacking)[:, None]) & (gain > 0))


def write(model: schema.ModelT, tensor: schema.TensorT, values: np.ndarray) -> None:
    """Gives a tensor of a parsed file a buffer of its own, for equal constants may share one."""
    buffer: Any = schema.BufferT()
    buffer.data = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
    if sum(other.buffer == tensor.buffer for graph in model.subgraphs for other in graph.tensors) == 1:
        model.buffers[tensor.buffer] = buffer
    else:
        tensor.buffer = len(model.buffers)
        model.buffers.append(buffer)


def _kernels_in_blocks(held: schema.ModelT) -> Iterator[tuple[str, Any, Any]]:
    """Name of the operator, graph and tensor of every kernel with a scale a block, once each."""
    seen: set[int] = set()
    for graph in held.subgraphs:
        for operator in graph.operators:
            if float_file.builtin_code(held, operator) != schema.BuiltinOperator.FULLY_CONNECTED:
                continue
            kernel = graph.tensors[operator.inputs[1]]
            details = None if kernel.quantization is None else kernel.quantization.details
            if isinstance(details, schema.BlockwiseQuantizationT) and id(kernel) not in seen:
                seen.add(id(kernel))
                yield graph.tensors[operator.outputs[0]].name.decode(), graph, kernel
