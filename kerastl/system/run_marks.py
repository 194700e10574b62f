"""What a folder is known by as that of a run, or as the bundle of one; nothing in it is trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kerastl.system import bounded_json

FILES = "files.json"
"""Pins a run that is finished."""
_BUNDLE = ("model.tflite", "README.md")


def config_of(folder: Path) -> dict[str, Any] | None:
    """What the `config.json` of a run says, ``None`` where there is none that a run has written."""
    path = folder / "config.json"
    try:
        content = None if path.is_symlink() else bounded_json.read(path)
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict) or not {"recipe", "tag", "versions", "config"} <= set(content):
        return None
    return content if isinstance(content["versions"], dict) and "kerastl" in content["versions"] else None


def is_finished(folder: Path) -> bool:
    """Whether a run is published in a folder."""
    return (folder / FILES).is_file() and config_of(folder) is not None


def is_bundle(folder: Path) -> bool:
    """Whether a folder is what a run makes for the phone."""
    return all((folder / name).is_file() for name in _BUNDLE)


def runs_inside(folder: Path) -> list[Path]:
    """The runs that a folder holds, one or two floors down, where it holds nothing else: ``saved_models`` is such."""
    found: list[Path] = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not path.is_dir():
            continue
        inner = [path] if config_of(path) else [one for one in sorted(path.iterdir()) if one.is_dir()]
        if not inner or not all(map(config_of, inner)):
            return []
        found += inner
    return found
