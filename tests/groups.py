"""Which tests go to the same of several processes (`pytest -n 3`), and which begin first."""

from __future__ import annotations

import re

FIRST = ("/test_kinds.py", "/test_faults.py", "/test_cluster.py", "/test_qat.py", "/test_publishing.py")
"""Files that take a minute and more, beside the recipes."""


def group(nodeid: str) -> str:
    """A file, for its tests share what is costly; of the recipes' tests one recipe, which is trained once for all.

    Args:
        nodeid: ``tests/test_recipes.py::test_smoke[mnist_cnn]`` for example.
    """
    file, _, test = nodeid.partition("::")
    recipe = re.search(r"\[(\w+)\]$", test)
    return f"{file}::{recipe[1]}" if recipe and file.endswith("test_recipes.py") else file


def begins_first(nodeid: str) -> bool:
    """What takes minutes: begun last, it would leave one process alone with it."""
    found = group(nodeid)
    return "::" in found or found.endswith(FIRST)
