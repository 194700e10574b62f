"""Files and folders that appear whole or not at all: a kill or a full disk leaves what stood there before.

What is written goes under a temporary name in the same folder, is flushed to disk, and takes its place by a rename.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

_TEMPORARY = ".unfinished"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all, and makes the folders above it.

    Raises:
        OSError: if it cannot be written; for want of room, the text names the path and the bytes needed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, needed_bytes=len(content)) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Writes a text file in UTF-8; see ``write_bytes``."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: object) -> None:
    """Writes JSON; see ``write_bytes``. Raises `ValueError` for NaN and infinity, which JSON has no word for."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False, default=plain) + "\n")


@contextlib.contextmanager
def replacing(path: Path, *, needed_bytes: int | None = None) -> Iterator[Path]:
    """A temporary path to write a file or a folder to; it takes the place of ``path`` when the block ends well.

    The temporary name ends like the real one, for writers that go by the ending.

    Args:
        path: the file or folder to be; its parent exists.
        needed_bytes: how much is going to be written, for the error of a full disk.

    Raises:
        OSError: if it cannot be written; for want of room, the text names the path and the bytes needed.
    """
    temporary = path.with_name(f"{_prefix(path)}{os.getpid()}{path.suffix}")
    remove(temporary)
    try:
        yield temporary
        _settle(temporary)
        if path.is_dir() and not path.is_symlink():
            aside = path.with_name(f"{_prefix(path)}old{path.suffix}")
            remove(aside)
            os.rename(path, aside)
            os.rename(temporary, path)
            _flush(path.parent)
            remove(aside)
        else:
            os.replace(temporary, path)
            _flush(path.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            remove(temporary)
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            raise _no_room(path, needed_bytes=needed_bytes, error=error) from error
        raise


def _no_room(path: Path, *, needed_bytes: int | None, error: OSError) -> OSError:
    """The error of a disk without room, in words: which path, how many bytes, how many are free."""
    with contextlib.suppress(OSError):
        free = shutil.disk_usage(path.parent).free
        needed = f"needs {needed_bytes:,} bytes" if needed_bytes is not None else "does not fit"
        return OSError(
            error.errno,
            f"No room for {path}: it {needed}, and {free:,} bytes are free ({error.strerror or error}). "
            "What stood there before is untouched",
        )
    return error


def clear_leftovers(folder: Path) -> None:
    """Takes away what writers that were killed left unfinished anywhere below ``folder``."""
    for path in sorted(folder.rglob(f".*{_TEMPORARY}-*")):
        name, _, rest = path.name[1:].rpartition(f"{_TEMPORARY}-")
        original = path.with_name(name)
        if rest.startswith("old") and not original.exists():
            os.rename(path, original)  # killed between the two renames of a folder: the old one comes back
        else:
            remove(path)


def remove(path: Path) -> None:
    """Takes away a file, a link or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Asks the system to put a file or a folder's entries on disk; folders cannot be opened on every system."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EBADF, errno.EACCES):
            raise
    finally:
        os.close(handle)


def _prefix(path: Path) -> str:
    return f".{path.name}{_TEMPORARY}-"


def _settle(path: Path) -> None:
    """Flushes a file, or a folder with all that is in it."""
    if path.is_dir():
        for inner in path.rglob("*"):
            _flush(inner)
    _flush(path)


def plain(value: object) -> object:
    """What JSON does not know: NumPy's numbers and arrays, paths, sets."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, Path):
        return str(value)
    raise ValueError(f"JSON takes numbers, strings, lists and mappings. Received: {value!r}.")
