"""The recipes, one self-contained module each. `kerastl list` shows them.

In a checkout they lie in `recipes/` at its top, for that is where people look for them; this file leads there. In a
wheel that folder takes this one's place.
"""

import pkgutil
from pathlib import Path
from typing import Any

import lazy_loader

__path__ = [str(Path(__file__).resolve().parents[2] / "recipes")]

_load, __dir__, __all__ = lazy_loader.attach(__name__, [recipe.name for recipe in pkgutil.iter_modules(__path__)])


def __getattr__(name: str) -> Any:
    return _load(name)
