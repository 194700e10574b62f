"""Rows of a table of sentences as examples, each with one label or several, and what is wrong with the others."""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from kerastl.data import class_order, column_roles, multi_label_columns, splits
from kerastl.data.tables import files
from kerastl.data.tables.table import Cell, Layout, Row, Table, TableError

_HALF = re.compile("[\ud800-\udfff]")  # JSON can spell it
FLAGS = {"": False, "0": False, "false": False, "1": True, "true": True}
"""What may stand in a column of a class, and whether it says that the class is there; JSON has words for it."""


@dataclasses.dataclass(frozen=True)
class Example:
    """A sentence, its label, the split that the file gives it (``None``: none), and the line that it begins in.

    Attributes:
        label: its class; where it may have none or several, their names in words.
        labels: its classes, where it may have none or several; else ``None``.
        file: of several the one that it stands in.
        second: the text that it stands with, of pairs.
    """

    text: str
    label: str
    split: str | None
    line: int
    labels: tuple[str, ...] | None = None
    file: str = ""
    second: str | None = None

    @property
    def where(self) -> str:
        """Where it stands, for messages."""
        return Row(self.line, (), file=self.file).where

    @property
    def names(self) -> tuple[str, ...]:
        """Its classes, however many it may have."""
        return (self.label,) if self.labels is None else self.labels

    @property
    def texts(self) -> tuple[str, ...]:
        """The one text, or both."""
        return (self.text,) if self.second is None else (self.text, self.second)


@dataclasses.dataclass(frozen=True)
class Texts:
    """What a table of sentences holds.

    Attributes:
        examples: the rows that can be used, copies among them.
        problems: what is wrong with each of the others: ``line 7: empty text``.
        said: what was found out about the file, and what was left out whole, a sentence each.
        roles: its columns.
        more_texts: columns that nothing is read of and that hold sentences, each another one, as a rule.
    """

    examples: list[Example]
    problems: list[str]
    said: tuple[str, ...]
    roles: column_roles.Roles
    more_texts: tuple[str, ...] = ()


def read(
    path: Path,
    asked: column_roles.Asked = column_roles.Asked(),  # noqa: B008  frozen
    *,
    layout: Layout = Layout(),  # noqa: B008  frozen
) -> Texts:
    """The sentences at a path.

    Args:
        path: see `tables.files.read`.
        asked: names of columns, and how a text may have several classes.
        layout: how the file is written, and what becomes of classes that differ in case alone.

    Raises:
        FileNotFoundError, ValueError: as `tables.files.read` and `column_roles.find`; a separator that stands in no
            label; or classes that differ in case alone, where nobody says what becomes of them.
    """
    options = multi_label_columns.columns_or_separator(asked.label_separator, asked.label_columns)
    table = files.read(path, layout, wanted=asked.names)
    roles = column_roles.find(table, asked, kind="texts")
    table, unlabelled = _without_unlabelled(table, roles)
    several = bool(options) or (bool(roles.label) and any(isinstance(one, tuple) for one in table.values(roles.label)))
    examples, problems = [], []
    for row, example in _rows(table, roles, options, several=several, second=asked.second_text):
        if isinstance(example, Example):
            examples.append(example)
        else:
            problems.append(f"{row.where}: {example}")
    separator = asked.label_separator
    if separator is not None and table.rows and not any(_divides(one, separator) for one in table.values(roles.label)):
        first = f"; the first is {examples[0].label!r}" if examples else ""
        raise TableError(
            f"Wanted texts of several classes with {separator!r} between them under {roles.label!r}. Received: {path}, "
            f"where it stands in no field{first}."
        )
    merged = class_order.settled(collections.Counter(name for one in examples for name in one.names), layout.class_case)
    examples = [_called(one, merged, separator) for one in examples]
    more = column_roles.more_texts(table, roles, asked)
    return Texts(examples, problems, (*table.said, *roles.said, *unlabelled), roles, more)


def _divides(cell: Cell, separator: str) -> bool:
    """Whether a label has its classes apart: between separators, or in a list."""
    return isinstance(cell, tuple) or (cell is not None and separator in cell)


def _without_unlabelled(table: Table, roles: column_roles.Roles) -> tuple[Table, list[str]]:
    """A table without those of its files that have no labels at all, as the test set of a contest, and their names."""
    if not roles.label or roles.split is None:
        return table, []
    place = table.place(roles.label)
    rows_of: dict[str, list[Row]] = collections.defaultdict(list)
    for row in table.rows:
        rows_of[row.file].append(row)
    bare = [file for file, rows in rows_of.items() if file and all(row.values[place] in (None, "") for row in rows)]
    if len(bare) == len(rows_of):
        return table, []
    said = [f"{file} is left out: none of its {len(rows_of[file]):,} rows has a label" for file in bare]
    return dataclasses.replace(table, rows=tuple(row for row in table.rows if row.file not in bare)), said


