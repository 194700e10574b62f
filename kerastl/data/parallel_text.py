"""Pairs of texts, a source and its target: tables of two columns, two aligned files, gettext's catalogs.

What cannot teach a translation is left out by stated rules, with its count: see `cleaned`.
"""

from __future__ import annotations

import ast
import collections
import dataclasses
import re
import struct
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from kerastl.data import splits
from kerastl.data.tables import encodings, files

_MAGIC = {b"\xde\x12\x04\x95": "<", b"\x95\x04\x12\xde": ">"}
_MOST_BYTES = 256 << 20
_MARKUP = re.compile(r"<[^<>]{1,200}>|&[a-zA-Z#0-9]{2,10};")
_ENTRY = re.compile(r'^(msgctxt|msgid_plural|msgid|msgstr(?:\[\d+\])?)\s+(".*")$')


@dataclasses.dataclass(frozen=True)
class Pair:
    """A text and what it becomes.

    Attributes:
        source: what is given.
        target: what is wanted of it.
        where: file and line, or the number in a catalog, that it was found at.
    """

    source: str
    target: str
    where: str


@dataclasses.dataclass(frozen=True)
class Policy:
    """Which pairs `cleaned` leaves out.

    Attributes:
        most_characters: of either side.
        most_ratio: of the longer side's characters to the shorter's, each of Chinese, Japanese and Korean counting as
            three: of 28,082 pairs of English and Chinese 1,976 were left out where it counted as one.
        ratio_from: characters of the longer side from which the ratio counts; "OK" may become a word of any length.
        copies: whether a target that repeats its source stays: names and numbers do, but so do texts that nobody
            translated.
        markup: whether texts with tags (``<b>``) or entities (``&amp;``) stay.
    """

    most_characters: int = 400
    most_ratio: float = 4.0
    ratio_from: int = 20
    copies: bool = False
    markup: bool = True


def read(path: Path, *, source: str | None = None, target: str | None = None) -> list[Pair]:
    """The pairs of a table, or of a gettext catalog (``.po``, ``.mo``).

    Args:
        path: of any table that `tables.files.read` knows, JSON lines among them; or a catalog.
        source, target: names of its two columns; ``None`` where a table has no others. A catalog has none.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it lacks a column, has more than two without names given, or is no sound catalog.
    """
    if path.suffix.lower() in (".mo", ".po"):
        content = _bounded(path)
        found = _compiled(content, path) if path.suffix.lower() == ".mo" else _written(content, path)
        return [Pair(one, other, f"{path.name}:{number}") for number, one, other in found]
    table = files.read(path, wanted=[name for name in (source, target) if name])
    names = (source, target)
    if source is None and target is None and len(table.columns) == 2:
        names = table.columns
    if None in names or not set(names) <= set(table.columns):
        raise ValueError(
            f"Wanted two columns, the source and the target of each pair; --source and --target name them. Received: "
            f"{source!r} and {target!r} for {path}, whose columns are {', '.join(table.columns)}."
        )
    sides = zip(table.rows, *(table.values(str(name)) for name in names), strict=True)
    return [Pair(str(one or ""), str(other or ""), f"{path.name}:{row.line}") for row, one, other in sides]


def aligned(source: Path, target: Path) -> list[Pair]:
    """The pairs of two files whose lines belong together, blank lines included.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: they have not the same number of lines.
    """
    sides = [encodings.decoded(_bounded(path), path)[0].splitlines() for path in (source, target)]
    if len(sides[0]) != len(sides[1]):
        raise ValueError(
            f"Wanted two files of as many lines, which belong together. Received: {len(sides[0]):,} of {source}, "
            f"{len(sides[1]):,} of {target}."
        )
    lines = enumerate(zip(*sides, strict=True), 1)
    return [Pair(one, other, f"{source.name}:{number}") for number, (one, other) in lines]


def cleaned(pairs: Sequence[Pair], policy: Policy = Policy()) -> tuple[list[Pair], dict[str, int]]:
    """The pairs that can teach, their white space made single, and how many were left out for each reason.

    Each pair counts under the first reason that holds. The same source with the same target stays once.
    """
    kept: dict[tuple[str, str], Pair] = {}
    gone: collections.Counter[str] = collections.Counter()
    for pair in pairs:
        one, other = " ".join(pair.source.split()), " ".join(pair.target.split())
        reason = _fault(one, other, policy) or ("repeated" if (one, other) in kept else None)
        if reason:
            gone[reason] += 1
        else:
            kept[one, other] = Pair(one, other, pair.where)
    return list(kept.values()), dict(gone)


def _fault(source: str, target: str, policy: Policy) -> str | None:
    if not source or not target:
        return "empty side"
    if not policy.copies and source.casefold() == target.casefold():
        return "target repeats source"
    shorter, longer = sorted(map(_size, (source, target)))
    if max(len(source), len(target)) > policy.most_characters:
        return "too long"
    if longer >= policy.ratio_from and longer > policy.most_ratio * shorter:
        return "length ratio"
    if not policy.markup and (_MARKUP.search(source) or _MARKUP.search(target)):
        return "markup"
    return None


