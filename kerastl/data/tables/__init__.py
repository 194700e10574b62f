"""Files that hold rows, one file a format: each says its ``ENDINGS`` and reads its ``rows``; `files` asks them all."""

from __future__ import annotations

import functools
import pkgutil
from pathlib import Path
from types import ModuleType
from typing import Any

import lazy_loader

_load, __dir__, __all__ = lazy_loader.attach(__name__, [member.name for member in pkgutil.iter_modules(__path__)])


def __getattr__(name: str) -> Any:
    return _load(name)


@functools.cache
def formats() -> dict[str, ModuleType]:
    """Ending -> the member of this family that reads files of it: those that define ``rows``."""
    from kerastl.system import families

    members = [_load(name) for name in families.defining(Path(__path__[0]), "rows")]
    return {ending: member for member in members for ending in member.ENDINGS}
