"""Pipes, devices and sockets where a file or a folder is wanted: who opens one may wait, or read, for ever."""

from __future__ import annotations

import stat
from pathlib import Path

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def refuse(path: Path) -> None:
    """Refuses a path, or what a link there leads to, that is neither a file nor a folder; there may be nothing.

    Raises:
        ValueError: naming the path and what it is.
        OSError: the system does not say.
    """
    try:
        kind = _KINDS.get(stat.S_IFMT(path.stat().st_mode))
    except FileNotFoundError:
        return
    if kind is not None:
        raise ValueError(f"Wanted a file or a folder. Received: {path}, {kind}: write what comes from it into a file.")
