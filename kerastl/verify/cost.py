"""What a TFLite file costs before anything is timed: multiply-adds, and the memory that its activations take."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

ALIGNMENT = 64
"""Bytes at whose multiples TensorFlow Lite's arena places tensors."""
_OPERATORS = schema.BuiltinOperator
_BITS = {
    "FLOAT64": 64, "INT64": 64, "UINT64": 64, "COMPLEX64": 64, "COMPLEX128": 128, "FLOAT32": 32, "INT32": 32,
    "UINT32": 32, "FLOAT16": 16, "BFLOAT16": 16, "INT16": 16, "UINT16": 16, "INT8": 8, "UINT8": 8, "BOOL": 8, "INT4": 4,
    "UINT4": 4, "INT2": 2,
}  # fmt: skip
_TYPES = {value: name for name, value in vars(schema.TensorType).items() if isinstance(value, int)}


def multiply_adds(model: Any) -> int:
    """Multiplications with an addition each of one inference: of convolutions, dense layers and matrix products.

    What other operators do (activations, sums, pooling, resizing) is not counted, as in the tables of papers.

    Args:
        model: a file as flatbuffer_utils unpacks it; batch and loops count once, as the shapes in the file say.
    """
    total = 0
    for graph in model.subgraphs:
        for operator in graph.operators:
            code = model.operatorCodes[operator.opcodeIndex]
            number = max(code.builtinCode, code.deprecatedBuiltinCode)
            shapes = [_shape(graph, index) for index in operator.inputs]
            with contextlib.suppress(IndexError):  # of a damaged file, which lacks an operand
                total += _of_operator(number, shapes, _shape(graph, operator.outputs[0]), operator.builtinOptions)
    return total


def _of_operator(number: int, inputs: list[list[int]], output: list[int], options: Any) -> int:
    size = math.prod(output)
    if number in (
        _OPERATORS.CONV_2D,
        _OPERATORS.CONV_3D,
    ):  # kernels (out, height, width, in); of three (d, h, w, in, out)
        return size * math.prod(inputs[1][1:] if number == _OPERATORS.CONV_2D else inputs[1][:-1])
    if number == _OPERATORS.DEPTHWISE_CONV_2D:  # (1, height, width, channels)
        return size * math.prod(inputs[1][1:3])
    if number == _OPERATORS.TRANSPOSE_CONV:  # each number of the third input meets a whole kernel
        return math.prod(inputs[2]) * math.prod(inputs[1][:3])
    if number == _OPERATORS.FULLY_CONNECTED:
        return size * inputs[1][-1]
    if number == _OPERATORS.BATCH_MATMUL:
        return size * inputs[0][-2 if getattr(options, "adjX", False) else -1]
    return 0


def arena_bytes(model: Any) -> int:
    """Bytes of the arena that holds all activations of one inference, planned as TensorFlow Lite plans it.

    Greedy by size: the largest tensor is placed first, each into the smallest gap between those that live at the same
    time (Pisarchyk & Lee 2020, "Efficient Memory Management for Deep Neural Net Inference"). Inputs and outputs live
    throughout. Weights lie in the file itself, and what kernels take for themselves beside is not in it: the
    rearranged picture of a convolution without XNNPACK, say, or the weights that XNNPACK packs anew.

    Args:
        model: a file as flatbuffer_utils unpacks it. Of several graphs, which call one another, the largest counts
            beside the first.
    """
    sizes = [_planned(list(_lives(model, graph))) for graph in model.subgraphs]
    return sizes[0] + max(sizes[1:], default=0)


def _lives(model: Any, graph: Any) -> Iterator[tuple[int, int, int]]:
    """Of each activation its bytes, the first and the last operator that it is needed at; those of the whole life
    first.
    """
    last = len(graph.operators)
    inputs, outputs = ({int(index) for index in side} for side in (graph.inputs, graph.outputs))
    first_use: dict[int, int] = dict.fromkeys(inputs, 0)
    last_use: dict[int, int] = dict.fromkeys(inputs, last)
    for place, operator in enumerate(graph.operators):
        for index in map(int, operator.outputs):
            first_use.setdefault(index, place)
            last_use[index] = max(last_use.get(index, place), place)
        for index in map(int, operator.inputs):
            if index in first_use:
                last_use[index] = max(last_use[index], place)
    for index in outputs & first_use.keys():
        last_use[index] = last
    lives = []
    for index, start in first_use.items():
        tensor = graph.tensors[index]
        if index < 0 or (tensor.buffer and model.buffers[tensor.buffer].data is not None):
            continue
        bits = _BITS.get(_TYPES.get(tensor.type, ""), 32) * math.prod(_shape(graph, index))
        lives.append((start > 0 or last_use[index] < last, -(-bits // 8), start, last_use[index], index))
    lives.sort(key=lambda one: (one[0], one[4]) if not one[0] else (one[0], -one[1], one[2]))
    yield from ((size, start, end) for _, size, start, end, _ in lives if size)


def _planned(lives: list[tuple[int, int, int]]) -> int:
    """The end of the last tensor, when each is placed into the smallest gap that holds it."""
    count = len(lives)
    offsets, sizes, starts, ends = (np.zeros(count, np.int64) for _ in range(4))
    for number, (size, start, end) in enumerate(lives):
        known = slice(number)
        together = np.flatnonzero((starts[known] <= end) & (ends[known] >= start))
        together = together[np.argsort(offsets[together], kind="stable")]
        best, gap, at = None, None, 0
        for other in together.tolist():
            free = int(offsets[other]) - at
            if free >= size and (gap is None or free < gap):
                best, gap = at, free
            at = max(at, -(-int(offsets[other] + sizes[other]) // ALIGNMENT) * ALIGNMENT)
        offsets[number], sizes[number] = at if best is None else best, size
        starts[number], ends[number] = start, end
    return int((offsets + sizes).max()) if count else 0


def _shape(graph: Any, index: int) -> list[int]:
    """A tensor's shape, of one that is not there or whose shape is not known a one."""
    shape = graph.tensors[int(index)].shape if int(index) >= 0 else None
    return [max(1, int(size)) for size in shape] if shape is not None and len(shape) else [1]
