"""What a report states beside what was measured again: two trees of JSON, and the words for where they differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kerastl.system import output

_MOST_SAID = 20
"""Differences of one table that are said; of the others the number."""


def unlike(stated: Any, again: Any, place: str = "") -> Iterator[str]:
    """Where two trees of JSON differ, leaf by leaf; of a long table the first and how many more.

    Args:
        stated: what a file says.
        again: what was measured.
        place: the name of what is compared, with a dot between the parts.
    """
    found = list(_unlike(stated, again, place))
    yield from found[:_MOST_SAID]
    if len(found) > _MOST_SAID:
        yield f"{len(found) - _MOST_SAID} more"


def _unlike(stated: Any, again: Any, place: str) -> Iterator[str]:
    if isinstance(stated, dict) and isinstance(again, dict):
        for key in sorted({*stated, *again}):
            inner = output.printable(f"{place}.{key}" if place else key)
            if key not in stated:
                yield f"{inner} is not stated, measured {again[key]!r:.200}"
            elif key not in again:
                yield f"{inner} stated {stated[key]!r:.200}, and no report has that"
            else:
                yield from _unlike(stated[key], again[key], inner)
    elif isinstance(stated, list) and isinstance(again, list) and len(stated) == len(again):
        for number, (one, other) in enumerate(zip(stated, again, strict=True)):
            named = one.get("name") if isinstance(one, dict) else None
            yield from _unlike(one, other, f"{place}[{output.printable(named) if named else number}]")
    elif stated != again or type(stated) is not type(again):
        yield f"{place} stated {stated!r:.300}, measured {again!r:.300}"
