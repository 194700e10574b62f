"""What kinds of classification have in common: names of classes, shares with intervals, tables class by class."""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from kerastl.types import Score

LOST_CLASS = 5
"""How often a model has to answer a class for a file that never does to have lost it."""


@dataclasses.dataclass(frozen=True)
class Classification:
    """What every kind of classification is: a name a class, and a probability in 0..1 for each of them.

    Attributes:
        names: one name a class, in the order of the model's outputs and of ``labels.txt``.

    Raises:
        ValueError: see `check_names`.
    """

    names: tuple[str, ...]

    higher_is_better: ClassVar[bool] = True
    drop_unit: ClassVar[str] = ""
    difference_unit: ClassVar[str] = ""
    output_name: ClassVar[str] = "probabilities"
    output_range: ClassVar[tuple[float, float] | None] = (0.0, 1.0)
    label_dtype: ClassVar[str] = "int32"

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", check_names(self.names))

    @property
    def outputs(self) -> int:
        return len(self.names)

    @property
    def output_names(self) -> tuple[str, ...]:
        return (self.output_name,)

    @property
    def units(self) -> str:
        return "%"

    def drop(self, score: float, reference: float) -> float:
        return reference - score

    def standardized(self, outputs: Any) -> Any:
        return outputs


def check_names(names: Sequence[str]) -> tuple[str, ...]:
    """The names of classes as a tuple, if each is one line of text and no two are the same: ``labels.txt`` is a name a
    line.

    Raises:
        ValueError: if a name is empty, comes twice, is not one line, or cannot be written in UTF-8.
    """
    counts = collections.Counter(names)
    wrong = [name for name, count in counts.items() if count > 1 or not _is_a_line(name)]
    if wrong or not counts:
        raise ValueError(
            "Class names are one line of text each, no two the same. "
            f"Received: {', '.join(map(ascii, wrong[:5])) or 'no names'}."
        )
    return tuple(names)


def _is_a_line(name: str) -> bool:
    try:
        name.encode()  # a folder's name that is no UTF-8 comes as a text that cannot be written back
    except UnicodeEncodeError:
        return False
    return bool(name.strip()) and name.splitlines() == [name]


def wilson(right: np.ndarray) -> Score:
    """The share of examples answered right with its 95 % interval (Wilson 1927).

    Args:
        right: bool ``(examples,)``, not empty.
    """
    count, share = len(right), float(np.mean(right))
    z = 1.959963984540054  # the normal distribution's 97.5 % point
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return Score(value=share, low=max(0.0, centre - half), high=min(1.0, centre + half), count=count)


def check_answers(answers: np.ndarray, labels: np.ndarray, *, classes: int) -> None:
    """Raises `ValueError` unless there is an example, and a row of as many numbers as classes for each label."""
    if not len(labels) or answers.shape != (len(labels), classes):
        raise ValueError(
            f"Wanted answers of shape (examples, {classes}) and one label a row. Received: {answers.shape} and "
            f"{len(labels)} labels."
        )


def check_examples(names: Sequence[str], counts: np.ndarray, *, where: str, examples: int) -> None:
    """Raises `ValueError` where a class has no example: it would be learnt blindly or judged by nothing."""
    lacking = [name for name, count in zip(names, counts, strict=True) if not count]
    if lacking:
        raise ValueError(
            f"Every class needs an example in every split. Received: none of {', '.join(map(repr, lacking[:5]))}"
            f"{' ...' if len(lacking) > 5 else ''} in {where} ({examples} examples). Get more examples of "
            "it, take more for validation and test, or leave the class out."
        )


def check_all_there(counts: np.ndarray) -> None:
    """Raises `ValueError` where a class has no example to weigh."""
    if not counts.all():
        raise ValueError(
            f"Weights need examples of all {len(counts)} classes and no others. Received: counts {counts.tolist()}."
        )


def check_weights(class_weight: Mapping[int, float], names: Sequence[str]) -> None:
    """Raises `ValueError` unless every class, and nothing else, has a positive finite weight."""
    indices = list(range(len(names)))
    wrong = {key: weight for key, weight in class_weight.items() if not 0 < weight < math.inf}
    if sorted(class_weight) != indices or wrong:
        raise ValueError(
            f"Wanted a positive, finite weight for each class, by its index 0..{len(names) - 1} ({', '.join(names[:5])}"
            f"{' ...' if len(names) > 5 else ''}). Received: {dict(class_weight)}."
        )


def class_rows(names: Sequence[str], having: np.ndarray, given: np.ndarray) -> list[dict[str, Any]]:
    """A row a class: its name, how many examples have it, and its recall, precision and F1.

    Recall is the share of the examples having it that are answered with it, precision the share of those answered with
    it that have it, F1 their harmonic mean; ``None`` of none.

    Args:
        names: one a class.
        having, given: bool ``(examples, classes)``: which classes an example has, and which it is answered with.
    """
    examples, answered, hits = having.sum(0), given.sum(0), (having & given).sum(0)
    shown = {
        "recall": shares(hits, examples),
        "precision": shares(hits, answered),
        "f1": shares(2 * hits, examples + answered),
    }
    return [
        {"name": name, "examples": int(count)} | {key: values[place] for key, values in shown.items()}
        for place, (name, count) in enumerate(zip(names, examples, strict=True))
    ]


def majority(having: np.ndarray) -> float:
    """Share of the most frequent class, or set of classes: the score of who always answers it."""
    return float(np.unique(having, axis=0, return_counts=True)[1].max() / len(having))


def shares(parts: np.ndarray, wholes: np.ndarray) -> list[float | None]:
    """Each part as a share of its whole; ``None`` for a whole of nothing."""
    return [float(part / whole) if whole else None for part, whole in zip(parts, wholes, strict=True)]


def mean(values: Sequence[float | None]) -> float:
    """The mean of the numbers among some values."""
    return float(np.mean([value for value in values if value is not None]))


def lost(names: Sequence[str], asked: np.ndarray, given: np.ndarray) -> tuple[str, object, object] | None:
    """The check that no class is lost on the way to a file; agreement alone would let a rare one go.

    Args:
        names: one a class.
        asked, given: how often the model, and its file, answers each class.
    """
    gone = [
        f"{name!r}: {asked[index]}"
        for index, name in enumerate(names)
        if asked[index] >= LOST_CLASS and not given[index]
    ]
    if not gone:
        return None
    wanted = f"every class that the model answers {LOST_CLASS} times or more"
    return "predictions of every class", wanted, f"none of {gone}"


def worst(rows: Sequence[Mapping[str, Any]], key: str) -> Mapping[str, Any]:
    """The row of the class that fares worst by a number, among those that have examples."""
    return min((row for row in rows if row["recall"] is not None), key=lambda row: row[key])


def table(rows: Sequence[Mapping[str, Any]], *, note: str, columns: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """The table of classes as the page shows it.

    Args:
        rows: as `class_rows` makes them, with further shares.
        note: what stands above it.
        columns: heading -> key of the share, and what stands where there is none.
    """
    return {
        "title": "Class by class",
        "note": note,
        "columns": ["Class", "Examples", *columns],
        "rows": [
            [row["name"], f"{row['examples']:,}"]
            + [nothing if row[key] is None else percent(row[key]) for key, nothing in columns.values()]
            for row in rows
        ],
    }


def percent(share: float) -> str:
    """A share in words."""
    return f"{100 * share:.2f} %"
