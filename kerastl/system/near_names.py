"""Near names: what somebody who mistyped a name may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, options: Iterable[str]) -> str:
    """` Did you mean a, b?` for the options that come near a name, else nothing."""
    options = list(options)
    close = difflib.get_close_matches(name, options, n=3, cutoff=0.5)
    close += [option for option in options if option not in close and (name in option or option in name)]
    return f" Did you mean {', '.join(close[:3])}?" if close else ""
