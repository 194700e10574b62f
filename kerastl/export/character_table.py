"""What becomes of each character before a text is cut into pieces, as a table: a phone need not know Unicode.

Phones have tables of their own, each of another version of Unicode, and none is the one that a tokenizer was published
with. So the tokenizer's own goes into the bundle, as ``characters.txt``. A line has hexadecimal numbers:

    FIRST LAST PART PART ...

A character from ``FIRST`` to ``LAST`` becomes the parts, one that is in no line stays as it is. A part is a code point;
``+N`` is ``N`` and as much more as the character lies behind ``FIRST``; what follows an ``@`` is the class by which
marks in a row are put in order, smaller ones first (canonical combining class, Unicode 3.11). Lines are in order and do
not overlap. Code point 0 keeps marks before it apart from those behind it, and falls away in the end.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

from kerastl.inputs import sentencepiece, wordpiece

NAME = "characters.txt"
Settings = wordpiece.Settings | sentencepiece.Settings
_PLANES = (*range(0x32400), *range(0xE0000, 0xE1000), *range(0xF0000, 0x110000))
"""Where characters are that become something else; all others are unassigned, and stay."""


@functools.cache
def lines(settings: Settings) -> tuple[str, ...]:
    """The table of a tokenizer with these settings, a line each without its end."""
    return tuple(
        " ".join([f"{first:X} {last:X}", *(_written(part, rises, settings) for part, rises in parts)])
        for first, last, parts in _rows(settings)
    )


_Parts = tuple[tuple[int, bool], ...]
"""Code points, each with whether it rises with the character."""


def _rows(settings: Settings) -> Iterator[tuple[int, int, _Parts]]:
    """First and last character of each line, and what becomes of the first."""
    row: tuple[int, int, _Parts] | None = None
    for code in _PLANES:
        if 0xD800 <= code <= 0xDFFF:  # half of a character
            continue
        made = _becomes(chr(code), settings)
        if row is not None and row[1] == code - 1 and (parts := _going_on(row, code, made, settings)) is not None:
            row = (row[0], code, parts)
            continue
        if row is not None:
            yield row
        stays = made == chr(code) and not _order(made, settings)
        row = None if stays else (code, code, tuple((ord(part), False) for part in made))
    if row is not None:
        yield row


def _going_on(row: tuple[int, int, _Parts], code: int, made: str, settings: Settings) -> _Parts | None:
    """The parts of a row that has the next character too, ``None`` where something else becomes of that."""
    first, last, parts = row
    if len(made) != len(parts):
        return None
    found = []
    for (part, rises), new in zip(parts, made, strict=True):
        rises = ord(new) == part + code - first if first == last else rises
        follows = ord(new) == (part + code - first if rises else part)
        if not follows or _order(chr(part), settings) != _order(new, settings):
            return None
        found.append((part, rises))
    return tuple(found)


def _becomes(character: str, settings: Settings) -> str:
    if isinstance(settings, sentencepiece.Settings):
        return settings.becomes(character)
    return wordpiece.becomes(character, settings)


def _order(character: str, settings: Settings) -> int:
    """No order of SentencePiece's: marks are taken off, or stay where they are."""
    return 0 if isinstance(settings, sentencepiece.Settings) else wordpiece.order(character, settings)


def _written(part: int, rises: bool, settings: Settings) -> str:
    order = _order(chr(part), settings)
    return f"{'+' if rises else ''}{part:X}{f'@{order:X}' if order else ''}"
