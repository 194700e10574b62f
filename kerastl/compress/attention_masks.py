"""Masked attention in integers: the number that stands for "not this one" must not set the scale of all the others.

A mask puts -1e9 or -2e38 where a softmax is to give zero. Eight bits from there to the largest score are steps of 1e36:
every score becomes zero, and the attention is uniform, without a word. A number just low enough does the same.

A mask may be a constant, or computed: a constant large number times 1 where nothing is to be seen, or a choice.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from kerastl.compress import calibration_runs, float_file

_CODES = schema.BuiltinOperator
_ENDLESS = -1e4  # no score is as low; Keras masks with -3e4 in half precision, and with more in others
_SHAPES = (_CODES.RESHAPE, _CODES.EXPAND_DIMS, _CODES.SQUEEZE, _CODES.TRANSPOSE, _CODES.BROADCAST_TO, _CODES.TILE)
_WANTED = "Integers need masks of attention that leave steps for its scores. Received:"
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
    waiting, before = -1, 0
    while waiting and waiting != before:  # of masks upon masks the outer ones wait for the inner ones
        before = waiting
        model, waiting = _round(model, sources, left)
    return model


def _round(model: bytes, sources: Sequence[float_file.Source], left: Collection[str]) -> tuple[bytes, int]:
    """The file with those masks bounded whose scores have no mask of their own, and how many others there are."""
    held = float_file.parsed(model)
    masks, computed = list(_masks(held)), list(_computed(held))
    places = {int(mask.operator.inputs[mask.scores]) for mask in masks}
    places |= {int(mask.operator.outputs[0]) for mask in masks}
    places |= {int(one.operator.inputs[place]) for one in computed for place in (one.mask, one.scores)}
    ranges = _ranges(model, sorted(places), sources) if places else {}
    changed, waiting = False, 0
    for one in (*masks, *computed):
        scores = ranges[int(one.operator.inputs[one.scores])]
        if scores.low <= _ENDLESS:
            waiting += 1
        elif isinstance(one, _Computed):
            changed |= _bound(held, one, ranges, left)
        else:
            given = one.chosen and not _is_constant(held, int(one.operator.inputs[0]))
            if given and ranges[int(one.operator.outputs[0])].low > _ENDLESS and not _is_left(held, one.operator, left):
                raise _unseen(held, one.operator)
            least = scores.low - _BELOW if one.chosen else scores.low - scores.high - _BELOW
            _replace_constant(held, one.operator, one.constant, sign=one.sign, least=least)
            changed = True
    return (float_file.named(float_file.serialized(held)) if changed else model), waiting


def refuse_lost_scores(model: bytes, statistics: Mapping[str, Any], *, left: Collection[str] = ()) -> None:
    """Raises `ValueError` for a softmax whose scores would all be in a few steps: what masks them is no constant of a
    product or a choice, or is no longer the same when it comes there.

    Args:
        model: as for `bounded`, which gave it.
        statistics: name of each tensor -> least and largest number in the calibration, ``min`` and ``max``.
        left: as there.
    """
    held = float_file.parsed(model)
    for operator in held.subgraphs[0].operators:
        name = held.subgraphs[0].tensors[operator.inputs[0]].name.decode() if len(operator.inputs) else ""
        if not _is(held, operator, _CODES.SOFTMAX) or "min" not in statistics.get(name, {}):
            continue
        low = float(np.min(statistics[name]["min"]))
        if low <= _ENDLESS and held.subgraphs[0].tensors[operator.outputs[0]].name.decode() not in left:
            raise _refusal(name, low)


def _bound(held: Any, one: _Computed, ranges: dict[int, _Range], left: Collection[str]) -> bool:
    """Puts a smaller number in the place of a computed mask's large one; whether there is one."""
    place, scores = int(one.operator.inputs[one.mask]), ranges[int(one.operator.inputs[one.scores])]
    found = ranges[place].times(one.sign)
    if one.steps and found.low == found.high == 0:
        raise _unseen(held, one.operator)
    if found.low > _ENDLESS or not one.steps or _is_left(held, one.operator, left):
        return False
    product = _is(held, one.steps[0], _CODES.MUL)
    if product and not found.is_all_or_nothing:
        raise _refusal(held.subgraphs[0].tensors[one.operator.outputs[0]].name.decode(), found.low)
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
    name = held.subgraphs[0].tensors[operator.outputs[0]].name.decode()
    return ValueError(
        f"{_WANTED} a softmax behind {name!r}, where no example of the calibration is masked, so that no scale holds "
        "what masks. Calibrate with examples that are masked as on the phone, or take compress.ptq.dynamic_int8, which "
        "keeps all activations float."
    )


