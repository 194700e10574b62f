"""Multi-label classification in files: how a table, a list or an array says that an example has several classes."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from typing import TypedDict

import numpy as np

CERTAIN = ("|", ";")
"""Signs between names that no name of one class has in it."""
_BETWEEN = (*CERTAIN, ",", " ")


class Columns(TypedDict, total=False):
    """How a table gives an example several classes, as arguments of who reads it; empty where each has one."""

    label_separator: str
    label_columns: list[str]


def columns_or_separator(label_separator: str | None, label_columns: Sequence[str]) -> Columns:
    """How a table gives an example several classes, as arguments of who reads it; empty where each has one.

    Raises:
        ValueError: both are given, the separator is blank, or the columns are not two or more with a name each.
    """
    names = [label_columns] if isinstance(label_columns, str) else list(label_columns)
    if label_separator is not None and (names or not (label_separator.strip() or label_separator == " ")):
        raise ValueError(
            "A table says with a separator, or with columns which classes an example has. Received: "
            f"label_separator={label_separator!r}, label_columns={names}."
        )
    if len(names) == 1 or len(set(names)) < len(names):
        raise ValueError(f"Classes in columns are two at least, each named once. Received: label_columns={names}.")
    return (
        {"label_columns": names} if names else {} if label_separator is None else {"label_separator": label_separator}
    )


def names_of(found: Sequence[str]) -> tuple[str, ...]:
    """The classes that somebody wrote down for an example: in alphabetical order, each once, blank ones left out."""
    return tuple(sorted({name.strip() for name in found} - {""}))


def separator_in(labels: Sequence[str]) -> str | None:
    """What seems to stand between several classes of an example: a sign that no class has in its name, where a part of
    a label is one of another, or a comma or space whose parts are fewer than the labels; ``None`` for nothing.
    """
    distinct = set(labels)
    for sign in _BETWEEN:
        parted = {label: names_of(label.split(sign)) for label in distinct if sign in label}
        counts = collections.Counter(part for label in distinct for part in parted.get(label, (label,)))
        parts = {part for some in parted.values() for part in some}
        if len(counts) < len(distinct) or (sign in CERTAIN and any(counts[part] > 1 for part in parts)):
            return sign
    return None


def are_sets(labels: np.ndarray) -> bool:
    """Whether an array of a file says of every class whether it is there: integers ``(examples, classes)``, 0 and 1."""
    return labels.ndim == 2 and labels.shape[1] != 1 and labels.dtype.kind in "iu"


def indicators(names_of: Sequence[Sequence[str]], names: Sequence[str]) -> np.ndarray:
    """The classes of each example as 0 and 1, uint8 ``(examples, classes)`` in the order of ``names``."""
    number = {name: index for index, name in enumerate(names)}
    labels = np.zeros((len(names_of), len(names)), np.uint8)
    for row, found in zip(labels, names_of, strict=True):
        row[[number[name] for name in found]] = 1
    return labels
