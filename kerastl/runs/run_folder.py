"""The folder of a run: whose it is, what in it is ours, and how the next run takes the place of a finished one.

A finished run is pinned by its `files.json`. The next one in the same folder is made in `.next` inside it, reads the
finished one's stages where they lie, and moves into place when it is published: whatever becomes of it before that,
the finished one is bitwise what it was. Nothing is written or taken away that no run has listed as its own.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from kerastl.system import atomic_files, bounded_json, digests, locks, run_marks

NEXT = ".next"
"""Where a run is made in the folder of one that is finished."""
FILES = run_marks.FILES
LOG = "logs/run.log"
"""What the run's command has printed: it goes on when everything is pinned, and nobody reads it but people."""
_FOLDERS = ("stages", "logs", "variants", "single_tasks", "heads", "saved_model", "mobile")
_RESULT = ("config.json", "report.json", "report.html", "evaluation.json", "evaluation.html", "model.keras", FILES)
_KEPT = ("stages", "logs")
"""Folders to which a run adds; all others of a result are replaced."""


def inner(folder: Path) -> list[str]:
    """Names of folders inside that are runs of their own, and of the next run: they belong to no other."""
    names = [path.name for path in folder.iterdir() if path.is_dir() and (path / ".lock").exists()]
    return [*names, NEXT] if folder.is_dir() else [NEXT]


def check_own(folder: Path, *, recipe: str) -> None:
    """Raises `ValueError` unless a folder is empty, not there yet, or that of a run of this recipe, without links.

    A run of another one that was killed before it had made anything is none yet: its folder may be taken.
    """
    if not folder.is_dir():
        return
    wanted = "A run takes an empty folder, a new one, or one of a run of the same recipe"
    names = sorted(path.name for path in folder.iterdir())
    links = [name for name in (".lock", NEXT, *_FOLDERS, *_RESULT) if (folder / name).is_symlink()]
    if links:
        raise ValueError(f"{wanted}, and follows no links inside. Received: {folder}, where {', '.join(links)} is one.")
    others = [name for name in names if name != ".lock" and not atomic_files.is_leftover(name)]
    config = run_marks.config_of(folder)
    if others and config is None:
        shown = ", ".join(others[:5]) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
        raise ValueError(
            f"{wanted}: nothing of yours is overwritten. Received: {folder}, which holds {shown}. Choose another --out."
        )
    if config is not None and config["recipe"] != recipe and not _is_begun_alone(folder):
        raise ValueError(
            f"{wanted}. Received: {folder}, a run of {config['recipe']!a}, for {recipe}. Choose another --tag or --out."
        )


def _is_begun_alone(folder: Path) -> bool:
    """Whether a run wrote what it is called into a folder, and nothing else."""
    begun = {"config.json", ".lock", LOG}
    return all(
        path.relative_to(folder).as_posix() in begun or atomic_files.is_leftover(path.name)
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir()
    )


def check_room(folder: Path, *, needed_bytes: int) -> None:
    """Makes the folder. Raises `ValueError` where it, or one inside it, cannot be written, or the disk is too full."""
    try:
        str(folder.absolute()).encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"The run folder's name must be text in UTF-8: TensorFlow takes no other. Received: {folder!a}."
        ) from error
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        why = "which is a file" if folder.is_file() else error.strerror
        raise ValueError(f"The run folder must be writable. Received: {folder} ({why}).") from error
    for place in (folder, *(folder / name for name in (*_FOLDERS, NEXT))):  # a copied run may have some read-only
        try:
            with tempfile.TemporaryFile(dir=place):
                pass
        except OSError as error:
            if not os.path.lexists(place):
                continue
            raise ValueError(f"The run folder must be writable. Received: {place} ({error.strerror}).") from error
    if free < needed_bytes:
        raise ValueError(
            f"The run needs {needed_bytes / 1e6:,.0f} MB of free disk. "
            f"Received: {folder} with {free / 1e6:,.0f} MB free."
        )


