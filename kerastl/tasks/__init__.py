"""What a model is asked for, one file a kind: scores, losses, what an exported file answers and how it is proven."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lazy_loader

if TYPE_CHECKING:
    from kerastl.types import Target

_load, __dir__, __all__ = lazy_loader.attach(__name__, [member.name for member in pkgutil.iter_modules(__path__)])


def __getattr__(name: str) -> Any:
    return _load(name)


def restored(described: Mapping[str, Any]) -> Target:
    """The kind that a description inside an exported file is of, found among the members of this family.

    Args:
        described: what `types.Target.described` said; it may be anybody's.

    Raises:
        ValueError: if it is of no kind that there is, or is not as that kind writes it.
    """
    from kerastl.system import families

    return families.restored(Path(__path__[0]), described, load=_load, wanted="what is asked")
