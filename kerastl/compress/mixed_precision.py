"""Mixed precision: each kernel in as few bits as the answers allow, measured one kernel at a time.

What quantizing one kernel alone does to the answers says how much that kernel minds, and to a first approximation what
several do adds up (ZeroQ, Cai et al. 2020, https://arxiv.org/abs/2001.00281, section 3.2). So there is one way from the
float file to the smallest one on which every step saves the most bytes for what it costs, and the cheapest file within
a budget is looked for along it: by the score of whole files, for the sum is only an approximation.

With calibration examples the integers are chosen by what they answer (`rounding`), and a 4-bit kernel may then have one
scale in place of one a channel: of small kernels, scales are a tenth of all bytes.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from litert_quantizer import qtyping

from kerastl.compress import finished_file, float_file, rounding
from kerastl.compress.float_file import Operator
from kerastl.export import final_guard
from kerastl.types import Inputs, Target

Outputs = np.ndarray | Mapping[str, np.ndarray]
"""Of a file of one output an array, of one of several outputs such an array by each one's name."""
FLOAT = 32
"""Bits of a kernel that is left as it is."""
_FOUR = ("CONV_2D", "FULLY_CONNECTED", "EMBEDDING_LOOKUP")  # operators that take 4-bit kernels
_SCALE = 4  # bytes
_BEYOND = 2  # files that are tried past the smallest one found: scores along the way are not quite in order


@dataclasses.dataclass(frozen=True)
class Sensitivity:
    """What quantizing one kernel alone does to the answers.

    Attributes:
        operator: that has the kernel.
        bits: 8 or 4.
        error: mean Kullback-Leibler divergence of the answers from the float file's, in nats; of probabilities that are
            questions of their own the sum over them; of other answers the mean of the target's own difference.
        per_channel: whether each of its channels has a scale, or all have one.
    """

    operator: Operator
    bits: int
    error: float
    per_channel: bool = True


@dataclasses.dataclass(frozen=True)
class BitAssignment:
    """How many bits each kernel gets.

    Attributes:
        bits: name of the operator -> 32, 8 or 4.
        error: the sum of the sensitivities.
        weight_bytes: of all kernels together, with their scales.
        one_scale: names of the operators whose kernels have one scale in place of one a channel.
    """

    bits: Mapping[str, int]
    error: float
    weight_bytes: int
    one_scale: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True, eq=False)
class SearchResult:
    """The cheapest file within the budget.

    Attributes:
        content: its bytes.
        assignment: of its kernels.
        score: of the file.
        tried: every file that was scored: bytes of its kernels -> score.
    """

    content: bytes
    assignment: BitAssignment
    score: float
    tried: Mapping[int, float]


class _Width(NamedTuple):
    """How a kernel is stored."""

    bits: int
    per_channel: bool = True

    def size(self, operator: Operator) -> float:
        """Bytes of a kernel and its scales; zero points are shared by all kernels of as many channels."""
        scales = 0 if self.bits == FLOAT else operator.channels if self.per_channel else 1
        return operator.weights * self.bits / 8 + _SCALE * scales


def sensitivities(
    model: bytes,
    *,
    answers: Callable[[bytes], Outputs],
    bits: Sequence[int] = (8, 4),
    calibration: float_file.Examples | None = None,
    inputs: Inputs | None = None,
    target: Target | None = None,
) -> tuple[Sensitivity, ...]:
    """Measures every kernel of a file in every width that its operator takes: one quantization and one run each.

    Args:
        model: a float32 TFLite file, as the converter wrote it.
        answers: runs a file on some hundred validation examples; ``(examples, outputs)``, or what ``target`` takes.
        bits: widths to measure, of 8 and 4.
        calibration: some hundred training examples, as for `rounding.output_aware_rounding`: measures kernels rounded
            by them, those of 4 bits also with one scale, and is then given to `apply` or `search` as well. ``None``:
            each weight is the integer nearest to it.
        inputs: the kind of these examples, as there; wanted where there are some.
        target: what is asked, for example ``split.task.target``; ``None`` for probabilities that sum to one.

    Raises:
        ValueError: if ``model`` is no float32 TFLite file, has no kernel that can be quantized, or another width is
            asked for; if answers are no probabilities and no ``target`` says what they are; if ``calibration`` is not
            what `rounding.output_aware_rounding` takes.
    """
    if not bits or set(bits) - {8, 4}:
        raise ValueError(f"Kernels are quantized to 8 or 4 bits. Received: bits={tuple(bits)}.")
    float_file.check_kind(calibration, inputs)
    float_file.opened(model)  # refuses what is quantized already
    found = float_file.operators(model)
    if not found:
        raise ValueError("Wanted a file with convolutions, dense layers or embeddings. Received: one with none.")
    wanted, apart = answers(model), _divergence(target)
    return tuple(
        Sensitivity(
            operator,
            width.bits,
            apart(wanted, answers(_quantized(model, {operator: width}, calibration, inputs))),
            width.per_channel,
        )
        for operator in found
        for width in _widths(operator, bits, rounds=calibration is not None)
    )


