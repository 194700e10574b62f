"""Near names: what somebody who mistyped a name may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, options: Iterable[str]) -> list[str]:
    """The options that come near a name whatever its case, three at most, the nearest first."""
    options, name = list(options), name.lower()
    spelled = {option.lower(): option for option in reversed(options)}
    close = [spelled[one] for one in difflib.get_close_matches(name, spelled, n=3, cutoff=0.5)]
    close += [one for one in options if one not in close and (name in one.lower() or one.lower() in name)]
    return close[:3]


def did_you_mean(name: str, options: Iterable[str]) -> str:
    """` Did you mean a, b?` for the options that come near a name whatever its case, else nothing."""
    close = nearest(name, options)
    return f" Did you mean {', '.join(close)}?" if close else ""
