"""Rows of a file of sentences as examples, each with one label or several, and what is wrong with the others."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from kerastl.data import multi_label_columns, splits, text_file

_HALF = re.compile("[\ud800-\udfff]")  # JSON can spell it
FLAGS = {"": False, "0": False, "false": False, "1": True, "true": True}
"""What may stand in a column of a class, and whether it says that the class is there; JSON has words for it."""


@dataclasses.dataclass(frozen=True)
class Example:
    """A sentence, its label, the split that the file gives it (``None``: none), and the line that it begins in.

    Attributes:
        label: its class; where it may have none or several, their names in words.
        labels: its classes, where it may have none or several; else ``None``.
        file: name of the file, where it is one of several.
    """

    text: str
    label: str
    split: str | None
    line: int
    labels: tuple[str, ...] | None = None
    file: str = ""

    @property
    def where(self) -> str:
        """Where it stands, for messages."""
        return f"{self.file}, line {self.line}" if self.file else f"line {self.line}"

    @property
    def names(self) -> tuple[str, ...]:
        """Its classes, however many it may have."""
        return (self.label,) if self.labels is None else self.labels


def rows(
    path: Path, columns: Sequence[str], split_column: str, *, label_options: multi_label_columns.Columns | None = None
) -> tuple[list[Example], list[str]]:
    """The rows that can be used, and what is wrong with each of the others: ``line 7: empty text``.

    Args:
        path, split_column: as for `text_csv.load`.
        columns: of texts and of labels.
        label_options: one of ``label_separator`` and ``label_columns``, see `multi_label_columns.columns_or_separator`.

    Raises:
        FileNotFoundError, ValueError: as `text_file.read`; or a separator that stands in no label.
    """
    examples, problems, label_options = [], [], label_options or {}
    flags, separator = label_options.get("label_columns", []), label_options.get("label_separator")
    lists = {} if flags else text_file.lists(path, columns[1])
    wanted, separated = [columns[0], *(flags or columns[1:])], bool(lists)
    for line, (text, *cells, split), torn in text_file.read(path, columns=wanted, optional=[split_column]):
        split = (split or "").strip().lower()
        separated |= separator is not None and separator in (cells[0] or "")
        if flags:
            found, problem = _flagged(dict(zip(flags, cells, strict=True)))
        elif label_options or lists:
            found, problem = _listed(lists.get(line, cells[0]), separator=separator)
            found = list(multi_label_columns.names_of(found))
        else:
            found = [(cells[0] or "").strip()]
            problem = None if found[0] else "no label"
        if torn is not None:
            problem = torn
        elif not (text or "").strip() or problem is None:
            problem = fault(text, found, split)
        if problem is not None:
            problems.append(f"line {line}: {problem}")
            continue
        labels = tuple(sorted(found)) if label_options or lists else None
        label = found[0] if labels is None else (separator or ", ").join(labels)
        examples.append(Example(text or "", label, splits.BY_WORD.get(split), line, labels))
    if separator is not None and not separated and (examples or problems):
        raise ValueError(
            f"Wanted texts of several classes with {separator!r} between them under {columns[1]!r}. Received: {path}, "
            f"where it stands in no field{f'; the first is {examples[0].label!r}' if examples else ''}."
        )
    return examples, problems


def fault(text: str | None, labels: Sequence[str], split: str) -> str | None:
    """What is wrong with a row: with its text, its labels, or the word for its split; ``None`` where nothing is."""
    if not (text or "").strip():
        return "empty text"
    if any(_HALF.search(value or "") for value in (text, *labels)):
        return "half a character (a lone surrogate), which no file can hold"
    if odd := [name for name in labels if len(name.splitlines()) > 1]:
        return f"the label {odd[0][:60]!r}, which is not one line of text"
    if split and split not in splits.BY_WORD:
        return f"split {split!r}, which is none of train, validation, test"
    return None


def _listed(label: str | Sequence[str | None] | None, *, separator: str | None) -> tuple[list[str], str | None]:
    """The names that a label holds, and what is wrong with it: a list has them apart, a text between separators."""
    if label is None:
        return [], "no label"
    if isinstance(label, str):
        return (label.split(separator), None) if separator else ([label], None if label.strip() else "no label")
    names = [name for name in label if name is not None]
    return names, None if len(names) == len(label) else "a list of labels with something in it that is no name"


def _flagged(flags: Mapping[str, str | None]) -> tuple[list[str], str | None]:
    """The classes whose column says that they are there, and what is wrong with the columns."""
    values = {name: None if flag is None else FLAGS.get(flag.strip()) for name, flag in flags.items()}
    odd = [
        f"nothing under {name}" if flags[name] is None else f"{flags[name]!r} under {name}"
        for name, value in values.items()
        if value is None
    ]
    return [name for name in values if values[name]], f"{', '.join(odd)}, where 0 or 1 is wanted" if odd else None


def normalize(text: str) -> str:
    """What two texts share that case and white space alone tell apart."""
    return " ".join(text.casefold().split())