def take_lock(folder: Path, *, note: Callable[[str], None]) -> int:
    """The open lock of a run folder. Raises `ValueError` where another process holds it; ``note`` takes what to say."""
    # The kernel drops the lock with the process that holds it: nothing stale can stay behind a kill, and a new
    # process that happens to get the old number is not mistaken for it.
    # On Windows there is none: two runs in one folder are then only warned about by notes.
    lock = folder / ".lock"
    handle = locks.opened(lock)
    try:
        locks.take(handle, wait=False)
        if not os.fstat(handle).st_nlink:  # a run that was refused has taken the file away in between
            os.close(handle)
            return take_lock(folder, note=note)
    except OSError as error:
        holder = os.read(handle, 32).decode(errors="replace").strip() or "unknown"
        os.close(handle)
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise ValueError(
                f"One process at a time works in a run folder. Received: {folder}, where process {holder} is "
                "at work. Wait for it, or choose another --tag or --out."
            ) from error
        note("this file system has no locks: see to it that no other run uses this folder")
        handle = locks.opened(lock)
    if dead := os.pread(handle, 32, 0).decode(errors="replace").strip():
        # A run that ends takes its number away. TensorFlow aborts where a kernel's scratch space does not fit, and
        # the system kills whoever takes too much: neither leaves a chance to say so at the time.
        note(
            f"process {dead}, which was at work here, ended without a word: what it finished is used again. If "
            "memory ran out, a smaller batch needs less"
        )
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
    except OSError as error:
        os.close(handle)
        raise OSError(error.errno, f"No room for {lock}: it needs 20 bytes ({error.strerror})") from error
    return handle


def release_lock(handle: int) -> None:
    """Gives back what `take_lock` took: nobody's number stands in the file."""
    os.ftruncate(handle, 0)
    os.close(handle)


def add(folder: Path, content: Mapping[str, bytes]) -> None:
    """Writes files into a finished run's folder and pins them in its `files.json`, which stays the list of all.

    Args:
        folder: the run's.
        content: of each file by its path in it.

    Raises:
        ValueError: if another process works in the folder, or one of the files is a link.
    """
    links = [Path(name).name for name in (*content, FILES) if (folder / name).is_symlink()]
    if links:
        raise ValueError(f"Nothing is written through links. Received: {folder}, where {', '.join(links)} is one.")
    handle = take_lock(folder, note=lambda words: print(words, file=sys.stderr))
    try:
        pinned = bounded_json.read_object(folder / FILES)
        pinned |= {name: hashlib.sha256(text).hexdigest() for name, text in content.items()}
        pins = (json.dumps(dict(sorted(pinned.items())), indent=2) + "\n").encode()
        # All are on disk before any takes its place: a disk that fills up between them leaves the earlier ones.
        with contextlib.ExitStack() as stack:
            for name, text in ((FILES, pins), *content.items()):  # what is entered first takes its place last
                new = stack.enter_context(atomic_files.atomic_replace(folder / name, needed_bytes=len(text)))
                new.write_bytes(text)
    finally:
        release_lock(handle)


def clear_leftovers(folder: Path) -> None:
    """Takes away what writers that were killed left unfinished in what belongs to a run; runs inside keep theirs."""
    theirs = {folder / name for name in inner(folder)} - {folder / NEXT}
    for path in list(folder.iterdir()):
        if path.is_dir() and not path.is_symlink() and path not in theirs:
            atomic_files.clear_leftovers(path)
    atomic_files.clear_leftovers(folder, deep=False)


def kept(folder: Path) -> dict[str, str]:
    """Digests of the files of a finished run that stay beside the next one's: its stages and logs."""
    found: dict[str, str] = {}
    for name in _KEPT:
        if (folder / name).is_dir():
            found |= {f"{name}/{inside}": digest for inside, digest in digests.of_folder(folder / name).items()}
    found.pop(LOG, None)
    return found


def finish_publishing(folder: Path) -> None:
    """Moves a run that was published in `.next` into its place, or the rest of one that was killed on the way.

    Its `files.json` is the last to come and the last to go: while one lies in `.next` there is something to be moved.
    """
    new = folder / NEXT
    if not (new / FILES).is_file():
        return
    pins = bounded_json.read_object(new / FILES)
    for path in sorted(new.iterdir()):
        if path.name in _KEPT:
            _add(path, folder / path.name)
        elif path.name != FILES:
            atomic_files.take_place(path, folder / path.name)
    for name in _pinned(folder).keys() - pins.keys():  # the earlier run's own, which this one does not have
        path = folder / name
        if path.is_file() and not path.is_symlink() and path.resolve().is_relative_to(folder.resolve()):
            path.unlink()
    os.replace(new / FILES, folder / FILES)
    atomic_files.remove(new)


def link(source: str, target: str) -> None:
    """Makes a second name of a file, or a copy where the file system has no such thing."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _add(source: Path, target: Path) -> None:
    """Moves what lies in a folder into another one: a stage as a whole, other files one by one."""
    target.mkdir(exist_ok=True)
    for path in sorted(source.iterdir()):
        if path.name.startswith(".work-"):  # of a training that goes on another time
            continue
        if path.is_dir() and source.name == "logs":
            _add_files(path, target / path.name)
        else:
            atomic_files.take_place(path, target / path.name)


def _add_files(source: Path, target: Path) -> None:
    for path in sorted(source.rglob("*")):
        if path.is_file():
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, place)


def _pinned(folder: Path) -> dict[str, str]:
    try:
        found = bounded_json.read(folder / FILES)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
