"""A table of picture files and their labels, whatever format it has: the rows that name a picture each.

Everything wrong with it is said by line, before the first picture is read.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from kerastl.data import (
    class_folders,
    class_order,
    column_roles,
    left_out,
    multi_label_columns,
    picture_places,
    split_names,
    splits,
)
from kerastl.data.tables import files
from kerastl.data.tables import table as table_of
from kerastl.data.tables.table import Cell, Layout, Table, TableError
from kerastl.system import phrases

_SHOWN = 10  # lines that an error names


class Row(NamedTuple):
    """One picture.

    Attributes:
        path: of its file, absolute or from the working folder.
        label: its class; where it may have none or several, their names in alphabetical order, in words.
        split: train, validation or test; ``None`` where the table has no such column.
        group: what it belongs to; ``None`` where no such column was asked for.
        line: of the table where it begins.
        labels: its classes, where it may have none or several.
    """

    path: str
    label: str
    split: str | None
    group: str | None
    line: int
    labels: tuple[str, ...] = ()


class Rows(NamedTuple):
    """What a table of pictures holds.

    Attributes:
        rows: the pictures, each once.
        said: what was found out about the table, a sentence each.
        roles: its columns.
        multi_label: whether a picture may have none or several classes.
        by_box: whether rows are things marked in pictures, or flags of classes that nobody asked for by name: a picture
            has several classes where several were found.
    """

    rows: list[Row]
    said: tuple[str, ...]
    roles: column_roles.Roles
    multi_label: bool
    by_box: bool = False


def read(
    path: Path,
    asked: column_roles.Asked = column_roles.Asked(),  # noqa: B008  frozen
    *,
    group_column: str | None = None,
    root: Path | None = None,
    layout: Layout = Layout(),  # noqa: B008  frozen
) -> Rows:
    """The rows of a table, equal ones once (how many more there were is said on stderr).

    Paths are taken from the folder of the table, or from ``root``, and have to stay inside it, absolute ones too:
    a table and its pictures move as a whole then, and a stranger's table cannot bring in pictures that are none of its
    business. Who keeps them elsewhere says so with ``root``. Links inside the folder are followed. A path that leads
    elsewhere is found again by its end where that lies in the folder, see `picture_places.Places`.

    Args:
        path: the table, see `tables.files.read`.
        asked: names of its columns. A label between separators may be an empty field, which is of no class.
        group_column: the column of what pictures belong to; ``None`` is not looked for.
        root: folder that paths start from and stay in.
        layout: how the table is written, and what becomes of classes that differ in case alone.

    Raises:
        TableError: it cannot be read, no such column, no rows, a row of another length or with an empty field, a path
            that leads out of the folder, or one picture with two labels, splits or groups; a separator that no field
            has, or something else than 0 and 1 under ``label_columns``.
        ValueError: classes that differ in case alone, where nobody says what becomes of them.
    """
    options = multi_label_columns.columns_or_separator(asked.label_separator, asked.label_columns)
    table = files.read(path, layout, wanted=[*asked.names, *([group_column] if group_column else [])])
    folder = os.path.abspath(root or (path if path.is_dir() else path.parent))
    places = picture_places.Places(folder, split=split_names.of(path.stem))
    roles = column_roles.find(table, asked, kind="pictures", is_picture=places.has)
    by_box = roles.boxes or bool(roles.flags)
    if roles.flags:
        options = multi_label_columns.columns_or_separator(None, roles.flags)
    names = {"path": roles.example, "label": roles.label, "split": roles.split, "group": group_column}
    columns = {what: (name, table.place(name)) for what, name in names.items() if name}
    reader = _Reader(table, columns, options, places, roles)
    rows: dict[str, Row] = {}
    wrong: list[str] = []
    copies = 0
    for one in table.rows:
        row = reader.row(one)
        if isinstance(row, str):
            wrong.append(f"{one.where}: {row}")
            continue
        earlier = rows.setdefault(row.path, row)
        if roles.boxes:
            labels = tuple(sorted({*earlier.labels, *row.labels}))
            rows[row.path] = earlier._replace(labels=labels, label=", ".join(labels))
            continue
        wrong += [f"{one.where}: {reader.written(one)} has {difference}" for difference in _differences(row, earlier)]
        copies += earlier is not row
    if wrong:
        _refuse(path, wrong)
    if not rows:
        raise TableError(f"{path} names no picture. Received: a first line and nothing below it.")
    if asked.label_separator and not reader.separated:
        raise TableError(
            f"Wanted pictures of several classes with {asked.label_separator!r} between them under {roles.label!r}. "
            f"Received: {path}, where it stands in no field; the first is {next(iter(rows.values())).label!r}."
        )
    if copies:
        print(f"kerastl: {copies} lines of {path} name a picture again and are left out.", file=sys.stderr)
    if not reader.multi_label:
        said = (*roles.said, *_composed(path, [row.label for row in rows.values()]))
    else:
        said = roles.said
    settled = _settled(list(rows.values()), layout, asked.label_separator)
    return Rows(settled, (*table.said, *said, *reader.said), roles, reader.multi_label, by_box)


def simplified(rows: Sequence[Row]) -> tuple[list[Row], bool, list[str]]:
    """Pictures by what was marked in them: of one class each where none has several, and then without those of none.

    Returns:
        The rows, whether a picture may have several classes, and what is said of those that are left out.
    """
    if any(len(row.labels) > 1 for row in rows):
        return list(rows), True, []
    kept = [row._replace(label=row.labels[0], labels=()) for row in rows if row.labels]
    count = len(rows) - len(kept)
    words = phrases.counted(count, "picture in which nothing was marked is", "pictures in which nothing was marked are")
    return kept, False, [f"{words} left out: each of the others has one class"] if count else []


def _composed(path: Path, labels: Sequence[str]) -> tuple[str, ...]:
    """What is said of labels that may be several classes with a space or a comma between them.

    Raises:
        TableError: there is a sign between them that no name of one class has.
    """
    separator = multi_label_columns.separator_in(labels)
    if separator is None:
        return ()
    shown = next(label for label in labels if separator in label)
    words = f"labels of {path.name} such as {shown!r} hold names that stand alone in others"
    if separator in multi_label_columns.CERTAIN:
        raise TableError(
            f"Wanted a class a picture. Received: {words}: --label-separator {separator!r} takes each for a class of "
            "the picture. A name of one class has no such sign in it."
        )
    return (f"{words}, and are taken for a class each; --label-separator {separator!r} parts them",)


class _Reader:
    """Makes a row of a table a picture, or says what is wrong with it.

    Attributes:
        multi_label: whether a picture may have none or several classes.
        separated: whether the separator stood in a label yet.
        places: where pictures lie.
    """

    def __init__(
        self,
        table: Table,
        columns: dict[str, tuple[str, int]],
        options: multi_label_columns.Columns,
        places: picture_places.Places,
        roles: column_roles.Roles,
    ) -> None:
        self._columns, self._separator = columns, options.get("label_separator")
        self._classes = {name: table.place(name) for name in options.get("label_columns", [])}
        label = columns.get("label")
        lists = label is not None and any(isinstance(row.values[label[1]], tuple) for row in table.rows)
        self._more = [table.place(name) for name in roles.more_labels]
        self.multi_label = bool(options) or lists or roles.boxes or bool(self._more)
        self.separated, self._unassigned = False, 0
        self.places = places

    @property
    def said(self) -> tuple[str, ...]:
        """What was found out about the pictures, a sentence each."""
        count = phrases.counted(self._unassigned, "picture is", "pictures are")
        unassigned = [f"{count} UNASSIGNED to a split, and of train"] if self._unassigned else []
        return (*self.places.said, *unassigned)

    def written(self, row: table_of.Row) -> str:
        """The path of a row's picture, as the table has it."""
        return _plain(row.values[self._columns["path"][1]])

    def row(self, row: table_of.Row) -> Row | str:
        """The picture, or what is wrong with it."""
        cells = {what: _plain(row.values[column]) for what, (_, column) in self._columns.items()}
        flags = {name: _flag(row.values[column]) for name, column in self._classes.items()}
        if row.problem:
            return row.problem
        optional = {"label"} if self.multi_label else set()
        if empty := [self._columns[what][0] for what, cell in cells.items() if not cell and what not in optional]:
            return f"nothing under {', '.join(empty)}"
        place = self.places.find(cells["path"])
        if place is None:
            where = f"leads out of {self.places.root}; --root FOLDER (root=) says where pictures are"
            return f"{cells['path']!r} {where}"
        if not os.path.lexists(place) and (some := self.places.candidates(cells["path"])):
            return f"{cells['path']!r} may be {' or '.join(some[:3])}; --root FOLDER (root=) says in which folder"
        if odd := [f"{flag!r} under {name}" for name, flag in flags.items() if flag not in ("", "0", "1")]:
            return f"{', '.join(odd)}, where 0 or 1 is wanted"
        split = cells.get("split")
        if split is not None and split.lower() == column_roles.UNASSIGNED:
            split, self._unassigned = None, self._unassigned + 1
        if split is not None and split.lower() not in splits.BY_WORD:
            return f"split {split!r}, which is none of {', '.join(splits.WORDS)}"
        label, labels = cells.get("label", ""), ()
        if self.multi_label:
            self.separated |= self._separator is not None and self._separator in label
            written = row.values[self._columns["label"][1]] if "label" in self._columns else None
            more = [_plain(row.values[place]) for place in self._more]
            labels = multi_label_columns.names_of([*_labels(written, flags, self._separator), *more])
            label = (self._separator or ", ").join(labels)
        return Row(place, label, split and splits.BY_WORD[split.lower()], cells.get("group"), row.line, labels)


