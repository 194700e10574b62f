"""How data of one's own is read and divided, as settings of a recipe: columns, splits, what cannot be used.

Every field is a flag of the recipes that have it, `--label-column` for example. `loading` takes them.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

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


@dataclasses.dataclass(frozen=True)
class Reading(Splits):
    """How examples of classes are read, pictures and texts alike."""

    label_column: str = "label"
    """Column of labels of a table or a parquet file, text or numbers."""
    label_separator: str | None = None
    """Stands between the classes of an example, "|" say, in a table of examples that may have none, one or several.
    Where a label of JSON lines or of a parquet file is a list, none is needed."""
    label_columns: tuple[str, ...] = ()
    """Instead, the names of columns of 0 and 1, one a class."""
    on_unreadable: Literal["fail", "skip"] = "fail"
    """What becomes of pictures that cannot be read, and of rows without text or label: "fail" lists them and stops,
    "skip" leaves them out."""

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


@dataclasses.dataclass(frozen=True)
class TextReading(Reading):
    """How sentences of one's own are read, see `loading.texts`."""

    text_column: str = "text"
    """Column of sentences."""
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
