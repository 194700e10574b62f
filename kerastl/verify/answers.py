"""Answers of a file, of one output or of several: counted, taken apart, put together. No runtime is loaded for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from kerastl import types

Outputs = np.ndarray | dict[str, np.ndarray]
"""Of a file of one output an array ``(examples, ...)``, of one of several outputs such an array by each one's name."""


def count_of(values: Outputs | types.LazyArray | Mapping[str, np.ndarray]) -> int:
    """How many examples an array has, or each of the arrays of a mapping."""
    return len(next(iter(values.values()))) if isinstance(values, Mapping) else len(values)


def row_of(answers: Outputs, place: int | np.ndarray) -> Outputs:
    """One example's answer, or those of several, of several outputs by their names."""
    if isinstance(answers, Mapping):
        return {name: table[place] for name, table in answers.items()}
    return answers[place]


def concatenated(parts: Sequence[Outputs]) -> Outputs:
    """Answers to some examples after the other as answers to all."""
    first = parts[0]
    if isinstance(first, Mapping):
        return {name: np.concatenate([part[name] for part in parts]) for name in first}
    return np.concatenate([np.asarray(part) for part in parts])
