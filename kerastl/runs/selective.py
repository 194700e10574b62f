"""Selective classification in a run: what the reject option of the chosen file gives, for the report and the bundle."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kerastl.data import left_out
from kerastl.runs import input_files
from kerastl.tasks import reject_option
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Dataset, FolderInputs, Inputs, Task

_SLACK = 1e-3
_LEAST, _MOST = 10, 4000
"""Examples of no class that say something, and that are looked at."""


class Others(NamedTuple):
    """Examples of none of the classes: those that a threshold is fitted by, and those that it is measured by."""

    fitted: np.ndarray
    held_out: np.ndarray


def others(path: str, kind: Inputs) -> Others | None:
    """Examples of none of the classes, in two halves that the same order of files always makes; ``None`` of no path.

    Args:
        path: a folder of pictures, also in folders of any names; or of texts a table or a ``.txt`` of one a line. At
            most so many are read as say enough.
        kind: of the run's inputs.

    Raises:
        ValueError: fewer than ten can be read.
    """
    if not path:
        return None
    found, problems = [], []
    for name, one in _examples(path, kind):
        if len(found) == _MOST:
            break
        if isinstance(one, Exception):
            problems.append(f"{name}: {one}")
        else:
            found.append(np.asarray(one))
    if problems:
        left_out.tell([f"of {path} is left out: {one}" for one in problems[:20]])
    rows = np.concatenate(found) if found else np.zeros(0)
    if len(rows) < _LEAST:
        raise ValueError(
            f"Wanted {_LEAST} examples of none of the classes or more: --accept.other. Received: {len(rows)} in {path}"
            f"{f'; {problems[0]}' if problems else ''}."
        )
    order = np.random.default_rng(0).permutation(len(rows))
    half = len(rows) // 2
    return Others(rows[np.sort(order[:half])], rows[np.sort(order[half:])])


def _examples(path: str, kind: Any) -> Iterator[tuple[str, Any]]:
    """The name of each example, and a batch of it or what is wrong with it; read ahead by threads."""
    if input_files.is_one(Path(path), kind):
        return input_files.read(Path(path), kind, settings={})
    files = input_files.in_folder(Path(path), _folders(kind)) or [path]
    return input_files.read_ahead(((str(one), _reader(kind, str(one))) for one in files), kind)


def _folders(kind: Any) -> FolderInputs | None:
    return kind if isinstance(kind, FolderInputs) else None


def _reader(kind: Any, name: str) -> Any:
    return lambda: kind.read(name)


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
    pairs = [(first.temperature, second.temperature), (first.threshold, second.threshold)]
    pairs += [(first.auroc or 0.0, second.auroc or 0.0), (len(first.class_thresholds), len(second.class_thresholds))]
    pairs += list(zip(first.class_thresholds, second.class_thresholds, strict=False))
    return all(abs(one - other) <= _SLACK for one, other in pairs)


def measured(
    task: Task, dataset: Dataset, answers: Mapping[str, Any], *, other: np.ndarray | None = None
) -> dict[str, Any]:
    """The part ``selective`` of the report; nothing where every example is answered.

    Args:
        task: the file's.
        dataset: with the splits by whose names there are answers: validation, which the option was fitted to, and test.
        answers: the file's, by split.
        other: its answers to examples of no class, which the threshold was not fitted by.
    """
    option = task.target.reject if isinstance(task.target, SingleLabel) else None
    if option is None:
        return {}
    found = {name: option.measured(given, getattr(dataset, name).labels) for name, given in answers.items()}
    words = "; ".join(f"{name}: {_words(one)}" for name, one in found.items())
    if other is not None:
        found["other"] = one = option.measured_on_others(other, answers["test"])
        ends = f"{one['rejected_low']:.1%} to {one['rejected_high']:.1%}"
        words += (
            f"; of {one['examples']:,} examples of no class {one['rejected']:.1%} are not answered ({ends}); "
            f"the out-of-distribution score tells them from test with an AUROC of {one['auroc']:.3f}"
        )
    shares = f"{option.threshold:.1%}"
    if option.class_thresholds:
        shares = f"{min(option.class_thresholds):.1%} to {max(option.class_thresholds):.1%}, by class,"
    what = f"Answers of {shares} and more are given, else {reject_option.NONE!r}. {words}."
    return {"selective": {**option.described(), **found, "words": what}}


def _words(found: Mapping[str, Any]) -> str:
    answered = f"{found['coverage']:.1%} of {found['examples']:,} are answered"
    if found["precision"] is None:
        return answered
    ends = f"{found['precision_low']:.1%} to {found['precision_high']:.1%}"
    return f"{answered}, {found['precision']:.1%} of these rightly ({ends})"
