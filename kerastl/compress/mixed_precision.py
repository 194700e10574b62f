"""Mixed precision: each kernel in as few bits as the answers allow, measured one kernel at a time.

What quantizing one kernel alone does to the answers says how much that kernel minds, and to a first approximation what
several do adds up (ZeroQ, Cai et al. 2020, https://arxiv.org/abs/2001.00281, section 3.2). So there is one way from the
float file to the smallest one on which every step saves the most bytes for what it costs, and the cheapest file within
a budget is looked for along it: by the score of whole files, for the sum is only an approximation.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from ai_edge_quantizer import qtyping

from kerastl.compress import float_file
from kerastl.compress.float_file import Operator

FLOAT = 32
"""Bits of a kernel that is left as it is."""
_FOUR = ("CONV_2D", "FULLY_CONNECTED", "EMBEDDING_LOOKUP")  # operators that take 4-bit kernels
_BEYOND = 2  # files that are tried past the smallest one found: scores along the way are not quite in order


@dataclasses.dataclass(frozen=True)
class Sensitivity:
    """What quantizing one kernel alone does to the answers.

    Attributes:
        operator: that has the kernel.
        bits: 8 or 4.
        error: mean Kullback-Leibler divergence of the answers from the float file's, in nats; of several classes an
            example, the sum over its classes.
    """

    operator: Operator
    bits: int
    error: float


@dataclasses.dataclass(frozen=True)
class Assignment:
    """How many bits each kernel gets.

    Attributes:
        bits: name of the operator -> 32, 8 or 4.
        error: the sum of the sensitivities.
        weight_bytes: of all kernels together, scales not counted.
    """

    bits: Mapping[str, int]
    error: float
    weight_bytes: int


@dataclasses.dataclass(frozen=True, eq=False)
class Found:
    """The cheapest file within the budget.

    Attributes:
        content: its bytes.
        assignment: of its kernels.
        score: of the file.
        tried: every file that was scored: bytes of its kernels -> score.
    """

    content: bytes
    assignment: Assignment
    score: float
    tried: Mapping[int, float]


def sensitivities(
    model: bytes, *, answers: Callable[[bytes], np.ndarray], bits: Sequence[int] = (8, 4)
) -> tuple[Sensitivity, ...]:
    """Measures every kernel of a file in every width that its operator takes: one quantization and one run each.

    Args:
        model: a float32 TFLite file, as the converter wrote it.
        answers: runs a file on some hundred validation examples; probabilities ``(examples, classes)``.
        bits: widths to measure, of 8 and 4.

    Raises:
        ValueError: if ``model`` is no float32 TFLite file, has no kernel that can be quantized, or another width is
            asked for.
    """
    if not bits or set(bits) - {8, 4}:
        raise ValueError(f"Kernels are quantized to 8 or 4 bits. Received: bits={tuple(bits)}.")
    float_file.opened(model)  # refuses what is quantized already
    found = float_file.operators(model)
    if not found:
        raise ValueError("Wanted a file with convolutions, dense layers or embeddings. Received: one with none.")
    wanted = np.asarray(answers(model), np.float64)
    return tuple(
        Sensitivity(operator, width, _divergence(wanted, np.asarray(answers(_quantized(model, {operator: width})))))
        for operator in found
        for width in sorted(bits, reverse=True)
        if width != 4 or operator.kind in _FOUR
    )


def assignments(measured: Sequence[Sensitivity]) -> tuple[Assignment, ...]:
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
    widths: dict[Operator, list[tuple[int, float]]] = {}
    for one in measured:
        widths.setdefault(one.operator, [(FLOAT, 0.0)]).append((one.bits, max(one.error, 0.0)))
    steps = []
    for operator, points in widths.items():
        hull = _hull(sorted(points, reverse=True))
        steps += [
            ((after[1] - before[1]) / ((before[0] - after[0]) * operator.weights), operator, before, after)
            for before, after in itertools.pairwise(hull)
        ]
    # on a hull steps grow dearer, so that each kernel's own stay in order; a tie is broken by the wider first
    steps.sort(key=lambda step: (step[0], -step[2][0], step[1].name))
    bits = dict.fromkeys((operator.name for operator in widths), FLOAT)
    error, weight_bits = 0.0, FLOAT * sum(operator.weights for operator in widths)
    way = [Assignment(dict(bits), error, weight_bits // 8)]
    for _, operator, before, after in steps:
        bits[operator.name] = after[0]
        error += after[1] - before[1]
        weight_bits -= (before[0] - after[0]) * operator.weights
        way.append(Assignment(dict(bits), error, -(-weight_bits // 8)))
    return tuple(way)


def apply(model: bytes, assignment: Assignment) -> bytes:
    """A file with the kernels of an assignment; activations stay float32.

    Args:
        model: the float32 TFLite file that was measured.
        assignment: of `assignments`.

    Raises:
        ValueError: if ``model`` is no float32 TFLite file, or not the one that the assignment was made for.
    """
    held = {operator.name: operator for operator in float_file.operators(model)}
    if lacking := sorted(set(assignment.bits) - set(held)):
        raise ValueError(
            f"An assignment is for the file that was measured. Received: one without {', '.join(map(repr, lacking))}; "
            f"it has {', '.join(map(repr, held))}."
        )
    return _quantized(model, {held[name]: bits for name, bits in assignment.bits.items()})


def cheapest(model: bytes, measured: Sequence[Sensitivity], *, score: Callable[[bytes], float], least: float) -> Found:
    """The smallest file along the way whose score is within the budget.

    The way is halved again and again, as if scores fell along it; then a few files past the smallest one found are
    tried, and the first files if nothing else is good enough.

    Args:
        model: the float32 TFLite file that was measured.
        measured: of `sensitivities`.
        score: of a file on validation examples, the higher the better.
        least: score that the file has to have.

    Raises:
        ValueError: if the float file itself is below ``least``, or ``model`` was not measured.
    """
    way, files, scores = assignments(measured), {}, {}

    def good(place: int) -> bool:
        if place not in scores:
            files[place] = apply(model, way[place])
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
    return Found(files[best], way[best], scores[best], tried)


def _quantized(model: bytes, bits: Mapping[Operator, int]) -> bytes:
    work = float_file.opened(model)
    chosen = {operator: width for operator, width in bits.items() if width != FLOAT}
    for operator, width in chosen.items():
        work.add_dynamic_config(operator.pattern, qtyping.TFLOperationName(operator.kind), num_bits=width)
    return float_file.quantized(work) if chosen else model


def _divergence(wanted: np.ndarray, received: np.ndarray) -> float:
    """Mean over examples; where a row does not sum to one, each class counts as a yes or no of its own."""
    if wanted.shape != received.shape or wanted.ndim != 2:
        raise ValueError(f"Wanted answers (examples, classes). Received: {received.shape} for {wanted.shape}.")
    parts = [(wanted, received.astype(np.float64))]
    if not np.allclose(wanted.sum(1), 1, atol=1e-3):
        parts.append((1 - parts[0][0], 1 - parts[0][1]))
    least = 1e-12
    return float(sum((p * np.log(np.maximum(p, least) / np.maximum(q, least))).sum(1).mean() for p, q in parts))


def _hull(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Of ``(bits, error)``, widest first, those on the lower convex hull."""
    hull: list[tuple[int, float]] = []
    for point in points:
        while len(hull) > 1 and _slope(hull[-2], hull[-1]) >= _slope(hull[-2], point):
            hull.pop()
        hull.append(point)
    return hull


def _slope(before: tuple[int, float], after: tuple[int, float]) -> float:
    return (after[1] - before[1]) / (before[0] - after[0])
