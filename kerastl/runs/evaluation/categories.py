"""The columns that a table had, of the numbers that they became."""

from __future__ import annotations

from kerastl.inputs.numbers import Numbers


def of(kind: Numbers) -> dict[str, list[int]]:
    """Name of each column -> the places of its numbers along the last axis, several of a category.

    Numbers without names are called by their places from 1.
    """
    names = kind.columns or tuple(str(place + 1) for place in range(kind.size[-1]))
    found: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        column, equals, _ = name.partition("=")
        found.setdefault(column if equals else name, []).append(place)
    return found
