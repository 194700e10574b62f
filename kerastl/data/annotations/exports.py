"""The classes of pictures out of the export of a labelling tool, whichever of this family's formats it has."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from kerastl.data import annotations, class_folders, left_out, split_names
from kerastl.data.annotations.export import Album, Export
from kerastl.system import phrases

_HOLDERS = frozenset({"obj_train_data", "obj_valid_data", "data"})


def read(root: Path) -> Export | None:
    """What a folder's annotations say, ``None`` where it has none, or where its pictures lie in folders of classes.

    Args:
        root: the folder, with pictures in folders that are called by splits, or as those of pictures are, alone.

    Raises:
        ValueError: its annotations name no class, and say why.
    """
    album = Album(root)
    if not album.pictures or not _is_flat(album):
        return None
    for member in annotations.formats():
        found = member.annotated(album)
        if found is not None and any(one.labels for one in found.examples):
            return dataclasses.replace(found, said=(*found.said, *_without(album, found)))
        if found is not None and found.problems:
            raise ValueError(
                f"Wanted annotations of {found.title} that name a class. Received: {root}, with "
                f"{len(found.problems):,} problems:\n{left_out.listed(found.problems)}"
            )
    return None


def _without(album: Album, found: Export) -> list[str]:
    """What is said of pictures that no annotation tells of."""
    known = {one.file for one in found.examples}
    rest = [file for file in album.pictures if file not in known]
    count = phrases.counted(len(rest), "picture is", "pictures are")
    return [f"{count} left out: no annotation tells of {rest[0].relative_to(album.root)}"] if rest else []


def _is_flat(album: Album) -> bool:
    """Whether no folder of a picture, below those that hold all of them, may be a class."""
    ways = [file.relative_to(album.root).parts[:-1] for file in album.pictures]
    common = 0
    while all(len(way) > common and way[common] == ways[0][common] for way in ways):
        common += 1
    return all(
        part.lower() in class_folders.PICTURES or part.lower() in _HOLDERS or split_names.of(part) is not None
        for way in ways
        for part in way[common:]
    )
