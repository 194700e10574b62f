"""What cannot be used of a data set: listed all at once, as an error or, where it may be left out, on stderr."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from kerastl.system import phrases

_SHOWN = 20


def listed(problems: Sequence[str], *, shown: int = _SHOWN) -> str:
    """The first problems, a line each, and how many more there are."""
    lines = [f"  {problem}" for problem in problems[:shown]]
    more = [f"  ... and {len(problems) - shown} more"] if len(problems) > shown else []
    return "\n".join([*lines, *more])


def refuse_or_tell(
    problems: Sequence[str], *, skip: bool, what: str, where: object = "", kept: int | None = None
) -> None:
    """Lists what cannot be used, where there is such.

    Args:
        problems: each with its reason.
        skip: whether to go on without it, which is said on stderr.
        what: one of them: ``"text"``, ``"picture"``.
        where: of what they are parts.
        kept: how many are kept, where that is known.

    Raises:
        ValueError: there are problems, and nothing may be left out.
    """
    if not problems:
        return
    of = f" of {where}" if where else ""
    if not skip:
        count = phrases.counted(len(problems), what, f"{what}s")
        raise ValueError(f"{count}{of} cannot be used; policy='skip' leaves them out:\n{listed(problems)}")
    count = phrases.counted(len(problems), f"{what}{of} is", f"{what}s{of} are")
    rest = "" if kept is None else f", {kept:,} are kept"
    print(f"kerastl: {count} left out{rest}:\n{listed(problems)}", file=sys.stderr)


def tell(said: Sequence[str]) -> None:
    """Says on stderr what was found out about a data set, a line each."""
    for sentence in said:
        print(f"kerastl: {sentence}", file=sys.stderr)
