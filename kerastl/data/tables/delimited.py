"""Comma-, semicolon-, tab- or bar-separated files, with names in the first line or without, quoted as in RFC 4180."""

from __future__ import annotations

import collections
import contextlib
import csv
import io
import itertools
from collections.abc import Iterator, Sequence

from kerastl.data.tables import encodings, headers
from kerastl.data.tables.table import Layout, Source, Table, TableError

ENDINGS = (".csv", ".tsv", ".tab")
_DELIMITERS = {".csv": ",;\t|", ".tsv": "\t,;|", ".tab": "\t,;|"}
"""Ending -> what may stand between columns, the likeliest first."""


def rows(source: Source, layout: Layout, *, wanted: Sequence[str] = ()) -> Table:
    """The rows of such a file.

    Args:
        source: the file.
        layout: how it is written, where that is known.
        wanted: names of columns that its first line should have; they tell delimiters, and headers, apart.

    Raises:
        TableError: it is empty or not text, its delimiter is no single character, or a quote is never closed.
    """
    text, said = encodings.decoded(source.content, source.path, encoding=layout.encoding)
    return of_text(text, source, layout, wanted=wanted, said=said)


def of_text(
    text: str, source: Source, layout: Layout, *, wanted: Sequence[str] = (), said: Sequence[str] = ()
) -> Table:
    """As `rows`, of a file's text."""
    path = source.path
    if not text.strip():
        raise TableError(f"{path} is empty: wanted a line with the names of its columns, and a line an example.")
    if layout.delimiter is not None and len(layout.delimiter) != 1:
        raise TableError(f"A delimiter is one character. Received: {layout.delimiter!r} for {path}.")
    delimiter = layout.delimiter or _delimiter(text, path.suffix.lower(), wanted)
    quoted, found = _quoted(text, delimiter, layout)
    said = [*said, *([f"{path.name}: {found}"] if found else [])]
    records = _records(text, delimiter, quoted=quoted, path=source)
    return headers.table(path, records, layout, wanted=wanted, said=said)


def _delimiter(text: str, ending: str, wanted: Sequence[str]) -> str:
    """The delimiter with which the first line has most of the columns wanted, and most records are of one width."""
    tried = _DELIMITERS.get(ending, _DELIMITERS[".csv"])
    starts = {one: _start(text, one) for one in tried}

    def fits(one: str) -> tuple[int, bool, float]:
        first = starts[one][0]
        widths = collections.Counter(len(fields) for fields in starts[one])
        (width, count), *_ = widths.most_common(1)
        even = count / len(starts[one]) if len(first) == width else 0.0
        return len(set(wanted) & {name.strip() for name in first}), width > 1, even

    return max(tried, key=fits)  # of equal ones the first


def _start(text: str, delimiter: str) -> list[list[str]]:
    with _any_length():
        try:
            reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
            return list(itertools.islice((fields for fields in reader if fields), 50)) or [[]]
        except csv.Error:
            return [[]]


def _quoted(text: str, delimiter: str, layout: Layout) -> tuple[bool, str]:
    """Whether quotes are the file's and not its texts', and the sentence that says so where it was found out.

    Where every line has as many tabs, or bars, as the next one, lines are records, whatever quotes stand in them: texts
    of chats and tweets are kept so, and begin with a quote that is never closed.
    """
    if layout.quoting != "auto":
        return layout.quoting == "yes", ""
    if delimiter not in "\t|" or '"' not in text:
        return True, ""
    lines = [line for line in text.split("\n") if line.strip()]
    if len({line.count(delimiter) for line in lines}) > 1:
        return True, ""
    with _any_length():
        try:
            reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
            if sum(1 for fields in reader if fields) == len(lines):
                return True, ""
        except csv.Error:
            pass
    return False, "quotes in it are parts of its texts; --quoting yes says otherwise"


def _records(text: str, delimiter: str, *, quoted: bool, path: Source) -> Iterator[tuple[int, list[str]]]:
    """The line that each record begins in, and its fields; blank lines are passed over."""
    # without strict a quote that is never closed would make one field of every row behind it
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        skipinitialspace=quoted and f'{delimiter} "' in text,
        strict=quoted,
    )
    line = 1
    with _any_length():
        try:
            for fields in reader:
                if any(field.strip() for field in fields):
                    yield line, fields
                line = reader.line_num + 1
        except csv.Error as error:
            raise TableError(
                f"{path.path}, the row that begins in line {line}, cannot be read: {error}. --quoting no takes quotes "
                "for parts of texts."
            ) from error


@contextlib.contextmanager
def _any_length() -> Iterator[None]:
    """Fields of more than 131,072 characters: the module's limit, which is the whole process' and so put back."""
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)
