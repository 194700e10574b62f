"""Everything wrong with a data set, before a minute is spent on it.

Reads what recipes read, by the same code: ``.npz`` and ``.parquet``, ``.npy`` pairs, idx pairs (gzipped or not),
folders of pictures or texts sorted by class, and tables of picture files, of sentences or of numbers.
"""

from __future__ import annotations

import dataclasses
import hashlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kerastl.data import (
    arrays,
    audit_pictures,
    audit_recordings,
    audit_texts,
    class_folders,
    class_order,
    column_roles,
    duplicates,
    enough,
    formats,
    label_errors,
    multi_label_columns,
    near_duplicates,
    parquet_table,
    picture_listing,
    recording_listing,
    table_csv,
    unpack,
)
from kerastl.data.tables import files
from kerastl.data.tables.table import Layout
from kerastl.inputs import array_file
from kerastl.system import phrases
from kerastl.types import Finding


def audit(
    path: str | Path,
    *,
    near: bool = True,
    path_column: str = "path",
    text_column: str = "text",
    label_column: str = "label",
    split_column: str = "split",
    label_separator: str | None = None,
    label_columns: Sequence[str] = (),
    table: str | None = None,
    root: str | None = None,
    group_column: str | None = None,
    group_pattern: str | None = None,
    layout: Layout = Layout(),  # noqa: B008  frozen
) -> list[Finding]:
    """Findings about a data set, errors first, and notes of what was understood.

    Args:
        path: a ``.npz`` or ``.parquet`` file; a ``.npy`` or idx file (its partners are looked for beside it); a folder
            of such files; a folder of pictures or of texts, see `class_folders.read`, or a zip or tar file of one; a
            table of sentences, of picture files or of numbers, see `tables.files.read`; or a folder or a table of
            recordings, see `recording_listing.listed`.
        path_column, text_column, label_column, split_column: names of a table's columns; without such they are found,
            see `column_roles.find`; splits may be absent.
        label_separator, label_columns: of a table of pictures or of sentences that may have none or several classes,
            see `picture_table.read` and `text_csv.load`; columns also of a parquet file, see `arrays.load`.
        table, root: of pictures, see `image_folder.load`.
        group_column, group_pattern: who speaks in recordings, see `audio_folder.load`.
        layout: how the files are written, where somebody knows it.
        near: whether to look for near duplicates across splits as well (a minute for 10,000 against 60,000 pictures).

    Raises:
        ValueError: there is nothing at the path that this can read, or several classes are asked for of what cannot
            say them so.
    """
    if not isinstance(path, str | Path):
        raise ValueError(
            f"Wanted the path of a file or folder to audit. Received: {type(path).__name__}; save it first, a data "
            "frame by its to_csv."
        )
    path = Path(path)
    if not path.exists():
        raise ValueError(f"Wanted a file or folder to audit. Received: {path}, which does not exist.")
    if recording_listing.holds_recordings(path):
        of_recordings = recording_listing.Columns(path_column, label_column, split_column, group_column, group_pattern)
        return _in_order(audit_recordings.audit(path, columns=of_recordings, layout=layout, near=near))
    kind = formats.format_of(path)
    asked = column_roles.Asked(
        path_column, text_column, label_column, split_column, tuple(label_columns), label_separator
    )
    of_table = formats.kind_of_table(path, asked, layout) if kind == "table" else None
    if of_table == "numbers":
        return _numbers(path, label_columns, split_column, layout=layout)
    label_options = multi_label_columns.columns_or_separator(label_separator, label_columns)
    formats.check_label_options(kind, label_options, where=path)
    columns = {"label_column": label_column, "split_column": split_column}
    if of_table == "texts":
        found = audit_texts.table(path, asked, layout=layout)
    elif kind == "parquet":
        found = _parquet(path, near=near, **columns, label_columns=label_columns)
    elif kind == "arrays":
        # a folder of .npz files holds a data set in each
        sets = sorted(path.glob("*.npz")) if path.is_dir() else []
        each = [(file, _audit_arrays(*_read(file), near=near)) for file in sets]
        found = [dataclasses.replace(one, where=f"{file.name}: {one.where}") for file, some in each for one in some]
        found = found if sets else _audit_arrays(*_read(path), near=near)
    else:
        found = _pictures(
            path,
            near=near,
            table=table,
            columns=picture_listing.Columns(path_column, label_column, split_column),
            root=root,
            label_options=label_options,
            layout=layout,
        )
    return _in_order(found)


