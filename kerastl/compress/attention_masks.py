"""Masked attention in integers: the number that stands for "not this one" must not set the scale of all the others.

A mask puts -1e9 or -2e38 where a softmax is to give zero. Eight bits from there to the largest score are steps of 1e36:
every score becomes zero, and the attention is uniform, without a word. A number just low enough does the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from kerastl.compress import calibration_runs, float_file

_CODES = schema.BuiltinOperator
_ENDLESS = -1e4  # no score is as low; Keras masks with -3e4 in half precision, and with more in others
_BELOW = 12.0  # a softmax gives exp(-12), less than half a step of 16 bits


class _Mask(NamedTuple):
    """A mask before a softmax.

    Attributes:
        operator: that masks.
        constant, scores: which of its inputs they are.
        sign: -1 where the constant is subtracted.
        chosen: whether the constant stands in a score's place; else it is added to the score.
    """

    operator: Any
    constant: int
    scores: int
    sign: int
    chosen: bool


def bounded(model: bytes, sources: Sequence[float_file.Source]) -> bytes:
    """The file with masks just below the scores that calibration shows; itself where it has none.

    Args:
        model: a float32 file whose tensors have names of their own.
        sources: what its inputs are calibrated with.
    """
    held = float_file.parsed(model)
    graph = held.subgraphs[0]
    masks = list(_masks(held))
    if not masks:
        return model
    places = [int(mask.operator.inputs[mask.scores]) for mask in masks]
    for mask, (low, high) in zip(masks, _ranges(model, places, sources), strict=True):
        constant = graph.tensors[mask.operator.inputs[mask.constant]]
        values = np.frombuffer(held.buffers[constant.buffer].data, "<f4").reshape(constant.shape)
        least = low - _BELOW if mask.chosen else low - high - _BELOW
        # A tensor of its own: the constant may be another operator's as well.
        tensor, buffer = schema.TensorT(), schema.BufferT()
        tensor.shape, tensor.type, tensor.buffer = constant.shape, constant.type, len(held.buffers)
        tensor.name = constant.name + f"_mask_{len(graph.tensors)}".encode()
        buffer.data = np.frombuffer(
            np.where(mask.sign * values <= _ENDLESS, mask.sign * least, values).astype("<f4").tobytes(), np.uint8
        )
        inputs = [int(place) for place in mask.operator.inputs]
        inputs[mask.constant] = len(graph.tensors)
        mask.operator.inputs = inputs
        held.buffers.append(buffer)
        graph.tensors.append(tensor)
    return float_file.named(float_file.serialized(held))


def _masks(held: Any) -> Iterator[_Mask]:
    graph = held.subgraphs[0]
    softened = {int(one.inputs[0]) for one in graph.operators if _is(held, one, _CODES.SOFTMAX)}
    for operator in graph.operators:  # keras.layers.Attention chooses between scores and scores less 1e9
        if _is(held, operator, _CODES.SELECT, _CODES.SELECT_V2) and int(operator.outputs[0]) in softened:
            softened.update(int(place) for place in operator.inputs[1:])
    for operator in graph.operators:
        if int(operator.outputs[0]) not in softened:
            continue
        ends: tuple[tuple[int, int], ...] = ()
        if _is(held, operator, _CODES.SELECT, _CODES.SELECT_V2):
            ends = (1, 2), (2, 1)
        elif _is(held, operator, _CODES.ADD):
            ends = (0, 1), (1, 0)
        elif _is(held, operator, _CODES.SUB):
            ends = ((1, 0),)
        sign = -1 if _is(held, operator, _CODES.SUB) else 1
        for constant, scores in ends:
            tensor = graph.tensors[operator.inputs[constant]]
            data = held.buffers[tensor.buffer].data
            if data is None or tensor.type != schema.TensorType.FLOAT32:
                continue
            if (sign * np.frombuffer(data, "<f4")).min() <= _ENDLESS:
                yield _Mask(operator, constant, scores, sign, _is(held, operator, _CODES.SELECT, _CODES.SELECT_V2))


def _is(held: Any, operator: Any, *codes: int) -> bool:
    return float_file.builtin_code(held, operator) in codes


def _ranges(model: bytes, places: Sequence[int], sources: Sequence[float_file.Source]) -> list[tuple[float, float]]:
    """Least and largest number of tensors over all of the calibration."""
    found = [(np.inf, -np.inf)] * len(places)
    for interpreter in calibration_runs.each(model, sources):
        values = [interpreter.get_tensor(place) for place in places]
        found = [(min(low, one.min()), max(high, one.max())) for (low, high), one in zip(found, values, strict=True)]
    return [(float(low), float(high)) for low, high in found]
