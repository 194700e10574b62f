"""Findings about examples that stand in a data set more than once, or nearly."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from kerastl.data import near_duplicates
from kerastl.system import phrases
from kerastl.types import Finding

Rows = Mapping[str, Sequence[tuple[bytes, str, object]]]
"""Split -> the digest of each example, where it stands, in words, and its answer (``None``: unknown)."""


def exact(digests: Rows, found: list[Finding]) -> None:
    """Adds exact duplicates: a leak across splits and a contradiction of labels are errors, a repetition is not."""
    seen: dict[bytes, list[tuple[str, str, object]]] = defaultdict(list)
    for split, rows in digests.items():
        for digest, where, answer in rows:
            seen[digest].append((split, where, answer))
    within: dict[str, list[str]] = defaultdict(list)
    across: dict[str, list[str]] = defaultdict(list)
    contradicting = []
    for copies in seen.values():
        if len(copies) < 2:
            continue
        first = {}
        for split, where, _ in copies:
            if split in first:
                within[split].append(f"{where} = {first[split]}")
            first.setdefault(split, where)
        if len(first) > 1:
            across[" and ".join(sorted(first))].append(" = ".join(first.values()))
        if len({answer for _, _, answer in copies if answer is not None}) > 1:
            contradicting.append(" = ".join(f"{where} ({answer})" for _, where, answer in copies[:3]))
    for split, pairs in within.items():
        found.append(
            Finding(
                "warning", split, f"{phrases.counted(len(pairs), 'exact duplicate', 'exact duplicates')}: {some(pairs)}"
            )
        )
    for pair, pairs in across.items():
        what = phrases.counted(len(pairs), "example stands in both", "examples stand in both")
        found.append(Finding("error", pair, f"{what}: {some(pairs)}"))
    if contradicting:
        count = phrases.counted(len(contradicting), "example carries", "examples carry")
        found.append(Finding("error", "labels", f"{count} different labels: {some(contradicting)}"))


def near(pictures_of: Mapping[str, np.ndarray], digests: Rows, found: list[Finding]) -> None:
    """Adds pictures of one split that are nearly one of another's; exact duplicates are not listed again."""
    names = sorted(pictures_of, key=lambda name: len(pictures_of[name]))
    for index, one in enumerate(names):
        for other in names[index + 1 :]:
            pairs = near_duplicates.between(pictures_of[one], pictures_of[other])
            words = [
                f"{digests[one][pair.first][1]} ~ {digests[other][pair.second][1]}"
                for pair in pairs
                if digests[one][pair.first][0] != digests[other][pair.second][0]
            ]
            if words:
                many = len(words) > max(10, 0.01 * len(pictures_of[one]))
                meaning = "; so many may only say that pictures of this set are plain, and different ones alike"
                count = phrases.counted(len(words), "near duplicate", "near duplicates")
                what = f"{count} across them: {some(words)}{meaning if many else ''}"
                found.append(Finding("warning", f"{one} and {other}", what))


def some(items: Sequence | np.ndarray, most: int = 5) -> str:
    """The first few, in words, and how many more there are."""
    words = ", ".join(str(item) for item in items[:most])
    return words + (f" and {len(items) - most} more" if len(items) > most else "")
