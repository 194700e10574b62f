"""Checkpoints of a stage in the making: written whole, checked when they are read, the last two kept.

A file is the SHA-256 of what follows (64 hexadecimal digits and a line break), then a NumPy archive of the arrays with
the facts as JSON among them. Nothing in it is pickled.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kerastl.system import atomic_files

_FACTS = "facts.json"
_HEADER = 65


class Workspace:
    """Where a stage in the making keeps its logs and, until it is finished, its checkpoints.

    Args:
        stage: its name, which its curves and its progress bar carry.
        folder: of the checkpoints; made with the first one.
        logs: folder for TensorBoard.
        every_seconds: ``checkpoint_due`` says yes so many seconds after the last checkpoint.
        kept: how many checkpoints stay: the newest, and older ones to fall back on.
    """

    def __init__(self, stage: str, *, folder: Path, logs: Path, every_seconds: float = 600, kept: int = 2) -> None:
        self.stage, self.logs = stage, logs
        self._folder, self.every_seconds, self._kept = folder, every_seconds, kept
        self._last = self._began = time.monotonic()
        self._seconds_before = 0.0
        self._number = max((_number(path) for path in self._files()), default=0)

    def checkpoint_due(self) -> bool:
        """Whether the last checkpoint is so long ago that a new one is worth its while in the middle of an epoch."""
        return time.monotonic() - self._last >= self.every_seconds

    def seconds(self) -> float:
        """Seconds spent on the stage so far, those before the newest checkpoint that was gone back to included."""
        return self._seconds_before + time.monotonic() - self._began

    def save_checkpoint(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> Path:
        """Writes a checkpoint and lets go of the oldest.

        Args:
            arrays: name -> array of numbers or bool.
            facts: whatever JSON takes.

        Raises:
            ValueError: if an array of floats holds NaN or infinity: such a state is not worth going back to.
            OSError: if it cannot be written; the one before stays.
        """
        for name, array in arrays.items():
            if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
                raise ValueError(f"A checkpoint holds finite numbers. Received: NaN or infinity in {name!r}.")
        text = np.frombuffer(json.dumps({"facts": facts, "seconds": self.seconds()}).encode(), np.uint8)
        archive = io.BytesIO()
        np.savez(archive, allow_pickle=False, **{_FACTS: text, **arrays})
        body = archive.getbuffer()
        digest = hashlib.sha256(body).hexdigest().encode()
        self._number += 1
        path = self._folder / f"{self._number:06d}.checkpoint"
        atomic_files.write_bytes(path, b"".join((digest, b"\n", body)))
        for old in self._files()[: -self._kept]:
            old.unlink()
        self._last = time.monotonic()
        return path

    def latest_checkpoint(self) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """Arrays and facts of the newest checkpoint that is as it was written, or ``None`` where there is none.

        A damaged one is passed over, which is said.

        Raises:
            ValueError: if there are checkpoints and every one is damaged.
        """
        files = self._files()
        damaged = []
        for path in reversed(files):
            try:
                content = _read(path)
            except (OSError, ValueError) as error:
                damaged.append(f"{path} ({error})")
                continue
            for text in damaged:
                print(f"kerastl: checkpoint {text} is damaged: going back to {path.name}", file=sys.stderr)
            arrays, text = content
            self._seconds_before, self._began = text["seconds"], time.monotonic()
            return arrays, text["facts"]
        if damaged:
            raise ValueError(
                f"Stage {self.stage!r} cannot go on: its checkpoints are damaged: {'; '.join(damaged)}. "
                f"Delete {self._folder} to start the stage anew."
            )
        return None

    def remember(self, name: str, choose: Callable[[], str]) -> str:
        """A choice that depends on more than the stage's key, and stays the same while the stage goes on.

        Args:
            name: of the choice.
            choose: makes it; called only where the stage has none yet.
        """
        path = self._folder / f"{name}.txt"
        if not path.exists():
            atomic_files.write_bytes(path, choose().encode())
        return path.read_text()

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("[0-9]*.checkpoint"), key=_number)


def _number(path: Path) -> int:
    return int(path.stem)


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    content = path.read_bytes()
    header, body = content[:_HEADER], memoryview(content)[_HEADER:]
    if header != hashlib.sha256(body).hexdigest().encode() + b"\n":
        raise ValueError("its contents are not those of its digest")
    with np.load(io.BytesIO(body), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    text = json.loads(arrays.pop(_FACTS).tobytes())
    for name, array in arrays.items():
        if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
            raise ValueError(f"NaN or infinity in {name!r}")
    return arrays, text