def _pictures(path: Path, *, near: bool, **options: Any) -> list[Finding]:
    """Pictures in folders or in a table, as `picture_listing.listed` finds them, also in an archive."""
    if path.is_dir() and not picture_listing.tables_in(path) and not _holds_pictures(path):
        raise ValueError(f"Wanted a folder of array files, or of class folders with pictures. Received: {path}.")
    with tempfile.TemporaryDirectory() as folder:
        try:
            inside = path
            if path.is_file() and not files.is_table(path):
                inside = unpack.strip_single_folders(unpack.unpack(path, Path(folder, path.stem)))
            if inside != path and formats.format_of(inside) in ("arrays", "parquet"):
                return audit(inside, near=near)
            listing = picture_listing.listed(inside, **options)
        except ValueError as error:  # no archive, no table, no such column, splits that are doubtful
            return [Finding("error", path.name, str(error))]
        return audit_pictures.listed(listing, near=near)


def _holds_pictures(folder: Path) -> bool:
    return bool(class_folders.folders(folder)) or any(map(class_folders.is_picture, folder.iterdir()))


def _numbers(path: Path, label_columns: Sequence[str], split_column: str, *, layout: Layout) -> list[Finding]:
    """A table of numbers and categories: what `table_regressor` would say of it, or what it holds."""
    try:
        formats.check_numbers(files.read(path, layout, wanted=label_columns), label_columns)
        data = table_csv.load(path, label_columns=label_columns, split_column=split_column, layout=layout)
    except ValueError as error:
        return [Finding("error", path.name, str(error))]
    names, rows = data.task.inputs.described()["columns"], sum(map(len, (data.train, data.validation, data.test)))
    held = f"{rows:,} rows of {len(names)} numbers for {', '.join(data.task.target.names)}"
    found = [Finding("note", path.name, f"{held}: {data.task.target.kind}")]
    if twice := data.leakage.get("exact_duplicates"):
        found.append(Finding("warning", path.name, f"{twice} held-out rows stand in another split as well"))
    return found


def _in_order(found: list[Finding]) -> list[Finding]:
    rank = ("error", "warning", "note").index
    return sorted(found, key=lambda one: (rank(one.severity), one.where, one.what))


def doubtful_labels(path: str | Path, answer: Callable[[np.ndarray], np.ndarray]) -> list[Finding]:
    """Examples whose label a first model doubts, one finding a split; see ``label_errors.find``.

    Args:
        path: a ``.npz``, ``.npy`` or idx file as for ``audit``.
        answer: takes inputs ``(examples, *shape)`` as they are in the file, returns probabilities
            ``(examples, classes)``.

    Raises:
        ValueError: there is nothing at the path that this can read.
    """
    path = Path(path)
    if not array_file.is_array(path):
        raise ValueError(f"Wanted a .npz, .npy or idx file to look for wrong labels in. Received: {path}.")
    read, _ = array_file.read_set(path)  # what cannot be read is a finding of the audit
    found: list[Finding] = []
    pairs = [pair for pair in array_file.parts(read).values() if {"inputs", "labels"} <= set(pair)]
    indices, names = _with_indices(read, [pair["labels"] for pair in pairs])
    for pair in pairs:
        labels = indices[pair["labels"]]
        inputs = read[pair["inputs"]]
        if labels.ndim == 1 and labels.dtype.kind in "iu" and inputs.shape[:1] == labels.shape:  # no sets of classes
            answers = answer(inputs)
            known = np.flatnonzero((labels >= 0) & (labels < answers.shape[-1]))  # the others are findings already
            doubted = known[label_errors.find(labels[known], answers[known])]
            if len(doubted):
                given = labels if names is None else [names[label] for label in labels.tolist()]
                words = [f"{pair['labels']}[{row}] = {given[row]}" for row in doubted]
                found.append(
                    Finding(
                        "warning",
                        pair["labels"],
                        f"{phrases.counted(len(doubted), 'label looks', 'labels look')} wrong: "
                        f"{duplicates.some(words, 20)}",
                    )
                )
    return found


