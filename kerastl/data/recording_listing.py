"""The recordings at a path, listed and not read: a folder a class, or a table of files, labels, speakers and times."""

from __future__ import annotations

import dataclasses
import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path

from kerastl.data import class_folders, no_runs, splits
from kerastl.data.tables import files
from kerastl.data.tables.table import Cell, Layout, Row, Table, TableError
from kerastl.inputs import recordings

_LOOKED_AT = 100_000
"""Files that are looked at to tell what a folder holds."""
_SHOWN = 10


@dataclasses.dataclass(frozen=True)
class Clip:
    """One example: a recording, or a part of one.

    Attributes:
        file: the recording.
        label: its class.
        split: train, validation or test; ``None`` where nothing says so.
        group: who speaks, or what else it belongs to; nothing where nobody asked.
        start, end: seconds of the part, the end of the recording for ``None``.
    """

    file: Path
    label: str
    split: str | None = None
    group: str = ""
    start: float = 0.0
    end: float | None = None

    @property
    def times(self) -> str:
        """The part in words, nothing for the whole."""
        return "" if self.start == 0 and self.end is None else f" {self.start:g}-{'' if self.end is None else self.end}"


@dataclasses.dataclass(frozen=True)
class Columns:
    """Names of a table's columns; splits, groups and times may be absent where nobody asked for another name.

    Attributes:
        pattern: instead of a column of groups a regular expression whose first group, found in a file's name or path,
            is the speaker: ``(.+)_nohash_`` of Speech Commands.
    """

    path: str = "path"
    label: str = "label"
    split: str | None = "split"
    group: str | None = None
    pattern: str | None = None
    start: str = "start"
    end: str = "end"


def is_recording(file: Path) -> bool:
    """Whether it is one by its name, be it of a format that is not read."""
    return file.suffix.lower() in (*recordings.ENDINGS, *recordings.FOREIGN)


def holds_recordings(path: Path) -> bool:
    """Whether there is a folder of recordings at a path, or a table that names some of those beside it."""
    if path.is_dir():
        found = itertools.islice((file for file in path.rglob("*") if file.is_file()), _LOOKED_AT)
        counts = {True: 0, False: 0}
        for file in found:
            if is_recording(file) or class_folders.is_picture(file):
                counts[is_recording(file)] += 1
        return counts[True] > counts[False]
    if not path.is_file() or not files.is_table(path):
        return False
    if not any(map(is_recording, itertools.islice(path.parent.rglob("*"), _LOOKED_AT))):
        return False
    try:
        table = files.read(path)
    except ValueError:
        return False
    return _column_of_files(table) is not None


def listed(path: Path, columns: Columns, layout: Layout) -> tuple[list[Clip], tuple[str, ...]]:
    """The recordings at a path, and what was understood of how they lie, a sentence each.

    Args:
        path: a folder with a folder a class (see `class_folders.read`); a table; or a folder with one table that names
            recordings, which is read instead of its folders.
        columns: of a table.
        layout: how it is written, and which folders are classes.

    Raises:
        FileNotFoundError: there is nothing at the path.
        ValueError: no such column, a path that leads out of the table's folder, times that are none, or a pattern that
            a file's name does not have.
    """
    if not path.exists():
        raise FileNotFoundError(f"There is no folder of recordings {path}, and no table of them.")
    no_runs.refuse(path)
    table = path if path.is_file() else _table_inside(path)
    if table is not None:
        return _in_table(table, columns, layout)
    if columns.group:
        raise ValueError(
            f"A column of groups (--group-column {columns.group}) is a table's. Received: the folder {path}; "
            "--group-pattern finds speakers in the names of files."
        )
    # whoever says which folder is the speaker leaves no question about the folders inside of classes
    asked = columns.pattern and layout.classes_at == "auto"
    found = class_folders.read(path, is_one=is_recording, classes_at="top" if asked else layout.classes_at)
    parted = len({one.split for one in found.examples}) > 1
    clips = [
        Clip(one.file, one.label, one.split if parted else None, _speaker(one.file, path, columns.pattern))
        for one in found.examples
    ]
    if not clips:
        raise ValueError(
            f"Wanted a folder a class with recordings ({', '.join(recordings.ENDINGS)}). Received: {path}."
        )
    return clips, found.said


def _table_inside(folder: Path) -> Path | None:
    """The one table of a folder that names recordings beside it."""
    tables = [file for file in sorted(folder.iterdir()) if file.is_file() and files.is_table(file)]
    named = [file for file in tables if holds_recordings(file)]
    if len(named) > 1:
        raise ValueError(
            f"Wanted one table of recordings. Received: {', '.join(file.name for file in named)} in {folder}: give the "
            "table itself."
        )
    return named[0] if named else None


def _column_of_files(table: Table) -> str | None:
    """The first column most of whose fields name recordings."""
    for name in table.columns_once:
        cells = [str(cell).strip().lower() for cell in table.values(name)[:1000] if cell not in (None, "")]
        if cells and sum(is_recording(Path(cell)) for cell in cells) > len(cells) / 2:
            return name
    return None


