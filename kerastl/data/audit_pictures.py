"""Everything wrong with pictures of one's own, in folders or listed in a table: each is decoded."""

from __future__ import annotations

import collections
import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from kerastl.data import class_folders, duplicates, enough, near_duplicates, overview, picture_listing
from kerastl.inputs import pictures
from kerastl.system import phrases
from kerastl.types import Finding

Listed = Mapping[str, Mapping[str, Sequence[tuple[Path, str]]]]
"""Split -> class -> its files, each with the words for where it stands."""
_MANY = 20


def listed(listing: picture_listing.Listing, *, near: bool) -> list[Finding]:
    """Findings about pictures in folders or in a table, see `picture_listing.listed` and `audit.audit`."""
    title = listing.title
    counts = collections.Counter(
        name for row in listing.rows for name in (row.labels if listing.multi_label else [row.label])
    )
    counts.update(dict.fromkeys(listing.names, 0))  # of no picture at all
    parts = collections.Counter(str(row.split) for row in listing.rows)
    said = (*(overview.sentences(counts, parts) if counts else ()), *listing.said)
    found = [Finding("note", title, sentence) for sentence in said]
    found += [Finding("error", title, problem) for problem in (*listing.problems, *listing.unusable)]
    divided = any(row.split not in (None, "train") for row in listing.rows)
    files: dict[str, dict[str, list[tuple[Path, str]]]] = defaultdict(lambda: defaultdict(list))
    for row in listing.rows:
        name = Path(os.path.relpath(row.path, listing.root)).as_posix()
        where = f"line {row.line}: {name}" if listing.columns else name
        files[(row.split or "train") if divided else "all"][row.label].append((Path(row.path), where))
    if listing.columns is None:
        for split, name in listing.places:
            files[split if divided else "all"].setdefault(name, [])
        found += _strays(listing) if listing.places else ()  # an export's annotations are none
    names_of = {row.label: row.labels for row in listing.rows} if listing.multi_label else None
    return _judged(files, title, found, near=near, names_of=names_of)


def _strays(listing: picture_listing.Listing) -> Iterator[Finding]:
    """Warnings of files in the folder that are no example: no pictures by their names, or in no folder of a class."""
    taken = {row.path for row in listing.rows}
    strays: dict[tuple[str, bool], list[str]] = defaultdict(list)
    for file in class_folders.files(listing.root):
        picture = class_folders.is_picture(file)
        if str(file) not in taken and (picture or file.parent != listing.root):
            name = file.relative_to(listing.root)
            strays[name.parts[0] if len(name.parts) > 1 else "", picture].append(name.as_posix())
    for (top, picture), names in strays.items():
        what = "picture outside any class folder" if picture else "not a picture by its name"
        if len(names) > _MANY:
            yield Finding("warning", top or listing.title, f"{len(names):,} files: {what}, {duplicates.some(names)}")
        else:
            yield from (Finding("warning", name, what) for name in names)


def _judged(
    listed: Listed,
    title: str,
    found: list[Finding],
    *,
    near: bool,
    names_of: Mapping[str, Sequence[str]] | None = None,
) -> list[Finding]:
    """Findings about pictures; where one may have several classes, ``listed`` is by sets of them, named in names_of."""
    digests: dict[str, list[tuple[bytes, str, object]]] = {}
    looks: dict[str, list[np.ndarray]] = {}
    classes: dict[str, set[str]] = {}
    stated: dict[str, set[str]] = {}
    grey: list[str] = []
    for split, files_of in listed.items():
        digests[split], looks[split], classes[split], stated[split] = [], [], set(), set()
        for name, files in files_of.items():
            names = [name] if names_of is None else names_of[name]
            stated[split].update(names)
            readable = list(_read(files, found, grey))
            if readable:
                classes[split].update(names)
            digests[split] += [(digest, where, name) for digest, where, _ in readable]
            looks[split] += [look for _, _, look in readable]
        for name in stated[split] - classes[split]:
            where = name if split == "all" else f"{split}/{name}"
            found.append(Finding("error", where, "class without a readable picture"))
    if 0 < len(grey) < sum(len(rows) for rows in digests.values()):
        what = phrases.counted(
            len(grey), "picture is grey among coloured ones", "pictures are grey among coloured ones"
        )
        what += f": {duplicates.some(grey)}"
        found.append(Finding("warning", title, what))
    every = set().union(*classes.values())
    for split, present in classes.items():
        if len(present) == 1:
            found.append(Finding("error", split, enough.one_class(min(present))))
        if missing := sorted(every - stated[split]):
            found.append(Finding("error", split, f"no example of class {duplicates.some(missing)}"))
    duplicates.exact(digests, found)
    if near:
        duplicates.near({split: np.concatenate(some) for split, some in looks.items() if some}, digests, found)
    return found


def _read(
    files: Sequence[tuple[Path, str]], found: list[Finding], grey: list[str]
) -> Iterator[tuple[bytes, str, np.ndarray]]:
    """``(digest of the decoded pixels, where, small picture)`` of each picture that can be read."""
    for path, where in files:
        try:
            picture = pictures.read(path)
        except (pictures.PictureError, OSError) as error:
            found.append(Finding("error", where, str(error)))
            continue
        found += [Finding("warning", where, remark) for remark in picture.remarks if remark != pictures.GREY]
        if pictures.GREY in picture.remarks:
            grey.append(where)
        digest = hashlib.sha256(f"{picture.pixels.shape}".encode() + picture.pixels.tobytes()).digest()
        yield digest, where, near_duplicates.small(picture.pixels[None])
