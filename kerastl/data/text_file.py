"""Files of sentences and their labels: comma- or tab-separated, or JSON lines; every row comes with its line number.

Nothing is guessed that could be guessed wrong: an encoding is one that the bytes prove, a column is named.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import difflib
import io
import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kerastl.system import bounded_json

DELIMITERS = {".csv": ",;\t", ".tsv": "\t", ".tab": "\t"}
"""Ending -> what may stand between columns; the first with which the header has the columns asked for is taken."""
JSON_LINES = (".jsonl", ".ndjson")
ENDINGS = (*DELIMITERS, *JSON_LINES)
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


class Row(NamedTuple):
    """A row's values of the columns asked for, ``None`` where it has none, and the line of the file it begins in.

    Where a table's row has more fields than there are names, the ``problem`` says so: its values may be anyone's.
    """

    line: int
    values: tuple[str | None, ...]
    problem: str | None = None


def read(path: Path, *, columns: Sequence[str], optional: Sequence[str] = ()) -> Iterator[Row]:
    """Rows of a file of sentences.

    Args:
        path: ``.csv`` (comma, semicolon or tab), ``.tsv`` or ``.tab``, with names in the first line, quoted as in RFC
            4180; or ``.jsonl`` or ``.ndjson``, an object a line. UTF-8 with or without a mark, or UTF-16 with one.
        columns: those that every file must have.
        optional: those whose values follow, ``None`` where the file has no such column.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: another ending; empty; not in one of the encodings, naming line and byte; a column is missing, with
            the names that come near; a line that is no JSON object; a quote that is never closed.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no file of sentences {path}.")
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise ValueError(f"A file of sentences ends in {', '.join(ENDINGS)}. Received: {path.name}.")
    text = _decoded(path.read_bytes(), path)
    if not text.strip():
        raise ValueError(f"{path} is empty: wanted lines with the columns {', '.join(columns)}.")
    if ending in JSON_LINES:
        yield from _json_rows(text, path, columns=columns, optional=optional)
    else:
        yield from _csv_rows(text, path, DELIMITERS[ending], columns=columns, optional=optional)


def lists(path: Path, column: str) -> dict[int, list[str | None]]:
    """Line -> what the column's list holds there, of those lines of a JSON lines file in which it is a list.

    What is no text or number in a list is ``None``. A table has no lists.

    Raises:
        FileNotFoundError, ValueError: as `read`.
    """
    if path.suffix.lower() not in JSON_LINES or not path.is_file():
        return {}
    objects = _objects(_decoded(path.read_bytes(), path), path)
    return {
        number: [_plain(one) for one in content[column]]
        for number, content in objects
        if isinstance(content.get(column), list)
    }


def columns(path: Path) -> list[str]:
    """The names in the first line of a table, or in the first object; none where it cannot be read."""
    with contextlib.suppress(OSError, ValueError):
        text = _decoded(path.read_bytes(), path)
        ending = path.suffix.lower()
        if ending in JSON_LINES:
            content = bounded_json.loads(next((line for line in text.split("\n") if line.strip()), "{}"))
            return list(content) if isinstance(content, dict) else []
        return max((_header(text, delimiter) for delimiter in DELIMITERS[ending]), key=len)
    return []


