"""Pairs of texts: what is read, what is left out and counted, what stands in one split."""

from __future__ import annotations

import gettext
import json
import struct

import pytest

from kerastl.data import parallel_text
from kerastl.data.parallel_text import Pair, Policy


def sides(pairs):
    return [(pair.source, pair.target) for pair in pairs]


def compiled(entries, order="<"):
    """A catalog as the manual of gettext describes it: magic, version, count, places of two tables."""
    entries = sorted(entries.items())
    start, texts, tables = 28 + 16 * len(entries), b"", [[], []]
    for entry in entries:
        for side, text in enumerate(entry):
            raw = text.encode()
            tables[side].append((len(raw), start + len(texts)))
            texts += raw + b"\0"
    head = struct.pack(f"{order}7I", 0x950412DE, 0, len(entries), 28, 28 + 8 * len(entries), 0, start)
    return head + b"".join(struct.pack(f"{order}2I", *place) for table in tables for place in table) + texts


WANTED = [("Open", "Öffnen"), ("two words", "zwei Wörter")]


def test_tables_are_read_by_the_names_of_their_columns(tmp_path):
    table, lines = tmp_path / "a.tsv", tmp_path / "a.jsonl"
    table.write_text("de\tid\ten\n" + "".join(f"{de}\t{n}\t{en}\n" for n, (en, de) in enumerate(WANTED)))
    lines.write_text("".join(json.dumps({"en": en, "de": de}) + "\n" for en, de in WANTED))
    found = parallel_text.read(table, source="en", target="de")
    assert sides(found) == WANTED
    assert found[1].where == "a.tsv:3"
    assert sides(parallel_text.read(lines)) == WANTED
    assert sides(parallel_text.read(lines, source="de", target="en")) == [(de, en) for en, de in WANTED]
    for names in ({}, {"source": "en"}, {"source": "en", "target": "fr"}):
        with pytest.raises(ValueError, match=r"--source and --target .* columns are de, id, en"):
            parallel_text.read(table, **names)


def test_lines_of_two_files_belong_together(tmp_path):
    one, other = tmp_path / "a.en", tmp_path / "a.de"
    one.write_text("Open\n\ntwo words\n")
    other.write_text("Öffnen\n\nzwei Wörter\n")
    assert sides(parallel_text.aligned(one, other)) == [WANTED[0], ("", ""), WANTED[1]]
    other.write_text("Öffnen\nzwei Wörter\n")
    with pytest.raises(ValueError, match=r"3 of .*a\.en, 2 of"):
        parallel_text.aligned(one, other)


@pytest.mark.parametrize("order", "<>")
def test_compiled_catalogs_are_read_as_gettext_does(tmp_path, order):
    path = tmp_path / "a.mo"
    header = "Content-Type: text/plain; charset=UTF-8\n"
    path.write_bytes(compiled({"": header, "menu\4Open": "Öffnen", "file\0files": "Datei\0Dateien"}, order))
    with path.open("rb") as file:
        by_gettext = gettext.GNUTranslations(file)
    assert dict(sides(parallel_text.read(path))) == {
        "Open": by_gettext.pgettext("menu", "Open"),
        "file": by_gettext.ngettext("file", "files", 1),
    }


@pytest.mark.parametrize("broken", [lambda raw: raw[:30], lambda raw: b"no" + raw, lambda raw: raw[:-9], lambda _: b""])
def test_a_broken_catalog_is_refused(tmp_path, broken):
    path = tmp_path / "a.mo"
    path.write_bytes(broken(compiled(dict(WANTED))))
    with pytest.raises(ValueError, match="Wanted a compiled catalog"):
        parallel_text.read(path)


def test_a_written_catalog_is_read(tmp_path):
    path = tmp_path / "a.po"
    path.write_text(
        'msgid ""\nmsgstr "Language: de\\n"\n\n#: here\nmsgctxt "menu"\nmsgid "Open"\nmsgstr "Öffnen"\n\n'
        '#, fuzzy\nmsgid "no"\nmsgstr "falsch"\n\nmsgid "two "\n"words"\nmsgid_plural "x"\n'
        'msgstr[0] "zwei "\n"Wörter"\nmsgstr[1] "y"\n\n#~ msgid "old"\n#~ msgstr "alt"\n'
    )
    assert sides(parallel_text.read(path)) == WANTED
    path.write_text('msgid "Open\nmsgstr "Öffnen"\n')
    with pytest.raises(ValueError, match="line 1"):
        parallel_text.read(path)


def test_what_cannot_teach_is_left_out_and_counted():
    pairs = [
        Pair(" two  words ", "zwei Wörter", "a"),
        Pair("two words", "zwei Wörter", "b"),
        Pair("two words", "Wörter, zwei", "c"),
        Pair("", "x", "d"),
        Pair("Linux", "linux", "e"),
        Pair("OK", "x" * 19, "f"),
        Pair("OK", "x" * 20, "g"),
        Pair("w " * 10_000, "w", "h"),
        Pair("<b>bold</b>", "<b>fett</b>", "i"),
        Pair("Insert a new paragraph here", "在此插入新段", "j"),
    ]
    kept, gone = parallel_text.cleaned(pairs)
    assert [pair.where for pair in kept] == ["a", "c", "f", "i", "j"]
    assert kept[0].source == "two words"
    wanted = {"repeated": 1, "empty side": 1, "target repeats source": 1, "length ratio": 1, "too long": 1}
    assert gone == wanted
    kept, gone = parallel_text.cleaned(pairs, Policy(copies=True, markup=False))
    assert [pair.where for pair in kept] == ["a", "c", "e", "f", "j"]
    assert gone["markup"] == 1


def test_what_is_nearly_the_same_stands_in_one_split():
    # The first is near to the second by its source, the second to the third by its target.
    pairs = []
    for number in range(60):
        word = f"{chr(97 + number // 26)}{chr(97 + number % 26)}"
        one, other, more = f"{word} one", f"{word} eins", f"{word} more"
        pairs += [Pair(f"{one}: 1", f"{word} uno", ""), Pair(one.upper(), other, ""), Pair(more, f"{other}!", "")]
    parts = parallel_text.divided(pairs, validation=0.1, test=30, seed=1)
    assert {name: len(some) for name, some in parts.items()} == {"train": 132, "validation": 18, "test": 30}
    words = {name: {pair.source[:2].lower() for pair in some} for name, some in parts.items()}
    assert sum(map(len, words.values())) == 60
    assert parts == parallel_text.divided(pairs, validation=0.1, test=30, seed=1)
    assert parts != parallel_text.divided(pairs, validation=0.1, test=30, seed=2)
