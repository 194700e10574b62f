"""What an export of a labelling tool is, whatever its format: pictures, and the classes of what was marked in each."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from kerastl.data import class_folders, split_names

LARGEST = 2_000_000
"""Bytes of one picture's annotation that are read at most."""


class Annotated(NamedTuple):
    """A picture, the classes of what was marked in it, none of them where nothing was, and its split if one is said."""

    file: Path
    labels: tuple[str, ...]
    split: str | None = None


@dataclasses.dataclass(frozen=True)
class Export:
    """What a folder holds.

    Attributes:
        title: of the format.
        examples: pictures, those in which nothing was marked among them.
        problems: what cannot be used, each with its reason.
        said: what was found out, a sentence each.
    """

    title: str
    examples: tuple[Annotated, ...]
    problems: tuple[str, ...] = ()
    said: tuple[str, ...] = ()


class Album:
    """The pictures below a folder, found by the names that annotations give them.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.all = class_folders.files(root)
        self.pictures = [file for file in self.all if class_folders.is_picture(file)]
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        for file in self.pictures:
            self._by_name[file.name].append(file)
            self._by_stem[file.stem].append(file)

    def of(self, name: str, *, beside: Path, split: str | None = None) -> Path | None:
        """The picture of a name, with or without its ending; of several the one whose folders are most like those of
        the annotation ``beside``; ``None`` where there is none, or two are as like.
        """
        plain = Path(name.replace("\\", "/")).name
        some = self._by_name.get(plain) or self._by_stem.get(plain) or self._by_stem.get(Path(plain).stem) or []
        own = set(beside.relative_to(self.root).parts[:-1])

        def likeness(file: Path) -> tuple[int, bool]:
            return len(own & set(file.relative_to(self.root).parts[:-1])), self.split_of(file) == split

        ranked = sorted(some, key=likeness, reverse=True)
        if not ranked or (len(ranked) > 1 and likeness(ranked[0]) == likeness(ranked[1])):
            return None
        return ranked[0]

    def is_named(self, stem: str) -> bool:
        """Whether a picture is called so, but for its ending."""
        return stem in self._by_stem

    def with_ending(self, *endings: str) -> list[Path]:
        """The files of some endings, in order."""
        return [file for file in self.all if file.suffix.lower() in endings]

    def split_of(self, file: Path, *, stem: bool = False) -> str | None:
        """The split that a file's folders say, or its own name where that may say one."""
        parts = list(file.relative_to(self.root).parts[:-1]) + ([file.stem] if stem else [])
        return next((split for part in reversed(parts) if (split := split_names.of(part))), None)


def joined(marked: Iterable[Annotated]) -> tuple[Annotated, ...]:
    """Each picture once, with the classes of all that was said of it, in alphabetical order."""
    labels: dict[Path, set[str]] = defaultdict(set)
    splits: dict[Path, str | None] = {}
    for one in marked:
        labels[one.file].update(one.labels)
        splits[one.file] = splits.get(one.file) or one.split
    return tuple(Annotated(file, tuple(sorted(found)), splits[file]) for file, found in labels.items())
