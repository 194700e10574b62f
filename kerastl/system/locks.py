"""Locks between processes: one makes what all of them want, and the others find it made."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

try:  # on Windows there is no flock: two processes then make the same, each whole
    import fcntl
except ImportError:  # pragma: no cover
    fcntl = None


def opened(path: Path) -> int:
    """The open file at a path, made where it is not there; a link there is not followed. Raises `OSError`."""
    return os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)


def take(handle: int, *, wait: bool) -> bool:
    """Takes the lock of an open file or folder, which the kernel drops with the process; says whether there are locks.

    Raises:
        OSError: another process holds it and nobody waits, or the file system has none.
    """
    if fcntl is not None:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    return fcntl is not None


@contextlib.contextmanager
def held(place: Path) -> Iterator[None]:
    """Holds the lock of a file or folder that is to be made, waiting for whoever holds it.

    The kernel drops it with the process: nothing stale can stay behind a kill. The lock is a hidden file beside the
    place, which goes with its last holder; where it cannot be opened or there are no locks, nothing is held.
    """
    path = place.with_name(f".{place.name}.lock")
    handle = None if fcntl is None else _locked(path)
    try:
        yield
    finally:
        if handle is not None:
            with contextlib.suppress(OSError):
                path.unlink()
            os.close(handle)


def _locked(path: Path) -> int | None:
    """The open and locked file at a path; one that its holder took away meanwhile is no lock, and another is opened."""
    try:
        while True:
            handle = opened(path)
            take(handle, wait=True)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle), os.stat(path)):
                    return handle
            os.close(handle)
    except OSError:
        return None
