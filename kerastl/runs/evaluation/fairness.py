"""Section: the same figures for each group, the smallest first; how compression changes what lies between them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from kerastl.data import group_columns
from kerastl.evaluate import groups
from kerastl.runs.evaluation.subject import NotMeasured, Subject
from kerastl.system import near_names
from kerastl.tasks.single_label import SingleLabel
from kerastl.verify import answers as tables

_MOST_GROUPS = 100


def measure(subject: Subject) -> dict[str, Any]:
    """Scores, rates and gaps by group on test.

    Raises:
        NotMeasured: if no groups were asked for, or there is one, or more than a hundred.
        ValueError: if there is no such column or class.
    """
    column = subject.settings.group_column
    if not column:
        raise NotMeasured("no groups were named (--group-column)")
    data, test, target = subject.dataset, subject.dataset.test, subject.task.target
    found = group_columns.of_split(data, test, column=column)
    names = np.unique(found)
    if not 1 < len(names) <= _MOST_GROUPS:
        raise NotMeasured(f"wanted 2 to {_MOST_GROUPS} groups; {column} has {len(names)} of them")
    files = [subject.chosen, *([subject.reference] if subject.reference not in (None, subject.chosen) else [])]
    scores: dict[str, list[dict[str, Any]]] = {}
    for name in files:
        given, rows = subject.answers(name, test), []
        for group in names:
            places = np.flatnonzero(found == group)
            score = target.score(tables.row_of(given, places), test.subset(places).labels)
            row = {"group": str(group), "examples": len(places)}
            rows.append({**row, "score": score.value, "low": score.low, "high": score.high})
        scores[name] = sorted(rows, key=lambda row: (row["examples"], row["group"]))
    result: dict[str, Any] = {"column": column, "files": files, "scores": scores}
    values = [row["score"] for row in scores[subject.chosen]]
    words = f"{target.metric} by {column}: {min(values):.4g} to {max(values):.4g}"
    if isinstance(target, SingleLabel):
        rates = _rates(subject, found)
        result |= rates
        gap = rates["gaps"][subject.chosen]
        words += "".join(
            f"; {name} difference {gap[key]['value']:.3f}"
            for name, key in (
                ("demographic parity", "demographic_parity_difference"),
                ("equalized odds", "equalized_odds_difference"),
            )
        )
    return {**result, "words": words}


def _rates(subject: Subject, found: np.ndarray) -> dict[str, Any]:
    """Selection, true and false positive rates of one class by group, and how far they are apart."""
    labels = np.asarray(subject.dataset.test.labels)
    positive = _positive(subject, found)
    true = labels == positive
    selected = {
        name: np.asarray(subject.answers(name, subject.dataset.test)).argmax(-1) == positive
        for name in (subject.chosen, *([subject.reference] if subject.reference else []))
    }
    result: dict[str, Any] = {
        "positive": subject.task.target.names[positive],
        "rates": {
            name: [dataclasses.asdict(one) for one in groups.by_group(picked, true, found)]
            for name, picked in selected.items()
        },
        "gaps": {name: groups.gaps_with_intervals(picked, true, found) for name, picked in selected.items()},
    }
    if subject.reference not in (None, subject.chosen):
        result["change"] = groups.change(selected[subject.chosen], selected[str(subject.reference)], true, found)
    if len(subject.task.target.names) == 2:
        result["thresholds"] = _thresholds(subject, found, positive)
    return result


def _thresholds(subject: Subject, found: np.ndarray, positive: int) -> dict[str, Any]:
    """What thresholds of each group, fitted on validation, give on test: accuracy and gaps by aim."""
    held, test = subject.dataset.validation, subject.dataset.test
    own = group_columns.of_split(subject.dataset, held, column=subject.settings.group_column)
    scores, fitted_on = (np.asarray(subject.answers(subject.chosen, one))[:, positive] for one in (test, held))
    fitted_to, true = (np.asarray(one.labels) == positive for one in (held, test))
    aims = ("demographic_parity", "equalized_odds")
    lacking = [str(name) for name in np.union1d(own, found) if len(np.unique(fitted_to[own == name])) < 2]
    if lacking:
        words = f"validation lacks examples of one of the labels, or of both, in {', '.join(lacking)}"
        return {aim: {"skipped": words} for aim in aims}
    rows: dict[str, Any] = {}
    for aim in aims:
        chosen = groups.thresholds(fitted_on, fitted_to, own, wanted=aim)
        picked = groups.apply_thresholds(scores, found, chosen)
        rows[aim] = {
            "thresholds": chosen,
            "accuracy": float((picked == true).mean()),
            **groups.gaps(picked, true, found),
        }
    return rows


def _positive(subject: Subject, found: np.ndarray) -> int:
    """The class whose rates are compared: that which was named, the last of two, or of more the one furthest apart."""
    names, named = subject.task.target.names, subject.settings.positive
    if named:
        if named not in names:
            hint = near_names.did_you_mean(named, list(names))
            raise ValueError(f"there is no class {named!r} (--positive).{hint} Available: {', '.join(names)}")
        return names.index(named)
    if len(names) == 2:
        return 1
    answered = np.asarray(subject.answers(subject.chosen, subject.dataset.test)).argmax(-1)
    labels = np.asarray(subject.dataset.test.labels)
    apart = [
        groups.gaps(answered == one, labels == one, found)["demographic_parity_difference"] for one in range(len(names))
    ]
    return int(np.argmax(apart))