def _rows(
    table: Table, roles: column_roles.Roles, options: multi_label_columns.Columns, *, several: bool, second: str
) -> Iterator[tuple[Row, Example | str]]:
    """Every row as an example, or what is wrong with it."""
    flags, separator = options.get("label_columns", []), options.get("label_separator")
    texts_at = [table.place(name) for name in (roles.example, *([second] if second else []))]
    labels_at = [table.place(name) for name in flags or [roles.label]]
    split_at = None if roles.split is None else table.place(roles.split)
    for row in table.rows:
        texts, cells = [words(row.values[place]) for place in texts_at], [row.values[place] for place in labels_at]
        split = "" if split_at is None else words(row.values[split_at]).strip().lower()
        if flags:
            found, problem = _flagged(dict(zip(flags, cells, strict=True)))
        elif several:
            found, problem = _listed(cells[0], separator=separator)
            found = list(multi_label_columns.names_of(found))
        else:
            found = [words(cells[0]).strip()]
            problem = None if found[0] else "no label"
        problem = row.problem or (problem if texts[0].strip() else None)
        problem = problem or next(filter(None, (fault(text, found, split) for text in texts)), None)
        if problem is not None:
            yield row, problem
            continue
        labels = tuple(sorted(found)) if several else None
        label = found[0] if labels is None else (separator or ", ").join(labels)
        yield row, Example(texts[0], label, splits.BY_WORD.get(split), row.line, labels, row.file, *texts[1:])


def words(cell: Cell) -> str:
    """What stands in a cell; nothing where it is a list, or missing."""
    return cell if isinstance(cell, str) else ""


def _called(example: Example, merged: Mapping[str, str], separator: str | None) -> Example:
    """An example with the names that its classes have in the end."""
    if example.labels is None:
        return dataclasses.replace(example, label=merged[example.label])
    labels = tuple(sorted({merged[name] for name in example.labels}))
    return dataclasses.replace(example, labels=labels, label=(separator or ", ").join(labels))


def without_copies(examples: Sequence[Example]) -> tuple[list[Example], list[str], int]:
    """The examples that are no copies, in their order, which texts carry two labels, and how many copies there are."""
    groups: dict[tuple[str, ...], list[Example]] = collections.defaultdict(list)
    for example in examples:
        groups[tuple(map(normalize, example.texts))].append(example)
    kept: set[int] = set()
    problems, copies = [], 0
    for group in groups.values():
        labels = {example.names for example in group}
        if len(labels) > 1:
            where = ", ".join(f"{example.where} {example.label!r}" for example in group[:4])
            what = "labels" if group[0].labels is None else "sets of labels"
            problems.append(f"{where}: the same text with {len(labels)} {what}")
            continue
        copies += len(group) - 1
        # a split that was published keeps its examples: min takes the first of equal ones
        kept.add(id(min(group, key=lambda one: ("test", "validation", "train", None).index(one.split))))
    return [example for example in examples if id(example) in kept], problems, copies


def fault(text: str, labels: Sequence[str], split: str) -> str | None:
    """What is wrong with a row: with its text, its labels, or the word for its split; ``None`` where nothing is."""
    if not text.strip():
        return "empty text"
    if any(_HALF.search(value) for value in (text, *labels)):
        return "half a character (a lone surrogate), which no file can hold"
    if odd := [name for name in labels if len(name.splitlines()) > 1]:
        return f"the label {odd[0][:60]!r}, which is not one line of text"
    if split and split not in splits.BY_WORD:
        return f"split {split!r}, which is none of train, validation, test"
    return None


def _listed(label: Cell, *, separator: str | None) -> tuple[list[str], str | None]:
    """The names that a label holds, and what is wrong with it: a list has them apart, a text between separators."""
    if label is None:
        return [], "no label"
    if isinstance(label, str):
        return (label.split(separator), None) if separator else ([label], None if label.strip() else "no label")
    names = [name for name in label if name is not None]
    return names, None if len(names) == len(label) else "a list of labels with something in it that is no name"


def _flagged(flags: Mapping[str, Cell]) -> tuple[list[str], str | None]:
    """The classes whose column says that they are there, and what is wrong with the columns."""
    values = {name: FLAGS.get(flag.strip()) if isinstance(flag, str) else None for name, flag in flags.items()}
    odd = [
        f"nothing under {name}" if flags[name] is None else f"{flags[name]!r} under {name}"
        for name, value in values.items()
        if value is None
    ]
    return [name for name in values if values[name]], f"{', '.join(odd)}, where 0 or 1 is wanted" if odd else None


def normalize(text: str) -> str:
    """What two texts share that case and white space alone tell apart."""
    return " ".join(text.casefold().split())
