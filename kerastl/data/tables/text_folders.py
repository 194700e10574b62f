"""Texts in files of their own, a folder a class, with splits around them or none: ``train/pos/1.txt``."""

from __future__ import annotations

from pathlib import Path

from kerastl.data import class_folders
from kerastl.data.tables import encodings
from kerastl.data.tables.table import Layout, Row, Table, TableError

_LARGEST = 10_000_000


def is_one(root: Path) -> bool:
    """Whether a folder has folders with texts inside."""
    return any(class_folders.is_text(file) for folder in class_folders.folders(root) for file in folder.rglob("*"))


def read(root: Path, layout: Layout) -> Table:
    """A row a text, with the columns ``text``, ``label`` and ``split``.

    Args:
        root: the folder.
        layout: says the encoding, where somebody knows it, and which folders are classes.

    Raises:
        TableError: its folders are none of classes, or a file is too large or of no encoding.
    """
    try:
        found = class_folders.read(root, is_one=class_folders.is_text, classes_at=layout.classes_at)
    except ValueError as error:
        raise TableError(str(error)) from error
    rows, said = [], list(found.said)
    divided = len({one.split for one in found.examples}) > 1
    divided = len({one.split for one in found.examples}) > 1
    for one in found.examples:
        if not one.file.is_file() or one.file.stat().st_size > _LARGEST:
            raise TableError(f"Wanted texts of at most {_LARGEST:,} bytes. Received: {one.file}, no file or larger.")
        text, guessed = encodings.decoded(one.file.read_bytes(), one.file, encoding=layout.encoding)
        said += guessed[: 3 - len(said)]  # of thousands of files the first ones
        rows.append(
            Row(1, (text, one.label, one.split if divided else None), file=one.file.relative_to(root).as_posix())
        )
    return Table(root, ("text", "label", "split"), tuple(rows), tuple(said))
