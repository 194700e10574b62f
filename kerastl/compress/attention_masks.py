"""Masked attention in integers: the number that stands for "not this one" must not set the scale of all the others.

A mask puts -1e9 or -2e38 where a softmax is to give zero. Eight bits from there to the largest score are steps of 1e36:
every score becomes zero, and the attention is uniform, without a word. A number just low enough does the same.

A mask may be a constant, or computed: a constant large number times 1 where nothing is to be seen, or a choice.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from kerastl.compress import calibration_runs, float_file

_CODES = schema.BuiltinOperator
_ENDLESS = -1e4  # no score is as low; Keras masks with -3e4 in half precision, and with more in others
_SHAPES = (_CODES.RESHAPE, _CODES.EXPAND_DIMS, _CODES.SQUEEZE, _CODES.TRANSPOSE, _CODES.BROADCAST_TO, _CODES.TILE)
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


class _Computed(NamedTuple):
    """A mask that is computed and added to scores.

    Attributes:
        operator: that adds it.
        mask, scores: which of its inputs they are.
        sign: -1 where the mask is subtracted.
        steps: from the operator with the large constant, a product or a choice, to the one that gives the mask its
            shape; none where the mask comes from elsewhere.
        constant: which of the first step's inputs the large number is.
    """

    operator: Any
    mask: int
    scores: int
    sign: int
    steps: tuple[Any, ...]
    constant: int


class _Range(NamedTuple):
    """Least and largest number of a tensor, the largest of those below -1 and the least of those above 1."""

    low: float = np.inf
    high: float = -np.inf
    negative: float = -np.inf
    positive: float = np.inf

    def times(self, sign: int) -> _Range:
        """The same of the tensor times 1 or -1."""
        return self if sign > 0 else _Range(-self.high, -self.low, -self.positive, -self.negative)

    @property
    def is_all_or_nothing(self) -> bool:
        """Whether its numbers are about zero, or about the least of them, and nothing between."""
        return self.high <= 1 and self.negative <= 0.99 * self.low

    def with_values(self, values: np.ndarray) -> _Range:
        """The same of those numbers, too."""
        return _Range(
            min(self.low, float(values.min())),
            max(self.high, float(values.max())),
            float(values.max(where=values < -1, initial=self.negative)),
            float(values.min(where=values > 1, initial=self.positive)),
        )


def bounded(model: bytes, sources: Sequence[float_file.Source], *, left: Collection[str] = ()) -> bytes:
    """The file with masks just below the scores that calibration shows; itself where it has none.

    Args:
        model: a float32 file whose tensors have names of their own.
        sources: what its inputs are calibrated with.
        left: names of what operators write that stay float, where a mask is as it is.

    Raises:
        ValueError: for a mask that cannot be bounded so: calibration shows no masked example, or other numbers than
            zero and one that is very large, or the large number is no constant of a product or a choice.
    """
    held = float_file.parsed(model)
    masks, computed = list(_masks(held)), list(_computed(held))
    chosen = [
        mask
        for mask in masks
        if mask.chosen
        and not _is_constant(held, int(mask.operator.inputs[0]))
        and not _is_left(held, mask.operator, left)
    ]
    places = {int(mask.operator.inputs[mask.scores]) for mask in masks}
    places |= {int(mask.operator.outputs[0]) for mask in chosen}
    places |= {int(one.operator.inputs[place]) for one in computed for place in (one.mask, one.scores)}
    ranges = _ranges(model, sorted(places), sources) if places else {}
    for mask in chosen:
        if ranges[int(mask.operator.outputs[0])].low > _ENDLESS:
            raise _unseen(held, mask.operator)
    changed = bool(masks)
    for mask in masks:
        scores = ranges[int(mask.operator.inputs[mask.scores])]
        least = scores.low - _BELOW if mask.chosen else scores.low - scores.high - _BELOW
        _replace_constant(held, mask.operator, mask.constant, sign=mask.sign, least=least)
    for one in computed:
        changed |= _bound(held, one, ranges, left)
    return float_file.named(float_file.serialized(held)) if changed else model


def _bound(held: Any, one: _Computed, ranges: dict[int, _Range], left: Collection[str]) -> bool:
    """Puts a smaller number in the place of a computed mask's large one; whether there is one."""
    place, scores = int(one.operator.inputs[one.mask]), ranges[int(one.operator.inputs[one.scores])]
    found = ranges[place].times(one.sign)
    if found.low > _ENDLESS:
        if one.steps and found.low == found.high == 0:
            raise _unseen(held, one.operator)
        return False
    if _is_left(held, one.operator, left):
        return False
    product = bool(one.steps) and _is(held, one.steps[0], _CODES.MUL)
    if not one.steps or (product and not found.is_all_or_nothing):
        raise ValueError(
            f"{_softmax_behind(held, one.operator)}, where a mask of numbers down to {found.low:.3g} sets the scale of "
            "the scores. Mask by keras.ops.where(mask, scores, -1e9), take keep_float with this operator and the "
            "softmax, or compress.ptq.dynamic_int8, which keeps all activations float."
        )
    first, least = _of_its_own(held, one), scores.low - scores.high - _BELOW
    if product:
        _replace_constant(held, first, one.constant, factor=least / found.low)
    else:
        _replace_constant(held, first, one.constant, sign=one.sign, least=least)
    return True


