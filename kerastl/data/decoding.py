"""The first pass over picture files: each is decoded once, to see that it can be, and nothing is decoded twice for it.

Few pictures become an array. Of many, the pixels go into a cache folder if there is room, and so do their digests and
what near duplicates are looked for by; the next run finds them there.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import errno
import hashlib
import math
import os
import shutil
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import PIL

from kerastl.data import near_duplicates, streamed
from kerastl.inputs import pictures
from kerastl.system import atomic_files, downloads, output

_BLOCK = 16  # pictures that a thread takes at once
_FACTS = "facts.npz"
_DAY = 86_400.0


@dataclasses.dataclass(frozen=True, eq=False)
class Decoded:
    """What the first pass found.

    Attributes:
        inputs: uint8 ``(files, height, width, channels)`` in the order of the files; blank where one cannot be read.
        digests: uint8 ``(files, 32)``: SHA-256 of the pixels of each.
        problems: index of a file that cannot be read -> why.
    """

    inputs: np.ndarray | streamed.Pictures
    digests: np.ndarray
    problems: dict[int, str]


def decode_all(
    files: Sequence[str],
    *,
    size: tuple[int, int],
    channels: int,
    in_memory: int = 256_000_000,
    cache_bytes: int | None = None,
) -> Decoded:
    """Decodes every picture once, in parallel, with a progress bar where stderr is a terminal.

    Args:
        files: paths of pictures.
        size: height and width that every picture is brought to.
        channels: 3 or 1.
        in_memory: decoded bytes of all pictures up to which they become an array; beyond, `streamed.Pictures`.
        cache_bytes: that the pixels of all data sets may take in the cache folder together, the longest unused going
            first; pictures that do not fit are decoded each time. ``None`` is 20 GB, or a quarter of the free disk if
            that is less.
    """
    bytes_of_one = size[0] * size[1] * channels
    digests = np.zeros((len(files), 32), np.uint8)
    if len(files) * bytes_of_one <= in_memory:
        inputs = np.zeros((len(files), *size, channels), np.uint8)

        def keep(start: int, rows: np.ndarray) -> None:
            inputs[start : start + len(rows)] = rows

        return Decoded(inputs, digests, _pass(files, size, channels, digests=digests, keep=keep))
    album = streamed.PixelCache(tuple(files), size, channels, digests)
    parent = downloads.workspace() / "pictures"
    folder = parent / _key(files, size, channels)
    with_pixels = _make_room(parent, folder, needed=len(files) * bytes_of_one, budget=cache_bytes)
    problems = _recalled(folder, album, with_pixels=with_pixels)
    if problems is None:
        problems = _written(folder, album, with_pixels=with_pixels)
    album = dataclasses.replace(album, cache=folder if folder.is_dir() else None)
    return Decoded(streamed.Pictures(album, np.arange(len(files))), digests, problems)


def _pass(
    files: Sequence[str],
    size: tuple[int, int],
    channels: int,
    *,
    digests: np.ndarray,
    keep: Callable[[int, np.ndarray], None],
) -> dict[int, str]:
    """Reads all files, fills in ``digests``, hands blocks of pixels with their place to ``keep``; what went wrong."""
    problems: dict[int, str] = {}
    starts, lock, stop = iter(range(0, len(files), _BLOCK)), threading.Lock(), threading.Event()

    def work(advance: Callable[[int], None]) -> None:
        while not stop.is_set():
            with lock:
                start = next(starts, None)
            if start is None:
                return
            block = range(start, min(start + _BLOCK, len(files)))
            rows = np.zeros((len(block), *size, channels), np.uint8)
            for row, index in zip(rows, block, strict=True):
                try:
                    row[...] = pictures.read(Path(files[index]), channels=channels, size=size).pixels
                except pictures.PictureError as error:
                    problems[index] = str(error)
                digests[index] = np.frombuffer(hashlib.sha256(row.data).digest(), np.uint8)
            keep(start, rows)
            advance(len(block))

    with _bar(len(files)) as advance, concurrent.futures.ThreadPoolExecutor(streamed.workers()) as pool:
        working = [pool.submit(work, advance) for _ in range(streamed.workers())]
        try:
            for one in concurrent.futures.as_completed(working):
                one.result()
        finally:  # Ctrl-C, or an error in one of them
            stop.set()
    return dict(sorted(problems.items()))


@contextlib.contextmanager
def _bar(total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar for whoever sits at a terminal: what moves it on. The light installation has none to show."""
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    except ModuleNotFoundError:
        yield lambda count: None
        return
    shown = sys.stderr.isatty()
    columns = (TextColumn("looking at pictures"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(file=output.terminal(sys.stderr))
    with Progress(*columns, console=console, disable=not shown, transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda count: bar.advance(task, count)


def _written(folder: Path, album: streamed.PixelCache, *, with_pixels: bool) -> dict[int, str]:
    """The first pass, which leaves its cache folder behind; without room for that, the pass alone."""
    problems: dict[int, str] | None = None
    failures: list[OSError] = []
    try:
        # not flushed: every row is compared with its digest whenever it is read
        with atomic_files.atomic_replace(folder, flush=False) as temporary:
            temporary.mkdir(parents=True)
            names = (streamed.PIXELS, streamed.SMALL) if with_pixels else (streamed.SMALL,)
            for name in names:
                (temporary / name).touch()

            def keep(start: int, rows: np.ndarray) -> None:
                if failures:
                    return
                try:
                    for name in names:
                        content = rows if name == streamed.PIXELS else near_duplicates.small(rows)
                        with open(temporary / name, "r+b", buffering=0) as file:
                            file.seek(start * content[0].nbytes)
                            if file.write(content.data) < content.nbytes:
                                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                except OSError as error:
                    failures.append(error)

            problems = _pass(album.files, album.size, album.channels, digests=album.digests, keep=keep)
            if failures:
                raise failures[0]
            readable = np.ones(len(album.files), bool)
            readable[list(problems)] = False
            np.savez(temporary / _FACTS, digests=album.digests, readable=readable)
    except OSError as error:
        print(f"kerastl: pictures are decoded each time, for their pixels cannot be kept ({error}).", file=sys.stderr)
        if problems is None:
            return _pass(album.files, album.size, album.channels, digests=album.digests, keep=lambda start, rows: None)
    assert problems is not None
    return problems


def _recalled(folder: Path, album: streamed.PixelCache, *, with_pixels: bool) -> dict[int, str] | None:
    """Fills in the digests from an earlier pass over the same files; ``None`` where there is none that is whole."""
    count, pixels = len(album.files), math.prod((*album.size, album.channels))
    wanted = {streamed.SMALL: near_duplicates.small(np.zeros((1, 1, 1))).nbytes} | (
        {streamed.PIXELS: pixels} if with_pixels else {}
    )
    try:
        if any((folder / name).stat().st_size != count * each for name, each in wanted.items()):
            return None
        with np.load(folder / _FACTS, allow_pickle=False) as facts:
            readable, digests = facts["readable"], facts["digests"]
        if readable.shape != (count,) or digests.shape != album.digests.shape:
            return None
        os.utime(folder)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    problems = {}
    for index in np.flatnonzero(~readable):  # a disk or a network may have been at fault: asked again
        try:
            pictures.read(Path(album.files[index]), channels=album.channels, size=album.size)
            return None
        except pictures.PictureError as error:
            problems[int(index)] = str(error)
    album.digests[...] = digests
    return problems


def _key(files: Sequence[str], size: tuple[int, int], channels: int) -> str:
    """A name for what decoding these files gives: the reader, and each path with its file's size and times.

    The time of the last change of any kind (ctime) cannot be set back, so a file that was replaced is another one.
    """
    sha256 = hashlib.sha256(Path(pictures.__file__).read_bytes())
    sha256.update(f"\n1 {PIL.__version__} {np.__version__} {size} {channels}\n".encode())
    for file in files:
        stamp = None
        with contextlib.suppress(OSError, ValueError):
            found = os.stat(file)
            stamp = found.st_size, found.st_mtime_ns, found.st_ctime_ns
        sha256.update(os.fsencode(os.path.abspath(file)) + f" {stamp}\n".encode())
    return sha256.hexdigest()[:32]


def _make_room(parent: Path, folder: Path, *, needed: int, budget: int | None) -> bool:
    """Whether there is room for so many bytes of pixels; what other sets hold goes, the longest unused first."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):  # another process may just be clearing them too
            atomic_files.clear_leftovers(parent, older_than=_DAY)
        others = [path for path in parent.iterdir() if path.is_dir() and not path.name.startswith(".")]
        held = {path: _bytes(path) for path in sorted(others, key=lambda path: path.stat().st_mtime)}
        free = shutil.disk_usage(parent).free
        if budget is None:
            budget = min(20_000_000_000, (free + sum(held.values())) // 4)
        if needed > budget:
            return False
        held.pop(folder, None)
        for path, size in list(held.items()):
            if sum(held.values()) + needed > budget:
                atomic_files.remove(path)
                del held[path]
                free += size
        return needed < free or (folder / streamed.PIXELS).exists()
    except OSError:
        return False


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())
