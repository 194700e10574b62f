"""Tables of numbers and categories: a row an example, one column or several of what is to be known."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from kerastl import types
from kerastl.data import enough, left_out, splits
from kerastl.data.tables import files
from kerastl.data.tables.table import Cell, Layout, Table, stored
from kerastl.inputs.numbers import Numbers
from kerastl.system import near_names
from kerastl.tasks.regression import Regression
from kerastl.tasks.single_label import SingleLabel

MISSING = ("", "?", "na", "n/a", "nan", "null", "none")
"""What stands in a table for a value that nobody knows, in any case."""
FILLS = ("fail", "median")
MOST_CATEGORIES = 50
"""A column of more different words than these is a name or a text, and no category."""
TASKS = ("auto", "regression", "classification")
_FEW_NUMBERS = 20


def load(
    path: str | Path,
    *,
    label_columns: Sequence[str],
    columns: Sequence[str] = (),
    leave_out: Sequence[str] = (),
    split_column: str = "split",
    task: str = "auto",
    unit: str = "",
    missing: str = "fail",
    validation: int | float = 0.1,
    test: int | float = 0.2,
    seed: int = 0,
    limit: int | None = None,
    layout: Layout | Mapping[str, str] = Layout(),  # noqa: B008  frozen
) -> types.Dataset:
    """A table's rows as examples of plain numbers, float32 ``(examples, columns)``.

    A column whose values are all numbers is one number; any other is a category and becomes a number 0 or 1 for each of
    its values, named ``column=value``. Categories, means and medians are those of the training rows alone.

    Args:
        path: a file, a folder or an archive, see `tables.files.read`.
        label_columns: what is to be known: one column, or several of numbers.
        columns: what goes in; by default all others.
        leave_out: columns that do not go in: names, numbers of rows.
        split_column: says of each row whether it is for train, validation or test, and is respected; it may be absent.
        task: ``"regression"``, ``"classification"``, or ``"auto"``: regression where the labels are numbers of more
            than twenty different values, or of several columns.
        unit: of the numbers to be known.
        missing: ``"fail"`` names the rows in which a value is missing; ``"median"`` takes the training rows' median for
            a number, and for a category none of its values. A row without a label is refused in any case.
        validation, test: how many rows (int), or what share (float), where there is no such split.
        seed: decides which examples validate and test, and the order.
        limit: keeps so many training examples, see `splits.dataset`.
        layout: how the table is written, where somebody knows it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a column that is not there (near names are offered), values or labels that are missing, a column of
            words that are no categories, or no such split can be made.
    """
    path = Path(path)
    if task not in TASKS or missing not in FILLS:
        raise ValueError(
            f"task is one of {', '.join(TASKS)}, missing one of {', '.join(FILLS)}. Received: {task!r}, {missing!r}."
        )
    labels_from = [label_columns] if isinstance(label_columns, str) else list(label_columns)
    layout = stored(layout)
    read = files.read(path, layout, wanted=[*labels_from, *columns, split_column])
    left_out.tell(read.said)
    inputs_from = _columns(read, labels_from, columns, leave_out=leave_out, split_column=split_column)
    table = _Table(read, labels_from, inputs_from, split_column if split_column in read.columns else None)
    table.refuse_broken(missing=missing)
    asked = _asked(table.labels, task)
    which = _splits(table, asked, validation=validation, test=test, seed=seed)
    target = _target(table, asked, which["train"], labels_from, unit=unit)
    encoder = _Encoder(table, which["train"])
    arrays: dict[str, np.ndarray] = {}
    for name, places in which.items():
        arrays[f"{name}_inputs"] = encoder.encoded(places)
        arrays[f"{name}_labels"] = _labels(table, target, places)
        arrays[f"{name}_origins"] = table.origins[places]
    kind = Numbers.of(arrays["train_inputs"], columns=encoder.names)
    return splits.dataset(
        types.Task(path.resolve().stem, kind, target),
        arrays,
        seed=seed,
        validation=validation,
        limit=limit,
        source="table_csv",
        arguments={
            "path": os.path.abspath(path),
            "label_columns": labels_from,
            "columns": list(columns),
            "leave_out": list(leave_out),
            "split_column": split_column,
            "task": asked,
            "unit": unit,
            "missing": missing,
            "test": test,
            **({"layout": changed} if (changed := layout.changed()) else {}),
        },
    )


def _columns(
    table: Table, labels: Sequence[str], wanted: Sequence[str], *, leave_out: Sequence[str], split_column: str
) -> list[str]:
    """The columns that go in."""
    path, header = table.path, table.columns
    numbers = [str(number) for number in range(1, len(header) + 1)]
    lacking = [name for name in (*labels, *wanted) if name not in header and name not in numbers]
    if lacking or not labels:
        hint = near_names.did_you_mean(lacking[0], header) if lacking else ""
        raise ValueError(
            f"Wanted the columns {', '.join((*labels, *wanted)) or 'of the labels'} (--label-columns). Received: "
            f"{path} without {', '.join(lacking) or 'any named'}.{hint} It has: {', '.join(header) or 'none'}."
        )
    known = {header[table.place(name)] for name in labels}
    absent = [name for name in leave_out if name not in header or name in known]
    if absent:  # a misspelt name would stay in, and it may say the label
        raise ValueError(
            f"What is left out is a column of inputs (--leave-out). Received: {', '.join(absent)} of {path}."
            f"{near_names.did_you_mean(absent[0], header)} It has: {', '.join(header)}."
        )
    if split_column != "split" and split_column not in header:
        raise ValueError(
            f"Wanted the column that names each row's split (--split-column). Received: {path} without "
            f"{split_column}.{near_names.did_you_mean(split_column, header)} It has: {', '.join(header)}."
        )
    found = list(wanted) or [name for name in header if name not in {*known, *leave_out, split_column}]
    if not found or set(found) & known:
        raise ValueError(
            f"Wanted columns that go in and are no labels. Received: {', '.join(found) or 'none'}, and the labels "
            f"{', '.join(labels)}."
        )
    return found


class _Table:
    """The cells of a table as texts, ``None`` where nobody knows them.

    Attributes:
        labels, inputs: column name -> one text a row.
        split: what the split column says, ``None`` where there is none.
        origins: file and line of each row.
    """

    def __init__(self, table: Table, labels: list[str], inputs: list[str], split_column: str | None) -> None:
        path, rows = table.path, table.rows
        torn = [row for row in rows if row.problem]
        if torn or not rows:
            shown = "; ".join(f"{row.where}: {row.problem}" for row in torn[:5]) or "no rows"
            raise ValueError(f"Wanted rows of as many fields as there are columns. Received: {path}, {shown}.")
        self.path = path
        self.labels = {name: list(map(known, table.values(name))) for name in labels}
        self.inputs = {name: list(map(known, table.values(name))) for name in inputs}
        self.split = None if split_column is None else list(map(known, table.values(split_column)))
        self.lines = [row.line for row in rows]
        self.origins = np.asarray([f"{row.file or path.name}:{row.line}" for row in rows])

    def __len__(self) -> int:
        return len(self.lines)

    def refuse_broken(self, *, missing: str) -> None:
        """Raises `ValueError` for a label that is missing, and for any value where none may be."""
        for what, columns, help_ in (
            ("labels", self.labels, "Give it one, or take the row out."),
            (
                "values",
                {} if missing == "median" else self.inputs,
                "Take the row out, or fill it with --missing median.",
            ),
        ):
            gaps = [(name, self.lines[row]) for name, cells in columns.items() for row in _gaps(cells)]
            if gaps:
                shown = ", ".join(f"{name} in line {line}" for name, line in gaps[:5])
                raise ValueError(
                    f"Wanted all {what}. Received: {self.path} without {len(gaps)}: {shown}"
                    f"{' ...' if len(gaps) > 5 else ''}. {help_}"
                )


def known(cell: Cell) -> str | None:
    """What stands in a cell, ``None`` where it says that nobody knows."""
    return cell.strip() if isinstance(cell, str) and cell.strip().lower() not in MISSING else None


def _gaps(cells: Sequence[str | None]) -> list[int]:
    return [row for row, cell in enumerate(cells) if cell is None]


def _numbers(cells: Sequence[str | None]) -> np.ndarray | None:
    """Texts as numbers, NaN where nobody knows them; ``None`` where one is no finite number."""
    try:
        found = np.asarray([math.nan if cell is None else float(cell) for cell in cells], np.float64)
    except ValueError:
        return None
    return found if not np.isinf(found).any() else None


def _as_numbers(cells: Sequence[str | None]) -> np.ndarray:
    """As `_numbers`, of cells that are known to be numbers."""
    found = _numbers(cells)
    assert found is not None
    return found


def _asked(labels: Mapping[str, Sequence[str | None]], task: str) -> str:
    """``"regression"`` or ``"classification"``, and no doubt about it."""
    numeric = all(_numbers(cells) is not None for cells in labels.values())
    if task == "auto":
        (first, *_) = labels.values()
        many = len(labels) > 1 or (numeric and len(np.unique(_as_numbers(first))) > _FEW_NUMBERS)
        task = "regression" if many else "classification"
    if (task == "regression" and not numeric) or (task == "classification" and len(labels) > 1):
        raise ValueError(
            "Regression wants numbers, and classification one column of labels. Received: "
            f"{task} of {', '.join(labels)}, which {'are' if numeric else 'are not all'} numbers."
        )
    return task


def _splits(
    table: _Table, asked: str, *, validation: int | float, test: int | float, seed: int
) -> dict[str, np.ndarray]:
    """Rows of each split: as the table says, or with a test split made here; validation is made of train later."""
    if table.split is not None:
        words = [None if cell is None else splits.BY_WORD.get(cell.lower()) for cell in table.split]
        wrong = [place for place, word in enumerate(words) if word is None]
        if wrong:
            raise ValueError(
                f"A row is for train, validation or test. Received: {table.split[wrong[0]]!r} in line "
                f"{table.lines[wrong[0]]} of {table.path} ({len(wrong)} such rows)."
            )
        which = {name: np.flatnonzero(np.asarray(words) == name) for name in splits.WORDS}
        which = {name: places for name, places in which.items() if len(places)}
        if "train" not in which:
            raise ValueError(f"Wanted rows to train on. Received: {', '.join(which)} in {table.path}.")
    else:
        which = {"train": np.arange(len(table))}
    shares = {name: share for name, share in (("test", test), ("validation", validation)) if name not in which}
    _refuse_too_few(table, asked, which["train"], shares)
    if "test" in which:
        return which
    kept = _strata(table, asked)[which["train"]]
    train, held_out = splits.divided(kept, validation=test, seed=seed, leave=2)
    return {**which, "test": which["train"][held_out], "train": which["train"][train]}


def _refuse_too_few(table: _Table, asked: str, train: np.ndarray, shares: dict[str, int | float]) -> None:
    """Raises `ValueError` where the splits that are still to be made cannot have what they need of so few rows."""
    if asked == "regression":
        return enough.require_rows(len(train), shares, what=f"rows of {table.path}")
    (cells,) = table.labels.values()
    names, labels = np.unique(np.asarray(cells)[train], return_inverse=True)
    enough.require_two(names.tolist(), where=f"{next(iter(table.labels))} of {table.path}")
    enough.require_of_each(labels, names.tolist(), missing=list(shares), what="rows", hint=_many(table))


def _many(table: _Table) -> str:
    """What a column of classes holds that may be none, in a sentence."""
    ((name, cells),) = table.labels.items()
    numbers, different = _numbers(cells), len(set(cells))
    if numbers is None:
        return f"The column {name} holds {different:,} different words in {len(cells):,} rows."
    why = "" if different > _FEW_NUMBERS else f", and no more than {_FEW_NUMBERS} are classes unless it is said"
    return f"The column {name} holds {different:,} different numbers{why}: --task regression estimates them."


def _strata(table: _Table, asked: str) -> np.ndarray:
    ((name, first), *_) = table.labels.items()
    if asked == "classification":
        return np.unique(np.asarray(first), return_inverse=True)[1]
    numbers = _as_numbers(first)
    return Regression.of(numbers, names=(name,)).strata(numbers)


def _target(
    table: _Table, asked: str, train: np.ndarray, names: Sequence[str], *, unit: str
) -> Regression | SingleLabel:
    if asked == "regression":
        labels = np.stack([_as_numbers(cells)[train] for cells in table.labels.values()], -1)
        return Regression.of(labels, names=tuple(names), unit=unit)
    (cells,) = table.labels.values()
    return SingleLabel(tuple(sorted({cells[place] for place in train}, key=_in_order)))


def _in_order(word: str) -> tuple[int, float, str]:
    """Numbers by their size, then words by the alphabet."""
    number = _numbers([word])
    return (1, 0.0, word) if number is None else (0, float(number[0]), word)


def _labels(table: _Table, target: Regression | SingleLabel, places: np.ndarray) -> np.ndarray:
    if isinstance(target, Regression):
        return np.stack([_as_numbers(cells)[places] for cells in table.labels.values()], -1).astype(np.float32)
    (cells,) = table.labels.values()
    index = {name: number for number, name in enumerate(target.names)}
    new = sorted({cells[place] for place in places} - set(index))
    if new:
        raise ValueError(
            f"Every class needs examples to train on. Received: {', '.join(new[:5])}{' ...' if len(new) > 5 else ''} "
            f"in validation or test of {table.path} alone. {_many(table)}"
        )
    return np.asarray([index[cells[place]] for place in places], np.int32)


class _Encoder:
    """Columns as numbers: categories, and what stands for a missing one, are learnt on the training rows.

    Attributes:
        names: of the numbers.
    """

    def __init__(self, table: _Table, train: np.ndarray) -> None:
        self._parts: list[tuple[Sequence[str | None], np.ndarray | None, float, list[str]]] = []
        names: list[str] = []
        for name, cells in table.inputs.items():
            numbers = _numbers(cells)
            if numbers is not None:
                there = numbers[train][~np.isnan(numbers[train])]
                self._parts.append((cells, numbers, float(np.median(there)) if len(there) else 0.0, []))
                names.append(name)
                continue
            known = sorted({cells[place] for place in train} - {None})
            if len(known) > MOST_CATEGORIES:
                raise ValueError(
                    f"A category has at most {MOST_CATEGORIES} different values. Received: {len(known)} in the column "
                    f"{name!r} of {table.path}, {', '.join(map(repr, known[:3]))} ... Leave it out with --leave-out "
                    f"{name}."
                )
            self._parts.append((cells, None, 0.0, known))
            names += [f"{name}={value}" for value in known]
        self.names = tuple(names)

    def encoded(self, places: np.ndarray) -> np.ndarray:
        """float32 ``(rows, numbers)``; a value that no training row has is none of its column's categories."""
        found = []
        for cells, numbers, median, known in self._parts:
            if numbers is not None:
                some = numbers[places]
                found.append(np.where(np.isnan(some), median, some)[:, None])
            else:
                found.append(np.asarray([[cells[place] == value for value in known] for place in places], float))
        return np.concatenate(found, -1).astype(np.float32)
