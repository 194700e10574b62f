"""The examples that a file answers wrong, to be looked at and found again: for the page, and for `report.json`."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from kerastl import types
from kerastl.data import label_errors
from kerastl.tasks.single_label import SingleLabel
from kerastl.verify import answers as tables

LISTED, DISAGREEMENTS, DOUBTFUL = 200, 100, 50
"""Most mistakes, examples that files answer otherwise, and doubtful labels that a report lists; all are counted."""
_PAIRS, _OF_A_PAIR = 12, 3
"""Pairs of classes most often confused of which examples are kept, and how many of each."""
_LONGEST = 2000
"""Characters of a text that a report repeats."""


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
        surest: how many of them are the surest ones; behind them stand examples of the pairs most often confused.
    """

    shown: tuple[Mapping[str, str], ...]
    labels: tuple[str, ...]
    predictions: tuple[str, ...]
    confidences: tuple[float, ...]
    units: str
    origins: tuple[str, ...]
    total: int
    examples: int
    surest: int = 0


def misclassified(split: types.Split, answers: Any, *, limit: int = 60) -> Misclassified:
    """The examples of a split that are answered wrong.

    Args:
        split: the examples and their task.
        answers: the file's answers, `(examples, outputs)`.
        limit: examples to keep, those of the pairs most often confused beside; all mistakes are counted.

    Raises:
        ValueError: if there is not an answer an example.
    """
    target = split.task.target
    target.score(answers, split.labels)  # refuses answers of another shape
    confidence = target.confidence(answers, split.labels)
    wrong = np.flatnonzero(confidence > 0)
    ranked = wrong[np.argsort(-confidence[wrong], kind="stable")]
    surest = ranked[:limit]
    rows = np.concatenate([surest, _of_pairs(split, answers, ranked, beside=surest)]).astype(np.int64)
    few = split.subset(rows)
    said = target.predictions(tables.row_of(answers, rows))
    return Misclassified(
        shown=_shown(few),
        labels=tuple(map(target.label_words, _each(few.labels, len(rows)))),
        predictions=tuple(map(target.label_words, _each(said, len(rows)))),
        confidences=tuple(float(value) for value in confidence[rows]),
        units=target.units,
        origins=() if few.origins is None else tuple(map(str, few.origins)),
        total=len(wrong),
        examples=len(split),
        surest=len(surest),
    )


def described(split: types.Split, answers: Mapping[str, Any], *, chosen: str) -> dict[str, Any]:
    """What a report says of a split's mistakes, so that each can be found again.

    Args:
        split: the examples and their task.
        answers: of the chosen file, and of those that stand beside it (a teacher's, its own float file's), by name.
        chosen: the name of the chosen one.

    Returns:
        ``files``, ``total``, ``examples`` and ``rows``, the surest mistakes first: each with its ``row`` in the split,
        ``origin``, ``digest`` of its numbers, ``text`` where it is one, ``label`` and ``confidence`` as in
        `Misclassified`, and what each file ``said``. ``disagreements`` and ``doubtful`` labels likewise, with
        their own ``total`` and ``rows``; doubtful is ``None`` where examples have not one class each.
    """
    target, names = split.task.target, [chosen, *(name for name in answers if name != chosen)]
    wrongs = {name: np.asarray(target.confidence(answers[name], split.labels), np.float64) for name in names}
    own = wrongs[chosen]
    wrong = np.flatnonzero(own > 0)
    ranked = wrong[np.argsort(-own[wrong], kind="stable")]
    apart = np.zeros(len(split), bool)
    for name in names[1:]:
        apart |= ~np.asarray(target.agree(answers[chosen], answers[name]), bool)
    differing = np.flatnonzero(apart)
    differing = differing[np.argsort(-own[differing], kind="stable")]

    def listed(rows: np.ndarray, most: int) -> dict[str, Any]:
        return {"total": len(rows), "rows": _listed(split, answers, rows[:most], names=names, wrongs=wrongs)}

    doubtful = None
    if isinstance(target, SingleLabel):
        mean: Any = np.mean([np.asarray(answers[name], np.float64) for name in names], axis=0)
        doubtful = listed(label_errors.find(np.asarray(split.labels), mean), DOUBTFUL)
    return {
        "files": names,
        "examples": len(split),
        **listed(ranked, LISTED),
        "disagreements": listed(differing, DISAGREEMENTS),
        "doubtful": doubtful,
    }


