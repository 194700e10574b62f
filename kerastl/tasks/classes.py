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
    low, high = wilson_bounds(share, count)
    return Score(value=share, low=low, high=high, count=count)


def wilson_bounds(share: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share of so many, at least one (Wilson 1927)."""
    z = 1.959963984540054  # the normal distribution's 97.5 % point
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, centre - half), min(1.0, centre + half)


def f1_bounds(hits: int, either: int) -> tuple[float, float]:
    """The 95 % interval of an F1 score, by way of the Jaccard index, which is a share as accuracy is.

    F1 is 2 J / (1 + J), and J the share of hits among all examples that have the class or are answered with it: the
    "Wilson indirect" method (Lam 2023, "Confidence Intervals for the F1 Score: A Comparison of Four Methods").

    Args:
        hits: examples that have the class and are answered with it.
        either: examples that have it or are answered with it, at least one.
    """
    low, high = wilson_bounds(hits / either, either)
    return 2 * low / (1 + low), 2 * high / (1 + high)


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
    """A row a class: its name, how many examples have it and are answered with it, and its recall, precision and F1.

    Recall is the share of the examples having it that are answered with it, precision the share of those answered with
    it that have it, F1 their harmonic mean, each with the ends of its 95 % interval; ``None`` of none.

    Args:
        names: one a class.
        having, given: bool ``(examples, classes)``: which classes an example has, and which it is answered with.
    """
    rows = []
    counts = (having.sum(0).tolist(), given.sum(0).tolist(), (having & given).sum(0).tolist())
    for name, examples, answered, hits in zip(names, *counts, strict=True):
        row: dict[str, Any] = {"name": name, "examples": examples, "answered": answered, "hits": hits}
        for key, whole in (("recall", examples), ("precision", answered)):
            row |= _with_bounds(
                key, hits / whole if whole else None, wilson_bounds(hits / whole, whole) if whole else None
            )
        both, either = examples + answered, examples + answered - hits
        rows.append(
            row | _with_bounds("f1", 2 * hits / both if both else None, f1_bounds(hits, either) if both else None)
        )
    return rows


def _with_bounds(key: str, value: float | None, bounds: tuple[float, float] | None) -> dict[str, float | None]:
    low, high = bounds or (None, None)
    return {key: value, f"{key}_low": low, f"{key}_high": high}


def averages(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Means of the classes' recall, precision and F1: ``macro``, where each counts alike, and ``weighted``, where each
    counts by its examples; ``micro`` counts hits of all classes together.

    Of the classes that have examples; what was never named has a precision of 0, as with scikit-learn.

    Args:
        rows: as `class_rows` makes them.
    """
    there = [row for row in rows if row["examples"]]
    weights = {"macro": np.ones(len(there)), "weighted": np.array([row["examples"] for row in there], float)}
    keys = ("recall", "precision", "f1")
    found = {
        name: {key: float(np.average([row[key] or 0.0 for row in there], weights=weight)) for key in keys}
        for name, weight in weights.items()
    }
    hits, examples, answered = (sum(row[key] for row in rows) for key in ("hits", "examples", "answered"))
    shares_of = {"recall": (hits, examples), "precision": (hits, answered), "f1": (2 * hits, examples + answered)}
    return {**found, "micro": {key: part / whole if whole else 0.0 for key, (part, whole) in shares_of.items()}}


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
    """The table of classes as the page shows it, the one of the least F1 first; those without examples come last.

    Args:
        rows: as `class_rows` makes them, with further shares.
        note: what stands above it.
        columns: heading -> key of the share, and what stands where there is none.
    """

    def place(row: Mapping[str, Any]) -> tuple[bool, float]:
        return not row["examples"], float(row.get("f1") or 0.0)

    return {
        "title": "Class by class",
        "note": note,
        "columns": ["Class", "Examples", *columns],
        "rows": [
            [row["name"], f"{row['examples']:,}"]
            + [nothing if row[key] is None else with_interval(row, key) for key, nothing in columns.values()]
            for row in sorted(rows, key=place)
        ],
    }


def averages_table(found: Mapping[str, Mapping[str, float]], *, kinds: Mapping[str, str]) -> dict[str, Any]:
    """The table of `averages` as the page shows it.

    Args:
        found: as `averages` gives them.
        kinds: which of them, each with what it means.
    """
    return {
        "title": "Averages over classes",
        "note": "Of the classes that have test examples; a class that is never named has a precision of 0.",
        "columns": ["Average", "Recall", "Precision", "F1"],
        "rows": [
            [f"{name}: {words}", *(percent(found[name][key]) for key in ("recall", "precision", "f1"))]
            for name, words in kinds.items()
        ],
    }


def with_interval(row: Mapping[str, Any], key: str) -> str:
    """A share with its interval, where it has one."""
    low, high = row.get(f"{key}_low"), row.get(f"{key}_high")
    interval = "" if low is None or high is None else f" ({100 * low:.1f} to {100 * high:.1f})"
    return percent(row[key]) + interval


def percent(share: float) -> str:
    """A share in words."""
    return f"{100 * share:.2f} %"
