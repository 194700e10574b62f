"""Temporary folders that nobody has to clear up after a kill: the next one to be made takes the abandoned ones away."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

try:  # on Windows there is no flock: what a kill leaves, stays
    import fcntl
except ImportError:  # pragma: no cover
    fcntl = None

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
    """The open and locked folder; ``None`` where somebody else holds it, or there are no locks."""
    if fcntl is None:
        return None
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle
