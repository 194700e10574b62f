"""What a run folder was before a run, put back where that run ends in an error and has made nothing.

A setting that is found wrong late, or data that are not there, leave a new folder as it was, absent or empty, so that
another recipe may take it, and an earlier run's folder bit for bit. Whatever a stage has made, a checkpoint or a curve,
is kept: the next run goes on from it.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from kerastl.runs import run_folder
from kerastl.system import atomic_files

_CONFIG = "config.json"
_LOCK = ".lock"


class Before:
    """A run folder before anything is written into it.

    Args:
        home: the run's folder, which need not be there.
    """

    def __init__(self, home: Path) -> None:
        self._home = self._folder = home
        self._had_lock = (home / _LOCK).exists()
        self._missing = [folder for folder in (home, *home.parents) if not folder.exists()]
        self._files: dict[str, tuple[int, int]] | None = None
        self._folders: set[str] = set()
        self._config: bytes | None = None
        self._log_bytes: int | None = None

    def look(self, folder: Path) -> None:
        """Takes down what there is, when what killed runs have left is tidied up.

        Args:
            folder: the one that the run is made in: its own, or `run_folder.NEXT` inside, which need not be there.
        """
        self._folder = folder
        if not folder.is_dir() and folder != self._home:
            self._missing.insert(0, folder)
        self._files, self._folders = self._seen()
        config, log = folder / _CONFIG, folder / run_folder.LOG
        self._config = config.read_bytes() if config.is_file() else None
        self._log_bytes = log.stat().st_size if log.is_file() else None

    def put_back(self) -> None:
        """Undoes what `Run` has written by itself, unless the run has made anything else. Nothing of it is an error.

        Called while the folder is locked, where it is.
        """
        with contextlib.suppress(OSError):
            if self._files is not None:
                files, folders = self._seen()
                if any(self._is_made(name, files[name]) for name in files):
                    return
                self._put_back(_CONFIG, self._config)
                log = self._folder / run_folder.LOG
                if log.is_file() and log.stat().st_size != self._log_bytes:
                    kept = None if self._log_bytes is None else log.read_bytes()[: self._log_bytes]
                    self._put_back(run_folder.LOG, kept)
                if self._folder in self._missing:
                    atomic_files.remove(self._folder)
                for name in sorted(folders - self._folders, reverse=True):
                    (self._folder / name).rmdir()
            if not self._had_lock:
                (self._home / _LOCK).unlink(missing_ok=True)
            for folder in self._missing:
                if folder.exists():
                    folder.rmdir()  # an OSError where it holds anything

    def _put_back(self, name: str, content: bytes | None) -> None:
        """As another file: whoever still writes into the one that the run has opened writes to nowhere."""
        path = self._folder / name
        if content is None:
            path.unlink(missing_ok=True)
        elif path.read_bytes() != content:
            atomic_files.write_bytes(path, content)

    def _is_made(self, name: str, facts: tuple[int, int]) -> bool:
        if self._files is None or self._files.get(name) == facts:
            return False
        earlier = self._home / name  # as `Run.place` links it
        linked = self._folder != self._home and earlier.is_file() and os.path.samefile(earlier, self._folder / name)
        return not linked

    def _seen(self) -> tuple[dict[str, tuple[int, int]], set[str]]:
        """Size and time of every file but those that `Run` writes by itself, and the folders."""
        files: dict[str, tuple[int, int]] = {}
        folders: set[str] = set()
        leave_out = set(run_folder.inner(self._home)) if self._folder == self._home and self._home.is_dir() else set()
        for root, inside, names in os.walk(self._folder):
            place = Path(root).relative_to(self._folder)
            if not place.parts:
                inside[:] = [name for name in inside if name not in leave_out]
            folders |= {(place / name).as_posix() for name in inside}
            for name in names:
                facts = os.lstat(os.path.join(root, name))
                files[(place / name).as_posix()] = (facts.st_size, facts.st_mtime_ns)
        for name in (_CONFIG, _LOCK, run_folder.LOG):
            files.pop(name, None)
        return files, folders
