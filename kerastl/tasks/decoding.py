"""What a row of frames says (Graves et al. 2006), and how far that is from what should have been said."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

BLANK, PADDING = 0, -1
"""The output that says nothing; and what stands behind a sequence that is shorter than the longest."""


def greedy(answers: np.ndarray) -> np.ndarray:
    """The most probable answer of each frame, repeated ones as one, blanks taken out (section 3.2, best path).

    Args:
        answers: probabilities or logits ``(examples, frames, outputs)``.

    Returns:
        int32 ``(examples, frames)``, `PADDING` behind each sequence.
    """
    best = np.asarray(answers).argmax(-1)
    said = best != BLANK
    said[:, 1:] &= best[:, 1:] != best[:, :-1]
    found = np.full(best.shape, PADDING, np.int32)
    rows, frames = np.nonzero(said)
    places = said.cumsum(-1)[rows, frames] - 1
    found[rows, places] = best[rows, frames]
    return found


def beam_search(probabilities: np.ndarray, *, width: int = 16) -> list[tuple[tuple[int, ...], float]]:
    """The most probable sequences of one row of frames, each summed over its alignments, the best first.

    Prefix search with a beam (Graves 2012, "Sequence Transduction with Recurrent Neural Networks"; Hannun et al. 2014,
    "First-Pass Large Vocabulary Continuous Speech Recognition using Bi-Directional Recurrent DNNs", algorithm 1,
    without a language model). With a beam as wide as there are prefixes it is exact.

    Args:
        probabilities: ``(frames, outputs)``, each frame's sum to one.
        width: prefixes that are kept after each frame, at least 1.

    Returns:
        Pairs of symbols and the natural logarithm of their probability.

    Raises:
        ValueError: the width is below 1, or these are no frames.
    """
    table = np.asarray(probabilities, np.float64)
    if table.ndim != 2 or width < 1:
        raise ValueError(f"Wanted (frames, outputs) and a width of 1 or more. Received: {table.shape}, width={width}.")
    # of each prefix the logarithms of all alignments that end in a blank, and of those that do not
    beam: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, -math.inf)}
    with np.errstate(divide="ignore"):
        logs = np.log(table)
    for frame in logs:
        grown: dict[tuple[int, ...], tuple[float, float]] = {}

        def add(prefix: tuple[int, ...], blank: float, symbol: float, *, grown=grown) -> None:
            before = grown.get(prefix, (-math.inf, -math.inf))
            grown[prefix] = (_log_add(before[0], blank), _log_add(before[1], symbol))

        for prefix, (blank, symbol) in beam.items():
            add(prefix, _log_add(blank, symbol) + frame[BLANK], -math.inf)
            for output in range(len(frame)):
                if output == BLANK:
                    continue
                if prefix and prefix[-1] == output:
                    add(prefix, -math.inf, symbol + frame[output])
                    add((*prefix, output), -math.inf, blank + frame[output])
                else:
                    add((*prefix, output), -math.inf, _log_add(blank, symbol) + frame[output])
        possible = [one for one in grown.items() if max(one[1]) > -math.inf]
        best = sorted(possible, key=lambda one: -_log_add(*one[1]))
        beam = dict(best[:width])
    return [(prefix, _log_add(*ends)) for prefix, ends in beam.items()]


def edits(wanted: Sequence[Any], given: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    """The fewest changes that make one sequence of another (Levenshtein 1966): pairs of what stood and what was said.

    Args:
        wanted, given: of anything that can be compared.

    Yields:
        ``(wanted, given)`` of each change, from the end to the beginning: ``None`` on the right for what was left out,
        on the left for what was put in.
    """
    if list(wanted) == list(given):
        return
    costs = np.zeros((len(wanted) + 1, len(given) + 1), np.int64)
    costs[:, 0], costs[0] = np.arange(len(wanted) + 1), np.arange(len(given) + 1)
    for row, one in enumerate(wanted, 1):
        for column, other in enumerate(given, 1):
            replaced = costs[row - 1, column - 1] + (one != other)
            costs[row, column] = min(replaced, costs[row - 1, column] + 1, costs[row, column - 1] + 1)
    row, column = len(wanted), len(given)
    while row or column:
        here = costs[row, column]
        differs = row and column and wanted[row - 1] != given[column - 1]
        if row and column and here == costs[row - 1, column - 1] + bool(differs):
            row, column = row - 1, column - 1
            if differs:
                yield wanted[row], given[column]
        elif row and here == costs[row - 1, column] + 1:
            row -= 1
            yield wanted[row], None
        else:
            column -= 1
            yield None, given[column]


def _log_add(one: float, other: float) -> float:
    high, low = max(one, other), min(one, other)
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))
