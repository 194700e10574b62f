"""Files that `predict` is given: folders, tables of an input a row, texts of one a line; a broken one stands alone."""

from __future__ import annotations

import collections
import concurrent.futures
import glob
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kerastl.data import labelled_texts, left_out, table_csv
from kerastl.data.tables import files, text_lines
from kerastl.data.tables.table import Cell, Layout
from kerastl.inputs import lines
from kerastl.system import near_names, output
from kerastl.types import CategoryInputs, FolderInputs, Inputs, TableInputs
from kerastl.verify import answers

_LOOKED_AT = 100  # rows by which a column is found
_AT_ONCE, _BYTES_AT_ONCE = 256, 64_000_000  # inputs, and bytes of them, that a file is asked about at once


class Name(str):
    """The name of an input.

    Attributes:
        text: that it is the name of, where it is a text.
    """

    text: str

    def __new__(cls, name: str, text: str = "") -> Name:
        made = super().__new__(cls, name)
        made.text = text
        return made


def is_one(argument: str | Path, kind: Inputs) -> bool:
    """Whether it names a table or a text file that is there, for a kind whose examples may stand in such a file."""
    name = str(argument)
    is_path = isinstance(argument, Path) or isinstance(kind, FolderInputs) or lines.is_path(name)
    known = is_path and name.lower().endswith((*lines.TABLES, *lines.TEXTS))
    return known and isinstance(kind, TableInputs) and os.path.isfile(name)