def _size(text: str) -> int:
    """Characters; one as wide as two, of Chinese, Japanese or Korean, says about as much as three letters."""
    return sum(3 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)


def divided(pairs: Sequence[Pair], *, validation: int | float, test: int | float, seed: int) -> dict[str, list[Pair]]:
    """Three splits; pairs that are nearly the same on either side stand in one and the same.

    Two texts are nearly the same that differ in case, digits, white space and punctuation alone. What is near to one
    that is near to another goes with both.

    Args:
        pairs: as `cleaned` gives them.
        validation, test: how many pairs (int) or what share of all (float), as nearly as whole groups allow.
        seed: decides which.

    Raises:
        ValueError: so many cannot be taken out.
    """
    groups = _groups(pairs)
    alike = np.zeros(len(pairs), np.int64)
    left, test_rows = splits.grouped(alike, groups, validation=test, seed=2 * seed, leave=2)
    wanted = round(validation * len(pairs)) if isinstance(validation, float) else validation
    train, held = splits.grouped(alike[left], groups[left], validation=wanted, seed=2 * seed + 1)
    parts = {"train": left[train], "validation": left[held], "test": test_rows}
    return {name: [pairs[row] for row in rows] for name, rows in parts.items()}


def _groups(pairs: Sequence[Pair]) -> np.ndarray:
    """A number each pair, the same for all that nearly the same texts join."""
    parents = list(range(len(pairs)))

    def root(row: int) -> int:
        while parents[row] != row:
            parents[row] = parents[parents[row]]
            row = parents[row]
        return row

    first: dict[tuple[int, str], int] = {}
    for row, pair in enumerate(pairs):
        for side, text in enumerate((pair.source, pair.target)):
            key = "".join(sign for sign in text.casefold() if sign.isalpha())
            # a text without letters is near to nothing but itself
            parents[root(row)] = root(first.setdefault((side, key or text), row))
    return np.array([root(row) for row in range(len(pairs))], np.int64)


def _bounded(path: Path) -> bytes:
    if not path.is_file():
        raise FileNotFoundError(f"There is no file of pairs {path}.")
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(f"Wanted at most {_MOST_BYTES:,} bytes. Received: {path} of {path.stat().st_size:,}.")
    return path.read_bytes()


def _compiled(content: bytes, path: Path) -> Iterator[tuple[int, str, str]]:
    """The entries of a ``.mo`` file, of plurals the first form; the header, whose source is empty, is left out."""
    order = _MAGIC.get(content[:4])
    try:
        if order is None:
            raise ValueError("no magic number")
        count, sources, targets = struct.unpack_from(f"{order}3I", content, 8)
        if max(sources, targets) + 8 * count > len(content):
            raise ValueError(f"{count:,} entries in {len(content):,} bytes")
        for number in range(count):
            sides = []
            for table in (sources, targets):
                length, start = struct.unpack_from(f"{order}2I", content, table + 8 * number)
                if start + length > len(content):
                    raise ValueError(f"entry {number} ends beyond the file")
                sides.append(content[start : start + length].decode("utf-8"))
            source, target = (side.split("\0")[0] for side in sides)
            source = source.rpartition("\4")[2]  # before it stands a context
            if source:
                yield number, source, target
    except (ValueError, struct.error) as error:
        raise ValueError(f"Wanted a compiled catalog of gettext in UTF-8. Received: {path}: {error}.") from error


def _written(content: bytes, path: Path) -> Iterator[tuple[int, str, str]]:
    """The entries of a ``.po`` file, of plurals the first form; the header and fuzzy and old entries are left out."""
    entry: dict[str, str] = {}
    field, begin, fuzzy = None, 0, False
    for number, raw in enumerate([*encodings.decoded(content, path)[0].splitlines(), ""], 1):
        line = raw.strip()
        found = _ENTRY.match(line)
        over = not line or line.startswith("#") or (found and found[1] in ("msgctxt", "msgid"))
        if over and "msgstr" in entry:
            if entry.get("msgid") and not fuzzy:
                yield begin, entry["msgid"], entry["msgstr"]
            entry, field, fuzzy = {}, None, False
        if line.startswith("#"):
            fuzzy = fuzzy or (line.startswith("#,") and "fuzzy" in line)
        elif line:
            text = found[2] if found else line
            try:
                said = ast.literal_eval(text)
                if not isinstance(said, str) or not (found or field):
                    raise ValueError("no string of an entry")
            except (SyntaxError, ValueError) as error:
                raise ValueError(f"Wanted gettext's lines. Received: {path}, line {number}: {line[:60]!r}.") from error
            if found:
                field = {"msgstr[0]": "msgstr"}.get(found[1], found[1])
                begin = number if field == "msgid" else begin
            entry[str(field)] = entry.get(str(field), "") + said