def beside(rows: Sequence[Mapping[str, Any]], chosen: str) -> list[str]:
    """Names of the files whose answers stand beside the chosen one's: its own float32 file, and a teacher's.

    Args:
        rows: of a report's variants.
        chosen: the name of the chosen one.
    """
    own = next(row for row in rows if row["name"] == chosen)
    floats = [row for row in rows if row["technique"] == "float32" and row["name"] != chosen]
    teachers = [row for row in floats if row["name"].split("_")[0] == "teacher"]
    models = [row for row in floats if row["model"] and row["model"] == own["model"]]
    found = [max(teachers, key=lambda row: row["bytes"])] if teachers else []
    return list(dict.fromkeys(row["name"] for row in [*models[:1], *found]))


def _listed(
    split: types.Split,
    answers: Mapping[str, Any],
    rows: np.ndarray,
    *,
    names: Sequence[str],
    wrongs: Mapping[str, np.ndarray],
) -> list[dict[str, Any]]:
    """Some examples as JSON says them."""
    target, few = split.task.target, split.subset(rows)
    labels = [target.label_words(label) for label in _each(few.labels, len(rows))]
    said = {}
    for name in names:
        predictions = target.predictions(tables.row_of(answers[name], rows))
        said[name] = [target.label_words(one) for one in _each(predictions, len(rows))]
    found = []
    for place, (row, digest) in enumerate(zip(rows.tolist(), _digests(few), strict=True)):
        one: dict[str, Any] = {"row": row}
        if few.origins is not None:
            one["origin"] = str(few.origins[place])
        one |= {"digest": digest, "label": labels[place], "confidence": float(wrongs[names[0]][row])}
        if few.texts is not None:
            one["text"] = str(few.texts[place])[:_LONGEST]
        one["said"] = {name: said[name][place] for name in names}
        one["right"] = {name: bool(wrongs[name][row] <= 0) for name in names}
        found.append(one)
    return found


def _digests(few: types.Split) -> list[str]:
    """SHA-256 of each example's numbers, as the split holds them; of several inputs one after the other."""
    inputs = few.inputs
    if isinstance(inputs, types.LazyArray):
        return [digest.hex() for digest in inputs.digests()]
    parts = list(inputs.values()) if isinstance(inputs, Mapping) else [inputs]
    found = []
    for place in range(len(few)):
        whole = hashlib.sha256()
        for part in parts:
            whole.update(np.ascontiguousarray(part[place]).tobytes())
        found.append(whole.hexdigest())
    return found


def _of_pairs(split: types.Split, answers: Any, ranked: np.ndarray, *, beside: np.ndarray) -> list[int]:
    """A few examples of each of the pairs of classes most often confused, those that are there already left out."""
    if not isinstance(split.task.target, SingleLabel):
        return []
    said, labels = np.asarray(split.task.target.predictions(answers)), np.asarray(split.labels)
    found: dict[tuple[int, int], list[int]] = collections.defaultdict(list)
    for row in ranked.tolist():
        found[int(labels[row]), int(said[row])].append(row)
    pairs = sorted(found, key=lambda pair: (-len(found[pair]), pair))[:_PAIRS]
    wanted = [row for pair in pairs for row in found[pair][:_OF_A_PAIR]]
    known = set(beside.tolist())
    return [row for row in wanted if row not in known]


def _shown(few: types.Split) -> tuple[Mapping[str, str], ...]:
    """Each example for a page; a text as somebody wrote it, where that is known."""
    inputs: Any = few.inputs if isinstance(few.inputs, Mapping) else few.inputs[:]  # what is lazy is read here
    found = [dict(few.task.inputs.shown(one)) for one in _each(inputs, len(few))]
    if few.texts is not None:
        found = [{**one, "text": str(text)[:_LONGEST]} for one, text in zip(found, few.texts, strict=True)]
    return tuple(found)


def _each(values: Any, count: int) -> Iterator[Any]:
    return (tables.row_of(values, place) for place in range(count))
