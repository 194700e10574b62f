"""What goes into a model, one file a kind: reading, tokens, augmentation."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lazy_loader

if TYPE_CHECKING:
    from kerastl.types import Inputs

_load, __dir__, __all__ = lazy_loader.attach(__name__, [member.name for member in pkgutil.iter_modules(__path__)])


def __getattr__(name: str) -> Any:
    return _load(name)


def restored(described: Mapping[str, Any]) -> Inputs:
    """The kind that a description inside an exported file is of, found among the members of this family.

    Args:
        described: what `types.Inputs.described` said; it may be anybody's.

    Raises:
        ValueError: if it is of no kind that there is, or is not as that kind writes it.
    """
    from kerastl.system import families

    for name in families.defining(Path(__path__[0]), "restored"):
        try:
            found = importlib.import_module(f"{__name__}.{name}").restored(described)
        except (KeyError, TypeError) as error:
            raise ValueError(f"Wanted what goes in as kerastl describes it. Received: {described!r}.") from error
        if found is not None:
            return found
    raise ValueError(f"Wanted what goes in as a kind describes it. Received: the keys {', '.join(described)}.")
