"""Names of classes: the order that they are put into, and whether they are those that a data set had before."""

from __future__ import annotations

import re
from collections.abc import Sequence

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


def indices(labels: Sequence[str], names: Sequence[str]) -> np.ndarray:
    """The place of each label among the names, int32 ``(examples,)``."""
    number = {name: index for index, name in enumerate(names)}
    return np.array([number[label] for label in labels], np.int32)
