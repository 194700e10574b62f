"""Temporary folders that nobody has to clear up after a kill: the next one to be made takes the abandoned ones away."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from kerastl.system import locks

_YOUNG = 10.0  # seconds within which whoever made a folder may not have locked it yet


@contextlib.contextmanager
def folder(prefix: str, *, where: Path | None = None) -> Iterator[Path]:
    """A folder of a name that begins so, for as long as the block lasts.

    Its process holds a lock on it, which the kernel drops with the process, however that ends. Folders of the prefix
    that nobody holds go first.

    Args:
        prefix: of the name, and of nobody else's.
        where: the folder around it; by default the system's for temporary files.
    """
    around = Path(tempfile.gettempdir()) if where is None else where
    _clear(prefix, around)
    made = Path(tempfile.mkdtemp(prefix=prefix, dir=around))
    handle = _locked(made)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
        if handle is not None:
            os.close(handle)


def _clear(prefix: str, around: Path) -> None:
    with contextlib.suppress(OSError):
        for path in around.iterdir():
            if path.name.startswith(prefix) and not path.is_symlink() and time.time() - path.stat().st_mtime > _YOUNG:
                handle = _locked(path)
                if handle is not None:
                    shutil.rmtree(path, ignore_errors=True)
                    os.close(handle)


def _locked(path: Path) -> int | None:
    """The open and locked folder; ``None`` where somebody else holds it, or there are no locks: then all stays."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_DIRECTORY", 0))
    except OSError:  # on Windows no folder is opened
        return None
    with contextlib.suppress(OSError):
        if locks.take(handle, wait=False):
            return handle
    os.close(handle)
    return None
