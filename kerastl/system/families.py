"""Families: which modules of a folder define a function, found by reading them, so that none is imported for it."""

from __future__ import annotations

import ast
from pathlib import Path


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
