"""The examples that a file answers wrong, to be looked at and found again."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from kerastl import types
from kerastl.verify import answers as tables


@dataclasses.dataclass(frozen=True, eq=False)
class Misclassified:
    """Examples that a file gets wrong, the most confident mistake first.

    Attributes:
        shown: each example for a page, as `types.Inputs.shown` gives it.
        labels, predictions: in words, one an example.
        confidences: how wrong each is: of classes the probability of the surest wrong answer, 0..1; of numbers the
            error in their units.
        units: of these, as in `types.Target`.
        origins: where each example was found; empty where the data does not know.
        total, examples: mistakes in all, and examples looked at.
    """

    shown: tuple[Mapping[str, str], ...]
    labels: tuple[str, ...]
    predictions: tuple[str, ...]
    confidences: tuple[float, ...]
    units: str
    origins: tuple[str, ...]
    total: int
    examples: int


def misclassified(split: types.Split, answers: Any, *, limit: int = 60) -> Misclassified:
    """The examples of a split that are answered wrong.

    Args:
        split: the examples and their task.
        answers: the file's answers, `(examples, outputs)`.
        limit: examples to keep; all mistakes are counted.

    Raises:
        ValueError: if there is not an answer an example.
    """
    target = split.task.target
    target.score(answers, split.labels)  # refuses answers of another shape
    confidence = target.confidence(answers, split.labels)
    wrong = np.flatnonzero(confidence > 0)
    rows = wrong[np.argsort(-confidence[wrong], kind="stable")][:limit]
    few = split.subset(rows)
    inputs: Any = few.inputs if isinstance(few.inputs, Mapping) else few.inputs[:]  # what is lazy is read here
    said = target.predictions(tables.row_of(answers, rows))

    def each(values: Any) -> Iterator[Any]:
        return (tables.row_of(values, place) for place in range(len(rows)))

    return Misclassified(
        shown=tuple(map(split.task.inputs.shown, each(inputs))),
        labels=tuple(map(target.label_words, each(few.labels))),
        predictions=tuple(map(target.label_words, each(said))),
        confidences=tuple(float(value) for value in confidence[rows]),
        units=target.units,
        origins=() if few.origins is None else tuple(map(str, few.origins)),
        total=len(wrong),
        examples=len(split),
    )
