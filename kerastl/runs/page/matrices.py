"""Confusion matrices as the page shows them: of many classes those with the most mistakes, the others together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

SHOWN = 20
"""Classes with a row and a column of their own."""
PAIRS, EXAMPLES = 20, 4
"""Pairs of classes that are listed, and examples of each."""


def shown(matrix: Mapping[str, Any], tiles: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """What the template needs of a report's matrix, see `tasks.confusion.matrix`.

    Args:
        matrix: from the report.
        tiles: examples that are answered wrong, with ``label`` and ``prediction``.
    """
    names, cells = matrix["names"], matrix["cells"]
    mistakes: Counter[int] = Counter()
    totals: Counter[int] = Counter()
    for true, said, count in cells:
        totals[true] += count
        if true != said:
            mistakes[true] += count
            mistakes[said] += count
    order = sorted(range(len(names)), key=lambda place: (-mistakes[place], place))
    kept = order[:SHOWN] if len(names) > SHOWN + 1 else order
    where = {place: number for number, place in enumerate(kept)}
    others = len(kept)  # the row and the column of all others
    table: Counter[tuple[int, int]] = Counter()
    for true, said, count in cells:
        table[where.get(true, others), where.get(said, others)] += count
    hidden = len(names) - len(kept)
    size = len(kept) + bool(hidden)
    rows = []
    for row in range(size):
        whole = max(sum(table[row, column] for column in range(size)), 1)
        rows.append(
            {
                "name": names[kept[row]] if row < others else "others",
                "place": kept[row] if row < others else None,
                "cells": [
                    {
                        "count": table[row, column],
                        "right": row == column and row < others,
                        "share": table[row, column] / whole if row < others or column < others else 0.0,
                    }
                    for column in range(size)
                ],
            }
        )
    pairs = [cell for cell in cells if cell[0] != cell[1]][:PAIRS]
    return {
        "title": matrix["title"],
        "note": matrix["note"],
        "names": [names[place] for place in kept],
        "places": kept,
        "hidden": hidden,
        "rows": rows,
        "pairs": [
            {
                "true": names[true],
                "said": names[said],
                "count": count,
                "share": count / totals[true],
                "examples": [
                    tile for tile in tiles if (tile["label"], tile["prediction"]) == (names[true], names[said])
                ][:EXAMPLES],
            }
            for true, said, count in pairs
        ],
    }
