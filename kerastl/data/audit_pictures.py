"""Everything wrong with pictures of one's own, in folders or listed in a table: each is decoded."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from kerastl.data import class_folders, duplicates, enough, multi_label_columns, near_duplicates, picture_table, splits
from kerastl.inputs import pictures
from kerastl.system import phrases
from kerastl.types import Finding

Listed = Mapping[str, Mapping[str, Sequence[tuple[Path, str]]]]
"""Split -> class -> its files, each with the words for where it stands."""


def folder(root: Path, *, near: bool) -> list[Finding]:
    """Findings about ``class/picture`` or ``split/class/picture``, see `audit.audit`."""
    found: list[Finding] = []
    tops = sorted(class_folders.folders(root))
    by_split = {top.name: top for top in tops if top.name.lower() in splits.BY_WORD}
    if by_split and len(by_split) < len(tops):
        strays = [top.name for top in tops if top.name not in by_split]
        found.append(
            Finding("warning", root.name, f"folders beside the splits are left out: {duplicates.some(strays)}")
        )
    if words := class_folders.nameless_splits(root):
        found.append(Finding("error", root.name, f"splits that would be taken for classes: {words}"))
    listed: dict[str, dict[str, list[tuple[Path, str]]]] = {}
    for split, top in (by_split or {"all": root}).items():
        inside = sorted(class_folders.folders(top))
        listed[split] = {inner.name: list(_files(inner, root, found)) for inner in inside}
        for stray in sorted(top.iterdir()):
            if stray.is_file() and class_folders.is_picture(stray):
                found.append(Finding("warning", _name(stray, root), "picture outside any class folder"))
    return _judged(listed, root.name, found, near=near)


def table(
    path: Path,
    *,
    near: bool,
    path_column: str,
    label_column: str,
    split_column: str,
    label_separator: str | None = None,
    label_columns: Sequence[str] = (),
) -> list[Finding]:
    """Findings about a table of picture files, see `picture_table.read` and `audit.audit`."""
    label_options = multi_label_columns.columns_or_separator(label_separator, label_columns)
    has_splits = split_column in picture_table.columns_of(path)
    try:
        rows = picture_table.read(
            path,
            path_column=path_column,
            label_column=label_column,
            split_column=split_column if has_splits else None,
            **label_options,
        )
    except picture_table.TableError as error:
        return [Finding("error", path.name, str(error))]
    found: list[Finding] = []
    listed: dict[str, dict[str, list[tuple[Path, str]]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        split = "all" if row.split is None else splits.BY_WORD.get(row.split.lower())
        where = f"line {row.line}: {os.path.relpath(row.path, path.parent)}"
        if split is None:
            found.append(Finding("error", where, f"split {row.split!r}, which is none of {', '.join(splits.WORDS)}"))
        else:
            listed[split][row.label].append((Path(row.path), where))
    names_of = {row.label: row.labels for row in rows} if label_options else None
    return _judged(listed, path.name, found, near=near, names_of=names_of)


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


def _files(inner: Path, root: Path, found: list[Finding]) -> Iterator[tuple[Path, str]]:
    for path in class_folders.files(inner):
        if class_folders.is_picture(path):
            yield path, _name(path, root)
        else:
            found.append(Finding("warning", _name(path, root), "not a picture by its name"))


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
