"""JSON: an object a line, a list of objects or of lists, a list a split, or a list a column."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from kerastl.data import split_names
from kerastl.data.tables import encodings
from kerastl.data.tables.table import Cell, Layout, Row, Source, Table, TableError
from kerastl.system import bounded_json

LINES = (".jsonl", ".ndjson")
ENDINGS = (*LINES, ".json")


def rows(source: Source, layout: Layout, *, wanted: Sequence[str] = ()) -> Table:
    """The rows of such a file; an object's names are its columns, of lists, and of words alone, they are numbers.

    Args:
        source, layout, wanted: as for `delimited.rows`.

    Raises:
        TableError: it is empty, no JSON, larger than `bounded_json` reads at once, or holds no rows.
    """
    path = source.path
    text, said = encodings.decoded(source.content, path, encoding=layout.encoding)
    if not text.strip():
        raise TableError(f"{path} is empty: wanted an object an example, in a list or one a line.")
    lines = any(path.name.lower().removesuffix(end).endswith(LINES) for end in ("", ".gz", ".bz2", ".xz"))
    records = _of_lines(text, source) if lines or _begins_lines(text) else _of_document(text, source)
    if records and all(isinstance(one, str | int | float) for _, one in records):
        records = [(line, [one]) for line, one in records]  # a list of texts, or of files
    if records and all(isinstance(one, list) for _, one in records):
        width = max(len(one) for _, one in records)
        names = {str(number): None for number in range(1, width + 1)}
        records = [(line, dict(zip(names, one, strict=False))) for line, one in records]
    elif odd := next(((line, one) for line, one in records if not isinstance(one, Mapping)), None):
        raise TableError(f"{path}, line {odd[0]}: wanted an object with names. Received: {str(odd[1])[:60]}.")
    else:
        names = dict.fromkeys(name for _, one in records for name in one)
    objects: list[tuple[int, Any]] = records
    cells = (Row(line, tuple(cell(one.get(name)) for name in names)) for line, one in objects)
    return Table(path, tuple(names), tuple(cells), tuple(said))


def _begins_lines(text: str) -> bool:
    """Whether each of the first two lines is an object by itself, as hubs write files that end in ``.json``."""
    lines = [line for line in text[: bounded_json.LARGEST].lstrip().split("\n", 2)[:2] if line.strip()]
    return len(lines) == 2 and all(line.lstrip().startswith("{") and line.rstrip().endswith("}") for line in lines)


def _of_lines(text: str, source: Source) -> list[tuple[int, Any]]:
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                found.append((number, bounded_json.loads(line)))
            except ValueError as error:
                raise TableError(f"{source.path}, line {number}, is no JSON: {error}.") from error
    return found


def _of_document(text: str, source: Source) -> list[tuple[int, Any]]:
    """Rows of a whole document, numbered from 1: a list's, a list's a split, or those that columns say."""
    try:
        content = bounded_json.loads(text)
    except ValueError as error:
        hint = " Save it as JSON lines, an object a line." if len(text) > bounded_json.LARGEST else ""
        raise TableError(f"{source.path} is no JSON: {error}.{hint}") from error
    if isinstance(content, dict):
        content = _of_object(content)
    if not isinstance(content, list) or not content:
        raise TableError(
            f"Wanted a list of objects, of lists, an object a line, or a list a column. Received: {source.path}, which "
            f"holds {'an empty list' if content == [] else type(content).__name__}."
        )
    return list(enumerate(content, 1))


def _of_object(content: dict[str, Any]) -> object:
    lists = {name: one for name, one in content.items() if isinstance(one, list)}
    if lists and all(split_names.of(name) for name in lists):
        return [_with_split(row, split_names.of(name)) for name, some in lists.items() for row in some]
    columns = {
        name: list(one.values()) if isinstance(one, dict) else one
        for name, one in content.items()
        if isinstance(one, list | dict)
    }
    if len(columns) > 1 and len({len(one) for one in columns.values()}) == 1:  # as pandas writes it
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return next(iter(lists.values())) if len(lists) == 1 else content


def _with_split(row: object, split: str | None) -> object:
    if isinstance(row, dict):
        return {"split": split} | row
    return {**{str(n): one for n, one in enumerate(row, 1)}, "split": split} if isinstance(row, list) else row


def cell(value: object) -> Cell:
    """Strings and numbers as they are written, a list of such; what is none counts as missing, NaN and infinity too."""
    return tuple(_plain(one) for one in value) if isinstance(value, list | tuple) else _plain(value)


def _plain(value: object) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, str | int | float) else None
