"""Balancing of several tasks on one trunk: how much each counts in a step, one file a rule.

A rule is a frozen dataclass; what it does to numbers is a pure function beside it. A `balanced.Balanced` asks it once a
step with the tasks' losses and the products of their gradients. A new rule is a file here and its test.
"""

import pkgutil
from typing import Any

import lazy_loader

_load, __dir__, __all__ = lazy_loader.attach(__name__, [member.name for member in pkgutil.iter_modules(__path__)])


def __getattr__(name: str) -> Any:
    return _load(name)
