"""A table of picture files and their labels: CSV with named columns, in UTF-8, its delimiter found.

Everything wrong with it is said by line, before the first picture is read.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import io
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from kerastl.data import left_out, multi_label_columns
from kerastl.system import phrases

_DELIMITERS = (",", ";", "\t", "|")
_SHOWN = 10  # lines that an error names
_UNICODE = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


class TableError(ValueError):
    """A table that is not taken, and why."""


class Row(NamedTuple):
    """One picture.

    Attributes:
        path: of its file, absolute or from the working folder.
        label: its class; where it may have none or several, their names in alphabetical order, in words.
        split: as the table writes it; ``None`` where it has no such column.
        group: what it belongs to; ``None`` where no such column was asked for.
        line: of the table where it ends.
        labels: its classes, where it may have none or several.
    """

    path: str
    label: str
    split: str | None
    group: str | None
    line: int
    labels: tuple[str, ...] = ()


def read(
    path: Path,
    *,
    path_column: str = "path",
    label_column: str = "label",
    split_column: str | None = None,
    group_column: str | None = None,
    root: Path | None = None,
    label_separator: str | None = None,
    label_columns: Sequence[str] = (),
) -> list[Row]:
    """The rows of a table, equal ones once (how many more there were is said on stderr).

    Paths are taken from the folder of the table, or from ``root``, and have to stay inside it, absolute ones too:
    a table and its pictures move as a whole then, and a stranger's table cannot bring in pictures that are none of its
    business. Who keeps them elsewhere says so with ``root``. Links inside the folder are followed.

    Args:
        path: the table. A byte-order mark is left out.
        path_column, label_column, split_column, group_column: names in its first line; ``None`` is not looked for.
        root: folder that paths start from and stay in.
        label_separator: what stands between the classes of a picture under ``label_column``, where it may have several;
            an empty field is none of them.
        label_columns: instead of ``label_column``, a column of 0 and 1 for each class.

    Raises:
        TableError: not UTF-8, no such column (near names are offered), no rows, a row of another length or with an
            empty field, a path that leads out of the folder, or one picture with two labels, splits or groups; a
            separator that no field has, or something else than 0 and 1 under ``label_columns``.
    """
    text = _decoded(path)
    wanted = {"path": path_column, "split": split_column, "group": group_column}
    wanted |= {} if label_columns else {"label": label_column}
    wanted = {what: name for what, name in wanted.items() if name is not None}
    delimiter, header = _header(path, text, [*wanted.values(), *label_columns])
    columns = {what: header.index(name) for what, name in wanted.items()}
    classes = {name: header.index(name) for name in label_columns}
    optional = {"label"} if label_separator else set()
    folder = os.path.abspath(path.parent if root is None else root)
    wrong: list[str] = []
    rows: dict[str, Row] = {}
    copies, separated = 0, False
    for line, fields in _records(path, text, delimiter):
        if len(fields) != len(header):
            wrong.append(f"line {line}: {len(fields)} fields, the first line has {len(header)}")
            continue
        cells = {what: fields[column] for what, column in columns.items()}
        flags = {name: fields[column] for name, column in classes.items()}
        place = os.path.normpath(os.path.join(folder, cells["path"].replace("\\", "/")))
        empty = [wanted[what] for what, cell in cells.items() if not cell and what not in optional]
        odd = [f"{flag!r} under {name}" for name, flag in flags.items() if flag not in ("", "0", "1")]
        if empty:
            wrong.append(f"line {line}: nothing under {', '.join(empty)}")
        elif not place.startswith(folder.rstrip(os.sep) + os.sep) or "\0" in place:
            wrong.append(f"line {line}: {cells['path']!r} leads out of {folder}; root=FOLDER says where pictures are")
        elif odd:
            wrong.append(f"line {line}: {', '.join(odd)}, where 0 or 1 is wanted")
        else:
            label, labels = cells.get("label", ""), ()
            if label_separator or flags:
                separated |= label_separator is not None and label_separator in label
                labels = _labels(label, flags, label_separator)
                label = (label_separator or ", ").join(labels)
            row = Row(place, label, cells.get("split"), cells.get("group"), line, labels)
            earlier = rows.setdefault(place, row)
            wrong += [f"line {line}: {cells['path']} has {difference}" for difference in _differences(row, earlier)]
            copies += earlier is not row
    if wrong:
        _refuse(path, wrong)
    if not rows:
        raise TableError(f"{path} names no picture. Received: a first line and nothing below it.")
    if label_separator and not separated:
        raise TableError(
            f"Wanted pictures of several classes with {label_separator!r} between them under {label_column!r}. "
            f"Received: {path}, where it stands in no field; the first is {next(iter(rows.values())).label!r}."
        )
    if copies:
        print(f"kerastl: {copies} lines of {path} name a picture again and are left out.", file=sys.stderr)
    return list(rows.values())


def _labels(label: str, flags: Mapping[str, str], separator: str | None) -> tuple[str, ...]:
    """The classes of a picture in alphabetical order: those between separators, or whose flag is 1."""
    return multi_label_columns.names_of(
        label.split(separator) if separator else [name for name, flag in flags.items() if flag == "1"]
    )


def _differences(row: Row, earlier: Row) -> Iterator[str]:
    """What two rows of one picture say differently, in words."""
    for what in ("label", "split", "group"):
        one, other = getattr(earlier, what), getattr(row, what)
        if one != other:
            yield f"the {what} {other!r}, and {one!r} in line {earlier.line}"


def columns_of(path: Path, wanted: Sequence[str] = ()) -> list[str]:
    """The names in the first line of a table.

    Raises:
        TableError: not UTF-8, empty, or without the columns wanted.
    """
    return _header(path, _decoded(path), wanted)[1]


def _decoded(path: Path) -> str:
    content = path.read_bytes()
    for mark, name in _UNICODE.items():
        if content.startswith(mark):
            raise TableError(f"Wanted a table in UTF-8. Received: {path} in {name}.")
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        found = content[error.start : error.start + 1].hex()
        raise TableError(
            f"Wanted a table in UTF-8. Received: byte 0x{found} in line {line} of {path}; save it as UTF-8."
        ) from error


def _header(path: Path, text: str, wanted: Sequence[str]) -> tuple[str, list[str]]:
    """The delimiter with which the first line has the columns wanted (or else the most), and the names in it."""
    headers = {}
    for delimiter in _DELIMITERS:
        headers[delimiter] = next((fields for _, fields in _records(path, text, delimiter, first=True)), [])
    delimiter = max(_DELIMITERS, key=lambda one: (len(set(wanted) & set(headers[one])), len(headers[one])))
    header = headers[delimiter]
    if not header:
        raise TableError(f"Wanted a table with names in its first line. Received: {path}, which is empty.")
    doubled = sorted({name for name in header if header.count(name) > 1 and name in wanted})
    lacking = [name for name in wanted if name not in header]
    if lacking or doubled:
        hints = []
        for name in lacking:
            close = difflib.get_close_matches(name.lower(), [one.lower() for one in header])
            near = [one for one in header if one.lower() in close]
            hints.append(f"{name!r}" + (f" (near: {', '.join(near)})" if near else ""))
        raise TableError(
            f"Wanted columns {', '.join(map(repr, wanted))}, each once. Received: {path} "
            + (f"without {', '.join(hints)}" if lacking else f"with {', '.join(doubled)} more than once")
            + f". It has: {', '.join(header)}."
        )
    return delimiter, header


def _records(path: Path, text: str, delimiter: str, *, first: bool = False):
    """Line and stripped fields of every record that is not blank, the first one (the names) only if asked for."""
    # strict: a quote that is never closed would make one field of every row behind it; not where delimiters are tried
    options = {"delimiter": delimiter, "skipinitialspace": True, "strict": not first}
    reader = csv.reader(io.StringIO(text, newline=""), **options)
    begun, line = False, 1
    try:
        for fields in reader:
            fields, line = [field.strip() for field in fields], reader.line_num + 1
            if any(fields):
                if begun or first:
                    yield reader.line_num, fields
                begun = True
    except csv.Error as error:
        raise TableError(f"{path} is no table that can be read: line {line}: {error}.") from error


def _refuse(path: Path, wrong: Sequence[str]) -> None:
    count = phrases.counted(len(wrong), f"line of {path} is", f"lines of {path} are")
    raise TableError(f"{count} wrong:\n{left_out.listed(wrong, shown=_SHOWN)}")
