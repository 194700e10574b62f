"""How data of one's own is read and divided, as settings of a recipe: columns, splits, what cannot be used.

Every field is a flag of the recipes that have it, `--label-column` for example. `loading` takes them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from kerastl.data.tables.table import Layout
from kerastl.types.settings import Count, CountOrShare, Place


@dataclasses.dataclass(frozen=True)
class Splits:
    """How examples are divided, where nothing says so yet."""

    validation: CountOrShare = 0.1
    """How many examples are held out of train to choose by, or what share of them."""
    test: CountOrShare = 0.1
    """How many examples, or what share, are held out to measure on. A set that is published has its own."""
    max_train_examples: Count | None = None
    """Keeps only so many training examples, and of the others in proportion."""
    split_column: str = "split"
    """Column of train, validation and test, of a table or a parquet file, which is respected; it may be absent."""
    layout: Layout = Layout()
    """How the files are written: encoding, delimiter, header; what nobody says is found out, and said."""


@dataclasses.dataclass(frozen=True)
class Reading(Splits):
    """How examples of classes are read, pictures and texts alike."""

    label_column: str = "label"
    """Column of labels of a table or a parquet file, text or numbers, by its name or its number from 1. Where there is
    no such column, it is found by what it holds, and said; so are those of texts, pictures and splits."""
    label_separator: str | None = None
    """Stands between the classes of an example, "|" say, in a table of examples that may have none, one or several.
    Where a label of JSON lines or of a parquet file is a list, none is needed."""
    label_columns: tuple[str, ...] = ()
    """Instead, the names of columns of 0 and 1, one a class."""
    on_unreadable: Literal["fail", "skip"] = "fail"
    """What becomes of pictures that cannot be read, of rows without text or label, and of texts that carry two labels:
    "fail" lists them and stops, "skip" leaves them out. Copies with one label are left out in any case."""

    def __post_init__(self) -> None:
        if isinstance(self.label_columns, str):  # one name, and not its letters
            object.__setattr__(self, "label_columns", (self.label_columns,))


@dataclasses.dataclass(frozen=True)
class PictureReading(Reading):
    """How pictures of one's own are read, see `loading.pictures`."""

    test: CountOrShare = 0.15
    """How many pictures, or what share, are held out to measure on, where a folder or table has no such split."""
    path_column: str = "path"
    """A table's column of pictures, paths from its folder."""
    class_names: Place = ""
    """A text file with the order of the classes, a name a line; by default in natural order, "2" before "10"."""
    group_column: str | None = None
    """A table's column of what pictures belong to, a patient say: all of one stand in one split."""
    table: str | None = None
    """Name of the table inside of a folder or an archive that lists its pictures, instead of its folders."""
    root: str | None = None
    """Folder that a table's paths start from and stay in; by default the table's own."""


@dataclasses.dataclass(frozen=True)
class TextReading(Reading):
    """How sentences of one's own are read, see `loading.texts`."""

    text_column: str = "text"
    """Column of sentences."""
    second_text_column: str = ""
    """Column of a sentence that each stands with, where examples are pairs: a question and its answer, say."""
    task: Literal["classification", "regression"] = "classification"
    """What labels are: "classification" for names of classes, "regression" for numbers to estimate, stars say."""
    unit: str = ""
    """Unit of such numbers."""
    evaluate_on_train: bool = False
    """Scores are of the training texts: for a file of a few sentences to try things out, and for nothing else."""


@dataclasses.dataclass(frozen=True)
class TextTasksReading(Splits):
    """How sentences of several tasks are read, see `loading.text_tasks`."""

    label_columns: tuple[str, ...] = ("sentiment", "source")
    """Columns of labels, a task each. A sentence without a label in one, or of a file without it, lacks that task."""
    text_column: str = "text"
    """Column of sentences, in every file."""
    on_unreadable: Literal["fail", "skip"] = "fail"
    """What becomes of rows without text or label: "fail" lists them and stops, "skip" leaves them out."""


@dataclasses.dataclass(frozen=True)
class TableReading(Splits):
    """How a table of numbers and categories is read, see `loading.tables`."""

    test: CountOrShare = 0.2
    """How many rows, or what share, are held out to measure on, where the table has no such split."""
    label_columns: tuple[str, ...] = ()
    """The column that is to be known, or several of numbers."""
    leave_out: tuple[str, ...] = ()
    """Columns that do not go in: names, numbers of rows, what is known only afterwards."""
    task: Literal["auto", "regression", "classification"] = "auto"
    """ "regression", "classification", or "auto": regression for numbers of more than twenty different values."""
    unit: str = ""
    """Unit of the number that is to be known."""
    missing: Literal["fail", "median"] = "fail"
    """Missing values: "fail" names their lines and stops, "median" takes that of the training rows."""


def refuse_columns(reading: Splits, *, where: str) -> None:
    """Raises `ValueError` where it is said how columns are read, of what has none."""
    anywhere = {"validation", "test", "max_train_examples", "on_unreadable"}
    changed = [
        f"--{field.name.replace('_', '-')} {value!r}"
        for field in dataclasses.fields(reading)
        if field.name not in anywhere and (value := getattr(reading, field.name)) != field.default
    ]
    if changed:
        raise ValueError(
            f"Columns are listed in a table, in a file of your own: --data FILE. Received: {', '.join(changed)} for "
            f"{where}."
        )


def from_flags(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Flags of `kerastl advise` and `kerastl audit` as arguments of `facts.summarize` and `audit.audit`: those of
    `Layout` become one.
    """
    of_layout = {field.name for field in dataclasses.fields(Layout)} & flags.keys()
    rest = {name: value for name, value in flags.items() if name not in of_layout}
    return {**rest, "layout": Layout(**{name: flags[name] for name in of_layout})}


def as_flags(flags: Mapping[str, Any]) -> list[str]:
    """Those of such flags that say something, as words of a command for `kerastl run`."""
    usual = {f"{name}_column": name for name in ("path", "text", "label", "split")} | Layout().__dict__
    words = []
    for name, value in flags.items():
        if value and value != usual.get(name):
            words += [f"--{name.replace('_', '-')}", *([value] if isinstance(value, str) else value)]
    return words