def assignments(measured: Sequence[Sensitivity]) -> tuple[BitAssignment, ...]:
    """The way from the float file to the smallest one, each step the one that saves most bytes for its error.

    Each kernel's widths are first reduced to those on the lower convex hull of error over bytes; the steps of all
    kernels together, in the order of error for a byte, are then the lower hull of their sums: no other assignment of as
    few bytes has less error on it (Shoham & Gersho 1988, "Efficient bit allocation for an arbitrary set of
    quantizers", section III).

    Args:
        measured: of `sensitivities`.

    Returns:
        From all float to the smallest; bytes fall and errors rise from one to the next.

    Raises:
        ValueError: nothing was measured.
    """
    if not measured:
        raise ValueError("Wanted sensitivities. Received: none.")
    points: dict[Operator, list[_Point]] = {}
    for one in measured:
        first = _Width(FLOAT)
        held = points.setdefault(one.operator, [_Point(first.size(one.operator), 0.0, first)])
        width = _Width(one.bits, one.per_channel)
        held.append(_Point(width.size(one.operator), max(one.error, 0.0), width))
    steps = [
        (_slope(before, after), operator, before, after)
        for operator, choices in points.items()
        for before, after in itertools.pairwise(_hull(choices))
    ]
    # on a hull steps grow dearer, so that each kernel's own stay in order; a tie is broken by the larger first
    steps.sort(key=lambda step: (step[0], -step[2].size, step[1].name))
    held = {operator: choices[0] for operator, choices in points.items()}
    way = [_assignment(held)]
    for _, operator, _, after in steps:
        held[operator] = after
        way.append(_assignment(held))
    return tuple(way)


def apply(
    model: bytes,
    assignment: BitAssignment,
    *,
    calibration: float_file.Examples | None = None,
    inputs: Inputs | None = None,
) -> bytes:
    """A file with the kernels of an assignment; activations stay float32.

    Args:
        model: the float32 TFLite file that was measured.
        assignment: of `assignments`.
        calibration, inputs: as for `sensitivities`.

    Raises:
        ValueError: if ``model`` is no float32 TFLite file, or not the one that the assignment was made for; if
            ``calibration`` is not what `rounding.output_aware_rounding` takes; if the file answers with NaN, or like
            another network.
    """
    return _looked_at(_applied(model, assignment, calibration, inputs), model, assignment, calibration, inputs)


def _looked_at(
    result: bytes,
    model: bytes,
    assignment: BitAssignment,
    calibration: float_file.Examples | None,
    inputs: Inputs | None,
) -> bytes:
    if all(bits == FLOAT for bits in assignment.bits.values()):
        return result
    claim = final_guard.Claim(error=0.8, weights=(schema.TensorType.INT4, schema.TensorType.INT8))
    return finished_file.handed_out(result, model, claim, examples=calibration, inputs=inputs)


def _applied(
    model: bytes, assignment: BitAssignment, calibration: float_file.Examples | None, inputs: Inputs | None
) -> bytes:
    float_file.check_kind(calibration, inputs)
    held = {operator.name: operator for operator in float_file.operators(model)}
    if lacking := sorted(set(assignment.bits) - set(held)):
        raise ValueError(
            f"An assignment is for the file that was measured. Received: one without {', '.join(map(repr, lacking))}; "
            f"it has {', '.join(map(repr, held))}."
        )
    widths = {held[name]: _Width(bits, name not in assignment.one_scale) for name, bits in assignment.bits.items()}
    return _quantized(model, widths, calibration, inputs)


