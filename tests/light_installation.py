"""An environment in which only what kerastl-light brings can be imported: a stand-in for a fresh installation."""

from __future__ import annotations

import importlib.metadata
import os
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
_KEPT = {"pip", "setuptools", "pkg_resources", "kerastl", "recipes", "distutils-precedence"}


def project() -> dict:
    """The table `project` of kerastl-light."""
    return tomllib.loads((ROOT / "light" / "pyproject.toml").read_text())["project"]


def distributions() -> set[str]:
    """Names of all packages that kerastl-light brings: its requirements, theirs, and so on."""
    found: set[str] = set()
    waiting = list(project()["dependencies"])
    while waiting:
        requirement = Requirement(waiting.pop())
        name = canonicalize_name(requirement.name)
        if name not in found and (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
            found.add(name)
            waiting += importlib.metadata.requires(name) or []
    return found


def bytes_of(names: set[str]) -> int:
    """What pip wrote for these packages."""
    files = (file for name in names for file in importlib.metadata.files(name) or ())
    paths = (Path(str(file.locate())) for file in files)
    return sum(path.stat().st_size for path in paths if path.is_file())


def environment(folder: Path) -> dict[str, str]:
    """Variables of a process that imports nothing else, and whose own child processes do not either.

    Args:
        folder: an empty one, for a module in place of each that is not there.
    """
    brought = distributions()
    by_module = importlib.metadata.packages_distributions()
    for module, owners in by_module.items():
        names = {canonicalize_name(owner) for owner in owners}
        if module.isidentifier() and not module.startswith("_") and module not in _KEPT and not names & brought:
            words = f"No module named {module!r}"
            (folder / f"{module}.py").write_text(f"raise ModuleNotFoundError({words!r}, name={module!r})\n")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
