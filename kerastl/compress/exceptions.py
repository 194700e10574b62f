"""Exceptions from post-training quantization, found by measuring: the operators that lose most stay float.

A front end of DFT and mel kernels left float costs nothing; quantized with the rest it costs points of accuracy. What
each kernel loses alone is measured (`mixed_precision.sensitivities`), and from the one that loses most on they are left
out until the whole file scores well enough (Wu et al. 2020, "Integer quantization for deep learning inference",
section 5, "partial quantization", https://arxiv.org/abs/2004.09602).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from kerastl.compress.mixed_precision import Sensitivity


@dataclasses.dataclass(frozen=True, eq=False)
class Exceptions:
    """The file with the fewest exceptions that is within the budget.

    Attributes:
        content: its bytes.
        keep_float: names of the operators that are left float, the most sensitive first: of a packed file, which has
            no names, as a report calls them.
        score: of the file.
        tried: how many exceptions -> score, of every file that was made.
    """

    content: bytes
    keep_float: tuple[str, ...]
    score: float
    tried: Mapping[int, float]


def search(
    model: bytes,
    measured: Sequence[Sensitivity],
    *,
    quantize: Callable[..., bytes],
    score: Callable[[bytes], float],
    least: float,
) -> Exceptions:
    """The file whose score is within the budget with as few operators left float as it takes.

    None is tried first, then one, two, four and so on, and then the numbers between the last two are halved, as if
    scores rose with every exception.

    Args:
        model: the float32 TFLite file that was measured.
        measured: of `mixed_precision.sensitivities`, each operator once or more; the widest integers count.
        quantize: makes the file, ``quantize(model, keep_float=names)``: `ptq.dynamic_int8`, or a partial function of
            `ptq.static_int8` with its calibration.
        score: of a file on validation examples, the higher the better.
        least: score that the file has to have.

    Raises:
        ValueError: if nothing was measured; if no file with an operator left to quantize scores ``least``.
    """
    widest: dict[str, Sensitivity] = {}
    for one in sorted(measured, key=lambda one: -one.bits):
        widest.setdefault(one.operator.name, one)
    order = [one.operator.shown for one in sorted(widest.values(), key=lambda one: -one.error)]
    if not order:
        raise ValueError("Wanted sensitivities. Received: none.")
    files: dict[int, bytes] = {}
    scores: dict[int, float] = {}

    def good(count: int) -> bool:
        if count not in scores:
            files[count] = quantize(model, keep_float=order[:count])
            scores[count] = float(score(files[count]))
        return scores[count] >= least

    low, high = -1, 0
    while not good(high):
        if high == len(order) - 1:
            raise ValueError(
                f"Wanted a file that scores {least:g} with an operator left to quantize. Received: {scores[high]:g} "
                f"with {high} of {len(order)} left float; ask for less, or take float16."
            )
        low, high = high, min(max(2 * high, 1), len(order) - 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if good(middle) else (middle, high)
    return Exceptions(
        files[high], tuple(order[:high]), scores[high], {count: scores[count] for count in sorted(scores)}
    )
