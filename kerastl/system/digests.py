"""What a value, a file or a folder is, as a SHA-256: two that differ never share one."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kerastl import types


def sha256_of(value: object) -> str:
    """SHA-256 (hex) of a value's contents, the same in every process.

    Takes None, bool, int, float, str, bytes, sequences, sets, mappings, dataclasses, NumPy arrays, paths of files
    (their bytes count, not their names) and `types.Dataset` (its own digest counts).

    Raises:
        ValueError: for anything else, because the printed form of an arbitrary object says nothing about its contents.
    """
    sink = hashlib.sha256()
    _feed(value, sink)
    return sink.hexdigest()


def _feed(value: object, sink: Any) -> None:
    """Adds a value with its type and its length, so that no two different values feed the same bytes."""
    if isinstance(value, types.Dataset):
        _feed(("Dataset", value.digest), sink)
    elif isinstance(value, np.generic):
        _feed(value.item(), sink)
    elif isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise ValueError(f"A key takes arrays of numbers or fixed strings. Received: an array of {value.dtype}.")
        _feed(("ndarray", value.dtype.str, value.shape, np.ascontiguousarray(value).tobytes()), sink)
    elif value is None or isinstance(value, bool | int | float | str):
        text = f"{type(value).__name__}:{value!r}".encode()
        sink.update(f"{len(text)}:".encode() + text)
    elif isinstance(value, bytes):
        sink.update(f"bytes:{len(value)}:".encode() + value)
    elif isinstance(value, Path):
        if not value.is_file():
            raise ValueError(f"A key takes a path only of an existing file, whose bytes it reads. Received: {value}.")
        _feed(("file", of_file(value)), sink)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        _feed(type(value).__qualname__, sink)
        _feed({field.name: getattr(value, field.name) for field in dataclasses.fields(value)}, sink)
    elif isinstance(value, Mapping):
        _feed_each("mapping", sorted(((sha256_of(key), item) for key, item in value.items()), key=_first), sink)
    elif isinstance(value, set | frozenset):
        _feed_each("set", sorted(sha256_of(item) for item in value), sink)
    elif isinstance(value, list | tuple):
        _feed_each("sequence", value, sink)
    else:
        raise ValueError(
            "A stage's key is made of numbers, strings, sequences, mappings, dataclasses, arrays and paths of files. "
            f"Received: {value!r} of type {type(value).__name__}."
        )


def _first(pair: tuple[str, object]) -> str:
    return pair[0]


def _feed_each(kind: str, items: Sequence[object], sink: Any) -> None:
    sink.update(f"{kind}:{len(items)}:".encode())
    for item in items:
        _feed(item, sink)


def of_file(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def of_folder(folder: Path, *, leave_out: Sequence[str] = ()) -> dict[str, str]:
    """SHA-256 of every file below a folder by its path relative to it; `leave_out` names entries at the top."""
    return {
        path.relative_to(folder).as_posix(): of_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] not in leave_out
    }
