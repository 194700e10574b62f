"""The column of a table that holds what a model takes, found by what stands in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from kerastl.system import phrases

_WORDS_OF_A_NAME = 4  # of a column; what has more, or ends as a sentence does, is a row itself


def of_sentences(header: Sequence[str], rows: Sequence[Sequence[str | None]]) -> tuple[str, ...]:
    """The column of several words a field, or of texts at all where no other has such.

    Args:
        header: names of the columns.
        rows: some of the table's, a value a column, ``None`` for a missing one.

    Raises:
        ValueError: if there is none, or no telling which; if the first line is no line of names.
    """
    found = {name: [cell for cell in cells if cell and cell.strip()] for name, cells in _cells(header, rows)}
    texts = {name: cells for name, cells in found.items() if cells and not all(map(_is_number, cells))}
    words = {name: float(np.mean([len(cell.split()) for cell in cells])) for name, cells in texts.items()}
    several = [name for name in words if words[name] >= 2] or list(words)
    longest = sorted(several, key=lambda name: -words[name])
    if len(longest) > 1 and words[longest[0]] > 2 * words[longest[1]]:
        longest = longest[:1]
    (name,) = _only(longest, header, what="sentences")
    if len(name.split()) > _WORDS_OF_A_NAME or name.endswith((".", "!", "?")):
        raise ValueError(
            f"Wanted names of columns in the first line. Received: {name[:100]!r}, which reads as a sentence: put a "
            "line with a name, text for example, in front of it."
        )
    return (name,)


def of_files(
    header: Sequence[str],
    rows: Sequence[Sequence[str | None]],
    *,
    endings: tuple[str, ...],
    what: str = "paths of pictures",
) -> tuple[str, ...]:
    """The column most of whose fields end as names of such files do; arguments and errors as `of_sentences`."""

    def names_files(cells: Sequence[str | None]) -> bool:
        there = [cell.strip().lower() for cell in cells if cell and cell.strip()]
        return bool(there) and sum(cell.endswith(endings) for cell in there) > len(there) / 2

    return _only(_where(names_files, header, rows), header, what=what)


def _where(
    holds: Callable[[Sequence[str | None]], bool], header: Sequence[str], rows: Sequence[Sequence[str | None]]
) -> list[str]:
    return [name for name, cells in _cells(header, rows) if holds(cells)]


def _cells(header: Sequence[str], rows: Sequence[Sequence[str | None]]) -> list[tuple[str, list[str | None]]]:
    return [(name, [row[place] for row in rows]) for place, name in enumerate(header)]


def _only(found: Sequence[str], header: Sequence[str], *, what: str) -> tuple[str, ...]:
    if len(found) != 1:
        given = f"{phrases.counted(len(found), 'such column', 'such columns')} among {', '.join(header[:20])}"
        raise ValueError(f"Wanted one column of {what}; --column NAME says which. Received: {given}.")
    return tuple(found)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