def fields(path: Path) -> Iterator[Row]:
    """Rows of a table, ``.csv``, ``.tsv`` or ``.tab``, whose first line is a row as all others: all their fields.

    Raises:
        ValueError: as `read`.
    """
    if path.suffix.lower() not in DELIMITERS:
        raise ValueError(f"A table without names ends in {', '.join(DELIMITERS)}. Received: {path.name}.")
    text, delimiters = _decoded(path.read_bytes(), path), DELIMITERS[path.suffix.lower()]
    delimiter = max(delimiters, key=lambda one: len(_header(text, one)))
    yield from (Row(line, tuple(found)) for line, found in _records(text, path, delimiter))


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file that are not blank, without their ends, and their numbers.

    Raises:
        ValueError: it is not in one of the encodings, naming line and byte.
    """
    for number, line in enumerate(_decoded(path.read_bytes(), path).split("\n"), 1):
        if line.strip():
            yield number, line.rstrip("\r")


def _decoded(content: bytes, path: Path) -> str:
    if content.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise ValueError(f"{path} is UTF-32. Save it as UTF-8, or as UTF-16 with a byte order mark.")
    mark, encoding = next(((mark, name) for mark, name in _MARKS if content.startswith(mark)), (b"", "utf-8"))
    content = content[len(mark) :]
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        before = content[: error.start].decode(encoding, errors="replace")
        raise ValueError(
            f"{path} is not {encoding.upper()}: line {before.count(chr(10)) + 1}, byte {len(mark) + error.start} "
            f"(0x{content[error.start]:02x}). Save it as UTF-8, or as UTF-16 with a byte order mark."
        ) from error
    if encoding == "utf-8" and "\0" in text[:1000]:
        raise ValueError(
            f"{path} holds zero bytes, at byte {text.index(chr(0))} first, as UTF-16 without a mark does. Save it as "
            "UTF-8, or as UTF-16 with a byte order mark."
        )
    return text


def _csv_rows(
    text: str, path: Path, delimiters: str, *, columns: Sequence[str], optional: Sequence[str]
) -> Iterator[Row]:
    headers = [_header(text, delimiter) for delimiter in delimiters]
    header, delimiter = next(
        (pair for pair in zip(headers, delimiters, strict=True) if set(columns) <= set(pair[0])),
        (max(headers, key=len), delimiters[0]),
    )
    _check_columns(columns, header, path)
    for name in (*columns, *optional):
        if header.count(name) > 1:
            raise ValueError(f"A column's name stands once in the first line. Received: {name!r} twice in {path}.")
    places = [header.index(name) if name in header else None for name in (*columns, *optional)]
    for line, found in itertools.islice(_records(text, path, delimiter), 1, None):
        values = tuple(None if place is None or place >= len(found) else found[place] for place in places)
        # a separator within a text that nobody quoted; empty fields at the end are a spreadsheet's
        torn = any(field.strip() for field in found[len(header) :])
        problem = f"{len(found)} fields, where the first line has {len(header)}" if torn else None
        yield Row(line, values, problem)


def _records(text: str, path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The fields of every row that is not blank, the first line's too, and the line that it begins in."""
    with _any_length():
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        line = 1
        try:
            while True:
                line = reader.line_num + 1
                if found := next(reader):
                    yield line, found
        except StopIteration:
            return
        except csv.Error as error:
            raise ValueError(f"{path}, the row that begins in line {line}, cannot be read: {error}.") from error


def _header(text: str, delimiter: str) -> list[str]:
    with _any_length():
        try:
            reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
            return [name.strip() for name in next(reader)]
        except (csv.Error, StopIteration):
            return []


@contextlib.contextmanager
def _any_length() -> Iterator[None]:
    """Fields of more than 131,072 characters: the module's limit, which is the whole process' and so put back."""
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _json_rows(text: str, path: Path, *, columns: Sequence[str], optional: Sequence[str]) -> Iterator[Row]:
    first = True
    for number, content in _objects(text, path):
        if first:
            _check_columns(columns, list(content), path)
            first = False
        yield Row(number, tuple(_plain(content.get(name)) for name in (*columns, *optional)))


def _objects(text: str, path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The object of every line that is not blank, and the line's number."""
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            content = bounded_json.loads(line)
        except ValueError as error:
            raise ValueError(f"{path}, line {number}, is no JSON: {error}.") from error
        if not isinstance(content, dict):
            raise ValueError(f"{path}, line {number}: wanted an object with names. Received: {line[:60]}.")
        yield number, content


def _plain(value: object) -> str | None:
    """Strings and numbers as they are written; what is neither counts as missing, NaN and infinity too."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, str | int | float) else None


def _check_columns(wanted: Sequence[str], there: Sequence[str], path: Path) -> None:
    missing = [name for name in wanted if name not in there]
    if missing:
        lower = {name.lower(): name for name in there}
        near = [
            lower[one] for name in missing for one in difflib.get_close_matches(name.lower(), list(lower), cutoff=0.5)
        ]
        hint = f" Did you mean {', '.join(map(repr, dict.fromkeys(near)))}?" if near else ""
        some = ", ".join(map(repr, there[:20])) or "none"
        raise ValueError(f"{path} has no column {', '.join(map(repr, missing))}.{hint} Its columns: {some}.")