def _of_its_own(held: Any, one: _Computed) -> Any:
    """The first of the steps that make a mask, all of which are copied where another layer reads it: its scores are of
    another size.
    """
    graph = held.subgraphs[0]
    read = [int(place) for operator in graph.operators for place in operator.inputs] + [*map(int, graph.outputs)]
    if all(read.count(int(step.outputs[0])) == 1 for step in one.steps):
        return one.steps[0]
    at = next(number for number, operator in enumerate(graph.operators) if operator is one.operator)
    steps = [copy.copy(step) for step in one.steps]
    for number, step in enumerate(steps):
        output = copy.copy(graph.tensors[step.outputs[0]])
        output.name = output.name + f"_mask_{len(graph.tensors)}".encode()
        step.inputs = [int(place) for place in step.inputs]
        if number:
            step.inputs[0] = len(graph.tensors) - 1  # what the step before writes
        step.outputs = [len(graph.tensors)]
        graph.tensors.append(output)
    inputs = [int(place) for place in one.operator.inputs]
    inputs[one.mask] = len(graph.tensors) - 1
    one.operator.inputs = inputs
    graph.operators[at:at] = steps
    return steps[0]


def _replace_constant(
    held: Any, operator: Any, place: int, *, sign: int = 1, least: float = 0.0, factor: float | None = None
) -> None:
    """Gives an operator a constant of its own, for it may be another's as well: the least number where it was endless,
    or all of it times a factor.
    """
    graph = held.subgraphs[0]
    constant = graph.tensors[operator.inputs[place]]
    values = np.frombuffer(held.buffers[constant.buffer].data, "<f4").reshape(constant.shape)
    values = np.where(sign * values <= _ENDLESS, sign * least, values) if factor is None else values * factor
    tensor, buffer = schema.TensorT(), schema.BufferT()
    tensor.shape, tensor.type, tensor.buffer = constant.shape, constant.type, len(held.buffers)
    tensor.name = constant.name + f"_mask_{len(graph.tensors)}".encode()
    buffer.data = np.frombuffer(values.astype("<f4").tobytes(), np.uint8)
    inputs = [int(index) for index in operator.inputs]
    inputs[place] = len(graph.tensors)
    operator.inputs = inputs
    held.buffers.append(buffer)
    graph.tensors.append(tensor)


def _unseen(held: Any, operator: Any) -> ValueError:
    return ValueError(
        f"{_softmax_behind(held, operator)}, where no example of the calibration is masked, so that no scale holds "
        "what masks. Calibrate with examples that are masked as on the phone, or take compress.ptq.dynamic_int8, which "
        "keeps all activations float."
    )


def _softmax_behind(held: Any, operator: Any) -> str:
    name = held.subgraphs[0].tensors[operator.outputs[0]].name.decode()
    return f"Integers need masks of attention that leave steps for its scores. Received: a softmax behind {name!r}"


