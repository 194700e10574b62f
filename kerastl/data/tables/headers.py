"""Whether the first record of a file holds the names of its columns, and the table that the records make."""

from __future__ import annotations

import collections
import itertools
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from kerastl.data.tables.table import Layout, Row, Table

_LOOKED_AT, _LONGEST, _MOST_WORDS = 200, 60, 4
"""Records by which a file is judged; characters, and words, that a name of a column has at most."""
_FILE = re.compile(r"\.(jpe?g|png|bmp|gif|webp|tiff?|heic|avif|wav|txt)$", re.IGNORECASE)


def table(
    path: Path,
    records: Iterable[tuple[int, Sequence[str | None]]],
    layout: Layout,
    *,
    wanted: Sequence[str] = (),
    said: Iterable[str] = (),
) -> Table:
    """The table of records, the first of which may hold names.

    Args:
        path: of the file.
        records: the line of each and its fields, none of them blank.
        layout: says whether the first holds names, or that it is to be found out.
        wanted: names that it should hold.
        said: of the file already.
    """
    records, said = iter(records), list(said)
    start = list(itertools.islice(records, _LOOKED_AT))
    named = is_header([fields for _, fields in start], layout, wanted=wanted)
    if named:
        fields = start.pop(0)[1] if start else []
        names = [(name or "").strip() or str(number) for number, name in enumerate(fields, 1)]
    else:
        widths = collections.Counter(len(fields) for _, fields in start)
        (usual, _), *_ = widths.most_common(1)
        # a file and then its labels, as many as it has: nothing in such a row is a text that was torn
        listed = all(any(map(_FILE.search, filter(None, fields[:2]))) for _, fields in start)
        names = [str(number) for number in range(1, (max(widths) if listed else usual) + 1)]
        if layout.header == "auto":
            said.append(
                f"{path.name} has no header, no names in its first line: its columns are called 1 to {len(names)}; "
                "--header yes takes the line for names"
            )
    rows = (_row(line, fields, len(names)) for line, fields in itertools.chain(start, records))
    return Table(path, tuple(names), tuple(rows), tuple(said))


def _row(line: int, fields: Sequence[str | None], width: int) -> Row:
    # a separator within a text that nobody quoted; empty fields at the end are a spreadsheet's
    torn = any((field or "").strip() for field in fields[width:])
    problem = f"{len(fields)} fields, where the first line has {width}" if torn else None
    return Row(line, (*fields[:width], *[None] * (width - len(fields))), problem)


def is_header(records: Sequence[Sequence[str | None]], layout: Layout, *, wanted: Sequence[str] = ()) -> bool:
    """Whether the first record holds names and no example.

    It holds none where one of its fields is a file, a sentence, a number above numbers, or a label: that stands in
    other rows of a column of few words as well, and a name of a column in none.
    """
    if layout.header != "auto" or not records:
        return layout.header != "no"
    first, *others = [[(field or "").strip() for field in fields] for fields in records]
    if {name for name in wanted if not name.isdecimal()} & set(first) or not others:
        return True
    columns = [
        [fields[place] for fields in others if place < len(fields) and fields[place]] for place in range(len(first))
    ]
    pairs = [(name, column) for name, column in zip(first, columns, strict=True) if name]
    return not any(_is_value(name, column) for name, column in pairs)


def _is_value(name: str, column: Sequence[str]) -> bool:
    """Whether a field is one of those below it, and no name of them."""
    if _FILE.search(name) or (len(name) > _LONGEST and len(name.split()) > _MOST_WORDS):
        return True
    if is_number(name) and column and all(map(is_number, column)):
        return True
    return name in column and len(set(column)) <= max(len(column) // 2, 2)


def is_number(word: str) -> bool:
    """Whether a word is a finite number."""
    try:
        return math.isfinite(float(word))
    except ValueError:
        return False