def _plain(cell: Cell) -> str:
    plain = ", ".join(one or "" for one in cell) if isinstance(cell, tuple) else (cell or "").strip()
    return class_folders.composed(plain)


def _flag(cell: Cell) -> str:
    """0 or 1, which tools of data science write with a fraction."""
    return {"0.0": "0", "1.0": "1"}.get(_plain(cell), _plain(cell))


def _settled(rows: list[Row], layout: Layout, separator: str | None) -> list[Row]:
    """Rows with the names that their classes have in the end."""
    counts: dict[str, int] = {}
    for row in rows:
        for name in row.labels or (row.label,):
            counts[name] = counts.get(name, 0) + 1
    merged = class_order.settled(counts, layout.class_case)
    return [
        row._replace(
            label=(separator or ", ").join(labels) if row.labels else merged[row.label],
            labels=labels,
        )
        for row in rows
        for labels in [tuple(sorted({merged[name] for name in row.labels}))]
    ]


def _labels(label: Cell, flags: Mapping[str, str], separator: str | None) -> tuple[str, ...]:
    """The classes of a picture in alphabetical order: a list's, those between separators, or whose flag is 1."""
    if isinstance(label, tuple):
        return multi_label_columns.names_of([name for name in label if name is not None])
    if separator:
        return multi_label_columns.names_of((label or "").split(separator))
    return multi_label_columns.names_of([label or "", *(name for name, flag in flags.items() if flag == "1")])


def _differences(row: Row, earlier: Row) -> Iterator[str]:
    """What two rows of one picture say differently, in words."""
    for what in ("label", "split", "group"):
        one, other = getattr(earlier, what), getattr(row, what)
        if one != other:
            yield f"the {what} {other!r}, and {one!r} in line {earlier.line}"


def _refuse(path: Path, wrong: Sequence[str]) -> None:
    count = phrases.counted(len(wrong), f"line of {path} is", f"lines of {path} are")
    raise TableError(f"{count} wrong:\n{left_out.listed(wrong, shown=_SHOWN)}")
