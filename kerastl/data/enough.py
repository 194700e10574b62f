"""Whether labels tell anything apart, and whether there are enough of them to learn from, choose by and measure on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from kerastl import types
from kerastl.data import strata


def one_class(name: object) -> str:
    """What is wrong with labels of one class alone, as errors and `kerastl audit` say it."""
    return f"one class only, {name}: there is nothing to tell apart"


def require_two(found: Collection[str], *, where: object) -> None:
    """Refuses labels of fewer than two classes.

    Args:
        found: the classes that occur.
        where: the labels stand, for the message.

    Raises:
        ValueError: there are not two.
    """
    if len(found) < 2:
        received = one_class(repr(next(iter(found)))) if found else "no class"
        raise ValueError(f"Wanted labels of two classes at least. Received: {received}, in {where}.")


def require_differences(labels: Any, target: types.Target, *, where: object) -> None:
    """Refuses labels of classes that are the same for every example: each has the same one, or the same several.

    Args:
        labels: as the target says; those of no classes are passed over.
        target: what is asked.
        where: the labels stand, for the message.

    Raises:
        ValueError: no two labels differ.
    """
    if not isinstance(target, types.ClassTarget) or not len(labels) or (labels != labels[:1]).any():
        return
    (having,) = target.having(labels[:1])
    names = [name for name, there in zip(target.names, having, strict=True) if there]
    if len(names) > 1:
        raise ValueError(
            f"Wanted labels that differ. Received: {' and '.join(map(repr, names))} for every example, in {where}: "
            "there is nothing to tell apart."
        )
    require_two(names, where=where)


def require_of_each(
    labels: np.ndarray,
    names: Sequence[str],
    *,
    missing: Sequence[str],
    what: str = "examples",
    units: np.ndarray | None = None,
    hint: str = "",
) -> None:
    """Refuses classes of which not every split that is to be made can have an example.

    Args:
        labels: class indices ``(examples,)``, or 0 and 1 ``(examples, classes)``, of what is to be divided.
        names: of the classes.
        missing: splits that are to be made of these examples, beside train.
        what: the examples, or what goes together into one split, are called.
        units: what each example belongs to and goes with, ``(examples,)``; by default each stands alone.
        hint: a sentence that says more.

    Raises:
        ValueError: a class has fewer than one for each split.
    """
    if not missing:
        return
    examples, classes = strata.pairs(labels)
    if units is not None:
        units = np.unique(units, return_inverse=True)[1][examples]
        classes = classes[np.unique(np.stack([classes, units]), axis=1, return_index=True)[1]]
    counts = np.bincount(classes, minlength=len(names))
    few = [f"{name!r} ({count})" for name, count in zip(names, counts, strict=True) if count <= len(missing)]
    if few:
        raise ValueError(
            f"Every class needs {len(missing) + 1} {what} at least, one each for train, {' and '.join(missing)}. "
            f"Received: {len(few):,} of {len(names):,} classes with fewer: {', '.join(few[:5])}"
            f"{' ...' if len(few) > 5 else ''}. Get more of them, or leave the classes out.{hint and f' {hint}'}"
        )


def require_sizes(*, limit: int | None, **parts: int | float) -> None:
    """Raises `ValueError` for a limit, or a count or share of a split, by which no data can be divided."""
    for name, part in parts.items():
        if not (0 < part < 1 if isinstance(part, float) else part >= 1):
            raise ValueError(f"{name} is 1 example or more, or a share between 0 and 1. Received: {part}.")
    if limit is not None and limit < 2:
        raise ValueError(f"A limit keeps two training examples or more. Received: {limit}.")


def require_rows(count: int, shares: dict[str, int | float], *, what: str) -> None:
    """Refuses so few examples of numbers that a split would have less than two of them.

    Args:
        count: how many examples are to be divided.
        shares: of the splits that are made one after the other, how many examples or what share of those left.
        what: the examples are called.

    Raises:
        ValueError: they are too few; says how many are enough.
    """
    if count >= 40 or not shares or any(isinstance(share, float) and not 0 < share < 1 for share in shares.values()):
        return  # of more than 40, splits take one of each stratum, however small the share
    enough = next(rows for rows in range(3, 1_000_000) if _leaves_two(rows, list(shares.values())))
    if count < enough:
        asked = ", ".join(f"{name} {share}" for name, share in shares.items())
        raise ValueError(
            f"Wanted two {what} at least in each of train, {' and '.join(shares)}: {enough:,} are enough ({asked}). "
            f"Received: {count}. Get more, or take more of them with {' and '.join(f'--{name}' for name in shares)}."
        )


def _leaves_two(rows: int, shares: Sequence[int | float]) -> bool:
    left, sizes = rows, []
    for share in shares:
        sizes.append(round(share * left) if isinstance(share, float) else share)
        left -= sizes[-1]
    return min(left, *sizes) >= 2