def _in_table(path: Path, columns: Columns, layout: Layout) -> tuple[list[Clip], tuple[str, ...]]:
    wanted = [columns.group] if columns.group else []
    table = files.read(path, layout, wanted=wanted)
    asked = Columns()
    said = list(table.said)
    if not table.has(columns.path) and columns.path == asked.path and (found := _column_of_files(table)):
        columns = dataclasses.replace(columns, path=found)
        said.append(f"recordings are named under {found!r}")
    if not table.has(columns.label) and columns.label == asked.label and (found := _label(table)):
        columns = dataclasses.replace(columns, label=found)
        said.append(f"classes are read under {found!r}")
    table.require([columns.path, columns.label, *wanted])
    others = {"split": columns.split, "start": columns.start, "end": columns.end}
    for what, name in others.items():
        if name and not table.has(name):
            if name != getattr(asked, what):
                table.require([name])
            others[what] = None
    reader = _Reader(table, columns, others, path.absolute().parent)
    clips, wrong = [], []
    for row in table.rows:
        try:
            clips.append(reader.clip(row))
        except ValueError as error:
            wrong.append(f"{row.where}: {error}")
    if wrong:
        more = f" ... and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise TableError(f"{path} has rows that cannot be used: {'; '.join(wrong[:_SHOWN])}{more}")
    if not clips:
        raise TableError(f"{path} names no recording. Received: a first line and nothing below it.")
    return clips, tuple(said)


def _label(table: Table) -> str | None:
    """A column that is called as labels are."""
    usual = ("class", "category", "word", "target", "keyword", "command", "y")
    return next((name for name in table.columns_once if name.lower() in usual), None)


@dataclasses.dataclass(frozen=True)
class _Reader:
    """Rows of a table as clips."""

    table: Table
    columns: Columns
    others: dict[str, str | None]
    root: Path

    def clip(self, row: Row) -> Clip:
        if row.problem:
            raise ValueError(row.problem)
        name, label = self._words(row, self.columns.path), self._words(row, self.columns.label)
        file = Path(os.path.normpath(self.root / name))
        if not name or not label:
            raise ValueError("an empty field where a recording and its class are wanted")
        if not file.is_relative_to(self.root):
            raise ValueError(f"{name} leads out of the table's folder, in which its recordings have to lie")
        if not file.is_file():
            raise ValueError(f"there is no recording {name}")
        split = self._words(row, self.others["split"]).lower() or None
        if split is not None and split not in splits.BY_WORD:
            raise ValueError(f"{split!r} is no split, of which there are train, validation and test")
        if self.columns.group:
            group = self._words(row, self.columns.group)
            if not group:
                raise ValueError(f"an empty field under {self.columns.group!r}: who speaks is wanted of every one")
        else:
            group = _speaker(file, self.root, self.columns.pattern)
        start, end = (self._seconds(row, self.others[what]) for what in ("start", "end"))
        if end is not None and end <= (start or 0.0):
            raise ValueError(f"a part ends behind its start, both in seconds: {start or 0:g} to {end:g}")
        return Clip(file, label, splits.BY_WORD[split] if split else None, group, start or 0.0, end)

    def _cell(self, row: Row, name: str | None) -> Cell:
        return row.values[self.table.place(name)] if name else None

    def _words(self, row: Row, name: str | None) -> str:
        cell = self._cell(row, name)
        return "" if cell is None else str(cell).strip()

    def _seconds(self, row: Row, name: str | None) -> float | None:
        words = self._words(row, name)
        if not words:
            return None
        try:
            seconds = float(words)
        except ValueError:
            raise ValueError(f"times are seconds, and {words!r} under {name!r} is no number") from None
        if not 0 <= seconds < float("inf"):
            raise ValueError(f"times are seconds from 0, and {words} under {name!r} is none")
        return seconds


def _speaker(file: Path, root: Path, pattern: str | None) -> str:
    """Who speaks, by a file's name or the folders that it lies in."""
    if pattern is None:
        return ""
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"Wanted a regular expression (--group-pattern). Received: {pattern!r}: {error}.") from error
    if expression.groups < 1:
        raise ValueError(f"--group-pattern has the speaker in parentheses, '(.+?)_'. Received: {pattern!r}.")
    inside = file.relative_to(root).as_posix()
    found = expression.search(file.name) or expression.search(inside)
    if found is None or not found[1]:
        raise ValueError(f"--group-pattern {pattern!r} finds no speaker in {inside}")
    return found[1]


def parts_of(clips: list[Clip]) -> Iterator[tuple[str, list[int]]]:
    """Split -> indices of its clips, what is of no split being train."""
    for name in splits.WORDS:
        indices = [index for index, clip in enumerate(clips) if (clip.split or "train") == name]
        if indices:
            yield name, indices
