"""Metric learning: losses that bring examples of a group together and others apart, one file a loss.

A loss is a pure function of a batch: `triplet` of the vectors themselves, the others of their cosines to a proxy a
group, which is learnt beside them. A file says which by ``PROXIES``. `metric_training` trains with any of them.
"""

import pkgutil
from typing import Any

import lazy_loader

_load, __dir__, __all__ = lazy_loader.attach(__name__, [member.name for member in pkgutil.iter_modules(__path__)])


def __getattr__(name: str) -> Any:
    return _load(name)
