"""Classes that are not the same in every split: missing in one, or called otherwise there; named with near names."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from kerastl.data import picture_table, splits
from kerastl.data.labelled_texts import Example, Texts
from kerastl.system import phrases

Labelled = TypeVar("Labelled", picture_table.Row, Example)
"""A picture of a table or a folder, or a text."""

_NEAR = 0.8  # share of signs that two names have in common from which on one may be a slip of the other
_SHOWN = 5


class Settled(NamedTuple, Generic[Labelled]):
    """Examples whose classes are the same in every split, or what is wrong with them.

    Attributes:
        rows: the examples.
        names: of the classes.
        said: what was done, a sentence each.
        problems: why they cannot be used, and which flag helps.
    """

    rows: list[Labelled]
    names: set[str]
    said: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def settle(
    rows: Sequence[Labelled], names: Collection[str], *, how: str, what: tuple[str, str] = ("picture", "pictures")
) -> Settled[Labelled]:
    """Brings the classes of all splits together, as somebody asks.

    Args:
        rows: examples, each with its split; of none is train.
        names: of the classes, those without an example among them.
        how: ``"ask"`` states what is wrong, ``"merge"`` calls a class that train does not have as the one that is near
            it, ``"skip"`` leaves out classes that are not in every split, ``"split"`` leaves the splits aside: all
            are divided anew.
        what: an example is called, and several are.
    """
    rows, names, said = list(rows), set(names), []
    if how == "split":
        count = sum(_split_of(row) != "train" for row in rows)
        rows = [_changed(row, split="train") for row in rows]
        said += [f"{phrases.counted(count, *what)} of validation and test: all are divided anew"] if count else []
    found = _by_split(rows)
    if how == "merge":
        renamed = {
            split: {name: near for name in present - found["train"] if (near := nearest(name, found["train"]))}
            for split, present in found.items()
        }
        rows = [_renamed(row, renamed[_split_of(row)]) for row in rows]
        said += [f"{name!r} of {split} is {near!r}" for split, some in renamed.items() for name, near in some.items()]
        gone = {name for some in renamed.values() for name in some}
        found = _by_split(rows)
        names -= gone - set().union(*found.values())
    lacking = {name: [split for split, present in found.items() if name not in present] for name in names}
    lacking = {name: some for name, some in lacking.items() if some}
    if how == "skip" and lacking:
        said += [_left_out(name, some, rows, what=what) for name, some in sorted(lacking.items())]
        rows = [kept for row in rows if (kept := _without(row, lacking)) is not None]
        return Settled(rows, names - lacking.keys(), tuple(said))
    problems = [] if how == "skip" else [_problem(lacking, found, what=what[1])] if lacking else []
    return Settled(rows, names, tuple(said), tuple(problems))


def settled_texts(texts: Texts, *, how: str) -> tuple[Texts, tuple[str, ...]]:
    """Texts with classes that every split has, and what is wrong with them; see `settle`.

    Args:
        texts: as they were read.
        how: as for `settle`.
    """
    names = {name for one in texts.examples for name in one.names}
    found = settle(texts.examples, names, how=how, what=("text", "texts"))
    return dataclasses.replace(texts, examples=found.rows, said=(*texts.said, *found.said)), found.problems


def nearest(name: str, others: Collection[str]) -> str | None:
    """The class that a name is most likely meant for: the same but for case, signs, a plural or a slip of a key."""
    plain = {_plain(other): other for other in sorted(others)}
    if _plain(name) in plain:
        return plain[_plain(name)]
    close = difflib.get_close_matches(_plain(name), plain, n=1, cutoff=_NEAR)
    # two numbers that differ in a digit are two classes
    return plain[close[0]] if close and _digits(close[0]) == _digits(_plain(name)) else None


def _plain(name: str) -> str:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    words = [word for word in re.split(r"[\W_]+", spaced.casefold()) if word]
    return " ".join(re.sub(r"(?<=\w\w)(?:(?<=[sxzh])es|(?<!s)s)$", "", word) for word in words)


def _digits(name: str) -> list[str]:
    return re.findall(r"\d+", name)


def _split_of(row: picture_table.Row | Example) -> str:
    return row.split or "train"


def _names_of(row: picture_table.Row | Example) -> tuple[str, ...]:
    """The classes of an example; none where it has none of several."""
    return row.names if isinstance(row, Example) else row.labels or ((row.label,) if row.label else ())


def _changed(row: Labelled, **changes: Any) -> Labelled:
    return dataclasses.replace(row, **changes) if isinstance(row, Example) else row._replace(**changes)


def _by_split(rows: Sequence[picture_table.Row | Example]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {
        split: set() for split in splits.WORDS if any(_split_of(row) == split for row in rows)
    }
    for row in rows:
        found[_split_of(row)].update(_names_of(row))
    return found


def _renamed(row: Labelled, names: Mapping[str, str]) -> Labelled:
    if not row.labels:
        return _changed(row, label=names.get(row.label, row.label))
    return _with_labels(row, tuple(sorted({names.get(name, name) for name in row.labels})))


def _with_labels(row: Labelled, labels: tuple[str, ...]) -> Labelled:
    return _changed(row, label=", ".join(labels), labels=labels)


def _without(row: Labelled, gone: Collection[str]) -> Labelled | None:
    """The example without some classes; one that has no other is left out."""
    if not row.labels:
        return None if row.label in gone else row
    labels = tuple(name for name in row.labels if name not in gone)
    return _with_labels(row, labels) if labels else None


def _left_out(
    name: str, where: Sequence[str], rows: Sequence[picture_table.Row | Example], *, what: tuple[str, str]
) -> str:
    count = sum(name in _names_of(row) for row in rows)
    return f"{name} is left out, {phrases.counted(count, *what)}: none in {' and '.join(where)}"


def _problem(lacking: Mapping[str, Sequence[str]], found: Mapping[str, set[str]], *, what: str) -> str:
    """All that is wrong in one sentence, and what to do about it in others."""
    words = []
    for name, where in sorted(lacking.items()):
        others = {one for one in set().union(*(found[split] for split in where)) if one in lacking}
        near = nearest(name, others - {name})
        words.append(f"{name!r} in {' and '.join(where)}" + (f" (there is {near!r})" if near else ""))
    some = ", ".join(words[:_SHOWN]) + (f" and {len(words) - _SHOWN} more" if len(words) > _SHOWN else "")
    likely = [
        f"{name!r} is {near!r}"
        for name in sorted(lacking)
        if "train" in lacking[name] and (near := nearest(name, found["train"]))
    ]
    merge = f"--class-mismatch merge says that {', '.join(likely[:_SHOWN])}; " if likely else ""
    anew = f", --class-mismatch split divides all {what} anew" if len(found) > 1 else ""
    return (
        f"Every class needs {what} in every split. Received: none of {some}. {merge}--class-mismatch skip leaves out "
        f"classes that a split lacks{anew}."
    )
