"""Plain text with a label in every line: fastText's ``__label__NAME words``, or columns as in a table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from kerastl.data.tables import delimited, encodings
from kerastl.data.tables.table import Layout, Row, Source, Table, TableError

ENDINGS = (".txt", ".text", ".data")
_LABEL = "__label__"
_PICTURE = re.compile(r"(\S.*\.(?:jpe?g|png|bmp|gif|webp|tiff?))\s+(\S.*)", re.IGNORECASE)


def rows(source: Source, layout: Layout, *, wanted: Sequence[str] = ()) -> Table:
    """The rows of such a file: fastText's have the columns ``text`` and ``label``, a list where one has several.

    Args:
        source, layout, wanted: as for `delimited.rows`.

    Raises:
        TableError: as `delimited.rows`; or its lines hold one thing alone.
    """
    text, said = encodings.decoded(source.content, source.path, encoding=layout.encoding)
    lines = _lines(text)
    if lines and sum(line.startswith(_LABEL) for _, line in lines) * 2 > len(lines):
        return _fasttext(lines, source, said)
    pairs = [(number, _PICTURE.fullmatch(line.strip())) for number, line in lines]
    if lines and layout.delimiter is None and all(pair and "," not in pair[1] for _, pair in pairs):
        found = tuple(Row(number, pair.groups()) for number, pair in pairs if pair)
        if not any(sign in line for _, line in lines for sign in "\t;|"):
            return Table(source.path, ("1", "2"), found, tuple(said))
    table = delimited.of_text(text, source, layout, wanted=wanted, said=said)
    if len(table.columns) < 2:
        raise TableError(
            f"Wanted a text and its label in every line, with a tab between them, or fastText's {_LABEL}NAME before "
            f"the words. Received: {source.path}, whose lines hold one thing alone; --delimiter names what stands "
            "between two, and a folder of .txt files a class is read as such."
        )
    return table


def read(path: Path, *, encoding: str | None = None) -> tuple[list[tuple[int, str]], tuple[str, ...]]:
    """The lines of a file that hold nothing but a text each, and what was guessed, in a sentence.

    Args:
        path: of any ending.
        encoding: see `encodings.decoded`.

    Returns:
        The number of each line that is not blank, and what stands in it, without its end.

    Raises:
        FileNotFoundError: there is no such file.
        TableError: as `encodings.decoded`.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no file of sentences {path}.")
    text, said = encodings.decoded(path.read_bytes(), path, encoding=encoding)
    return _lines(text), said


def _lines(text: str) -> list[tuple[int, str]]:
    return [(number, line.rstrip("\r")) for number, line in enumerate(text.split("\n"), 1) if line.strip()]


def _fasttext(lines: Sequence[tuple[int, str]], source: Source, said: Sequence[str]) -> Table:
    found = []
    for number, line in lines:
        words = line.split()
        labels = [word.removeprefix(_LABEL) for word in words if word.startswith(_LABEL)]
        rest = " ".join(word for word in words if not word.startswith(_LABEL))
        found.append((number, rest, labels))
    several = any(len(labels) > 1 for *_, labels in found)
    cells = (
        Row(number, (rest, tuple(labels) if several else (labels[0] if labels else None)))
        for number, rest, labels in found
    )
    return Table(source.path, ("text", "label"), tuple(cells), tuple(said))
