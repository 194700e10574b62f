"""The recipes, one self-contained module each. `kerastl list` shows them.

Installed, this folder is `kerastl.recipes`; in a checkout `kerastl/recipes/__init__.py` leads here.
"""

import pkgutil
from typing import Any

import lazy_loader

_load, __dir__, __all__ = lazy_loader.attach(__name__, [recipe.name for recipe in pkgutil.iter_modules(__path__)])


def __getattr__(name: str) -> Any:
    return _load(name)