def _read(path: Path) -> tuple[dict[str, np.ndarray], list[Finding]]:
    read, problems = array_file.read_set(path)
    return read, [Finding("error", name, problem) for name, problem in problems.items()]


def _parquet(
    path: Path, *, near: bool, label_column: str, split_column: str, label_columns: Sequence[str]
) -> list[Finding]:
    try:
        inputs, labels, names, problems, _ = parquet_table.read(
            parquet_table.files(path),
            label_column=label_column,
            split_column=split_column,
            label_columns=label_columns,
        )
    except ValueError as error:  # no such column, damaged, or a bomb
        return [Finding("error", path.name, str(error))]
    found = [Finding("error", *problem.split(": ", 1)) for problem in problems]
    if not inputs:
        return [*found, Finding("error", path.name, "no row that can be used")]
    read = {f"{split}_inputs": array for split, array in inputs.items()}
    read |= {f"{split}_labels": array for split, array in labels.items()}
    return _audit_arrays(read, found, near=near, named=names)


def _audit_arrays(
    read: Mapping[str, np.ndarray], found: list[Finding], *, near: bool, named: Sequence[str] = ()
) -> list[Finding]:
    """Findings about arrays; ``named`` are the classes of labels ``(examples, classes)``."""
    try:
        every = array_file.parts(read)
    except ValueError as error:  # two that are one part of one set: whoever loads them refuses them too
        return [*found, Finding("error", ", ".join(read), str(error))]
    parts = {
        group: pair
        for group, pair in every.items()
        if len(pair) == 2 or group == "all" or group in arrays.SPLITS  # num_labels, image_size are something else
    }
    read, words = _with_indices(read, [pair["labels"] for pair in parts.values() if "labels" in pair])
    if any(multi_label_columns.are_sets(read[pair["labels"]]) for pair in parts.values() if "labels" in pair):
        words = named or words
    if read and not parts:
        found.append(
            Finding(
                "error",
                ", ".join(read),
                f"no array is named as inputs ({', '.join(array_file.INPUT_WORDS)}) or labels "
                f"({', '.join(array_file.LABEL_WORDS)})",
            )
        )
    digests: dict[str, list[tuple[bytes, str, object]]] = {}
    classes = {group: _label_findings(read, pair.get("labels"), found, words) for group, pair in parts.items()}
    every = set().union(*classes.values()) if classes else set()
    for group, pair in parts.items():
        if (absent := every - classes[group]) and classes[group]:
            names = [label if words is None else words[label] for label in sorted(absent)]
            found.append(Finding("error", pair["labels"], f"no example of class {duplicates.some(names)}"))
        if "inputs" not in pair:
            found.append(Finding("error", pair["labels"], "has no inputs beside it"))
            continue
        name = pair["inputs"]
        inputs, labels = read[name], read[pair["labels"]] if "labels" in pair else None
        if labels is None:
            found.append(Finding("error", name, "has no labels beside it"))
        elif inputs.shape[:1] != labels.shape[:1]:
            found.append(
                Finding(
                    "error", name, f"shape {inputs.shape} does not fit labels of shape {labels.shape}: one an input"
                )
            )
            labels = None
        if inputs.ndim == 0:
            found.append(Finding("error", name, "has no axis of examples"))
            continue
        _value_findings(name, inputs, found)
        answers: list[object] = [None] * len(inputs)
        if labels is not None and (labels.ndim == 1 or multi_label_columns.are_sets(labels)):
            answers = [tuple(one) if isinstance(one, list) else one for one in labels.tolist()]
        rows = (np.ascontiguousarray(row).tobytes() for row in inputs)
        digests[group] = [
            (hashlib.sha256(row).digest(), f"{name}[{index}]", answer)
            for index, (row, answer) in enumerate(zip(rows, answers, strict=True))
        ]
    shapes = {read[pair["inputs"]].shape[1:] for pair in parts.values() if "inputs" in pair}
    if len(shapes) > 1:
        found.append(Finding("error", "inputs", f"splits differ in the shape of an example: {sorted(shapes)}"))
    duplicates.exact(digests, found)
    if near:
        inputs = {group: read[pair["inputs"]] for group, pair in parts.items() if "inputs" in pair}
        duplicates.near(
            {group: near_duplicates.small(rows) for group, rows in inputs.items() if _are_pictures(rows)},
            digests,
            found,
        )
    return found


