"""Copies of what a stranger may change under one's hands: what is looked at is what is opened."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from kerastl.system import scratch

PREFIX = "kerastl-opened-"
"""Of the names of temporary folders with copies."""


class SnapshotError(ValueError):
    """A file or folder that is not copied, and why."""


@contextlib.contextmanager
def of(path: Path) -> Iterator[Path]:
    """A copy of a file or a folder, under its own name in a folder of its own, for as long as the block lasts.

    Raises:
        FileNotFoundError: there is nothing.
        SnapshotError: neither a file nor a folder; or a folder with something in it that is `strange`.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no file or folder {path}.")
    if not (path.is_file() or path.is_dir()):  # /dev/zero has no end
        raise SnapshotError(f"{path} is neither a file nor a folder: a device or a pipe")
    for words in strange(path):
        raise SnapshotError(words)
    with scratch.folder(PREFIX) as folder:
        copy = Path(folder, path.resolve().name)
        if path.is_dir():
            shutil.copytree(path, copy, symlinks=True)
        else:
            shutil.copyfile(path, copy)
        yield copy


def strange(path: Path) -> Iterator[str]:
    """What lies in a folder and is neither a file nor a folder, in words."""
    for inside in sorted(path.rglob("*")) if path.is_dir() else []:
        if inside.is_symlink() or not (inside.is_file() or inside.is_dir()):
            yield f"{inside.relative_to(path)} is a link or a device"
