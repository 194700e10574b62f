"""Names of classes: the order that they are put into, and whether they are those that a data set had before."""

from __future__ import annotations

import collections
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np


def natural(name: str) -> tuple[tuple[tuple[int, str], ...], str]:
    """A key that sorts ``"2"`` before ``"10"``, the same in every locale."""
    pieces = re.split(r"([0-9]+)", name)
    return tuple((int(piece), "") if index % 2 else (-1, piece) for index, piece in enumerate(pieces)), name


def check(found: Sequence[str], wanted: Sequence[str] | None, *, what: str) -> None:
    """Raises `ValueError` where classes are not those that a data set had before; ``what`` they are called is said."""
    if wanted is not None and sorted(wanted) != sorted(found):
        added, lost = sorted(set(found) - set(wanted)), sorted(set(wanted) - set(found))
        raise ValueError(
            f"The {what} have to be {', '.join(wanted)}. Received: new ones {added or 'none'}, lacking "
            f"{lost or 'none'}. A class that was renamed is another class to a trained model."
        )


def read(path: str | Path) -> list[str]:
    """The names in a text file, a line each, without the numbers from 0 that Teachable Machine writes in front.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no text in UTF-8, or names nothing, or a class twice.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"Wanted a text file with a class a line. Received: {path}, where there is none.")
    try:
        names = [line.strip() for line in Path(path).read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise ValueError(f"Wanted a text file in UTF-8 with a class a line. Received: {path}.") from error
    numbered = [re.fullmatch(r"(\d+)\s+(.+)", name) for name in names]
    if all(one and int(one[1]) == place for place, one in enumerate(numbered)):
        names = [str(one[2]) for one in numbered if one]
    if not names or len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"Wanted each class on a line of its own, once. Received: {path}, with {twice or 'none'}.")
    return names


def indices(labels: Sequence[str], names: Sequence[str]) -> np.ndarray:
    """The place of each label among the names, int32 ``(examples,)``."""
    number = {name: index for index, name in enumerate(names)}
    return np.array([number[label] for label in labels], np.int32)


def settled(counts: Mapping[str, int], case: str) -> dict[str, str]:
    """Name -> what the class is called: the same, but where names differ in case or white space alone.

    Args:
        counts: examples of each name.
        case: ``"merge"`` calls all of them as most examples are called, ``"keep"`` leaves them apart, ``"ask"`` raises.

    Raises:
        ValueError: there are such names, and nobody says what becomes of them.
    """
    alike: dict[str, list[str]] = collections.defaultdict(list)
    for name in counts:
        alike[" ".join(name.casefold().split())].append(name)
    groups = [sorted(some, key=lambda name: (-counts[name], name)) for some in alike.values() if len(some) > 1]
    if groups and case == "ask":
        shown = "; ".join(" and ".join(f"{name!r} ({counts[name]:,})" for name in some) for some in groups[:5])
        raise ValueError(
            f"Classes differ in case alone. Received: {shown}{' ...' if len(groups) > 5 else ''}. --class-case merge "
            "makes one class of each, called as most examples are; --class-case keep leaves them apart."
        )
    merged = {name: some[0] for some in groups if case == "merge" for name in some}
    return {name: merged.get(name, name) for name in counts}
