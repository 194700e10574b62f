"""Array files of strangers: judged by their headers before memory is taken, and never unpickled."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

LARGEST = 16_000_000_000
"""Bytes an array may have."""
_RATIO, _SMALL = 200, 10_000_000


class ArrayFileError(ValueError):
    """An array file that is not read, and why."""


def read_npy(path: Path, *, largest: int = LARGEST) -> np.ndarray:
    """The array in a ``.npy`` file.

    Raises:
        ArrayFileError: damaged, pickled, larger than ``largest`` bytes, or shorter than its header says.
    """
    with path.open("rb") as stream:
        return _read(stream, size=path.stat().st_size, largest=largest)


def read_npz(path: Path, *, largest: int = LARGEST) -> Iterator[tuple[str, np.ndarray | ArrayFileError]]:
    """Name and array of each member of a ``.npz`` file; a member that is refused comes as its error.

    Args:
        path: the file.
        largest: bytes that all arrays together may have.

    Raises:
        ArrayFileError: the file as a whole cannot be read.
    """
    try:
        opened = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise ArrayFileError(f"cannot be read: {error}") from error
    left = largest
    with opened:
        for member in opened.infolist():
            name = member.filename.removesuffix(".npy")
            try:
                if member.file_size > _SMALL and member.file_size > _RATIO * max(member.compress_size, 1):
                    # an empty mask may shrink as far; saved without compression it is read
                    raise ArrayFileError(
                        f"{member.compress_size:,} bytes that unpack to {member.file_size:,}: more than {_RATIO} times"
                    )
                with opened.open(member) as stream:
                    array = _read(stream, size=member.file_size, largest=left)
                left -= array.nbytes
                yield name, array
            except ArrayFileError as error:
                yield name, error
            except Exception as error:  # decoders raise whatever a damaged member provokes in them
                yield name, ArrayFileError(f"cannot be read: {error}")


def _read(stream: IO[bytes], *, size: int, largest: int) -> np.ndarray:
    """The array of a ``.npy`` stream of ``size`` bytes."""
    shape, kind = _header(stream)
    if kind.hasobject:
        raise ArrayFileError("holds Python objects, which only unpickling could read: that runs foreign code")
    declared = math.prod(shape) * kind.itemsize
    if declared > largest:
        raise ArrayFileError(f"declares {declared:,} bytes (shape {shape}, {kind}): more than the {largest:,} allowed")
    if declared > size:
        raise ArrayFileError(f"declares {declared:,} bytes (shape {shape}, {kind}) and holds fewer than {size:,}")
    try:
        stream.seek(0)
        return np.lib.format.read_array(stream, allow_pickle=False)
    except Exception as error:
        raise ArrayFileError(f"cannot be read: {error}") from error


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    try:
        version = np.lib.format.read_magic(stream)
        if version == (1, 0):
            shape, _, kind = np.lib.format.read_array_header_1_0(stream)
        else:
            shape, _, kind = np.lib.format.read_array_header_2_0(stream)
    except Exception as error:
        raise ArrayFileError(f"cannot be read: {error}") from error
    return shape, kind