def _with_indices(
    read: Mapping[str, np.ndarray], names: Sequence[str]
) -> tuple[Mapping[str, np.ndarray], Sequence[str] | None]:
    """Labels in a column as a row; words, where all are words, as their places among all, which are returned."""
    words = None
    labels = {name: arrays.in_rows(read[name]) for name in names}
    if labels and all(array.dtype.kind == "U" and array.ndim == 1 for array in labels.values()):
        # in the order in which `arrays.load` takes them for classes
        words = sorted(np.unique(np.concatenate(list(labels.values()))).tolist(), key=class_order.natural)
        number = {word: index for index, word in enumerate(words)}
        labels = {name: np.array([number[word] for word in some.tolist()], int) for name, some in labels.items()}
    return {**read, **labels}, words


def _are_pictures(inputs: np.ndarray) -> bool:
    """Large enough that two of one class need not be alike, and of numbers."""
    shape = inputs.shape[1:]
    grey_or_coloured = len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3))
    if not grey_or_coloured or min(shape[:2]) < 16:
        return False
    return inputs.dtype.kind in "buif" and len(inputs) > 0 and bool(np.isfinite(inputs).all())


def _label_findings(
    read: Mapping[str, np.ndarray], name: str | None, found: list[Finding], words: Sequence[str] | None
) -> set[int]:
    """Adds what is wrong with labels; the classes that occur."""
    if name is None:
        return set()
    labels = read[name]
    if multi_label_columns.are_sets(labels):
        odd = np.argwhere((labels != 0) & (labels != 1))
        if len(odd):
            count = phrases.counted(len(odd), "number", "numbers")
            what = f"{count} other than 0 and 1 where each class is there or not, first in row {odd[0, 0]}"
            found.append(Finding("error", name, what))
            return set()
        absent = [str(one) if not words else words[one] for one in np.flatnonzero(~labels.any(0)).tolist()]
        if absent:
            found.append(Finding("error", name, f"no example of class {duplicates.some(absent)}"))
        return set()  # which are there is said here, split by split
    if labels.ndim != 1:
        found.append(Finding("error", name, f"wanted class indices on one axis, received shape {labels.shape}"))
        return set()
    if not np.issubdtype(labels.dtype, np.integer):
        broken = np.issubdtype(labels.dtype, np.floating) and int((~np.isfinite(labels)).sum())
        found.append(
            Finding(
                "error",
                name,
                f"labels are {labels.dtype}, wanted integers" + (f"; {broken} are NaN or infinite" if broken else ""),
            )
        )
        return set()
    if (negative := labels < 0).any():
        found.append(
            Finding(
                "error",
                name,
                f"{phrases.counted(int(negative.sum()), 'label', 'labels')} below 0, first at "
                f"{duplicates.some(np.nonzero(negative)[0])}",
            )
        )
    classes = {int(label) for label in np.unique(labels) if label >= 0}
    if len(classes) == 1:
        only = classes.pop()
        found.append(Finding("error", name, enough.one_class(only if words is None else words[only])))
        return set()
    if classes and words is None:  # of words only those are known that occur
        highest = max(classes)
        empty = highest + 1 - len(classes)
        if empty > max(10, len(classes)):
            # Listing a million absent classes helps nobody: such a number is a slip, or no class index at all.
            found.append(Finding("error", name, f"labels reach {highest} though only {len(classes)} classes occur"))
        elif empty:
            absent = sorted(set(range(highest + 1)) - classes)
            found.append(Finding("error", name, f"no example of class {duplicates.some(absent)} of 0..{highest}"))
    return classes


def _value_findings(name: str, inputs: np.ndarray, found: list[Finding]) -> None:
    if inputs.dtype == object or inputs.dtype.kind not in "buif":
        found.append(Finding("error", name, f"wanted numbers, received type {inputs.dtype}"))
    elif not len(inputs):
        found.append(Finding("error", name, "holds no example"))
    elif inputs.dtype.kind == "f":
        broken = ~np.isfinite(inputs).reshape(len(inputs), -1).all(axis=1)
        if broken.any():
            where = duplicates.some(np.nonzero(broken)[0])
            count = phrases.counted(int(broken.sum()), "example holds", "examples hold")
            found.append(Finding("error", name, f"{count} NaN or infinity: {where}"))