def read(path: Path, kind: Any, *, column: str | None = None, settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The name of each input, ``reviews.csv:7`` for line 7, and a batch of one; or the error that it makes.

    Args:
        path: a table (`files.endings`), or a text file (`lines.TEXTS`) with an input a line.
        kind: of input, which `is_one` takes.
        column: of a table, that holds the inputs; by default the one that the run learned from, where there is such,
            or the one that looks like it.
        settings: arguments of the data that the run learned from, which may name that column.

    Raises:
        ValueError: it cannot be read, holds no input, or has no such column.
    """
    ending, found = path.suffix.lower(), 0
    if ending in lines.TEXTS:
        rows = _of_lines(path, kind)
    elif ending in files.endings():
        rows = _of_table(path, kind, column=column, settings=settings)
    else:
        raise ValueError(
            f"Wanted a table ({', '.join(files.endings())}), or a text file with an input a line "
            f"({', '.join(lines.TEXTS)}). Received: {path}."
        )
    for found, (line, batch, text) in enumerate(rows, 1):  # noqa: B007
        if isinstance(batch, Exception):
            batch = ValueError(f"{path}, line {line}: {batch}")
        yield Name(f"{path}:{line}", text), batch
    if not found:
        raise ValueError(f"Wanted an input a row, or a line. Received: {path}, which holds none.")


def in_folder(one: str | Path, folders: FolderInputs | None) -> list[str | Path] | None:
    """The files that a folder or a pattern stands for; ``None`` for anything else.

    Raises:
        ValueError: if it stands for none.
    """
    if folders is None or (os.path.lexists(one) and not os.path.isdir(one)):
        return None
    if os.path.isdir(one):
        files, what = folders.files(Path(one)), "a folder with pictures or arrays"
    elif glob.has_magic(str(one)):
        files, what = sorted(glob.glob(str(one), recursive=True)), "a pattern of files"
    else:
        return None
    if not files:
        raise ValueError(f"Wanted {what}. Received: {one}, which holds none.")
    return list(files)


def read_ahead(examples: Iterable[tuple[str, Any]], kind: Inputs) -> Iterator[tuple[str, Any]]:
    """The same in order, where what has still to be read is read by threads, ahead of what is asked about.

    Args:
        examples: names, each with a batch, an error, or a function that reads a batch and may raise an error.
        kind: of input, by whose size so many are held at once as memory allows.
    """
    shapes = kind.shape.values() if isinstance(kind.shape, Mapping) else [kind.shape]
    ahead = max(min(_BYTES_AT_ONCE // max(sum(map(math.prod, shapes)), 1), 2 * _AT_ONCE), 2)
    waiting: collections.deque[tuple[str, Any]] = collections.deque()
    pool = concurrent.futures.ThreadPoolExecutor(os.cpu_count())
    try:
        for name, one in examples:
            waiting.append((name, pool.submit(_tried, one) if callable(one) else one))
            if len(waiting) > ahead:
                yield _read(*waiting.popleft())
        while waiting:
            yield _read(*waiting.popleft())
    finally:  # Ctrl-C, or nobody asks for more
        pool.shutdown(cancel_futures=True)


def _read(name: str, one: Any) -> tuple[str, Any]:
    return name, one.result() if isinstance(one, concurrent.futures.Future) else one


def batches(
    examples: Iterable[tuple[str, Any]],
) -> Iterator[tuple[list[tuple[str, int | Exception]], Any]]:
    """Examples that a file is asked about at once: the names in order, each with its count or its error, and a batch.

    An array is asked about alone; what was read is joined, for a question to the child costs more than an answer.
    """
    named: list[tuple[str, int | Exception]] = []
    parts: list[Any] = []
    size = 0
    for name, batch in examples:
        error = isinstance(batch, Exception)
        named.append((name, batch if error else answers.count_of(batch)))
        if not error:
            parts.append(batch)
            size += sum(table.nbytes for table in (batch.values() if isinstance(batch, Mapping) else (batch,)))
        if len(named) >= _AT_ONCE or size >= _BYTES_AT_ONCE:
            yield named, answers.concatenated(parts) if parts else None
            named, parts, size = [], [], 0
    if named:
        yield named, answers.concatenated(parts) if parts else None


def _of_lines(path: Path, kind: Any) -> Iterator[tuple[int, Any, str]]:
    found, said = text_lines.read(path)
    left_out.tell(said)
    for number, line in found:
        if kind.column_kind:
            yield number, _tried(_of_field, path, kind, kind.column_kind, line), line
        else:
            yield number, _tried(kind.read, line), line


def _of_table(
    path: Path, kind: Any, *, column: str | None, settings: Mapping[str, Any]
) -> Iterator[tuple[int, Any, str]]:
    # of several columns the kind knows by their names whether the first line holds names
    layout = Layout(header="auto" if kind.column_kind else "yes")
    table = files.read(path, layout, wanted=[column or _learned_from(kind, settings)] if kind.column_kind else [])
    header = list(table.columns)
    whole = len(set(header)) == len(header)  # no table has names that stand twice
    first = [tuple(map(labelled_texts.words, row.values)) for row in table.rows[:_LOOKED_AT]] if whole else []
    columns = _columns(path, kind, header, first, column=column, settings=settings)
    if columns is None:
        table = files.read(path, Layout(header="no"))
    left_out.tell(table.said)
    for row in table.rows:
        if row.problem is not None:
            yield row.line, ValueError(row.problem), ""
        elif columns is None:
            joined = ",".join(map(labelled_texts.words, row.values))
            yield row.line, _tried(kind.read, joined), joined
        else:
            cells = [row.values[table.place(name)] for name in columns]
            text = labelled_texts.words(cells[0]) if kind.column_kind else ""
            yield row.line, _tried(_of_cells, path, kind, columns, cells), text


def _of_cells(path: Path, kind: Any, columns: Sequence[str], cells: Sequence[Cell]) -> Any:
    if kind.column_kind:
        return _of_field(path, kind, columns[0], labelled_texts.words(cells[0]))
    numbers: bool = isinstance(kind, CategoryInputs)
    of_cell = table_csv.known if numbers else labelled_texts.words  # "none" is a text
    return kind.of_row(dict(zip(columns, map(of_cell, cells), strict=True)))


def _columns(
    path: Path, kind: Any, header: list[str], rows: list[Any], *, column: str | None, settings: Mapping[str, Any]
) -> tuple[str, ...] | None:
    if column is not None:
        if not kind.column_kind:
            raise ValueError(f"Rows of numbers are several columns, by their names. Received: --column {column}.")
        if column not in header:
            hint = near_names.did_you_mean(column, header)
            shown = ", ".join(header[:20]) or "none"
            raise ValueError(f"Wanted the column {column} (--column).{hint} Received: {path}, which has: {shown}.")
        return (column,)
    if kind.column_kind and (learned_from := _learned_from(kind, settings)) in header:
        return (learned_from,)
    try:
        found = kind.columns_in(header, rows)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if kind.column_kind:  # where it was guessed, it is said
        print(f"kerastl: {path}: inputs are what stands under {output.printable(found[0])!r}", file=sys.stderr)
    return found


def _learned_from(kind: Any, settings: Mapping[str, Any]) -> str:
    """The name of the column that a run's inputs stood in."""
    return str(settings.get(f"{kind.column_kind}_column", kind.column_kind))


def _of_field(path: Path, kind: Any, name: str, field: str | None) -> Any:
    """The input in a field; the path of one starts where the table lies, or in the working folder."""
    names_files = isinstance(kind, FolderInputs)
    if names_files and field and field.strip():
        beside = path.parent / field.strip()
        field = str(beside) if beside.exists() else field.strip()
    return kind.of_row({name: field})


def _tried(make: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return make(*arguments)
    except (ValueError, OSError) as error:
        return error
