"""Families: which modules of a folder define a function, found by reading them, so that none is imported for it."""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any


def defining(package: Path, function: str) -> dict[str, ast.FunctionDef]:
    """The modules of a family that define a function at the top of the file.

    Args:
        package: the family's folder.
        function: the name of the function.

    Returns:
        Module name without its package -> the definition, in alphabetical order.
    """
    found = {}
    for path in sorted(set(package.glob("*.py")) - {package / "__init__.py"}):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name == function:
                found[path.stem] = node
    return found


@functools.cache
def _restoring(folder: Path) -> tuple[str, ...]:
    """The members that restore something: a family does not change while a process runs."""
    return tuple(defining(folder, "restored"))


def restored(folder: Path, described: Mapping[str, Any], *, load: Callable[[str], ModuleType], wanted: str) -> Any:
    """What the first member that knows a description makes of it: ``restored(described)`` of each, `None` where not.

    Args:
        folder: the family's.
        described: out of an exported file; it may be anybody's.
        load: imports a member by its name; only the family does that.
        wanted: what the family describes, for messages.

    Raises:
        ValueError: if it is of no member, or is not as that member writes it.
    """
    for name in _restoring(folder):
        try:
            found = load(name).restored(described)
        except (KeyError, TypeError) as error:
            raise ValueError(f"Wanted {wanted} as kerastl describes it. Received: {described!r}.") from error
        if found is not None:
            return found
    raise ValueError(f"Wanted {wanted} as a kind describes it. Received: the keys {', '.join(described)}.")
