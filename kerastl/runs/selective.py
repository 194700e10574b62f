"""Selective classification in a run: what the reject option of the chosen file gives, for the report and the bundle."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from kerastl.tasks import reject_option
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Dataset, Task

_SLACK = 1e-3


def task_of(task: Task, described: Mapping[str, Any]) -> Task:
    """The task with the reject option that a file's metadata say of its target, where there is one.

    Raises:
        ValueError: if that is none; it may be anybody's.
    """
    option = reject_option.described_as(described.get("reject"))
    if option is None or not isinstance(task.target, SingleLabel):
        return task
    return dataclasses.replace(task, target=dataclasses.replace(task.target, reject=option))


def alike(one: Any, other: Any) -> bool:
    """Whether two targets reject alike, but for the last digits in which machines differ."""
    first, second = (getattr(target, "reject", None) for target in (one, other))
    if first is None or second is None:
        return first is second
    slack = abs(first.temperature - second.temperature), abs(first.threshold - second.threshold)
    return max(slack) <= _SLACK


def measured(task: Task, dataset: Dataset, answers: Mapping[str, Any]) -> dict[str, Any]:
    """The part ``selective`` of the report; nothing where every example is answered.

    Args:
        task: the file's.
        dataset: with the splits by whose names there are answers: validation, which the option was fitted to, and test.
        answers: the file's, by split.
    """
    option = task.target.reject if isinstance(task.target, SingleLabel) else None
    if option is None:
        return {}
    found = {name: option.measured(given, getattr(dataset, name).labels) for name, given in answers.items()}
    words = "; ".join(f"{name}: {_words(one)}" for name, one in found.items())
    what = f"Answers of {option.threshold:.1%} and more are given, else {reject_option.NONE!r}. {words}."
    return {"selective": {**option.described(), **found, "words": what}}


def _words(found: Mapping[str, Any]) -> str:
    answered = f"{found['coverage']:.1%} of {found['examples']:,} are answered"
    if found["precision"] is None:
        return answered
    ends = f"{found['precision_low']:.1%} to {found['precision_high']:.1%}"
    return f"{answered}, {found['precision']:.1%} of these rightly ({ends})"
