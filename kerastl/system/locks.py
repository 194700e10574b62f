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
            handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
            fcntl.flock(handle, fcntl.LOCK_EX)  # pyright: ignore[reportOptionalMemberAccess]
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle), os.stat(path)):
                    return handle
            os.close(handle)
    except OSError:
        return None
