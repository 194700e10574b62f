"""What a table is, however it was written: names of columns, and rows that know where they stand."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from kerastl.system import near_names

Cell = str | tuple[str | None, ...] | None
"""A value in words; of JSON and parquet also a list of such; ``None`` where there is none."""
LARGEST = 2_000_000_000
"""Bytes of one file that are read at most, unpacked."""
_SHOWN = 20


class TableError(ValueError):
    """A table that is not taken, and why."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """How data of one's own is written, as far as somebody says so; what nobody says is found out, and said."""

    encoding: str | None = None
    """Encoding of a file of text that is no UTF-8, cp1252 or gb18030 say; by default the likeliest, which is said."""
    delimiter: str | None = None
    """Character between the columns of a table; by default the one by which its lines are of one width."""
    quoting: Literal["auto", "yes", "no"] = "auto"
    """Whether quotes around a field are none of it; "no" takes each quote for a part of its text."""
    header: Literal["auto", "yes", "no"] = "auto"
    """Whether the first line of a table holds the names of its columns; without names they are called 1, 2, 3."""
    validation_file: str | None = None
    """File of the examples to choose by, beside one of those to learn from."""
    test_file: str | None = None
    """File of the examples to measure on, beside one of those to learn from."""
    classes_at: Literal["auto", "top", "inner", "leaf", "name"] = "auto"
    """What is a class: the "top" folders; the "inner" ones by their own names, whatever folders they lie in; each
    "leaf", by its whole path; or the "name" of each file up to the number behind it, cat.1.jpg say. "auto" is the
    top, and asks where the same inner folders lie in several of them."""
    class_case: Literal["ask", "merge", "keep"] = "ask"
    """What becomes of classes whose names differ in case alone: "ask" lists them and stops, "merge" makes one of them,
    "keep" leaves them apart."""
    class_mismatch: Literal["ask", "merge", "skip", "split"] = "ask"
    """What becomes of classes that are not in every split: "ask" lists them and stops, "merge" calls those of near
    names as train does, "skip" leaves them out, "split" divides all examples anew."""

    @property
    def more(self) -> tuple[tuple[str, Path], ...]:
        """Splits in files of their own."""
        parts = (("validation", self.validation_file), ("test", self.test_file))
        return tuple((split, Path(file)) for split, file in parts if file)

    def changed(self) -> dict[str, str]:
        """What somebody says, as arguments that are stored; paths are absolute."""
        said = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        said |= {f"{split}_file": os.path.abspath(file) for split, file in self.more}
        return {name: value for name, value in said.items() if value != getattr(Layout(), name)}


def stored(layout: Layout | Mapping[str, str]) -> Layout:
    """A layout, also of what `Layout.changed` stored."""
    return layout if isinstance(layout, Layout) else Layout(**layout)  # pyright: ignore[reportArgumentType]


class Source(NamedTuple):
    """One file's content.

    Attributes:
        path: of the file, as messages name it.
        content: its bytes, unpacked.
        packed: whether the path holds something else, out of which the content came.
    """

    path: Path
    content: bytes
    packed: bool = False


class Row(NamedTuple):
    """The values of a row, ``None`` where it has none, and the line of the file it begins in.

    Where a row has more fields than there are names, the ``problem`` says so: its values may be anyone's.
    """

    line: int
    values: tuple[Cell, ...]
    problem: str | None = None
    file: str = ""

    @property
    def where(self) -> str:
        """Where it stands, for messages; the file is named where there are several."""
        return f"{self.file}, line {self.line}" if self.file else f"line {self.line}"


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows of one file or of several.

    Attributes:
        path: where it was read from.
        columns: names, in the order of the values.
        rows: every one that is not blank.
        said: what was found out about how it is written, a sentence each.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    said: tuple[str, ...] = ()

    @property
    def unnamed(self) -> bool:
        """Whether its columns have no names, and are called 1, 2, 3."""
        return self.columns == tuple(map(str, range(1, len(self.columns) + 1)))

    @property
    def columns_once(self) -> list[str]:
        """The names that stand once."""
        return [name for name in self.columns if self.columns.count(name) == 1]

    def place(self, name: str) -> int:
        """The place of a column by its name, or by its number from 1.

        Raises:
            TableError: there is none, or more than one of the name.
        """
        if self.columns.count(name) > 1:
            raise TableError(
                f"A column's name stands once in the first line. Received: {name!r} twice in {self.path}; a number, "
                "from 1, names one of them."
            )
        if name in self.columns:
            return self.columns.index(name)
        if name.isdecimal() and 1 <= int(name) <= len(self.columns):
            return int(name) - 1
        return self._refuse([name])

    def values(self, name: str) -> list[Cell]:
        """What stands in a column; errors as `place`."""
        place = self.place(name)
        return [row.values[place] for row in self.rows]

    def has(self, name: str) -> bool:
        """Whether there is a column of a name, or a number from 1."""
        return name in self.columns or name in map(str, range(1, len(self.columns) + 1))

    def require(self, names: Sequence[str]) -> None:
        """Raises `TableError` where there is no such column, for all of them at once."""
        if lacking := [name for name in names if not self.has(name)]:
            self._refuse(lacking)

    def _refuse(self, lacking: Sequence[str]) -> int:
        hints = dict.fromkeys(near_names.did_you_mean(name, list(self.columns)) for name in lacking)
        some = ", ".join(map(repr, self.columns[:_SHOWN])) or "none"
        raise TableError(
            f"{self.path} has no column {', '.join(map(repr, lacking))}.{''.join(hints)} Its columns: {some}."
        )


def merged(path: Path, tables: Sequence[tuple[str, str | None, Table]]) -> Table:
    """One table of several, by the names of their columns.

    Args:
        path: where all of them were read from.
        tables: the file (or sheet) that each was, the split that this says (``None``: nothing), and its rows.
    """
    names = list(dict.fromkeys(name for *_, one in tables for name in one.columns))
    has_split = "split" in names or not any(split for _, split, _ in tables)
    columns = names if has_split else [*names, "split"]
    rows = []
    for file, split, one in tables:
        place = {name: number for number, name in enumerate(one.columns)}
        for row in one.rows:
            values = [row.values[place[name]] if name in place else None for name in names]
            if not has_split:
                values.append(split)
            elif split and "split" in names and not values[names.index("split")]:
                values[names.index("split")] = split
            rows.append(row._replace(values=tuple(values), file=row.file or file))
    said = dict.fromkeys(word for *_, one in tables for word in one.said)
    return Table(path, tuple(columns), tuple(rows), tuple(said))
