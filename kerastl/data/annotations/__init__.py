"""Exports of tools that draw boxes on pictures, one file a format: each says by its ``read`` which classes a picture
has; `exports` asks them all.
"""

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
def formats() -> tuple[ModuleType, ...]:
    """The members of this family that read a format: those that define ``annotated``."""
    from kerastl.system import families

    return tuple(_load(name) for name in families.defining(Path(__path__[0]), "annotated"))
