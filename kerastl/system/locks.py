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
    place, which stays; where it cannot be opened or the file system has no locks, nothing is held.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    try:
        handle = os.open(place.with_name(f".{place.name}.lock"), flags, 0o644)
    except OSError:
        yield
        return
    try:
        if fcntl is not None:
            with contextlib.suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
