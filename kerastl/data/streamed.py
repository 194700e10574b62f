"""Pictures that are too many for memory: read when they are asked for, from their files or a cache of their pixels.

Either way they are what `pictures.read` makes of the file, and the digest of every one says so each time.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import functools
import hashlib
import io
import math
import mmap
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kerastl.data import near_duplicates
from kerastl.inputs import pictures

PIXELS, SMALL = "pixels", "small"
"""Files in the cache folder: one row of bytes a picture; what `near_duplicates.small` makes of each, float32."""
Rows = int | slice | np.ndarray | Sequence[int]
"""Which pictures: one, or some in their order."""
_SMALL_SHAPE = (32, 32)
_SMALL_BYTES = 4 * 32 * 32
_LARGE = 1_000_000  # bytes
_AT_ONCE = 64  # pictures held while all of them are gone through


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class PixelCache:
    """Picture files as they were when `decoding.decode_all` had decoded each of them.

    Attributes:
        files: their paths.
        size: height and width that every picture is brought to.
        channels: 3 or 1.
        digests: uint8 ``(files, 32)``: SHA-256 of the pixels of each.
        cache: folder that may hold their pixels, in the order of ``files``; it may vanish at any time.
    """

    files: tuple[str, ...]
    size: tuple[int, int]
    channels: int
    digests: np.ndarray
    cache: Path | None = None


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Pictures:
    """Pictures of an album, as an array uint8 ``(examples, height, width, channels)`` that lies on disk.

    An int reads one picture, ``(height, width, channels)``; a slice, an array of indices or a mask reads several, in
    parallel. `np.asarray` reads all of them. It holds no open file, so that it can be pickled and used in any thread.

    Attributes:
        album: the files.
        rows: int64 ``(examples,)``: which of them, in which order.
    """

    album: PixelCache
    rows: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.rows), *self.album.size, self.album.channels)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.uint8)

    @property
    def ndim(self) -> int:
        return 4

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Rows) -> np.ndarray:
        """Reads pictures.

        Raises:
            IndexError: no such rows.
            pictures.PictureError: a file that is gone, or not the one any more that was looked at.
        """
        if isinstance(rows, int | np.integer):
            return self._read(self.rows[[int(rows)]])[0]
        return self._read(self.take(rows).rows)

    def __iter__(self) -> Iterator[np.ndarray]:
        for start in range(0, len(self), _AT_ONCE):
            yield from self[start : start + _AT_ONCE]

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(dtype or self.dtype, copy=False)

    def take(self, rows: Rows) -> Pictures:
        """Some of the pictures in the order of ``rows``, none of which is read for it."""
        chosen = self.rows[rows]
        if chosen.ndim != 1:
            raise IndexError(f"Streamed pictures are indexed along their first axis. Received: {rows!r}.")
        return Pictures(self.album, chosen)

    def digests(self) -> list[bytes]:
        """SHA-256 of each picture's bytes; nothing is read for it."""
        return [digest.tobytes() for digest in self.album.digests[self.rows]]

    def small(self, rows: Rows) -> np.ndarray:
        """`near_duplicates.small` of some pictures, float32 ``(examples, 32, 32)``, cached where there is room."""
        indices, found = self.take(rows).rows, []
        with contextlib.suppress(OSError), _opened(self.album.cache, SMALL) as file:
            for index in indices:
                file.seek(int(index) * _SMALL_BYTES)
                found.append(np.frombuffer(file.read(_SMALL_BYTES), np.float32).reshape(_SMALL_SHAPE))
            return np.array(found, np.float32).reshape(-1, *_SMALL_SHAPE)
        return near_duplicates.small(self[rows])

    def _read(self, indices: np.ndarray) -> np.ndarray:
        pixels = _pages((len(indices), *self.shape[1:]))
        lacking = self._read_cache(indices, pixels)

        def decode(place: int) -> None:
            index = int(indices[place])
            path = Path(self.album.files[index])
            try:
                pixels[place] = pictures.read(path, channels=self.album.channels, size=self.album.size).pixels
            except pictures.PictureError as error:
                raise pictures.PictureError(f"{path}: {error}") from error
            if not self._is(index, pixels[place]):
                raise pictures.PictureError(f"{path} is not the picture any more that was loaded: load it anew")

        if len(lacking) == 1:
            decode(lacking[0])
        else:
            list(_threads(os.getpid()).map(decode, lacking))
        return pixels

    def _read_cache(self, indices: np.ndarray, pixels: np.ndarray) -> list[int]:
        """Fills in what the cache has; the places that it lacks, or has damaged."""
        lacking = set(range(len(indices)))
        # A mapped file would count as this process's memory, all of it after one epoch; a handle of its own for every
        # call lets threads read side by side.
        with contextlib.suppress(OSError), _opened(self.album.cache, PIXELS) as file:
            for place in np.argsort(indices, kind="stable").tolist():  # in the order of the disk
                row = pixels[place]
                file.seek(int(indices[place]) * row.nbytes)
                if file.readinto(row.data) == row.nbytes and self._is(int(indices[place]), row):
                    lacking.remove(place)
        return sorted(lacking)

    def _is(self, index: int, row: np.ndarray) -> bool:
        return hashlib.sha256(row.data).digest() == self.album.digests[index].tobytes()


def _pages(shape: tuple[int, ...]) -> np.ndarray:
    """uint8, in pages of its own that go back to the system with it.

    The C library keeps what a thread has let go of for that thread, a batch for each that ever read one.
    """
    size = math.prod(shape)
    if size < _LARGE or os.name != "posix":
        return np.empty(shape, np.uint8)
    pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # not in every kernel
            pages.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(pages, np.uint8).reshape(shape)


def _opened(folder: Path | None, name: str) -> io.FileIO:
    if folder is None:
        raise FileNotFoundError(name)
    return open(folder / name, "rb", buffering=0)


@functools.cache
def _threads(process: int) -> concurrent.futures.ThreadPoolExecutor:
    """Threads that decode side by side (Pillow lets go of the interpreter); a forked process makes its own."""
    return concurrent.futures.ThreadPoolExecutor(workers(), thread_name_prefix="pictures")


def workers() -> int:
    """Threads that are worth while: one a core that this process may use, and two that wait for the disk."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable + 2, 32)
