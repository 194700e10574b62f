"""How a run was made: the command, the machine, the commit of the code. Whoever starts a run says the command."""

from __future__ import annotations

import contextlib
import contextvars
import os
import platform
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kerastl.system import machine

_STARTED: contextvars.ContextVar[tuple[str, bool] | None] = contextvars.ContextVar("started", default=None)


@contextlib.contextmanager
def started(command: str, *, smoke: bool) -> Iterator[None]:
    """Says to every run that begins inside by which command it was asked for, and whether as a smoke run."""
    token = _STARTED.set((command, smoke))
    try:
        yield
    finally:
        _STARTED.reset(token)


def of(config: Any) -> dict[str, Any]:
    """What `config.json` and `report.json` say of how a run was made.

    Args:
        config: the recipe's settings; where nobody said whether it is a smoke run, they do.

    Returns:
        ``command`` (empty where a function was called), ``smoke``, ``commit`` (empty outside of a checkout; one with
        changes ends in ``+``), and ``machine``: ``cpu``, ``cores``, ``memory_bytes`` and ``system``.
    """
    command, smoke = _STARTED.get() or ("", _is_smoke(config))
    return {
        "command": command,
        "smoke": smoke,
        "commit": _commit(),
        "machine": {
            "cpu": machine.processor(),
            "cores": os.cpu_count() or 1,
            "memory_bytes": _memory(),
            "system": f"{platform.system()} {platform.release()}",
        },
    }


def _is_smoke(config: Any) -> bool:
    smoke = getattr(type(config), "smoke", None)
    return callable(smoke) and smoke() == config != type(config)()


def _memory() -> int:
    """Bytes of the machine; 0 where it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0


def _commit() -> str:
    """Of the checkout that this file lies in."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return ""
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return commit + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def _git(root: Path, *words: str) -> str:
    command = ["git", "-C", str(root), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
