"""Files and folders that appear whole or not at all: a kill or a full disk leaves what stood there before.

What is written goes under a temporary name in the same folder, is flushed to disk, and takes its place by a rename.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

_TEMPORARY = ".unfinished"
_MANY = 100
"""Files of a folder from which on the whole disk is flushed at once."""
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all, and makes the folders above it.

    Raises:
        DiskFullError: for want of room, naming the path and the bytes needed.
        OSError: if it cannot be written for another reason.
    """
    with atomic_replace(path, needed_bytes=len(content)) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Writes a text file in UTF-8; see ``write_bytes``."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: object) -> None:
    """Writes JSON; see ``write_bytes``. Raises `ValueError` for NaN and infinity, which JSON has no word for."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False, default=to_json_types) + "\n")


class DiskFullError(OSError):
    """A disk, a quota or a limit without room; the text names the path and the bytes needed.

    Attributes:
        needed_bytes: of the whole file or folder, as far as it is known.
    """

    needed_bytes: int = 0

    def __str__(self) -> str:
        return self.strerror or super().__str__()


@contextlib.contextmanager
def atomic_replace(path: Path, *, needed_bytes: int | None = None, flush: bool = True) -> Iterator[Path]:
    """A temporary path to write a file or a folder to; it takes the place of ``path`` when the block ends well.

    The temporary name ends like the real one, for writers that go by the ending. Folders above are made.

    Args:
        path: the file or folder to be.
        needed_bytes: how much is going to be written, for the error of a full disk.
        flush: whether to wait until it is on disk. A cache whose contents are checked whenever they are read need not.

    Raises:
        DiskFullError: for want of room, also where a library said so in an error of its own.
        OSError: if it cannot be written for another reason.
    """
    temporary = path.with_name(f"{_prefix(path)}{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove(temporary)
        yield temporary
        if flush:
            _settle(temporary)
        take_place(temporary, path)
    except BaseException as error:
        written = _size(temporary)
        with contextlib.suppress(OSError):
            remove(temporary)
        number = _number_of_no_room(error)
        if number is not None:
            raise _no_room(path, number, needed_bytes=needed_bytes, written=written, error=error) from error
        raise


@contextlib.contextmanager
def explain_disk_full(path: Path) -> Iterator[None]:
    """Tells want of room in words, for a library that writes to ``path`` by itself and cannot be made to replace it.

    Raises:
        DiskFullError: for want of room.
    """
    try:
        yield
    except Exception as error:
        number = None if isinstance(error, DiskFullError) else _number_of_no_room(error)
        if number is None:
            raise
        raise _no_room(path, number, needed_bytes=None, written=_size(path), error=error) from error


def take_place(temporary: Path, path: Path) -> None:
    """Renames into place; a folder needs two renames, and if the second fails the old one goes back."""
    if not path.is_dir() or (path.is_symlink() and not temporary.is_dir()):  # no folder is renamed onto a link
        os.replace(temporary, path)
        _flush(path.parent)
        return
    aside = path.with_name(f"{_prefix(path)}old{path.suffix}")
    remove(aside)
    try:
        os.rename(path, aside)
        os.rename(temporary, path)
    except BaseException:
        if aside.exists() and not path.exists():
            os.rename(aside, path)
        raise
    _flush(path.parent)
    with contextlib.suppress(OSError):  # the new one stands; `clear_leftovers` takes away what is left of the old one
        remove(aside)


def _number_of_no_room(error: BaseException) -> int | None:
    """The system's number if the error is about want of room.

    TensorFlow's errors carry the system's words alone, and closing an archive that did not fit raises an error of its
    own over the one that counts.
    """
    cause: BaseException | None = error
    while isinstance(cause, Exception):
        for number in _NO_ROOM:
            if getattr(cause, "errno", None) == number or os.strerror(number) in str(cause):
                return number
        cause = cause.__cause__ or cause.__context__
    return None


def _no_room(path: Path, number: int, *, needed_bytes: int | None, written: int, error: BaseException) -> DiskFullError:
    """The error of a disk without room, in words: which path, how many bytes, how many are free."""
    least = written + (error.needed_bytes if isinstance(error, DiskFullError) else 0)
    exact = needed_bytes is not None and needed_bytes >= least
    needed = needed_bytes if needed_bytes is not None and exact else least
    try:
        free = f", and {shutil.disk_usage(path.parent).free:,} bytes are free"
    except OSError:
        free = ""
    told = DiskFullError(
        number,
        f"No room for {path}: it needs {'' if exact else 'more than '}{needed:,} bytes{free} ({os.strerror(number)}). "
        "What stood there before is untouched",
    )
    told.needed_bytes = needed
    return told


def _size(path: Path) -> int:
    """Bytes of a file, or of all files of a folder; 0 where there is none."""
    try:
        return sum(inner.stat().st_size for inner in (path, *path.rglob("*")) if inner.is_file())
    except OSError:
        return 0


def is_leftover(name: str) -> bool:
    """Whether a file or folder of this name is one that a writer has not finished."""
    return name.startswith(".") and f"{_TEMPORARY}-" in name


def clear_leftovers(folder: Path, *, older_than: float = 0.0, deep: bool = True) -> None:
    """Takes away what writers that were killed left unfinished anywhere below ``folder``.

    Args:
        folder: to look through.
        older_than: seconds since a leftover was last written to; where other processes may be writing, long enough.
        deep: whether to look into the folders inside as well.
    """
    pattern = f".*{_TEMPORARY}-*"
    for path in sorted(folder.rglob(pattern) if deep else folder.glob(pattern)):
        if older_than and time.time() - max(one.stat().st_mtime for one in (path, *path.rglob("*"))) < older_than:
            continue
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
    """Flushes a file, or a folder with all that is in it; of many files all at once, for each waits for the disk."""
    inside = list(path.rglob("*")) if path.is_dir() else []
    if len(inside) > _MANY and hasattr(os, "sync"):
        os.sync()
        return
    for one in (*inside, path):
        _flush(one)


def to_json_types(value: object) -> object:
    """What JSON does not know: NumPy's numbers and arrays, paths, sets."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, Path):
        return str(value)
    raise ValueError(f"JSON takes numbers, strings, lists and mappings. Received: {value!r}.")