def search(
    model: bytes,
    measured: Sequence[Sensitivity],
    *,
    score: Callable[[bytes], float],
    least: float,
    calibration: float_file.Examples | None = None,
    inputs: Inputs | None = None,
) -> SearchResult:
    """The smallest file along the way whose score is within the budget.

    The way is halved again and again, as if scores fell along it; then a few files past the smallest one found are
    tried, and the first files if nothing else is good enough.

    Args:
        model: the float32 TFLite file that was measured.
        measured: of `sensitivities`.
        score: of a file on validation examples, the higher the better.
        least: score that the file has to have.
        calibration, inputs: as for `sensitivities`.

    Raises:
        ValueError: if the float file itself is below ``least``, or ``model`` was not measured.
    """
    way, files, scores = assignments(measured), {}, {}

    def good(place: int) -> bool:
        if place not in scores:
            files[place] = _applied(model, way[place], calibration, inputs)
            scores[place] = float(score(files[place]))
        return scores[place] >= least

    if not good(0):
        raise ValueError(f"Wanted a float file with a score of {least:g}. Received: {scores[0]:g}.")
    low, high = 0, len(way)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if good(middle) else (low, middle)
    best = max((place for place in range(low, min(low + 1 + _BEYOND, len(way))) if good(place)), default=low)
    tried = {way[place].weight_bytes: scores[place] for place in sorted(scores)}
    content = _looked_at(files[best], model, way[best], calibration, inputs)
    return SearchResult(content, way[best], scores[best], tried)


def _widths(operator: Operator, bits: Sequence[int], *, rounds: bool) -> list[_Width]:
    """Those that an operator takes, widest first."""
    found = [_Width(8)] if 8 in bits else []
    if 4 in bits and operator.kind in _FOUR:
        found.append(_Width(4))
        if rounds and operator.may_have_one_scale and operator.channels > 1:
            found.append(_Width(4, per_channel=False))
    return found


def _quantized(
    model: bytes, widths: Mapping[Operator, _Width], calibration: float_file.Examples | None, inputs: Inputs | None
) -> bytes:
    work = float_file.opened(model)
    chosen = {operator: width for operator, width in widths.items() if width.bits != FLOAT}
    for operator, width in chosen.items():
        work.add_dynamic_config(
            operator.pattern,
            qtyping.TFLOperationName(operator.kind),
            num_bits=width.bits,
            granularity=qtyping.QuantGranularity["CHANNELWISE" if width.per_channel else "TENSORWISE"],
        )
    result = float_file.quantized(work) if chosen else model
    rounded = any(operator.kind in rounding.KINDS and operator.graph == 0 for operator in chosen)
    if calibration is None or inputs is None or not rounded:
        return result
    return rounding.rounded(model, result, calibration=calibration, inputs=inputs)


def _divergence(target: Target | None) -> Callable[[Outputs, Outputs], float]:
    """How far answers are from those wanted, mean over examples."""
    served = "softmax" if target is None else target.served_activation()
    if target is not None and served not in ("softmax", "sigmoid"):
        return lambda wanted, received: float(target.difference(received, wanted).mean())

    def apart(one: Outputs, other: Outputs) -> float:
        wanted, received = np.asarray(one, np.float64), np.asarray(other, np.float64)
        if wanted.shape != received.shape or wanted.ndim != 2:
            raise ValueError(f"Wanted answers (examples, outputs). Received: {received.shape} for {wanted.shape}.")
        if target is None and not np.allclose(wanted.sum(1), 1, atol=1e-3):
            raise ValueError(
                "Answers are compared as probabilities that sum to one where nothing else is said. Received: a row of "
                f"sum {wanted.sum(1)[np.abs(wanted.sum(1) - 1).argmax()]:.3f}; say target=, what is asked."
            )
        # where probabilities do not sum to one each counts as a yes or no of its own
        parts = [(wanted, received), *([(1 - wanted, 1 - received)] if served == "sigmoid" else [])]
        least = 1e-12
        return float(sum((p * np.log(np.maximum(p, least) / np.maximum(q, least))).sum(1).mean() for p, q in parts))

    return apart


class _Point(NamedTuple):
    """A way to store a kernel: its bytes, and what they cost."""

    size: float
    error: float
    width: _Width


def _hull(points: Sequence[_Point]) -> list[_Point]:
    """Those on the lower convex hull from the first, the float one, on, the largest first."""
    start, *others = points
    hull = [start]
    for point in sorted(others, key=lambda point: (-point.size, point.error)):
        if point.size >= hull[-1].size:
            continue  # a scale a channel makes a kernel of single weights larger
        while len(hull) > 1 and _slope(hull[-2], hull[-1]) >= _slope(hull[-2], point):
            hull.pop()
        hull.append(point)
    return hull


def _slope(before: _Point, after: _Point) -> float:
    return (after.error - before.error) / (before.size - after.size)


def _assignment(held: Mapping[Operator, _Point]) -> BitAssignment:
    return BitAssignment(
        bits={operator.name: point.width.bits for operator, point in held.items()},
        error=sum(point.error for point in held.values()),
        weight_bytes=math.ceil(sum(point.size for point in held.values())),
        one_scale=frozenset(operator.name for operator, point in held.items() if not point.width.per_channel),
    )
