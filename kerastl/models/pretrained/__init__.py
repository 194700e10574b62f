"""Foundation models, one file a source: raw pixels in, features out, every weight accounted for. `load` finds them."""

import pkgutil
from typing import Any

import lazy_loader

_load, __dir__, __all__ = lazy_loader.attach(
    __name__, [member.name for member in pkgutil.iter_modules(__path__)], {"resolve": ["load"]}
)


def __getattr__(name: str) -> Any:
    return _load(name)
