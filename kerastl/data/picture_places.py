"""Where the pictures that a table names lie: inside one folder, whatever machine the table was written on."""

from __future__ import annotations

import functools
import os
import unicodedata
from pathlib import Path, PurePosixPath

from kerastl.data import class_folders, split_names

_MOST_FILES = 1_000_000


class Places:
    """Finds files by the paths in a table.

    A path is taken from the root. Where nothing lies there, and one file alone of the folder has the same end
    (``C:/Users/me/set/cat/1.jpg`` as ``cat/1.jpg``, or ``1.jpg`` in ``images/``), or the same name but for its ending
    (``000bec``), it is that one, which is said.

    Args:
        root: folder, absolute, that paths start from and stay in.
        most_files: in a folder of more nothing is found by its end.
        split: of which the table is, by its name: of several files that would do, ``train/1.png`` and ``test/1.png``,
            the one in a folder of that split is meant.
    """

    def __init__(self, root: str, *, most_files: int = _MOST_FILES, split: str | None = None) -> None:
        self.root, self._most_files, self._split = root, most_files, split
        self._moved: dict[str, str] = {}

    @property
    def said(self) -> tuple[str, ...]:
        """How many were found otherwise than by their paths, in a sentence."""
        if not self._moved:
            return ()
        (written, found), *_ = self._moved.items()
        shown = os.path.relpath(found, self.root)
        count = f"{len(self._moved):,} paths of the table lead" if len(self._moved) > 1 else "1 path of the table leads"
        return (f"{count} nowhere in {self.root} and are found by their ends, {written!r} as {shown!r}; --root FOLDER",)

    def has(self, written: str) -> bool:
        """Whether a picture of the folder has this name, with or without its ending; nothing is said of it."""
        by_name, by_stem, _ = self._index
        name = PurePosixPath(written.replace("\\", "/")).name
        return name in by_name or name in by_stem

    def find(self, written: str) -> str | None:
        """The file of a path, be it there or not; ``None`` where it leads out, and nothing inside is like it."""
        if "\0" in written:
            return None
        plain = written.replace("\\", "/")
        place = os.path.normpath(os.path.join(self.root, plain))
        inside = place.startswith(self.root.rstrip(os.sep) + os.sep)
        if inside and os.path.lexists(place):
            return place
        if found := self._by_end(plain):
            self._moved[written] = found
            return found
        return place if inside else None

    def candidates(self, written: str) -> list[str]:
        """The files that a path may mean, where there is more than one."""
        found = self._ends(written.replace("\\", "/"))
        return found if len(found) > 1 else []

    def _by_end(self, plain: str) -> str | None:
        ends = self._ends(plain)
        return os.path.join(self.root, ends[0]) if len(ends) == 1 else None  # two would do

    def _ends(self, plain: str) -> list[str]:
        """The files of the folder that end as a path does, as much of it as any does."""
        parts = [part for part in PurePosixPath(plain).parts if part not in ("/", ".", "..")]
        if not parts:
            return []
        by_name, by_stem, by_letters = self._index
        some = by_name.get(parts[-1]) or by_stem.get(parts[-1]) or by_letters.get(_letters(parts[-1]), [])
        for length in range(min(len(parts), 8), 0, -1):
            ends = [one for one in some if PurePosixPath(one).parts[-length:-1] == tuple(parts[-length:-1])]
            own = [
                one for one in ends if self._split and self._split in map(split_names.of, PurePosixPath(one).parts[:-1])
            ]
            if ends:
                return own or ends
        return []

    @functools.cached_property
    def _index(self) -> tuple[dict[str, list[str]], dict[str, list[str]], dict[str, list[str]]]:
        """Paths of the pictures in the folder, from it, by their names, by these without endings, and by their letters
        whatever their case.
        """
        by_name: dict[str, list[str]] = {}
        by_stem: dict[str, list[str]] = {}
        by_letters: dict[str, list[str]] = {}
        looked = 0
        for folder, inner, names in os.walk(self.root):
            inner[:] = [name for name in inner if not name.startswith(".")]
            looked += len(names)
            if looked > self._most_files:  # a table in the folder of everything
                return {}, {}, {}
            for name in filter(class_folders.is_picture, map(Path, names)):
                found = os.path.relpath(os.path.join(folder, name), self.root).replace(os.sep, "/")
                by_name.setdefault(name.name, []).append(found)
                by_stem.setdefault(name.stem, []).append(found)
                by_letters.setdefault(_letters(name.name), []).append(found)
        return by_name, by_stem, by_letters


def _letters(name: str) -> str:
    """A name as file systems see it that fold case and compose letters, those of Windows and macOS."""
    return unicodedata.normalize("NFC", name).casefold()
