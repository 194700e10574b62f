"""Section: a set from elsewhere beside the own test split, which is like what was learnt from."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from kerastl.data.tables import files
from kerastl.data.tables.table import stored
from kerastl.runs import remeasured, reverification
from kerastl.runs.evaluation.subject import NotMeasured, Subject
from kerastl.tasks.regression import Regression
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Split, TableInputs


def measure(subject: Subject) -> dict[str, Any]:
    """Scores of each file on both.

    Raises:
        NotMeasured: if none was named.
        ValueError: if it is not read like the run's own data.
        FileNotFoundError: if there is nothing there.
    """
    path = subject.settings.also_test
    if path is None:
        raise NotMeasured("no other set was named (--also-test)")
    split, target, rows = load(subject, path), subject.task.target, {}
    for name in subject.files:
        own = target.score(subject.answers(name, subject.dataset.test), subject.dataset.test.labels)
        subject.say(f"{name} answers {len(split):,} examples from elsewhere")
        other = target.score(remeasured.predict_split(subject.reader, subject.files[name], split), split.labels)
        rows[name] = {"own": dataclasses.asdict(own), "elsewhere": dataclasses.asdict(other)}
    one, other = (rows[subject.chosen][where]["value"] for where in ("own", "elsewhere"))
    words = f"{target.metric} {one:.4g} on the own test split, {other:.4g} on {len(split):,} examples from elsewhere"
    return {"path": str(path), "examples": len(split), "files": rows, "words": words}


def load(subject: Subject, path: Path) -> Split:
    """All examples of another set, with the labels of the run's own task."""
    if not path.exists():
        raise FileNotFoundError(f"There is nothing at --also-test {path}.")
    return _rows(subject, path) if files.is_table(path) else _loaded(subject, path)


def _loaded(subject: Subject, path: Path) -> Split:
    """By the source that loaded the run's own data, with classes matched by their names."""
    task = subject.task
    other = reverification.load_data(subject.run.config, path=path)
    parts = [other.train, other.validation, other.test]
    inputs = np.concatenate([np.asarray(part.inputs[:]) for part in parts])  # pyright: ignore[reportArgumentType]
    labels: Any = np.concatenate([np.asarray(part.labels) for part in parts])
    if isinstance(task.target, SingleLabel):
        labels = _matched(task.target, other.task.target.names)[labels]
    task.inputs.check(inputs, where=str(path))
    task.target.check(labels, where=str(path), rows=len(inputs))
    return Split("elsewhere", inputs, labels, task)


def _matched(target: SingleLabel, names: tuple[str, ...]) -> np.ndarray:
    new = [name for name in names if name not in target.names]
    if new:
        raise ValueError(
            f"a set from elsewhere has the run's classes, {', '.join(target.names[:10])}; this one has also "
            f"{', '.join(new[:5])}"
        )
    return np.array([target.names.index(name) for name in names], np.int32)


def _rows(subject: Subject, path: Path) -> Split:
    """Of a table by the columns and the vocabulary that the run learned from."""
    arguments, task = subject.dataset.arguments, subject.task
    given = arguments.get("label_columns") or [arguments.get("label_column", "label")]
    names = [given] if isinstance(given, str) else [str(name) for name in given]
    if not isinstance(task.inputs, TableInputs) or not isinstance(task.target, SingleLabel | Regression):
        raise ValueError(f"rows of a table are classified or estimated; this is {task.target.kind}")
    table = files.read(path, stored(arguments.get("layout") or {}), wanted=names)
    table.require(names)
    columns = task.inputs.columns_in(table.columns, [row.values for row in table.rows[:100]])  # pyright: ignore[reportArgumentType]
    wanted = columns or tuple(name for name in table.columns if name not in names)
    places = {name: table.place(name) for name in (*wanted, *names)}
    inputs, labels = [], []
    for row in table.rows:
        values: Any = {name: row.values[places[name]] for name in wanted}
        try:
            inputs.append(task.inputs.of_row(values))
            labels.append([_label(task.target, row.values[places[name]]) for name in names])
        except ValueError as error:
            raise ValueError(f"{path}, {row.where}: {error}") from error
    found = np.asarray(labels)
    classes = isinstance(task.target, SingleLabel)
    return Split(
        "elsewhere", np.concatenate(inputs), found[:, 0].astype(np.int32) if classes else found.astype(np.float32), task
    )


def _label(target: SingleLabel | Regression, cell: Any) -> float:
    if isinstance(target, Regression):
        return float(cell)
    name = str(cell).strip()
    if name not in target.names:
        raise ValueError(f"wanted one of {', '.join(target.names[:10])} for a label, received {name!r}")
    return target.names.index(name)