def _softened(held: Any) -> set[int]:
    """The tensors that a softmax reads, by way of a choice too."""
    graph = held.subgraphs[0]
    softened = {int(one.inputs[0]) for one in graph.operators if _is(held, one, _CODES.SOFTMAX)}
    for operator in graph.operators:  # keras.layers.Attention chooses between scores and scores less 1e9
        if _is(held, operator, _CODES.SELECT, _CODES.SELECT_V2) and int(operator.outputs[0]) in softened:
            softened.update(int(place) for place in operator.inputs[1:])
    return softened


def _masks(held: Any) -> Iterator[_Mask]:
    graph, softened = held.subgraphs[0], _softened(held)
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
            values = _constant(held, int(operator.inputs[constant]))
            if values is not None and (sign * values).min() <= _ENDLESS:
                yield _Mask(operator, constant, scores, sign, _is(held, operator, _CODES.SELECT, _CODES.SELECT_V2))


def _is(held: Any, operator: Any, *codes: int) -> bool:
    return float_file.builtin_code(held, operator) in codes


def _computed(held: Any) -> Iterator[_Computed]:
    """What is added to scores, or subtracted from them, and is no constant; of an addition either side may be it."""
    graph, softened = held.subgraphs[0], _softened(held)
    writers = {int(one.outputs[0]): one for one in graph.operators}
    for operator in graph.operators:
        subtracted = _is(held, operator, _CODES.SUB)
        if int(operator.outputs[0]) not in softened or not (subtracted or _is(held, operator, _CODES.ADD)):
            continue
        if any(_is_constant(held, int(place)) for place in operator.inputs):
            continue
        for mask, scores in ((1, 0),) if subtracted else ((0, 1), (1, 0)):
            sign = -1 if subtracted else 1
            steps, constant = _steps(held, writers, int(operator.inputs[mask]), sign)
            yield _Computed(operator, mask, scores, sign, steps, constant)


def _steps(held: Any, writers: dict[int, Any], place: int, sign: int) -> tuple[tuple[Any, ...], int]:
    """The operators that make a mask of a large constant, and which input of the first that is; else none."""
    steps: list[Any] = []
    while (writer := writers.get(place)) is not None:
        steps.insert(0, writer)
        if not _is(held, writer, *_SHAPES):
            break
        place = int(writer.inputs[0])
    if writer is None:
        return (), 0
    product = _is(held, writer, _CODES.MUL)
    if product or _is(held, writer, _CODES.SELECT, _CODES.SELECT_V2):
        for number in (0, 1) if product else (1, 2):
            values = _constant(held, int(writer.inputs[number]))
            if values is not None and (
                np.abs(values).min() >= -_ENDLESS if product else (sign * values).min() <= _ENDLESS
            ):
                return tuple(steps), number
    return (), 0


def _is_left(held: Any, operator: Any, left: Collection[str]) -> bool:
    """Whether an operator stays float, and what reads it as well: then no scale holds its numbers."""
    graph, place = held.subgraphs[0], int(operator.outputs[0])
    readers = [one for one in graph.operators if place in [int(index) for index in one.inputs]]
    return all(graph.tensors[one.outputs[0]].name.decode() in left for one in (operator, *readers))


def _constant(held: Any, place: int) -> np.ndarray | None:
    """The numbers of a constant float tensor; ``None`` of any other."""
    tensor = held.subgraphs[0].tensors[place]
    data = held.buffers[tensor.buffer].data
    return None if data is None or tensor.type != schema.TensorType.FLOAT32 else np.frombuffer(data, "<f4")


def _is_constant(held: Any, place: int) -> bool:
    return held.buffers[held.subgraphs[0].tensors[place].buffer].data is not None


def _ranges(model: bytes, places: Sequence[int], sources: Sequence[float_file.Source]) -> dict[int, _Range]:
    """What tensors hold over all of the calibration."""
    found = dict.fromkeys(places, _Range())
    for interpreter in calibration_runs.each(model, sources):
        for place in places:
            found[place] = found[place].with_values(interpreter.get_tensor(place))
    return found
