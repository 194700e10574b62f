"""What cannot be used of a data set: listed all at once, as an error or, where it may be left out, on stderr."""

from __future__ import annotations

import sys
from collections.abc import Sequence

_SHOWN = 20


def listed(problems: Sequence[str], *, shown: int = _SHOWN) -> str:
    """The first problems, a line each, and how many more there are."""
    lines = [f"  {problem}" for problem in problems[:shown]]
    more = [f"  ... and {len(problems) - shown} more"] if len(problems) > shown else []
    return "\n".join([*lines, *more])


def refuse_or_tell(problems: Sequence[str], *, skip: bool, what: str, kept: int | None = None) -> None:
    """Lists what cannot be used, where there is such.

    Args:
        problems: each with its reason.
        skip: whether to go on without it, which is said on stderr.
        what: of what, in the plural: ``"texts"``, ``"pictures of photos/"``.
        kept: how many are kept, where that is known.

    Raises:
        ValueError: there are problems, and nothing may be left out.
    """
    if not problems:
        return
    if not skip:
        raise ValueError(f"{len(problems)} {what} cannot be used; policy='skip' leaves them out:\n{listed(problems)}")
    rest = "" if kept is None else f", {kept} are kept"
    print(f"kerastl: {len(problems)} {what} are left out{rest}:\n{listed(problems)}", file=sys.stderr)
