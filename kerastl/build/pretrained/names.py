"""Names that come near a mistyped one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def near(name: str, options: Iterable[str]) -> str:
    """`` Did you mean a, b?`` for the options that come near a name whatever its case, else nothing."""
    spelled = {option.lower(): option for option in options}
    found = difflib.get_close_matches(name.lower(), spelled, n=3, cutoff=0.6)
    return f" Did you mean {', '.join(spelled[one] for one in found)}?" if found else ""
