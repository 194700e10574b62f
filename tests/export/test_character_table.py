"""The table of characters read by a program of its own, against what the tokenizer does with each character."""

from __future__ import annotations

import bisect
import itertools
import unicodedata

import pytest

from kerastl.export import character_table
from kerastl.inputs import wordpiece
from kerastl.inputs.wordpiece import LEARNT, UNCASED, Settings

CASED = Settings(lowercase=False, strip_accents=False)


def read(settings):
    """Character -> what becomes of it by the lines of the table, and the classes of the marks that may move."""
    rows = [line.split(" ") for line in character_table.lines(settings)]
    lasts = [int(row[1], 16) for row in rows]
    orders = {}

    def becomes(code):
        place = bisect.bisect_left(lasts, code)
        first = int(rows[place][0], 16) if place < len(rows) else code + 1
        if first > code:
            return chr(code)
        written = ""
        for part in rows[place][2:]:
            number, _, order = part.lstrip("+").partition("@")
            letter = chr(int(number, 16) + (code - first if part.startswith("+") else 0))
            written += letter
            if order:
                orders[letter] = int(order, 16)
        return written

    return becomes, orders


@pytest.mark.parametrize("settings", [UNCASED, CASED, LEARNT], ids=["uncased", "cased", "learnt"])
def test_the_table_says_of_each_character_what_the_tokenizer_does(settings):
    becomes, orders = read(settings)
    ends = [(int(a, 16), int(b, 16)) for a, b, *_ in (line.split(" ") for line in character_table.lines(settings))]
    assert all(first <= last for first, last in ends)
    assert all(one[1] < other[0] for one, other in itertools.pairwise(ends))
    codes = [*range(0xD800), *range(0xE000, 0x20000), *range(0x20000, 0x110000, 101)]
    codes += [code for first, last in ends for code in (first - 1, first, last, last + 1) if 0 <= code < 0x110000]
    wrong = [hex(code) for code in codes if becomes(code) != wordpiece.becomes(chr(code), settings)]
    assert wrong == []
    assert orders == {
        letter: unicodedata.combining(letter)
        for letter in map(chr, range(0x20000))
        if wordpiece.order(letter, settings)
    }
    assert bool(orders) == settings.strip_accents


def test_lines_as_they_are_documented():
    lines = character_table.lines(UNCASED)
    assert "41 5A +61" in lines  # A to Z
    assert "4E00 9FFF 20 +4E00 20" in lines
    assert "C0 C5 61" in lines  # À to Å
    assert any(line.split(" ")[:2] == ["0", "8"] and line.count(" ") == 1 for line in lines)  # controls fall away
    assert "302E 302F +302E@E0" in lines
    assert all(line.isascii() and line == line.strip() for line in lines)