def _refusal(name: str, low: float) -> ValueError:
    return ValueError(
        f"{_WANTED} a softmax behind {name!r}, where a mask of numbers down to {low:.3g} sets the scale of the scores. "
        "Mask by keras.ops.where(mask, scores, -1e9), take keep_float with this operator and the softmax, or "
        "compress.ptq.dynamic_int8, which keeps all activations float."
    )


def _softened(held: Any) -> set[int]:
    """The tensors that a softmax reads, by way of other shapes, of a choice and of other masks too."""
    graph = held.subgraphs[0]
    writers = {int(one.outputs[0]): one for one in graph.operators}
    softened = {int(one.inputs[0]) for one in graph.operators if _is(held, one, _CODES.SOFTMAX)}
    for operator in reversed(graph.operators):  # keras.layers.Attention chooses between scores and scores less 1e9
        inputs = [int(place) for place in operator.inputs]
        if int(operator.outputs[0]) not in softened:
            continue
        if _is(held, operator, *_SHAPES):
            softened.add(inputs[0])
        elif _is(held, operator, _CODES.SELECT, _CODES.SELECT_V2):
            softened.update(inputs[1:])
        elif _is(held, operator, _CODES.ADD, _CODES.SUB):
            for sign, mask, scores in _ends(held, operator):
                if _is_endless(held, inputs[mask], sign) or _steps(held, writers, inputs[mask], sign)[0]:
                    softened.add(inputs[scores])
    return softened


def _ends(held: Any, operator: Any) -> tuple[tuple[int, int, int], ...]:
    """Of an addition or a subtraction the sign of what may be a mask, and which inputs mask and scores are then."""
    return ((-1, 1, 0),) if _is(held, operator, _CODES.SUB) else ((1, 0, 1), (1, 1, 0))


def _masks(held: Any) -> Iterator[_Mask]:
    graph, softened = held.subgraphs[0], _softened(held)
    for operator in graph.operators:
        if int(operator.outputs[0]) not in softened:
            continue
        chosen = _is(held, operator, _CODES.SELECT, _CODES.SELECT_V2)
        if not chosen and not _is(held, operator, _CODES.ADD, _CODES.SUB):
            continue
        for sign, constant, scores in ((1, 1, 2), (1, 2, 1)) if chosen else _ends(held, operator):
            if _is_endless(held, int(operator.inputs[constant]), sign):
                yield _Mask(operator, constant, scores, sign, chosen)


def _is(held: Any, operator: Any, *codes: int) -> bool:
    return float_file.builtin_code(held, operator) in codes


def _computed(held: Any) -> Iterator[_Computed]:
    """What is added to scores, or subtracted from them, and is no constant; of an addition either side may be it."""
    graph, softened = held.subgraphs[0], _softened(held)
    writers = {int(one.outputs[0]): one for one in graph.operators}
    for operator in graph.operators:
        if int(operator.outputs[0]) not in softened or not _is(held, operator, _CODES.ADD, _CODES.SUB):
            continue
        if any(_is_constant(held, int(place)) for place in operator.inputs):
            continue
        for sign, mask, scores in _ends(held, operator):
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
            large = product and values is not None and np.abs(values).min() >= -_ENDLESS
            if large or (not product and _is_endless(held, int(writer.inputs[number]), sign)):
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


def _is_endless(held: Any, place: int, sign: int) -> bool:
    values = _constant(held, place)
    return values is not None and bool((sign * values).min() <= _ENDLESS)


def _is_constant(held: Any, place: int) -> bool:
    return held.buffers[held.subgraphs[0].tensors[place].buffer].data is not None


def _ranges(model: bytes, places: Sequence[int], sources: Sequence[float_file.Source]) -> dict[int, _Range]:
    """What tensors hold over all of the calibration."""
    found = dict.fromkeys(places, _Range())
    for interpreter in calibration_runs.each(model, sources):
        for place in places:
            found[place] = found[place].with_values(interpreter.get_tensor(place))
    return found
