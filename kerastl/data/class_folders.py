"""Folders of pictures as people keep them: ``CLASS/PICTURE``, or ``train/CLASS/PICTURE``. Nothing is decoded."""

from __future__ import annotations

import os
import re
from pathlib import Path

from kerastl.data import class_order, splits
from kerastl.inputs import pictures


def splits_of(root: Path) -> dict[str, Path]:
    """Split -> folder; a folder without splits is all of it training."""
    found = {
        split: folder
        for split, words in splits.WORDS.items()
        for folder in folders(root)
        if folder.name.lower() in words
    }
    if "train" not in found:
        _refuse_nameless_splits(root)
        return {"train": root}
    strays = [folder.name for folder in folders(root) if folder not in found.values()]
    if strays:
        raise ValueError(f"Folders beside the splits are of no class. Received: {', '.join(strays)} in {root}.")
    return found


def _refuse_nameless_splits(root: Path) -> None:
    """Raises `ValueError` for folders of the same classes, one called a split: a model would tell splits apart."""
    words = nameless_splits(root)
    if words:
        raise ValueError(f"A folder of splits has one called train. Received: {words} in {root}.")


def nameless_splits(root: Path) -> str:
    """Folders that hold the same classes and are splits by a part of their names, none of which is called train: in
    words, or an empty string where there are none.
    """
    tops = folders(root)
    if any(top.name.lower() in splits.WORDS["train"] for top in tops):
        return ""
    classes = [{inner.name for inner in folders(top)} for top in tops]
    named = any(splits.BY_WORD.keys() & re.split("[^a-z]+", top.name.lower()) for top in tops)
    if not named or len(tops) < 2 or len(classes[0]) < 2 or any(one != classes[0] for one in classes):
        return ""
    if any(is_picture(file) for top in tops for file in top.iterdir()):
        return ""
    names = ", ".join(sorted(top.name for top in tops))
    return f"{names}, each with {', '.join(sorted(classes[0])[:5])}: name them {', '.join(splits.WORDS)}"


def pictures_of(folder: Path) -> list[tuple[str, Path]]:
    """Class and file of every picture below the class folders, in the order of the classes and of the file names."""
    return [
        (inner.name, file)
        for inner in sorted(folders(folder), key=lambda inner: class_order.natural(inner.name))
        for file in files(inner)
        if is_picture(file)
    ]


def folders(folder: Path) -> list[Path]:
    """The folders in a folder, without those that no person made."""
    return [path for path in folder.iterdir() if path.is_dir() and not _is_hidden(path.name)]


def files(folder: Path) -> list[Path]:
    """Files below a class folder, in an order that does not depend on the file system.

    Hidden ones are left out, and what lies in hidden folders: thumbnails are copies that no digest knows again.
    """
    found = [
        path
        for path in folder.rglob("*")
        if (path.is_file() or (path.is_symlink() and not path.exists()))  # a link to nothing is to be told of
        and not any(map(_is_hidden, path.relative_to(folder).parts))
    ]
    return sorted(found, key=lambda path: os.fsencode(path.relative_to(folder)))


def is_picture(file: Path) -> bool:
    """Whether it is one by its name, be it of a format that is not read."""
    return file.suffix.lower() in (*pictures.ENDINGS, *pictures.FOREIGN)


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX", "@eaDir"))  # the last two: macOS' archives, Synology's thumbnails
