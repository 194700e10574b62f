"""Arrays of one's own: NumPy files, or a parquet table of pictures or of lists of numbers.

``x_train`` and ``y_train`` of an ``.npz``, ``train-images.npy`` and ``train-labels.npy``, idx files as MNIST's: inputs,
labels and splits are known by their names (`array_file.parts`). A parquet file has named columns, as the Hugging Face
hub's data sets have; of a folder of them each has its split in its name, ``train-00000-of-00001.parquet``. Every row
is looked at before anything is trained. What cannot be used is listed with its reason: all of it at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kerastl import types
from kerastl.data import image_folder, multi_label_sets, parquet_table, splits
from kerastl.inputs import array_file
from kerastl.inputs.image import Image
from kerastl.tasks.multi_label import MultiLabel
from kerastl.tasks.single_label import SingleLabel

_SHOWN = 20  # rows that an error names
SPLITS = splits.BY_WORD | {"t10k": "test"}
"""What people call the splits in names of arrays -> the split; the last as in MNIST's files."""


def load(
    path: str | Path,
    *,
    input_column: str = "image",
    label_column: str = "label",
    split_column: str = "split",
    label_columns: Sequence[str] = (),
    size: Sequence[int] | None = None,
    channels: int = 3,
    policy: str = "fail",
    validation: int | float = 0.15,
    test: int | float = 0.15,
    seed: int = 0,
    limit: int | None = None,
    class_names: Sequence[str] | None = None,
) -> types.Dataset:
    """Arrays in three splits.

    Args:
        path: an ``.npz`` file; a ``.npy`` or idx file, whose partners are looked for beside it; a ``.parquet`` file; or
            a folder of any of these but ``.npz``.
        input_column, label_column, split_column: names of a parquet file's columns; splits may be absent. Inputs are
            encoded pictures (bytes, or the hub's ``{bytes, path}``) or lists of numbers, all of one shape.
        label_columns: instead of ``label_column`` the names of the classes, each a column of 0 and 1 of a parquet file,
            where an example may have none, one or several of them. Its label may also be a list, of words or of class
            indices; and other files' labels an array ``(examples, classes)`` of 0 and 1.
        size: height and width that encoded pictures are brought to; by default those of the first.
        channels: of encoded pictures, 3 for colour, 1 for grey.
        policy: what becomes of rows that cannot be used, with NaN in their inputs or without a label, say, and of
            inputs and labels whose name is no split's: ``"fail"`` raises and lists them, ``"skip"`` lists them on
            stderr and leaves them out.
        validation, test: how many (int), or what share (float), where there is no such split yet.
        seed: decides which examples validate and test, and the order.
        limit: keeps so many training examples, see `splits.dataset`.
        class_names: of labels that are numbers; by default the hub's names where the file has them, else the numbers.
            Where labels are words, or columns, the order of the classes.

    Returns:
        Inputs ``(examples, ...)`` as they are in the file, whole bytes of pictures without an axis of channels with
        one; labels int32 ``(examples,)``, or where an example may have several classes uint8 ``(examples, classes)`` of
        0 and 1.

    Raises:
        FileNotFoundError: there is nothing at the path.
        ValueError: a file that is not read; no inputs or no labels under the names known; rows that cannot be used
            under ``"fail"``; labels that are neither class indices nor words nor sets of classes; inputs that are not
            numbers of one shape; or no such split can be made.
    """
    if policy not in ("fail", "skip"):
        raise ValueError(f"policy is 'fail' or 'skip'. Received: {policy!r}.")
    path = Path(path)
    columns: dict[str, Any] = {"input_column": input_column, "label_column": label_column, "split_column": split_column}
    columns |= multi_label_sets.columns_or_separator(None, label_columns)
    inputs, labels, known, problems = read(path, **columns, size=size, channels=channels)
    inputs, labels = _usable(inputs, labels, problems, skip=policy == "skip", where=path)
    if "train" not in inputs:
        raise ValueError(f"Wanted examples to train on. Received: {', '.join(inputs)} in {path}.")
    multi_label = any(types.is_multi_label(some) for some in labels.values())
    if multi_label:
        names, labels = _sets(labels, wanted=class_names, known=known, where=path)
    else:
        names = _class_names(labels, wanted=class_names, known=known, where=path)
    arrays: dict[str, np.ndarray] = {}
    for split, values in inputs.items():
        whole_bytes = values.dtype == np.uint8 and values.ndim == 3
        arrays[f"{split}_inputs"] = values[..., None] if whole_bytes else values
        arrays[f"{split}_labels"] = (
            labels[split] if multi_label else _labels(labels[split], names, where=f"{split} of {path}")
        )
    shapes = {name: array.shape[1:] for name, array in arrays.items() if name.endswith("inputs")}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"Wanted inputs of one shape in all splits. Received: {shapes} in {path}.")
    if "test" not in inputs:
        train, held_out = (
            splits.iterative_stratification(
                arrays["train_labels"], validation=test, seed=seed, leave=1 if "validation" in inputs else 2
            )
            if multi_label
            else splits.stratified(arrays["train_labels"], validation=test, seed=seed)
        )
        for what in ("inputs", "labels"):
            whole = arrays[f"train_{what}"]
            arrays[f"train_{what}"], arrays[f"test_{what}"] = whole[train], whole[held_out]
    arguments = {"path": os.path.abspath(path), "test": test, "class_names": list(names), "policy": policy}
    if parquet_table.files(path):
        arguments |= {**columns, "size": None if size is None else list(size), "channels": channels}
    return splits.dataset(
        types.Task(
            path.resolve().stem,
            Image(arrays["train_inputs"].shape[1:]),
            (MultiLabel if multi_label else SingleLabel)(names),
        ),
        arrays,
        seed=seed,
        validation=validation,
        limit=limit,
        source="arrays",
        arguments=arguments,
    )


def read(
    path: Path,
    *,
    input_column: str = "image",
    label_column: str = "label",
    split_column: str = "split",
    label_columns: Sequence[str] = (),
    size: Sequence[int] | None = None,
    channels: int = 3,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], tuple[str, ...], list[str]]:
    """Inputs and labels of each split as the files have them, the names of the classes that these bring, and what is
    wrong with what is left out: rows of a parquet file, arrays whose name is no split's.

    Arguments and errors as for `load`. One label an example is one axis; sets of classes are uint8 of 0 and 1.
    """
    if not path.exists():
        raise FileNotFoundError(f"There is no file or folder of arrays {path}.")
    files = parquet_table.files(path)
    if not files:
        if label_columns:
            raise ValueError(f"Columns of classes are those of a parquet file. Received: {label_columns} for {path}.")
        inputs, labels, problems = _files(path)
        return inputs, {split: in_rows(some) for split, some in labels.items()}, (), problems
    columns = {"input_column": input_column, "label_column": label_column, "split_column": split_column}
    return parquet_table.read(files, **columns, label_columns=label_columns, size=size, channels=channels)


def in_rows(labels: np.ndarray) -> np.ndarray:
    """Labels that stand in one column as one axis, and truth values of every class as 0 and 1."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        return labels[:, 0]
    return labels.astype(np.uint8) if labels.ndim == 2 and labels.dtype == bool else labels


def _usable(
    inputs: Mapping[str, np.ndarray],
    labels: Mapping[str, np.ndarray],
    problems: Sequence[str],
    *,
    skip: bool,
    where: Path,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Inputs and labels without the rows that cannot be used, and without splits of which no row can.

    Raises:
        ValueError: there are such rows, and they are not to be skipped; or arrays that are no examples and labels.
    """
    problems, found = list(problems), {}
    for split, values in inputs.items():
        if values.dtype.kind not in "buif" or values.ndim < 2:
            raise ValueError(
                f"Wanted inputs (examples, ...) of numbers. Received: {values.dtype} of shape {values.shape} in "
                f"{split} of {where}."
            )
        if len(values) != len(labels[split]):
            raise ValueError(
                f"Wanted a label an input. Received: {len(labels[split])} labels for {len(values)} inputs in {split} "
                f"of {where}."
            )
        found[split] = _problems(values, labels[split])
        problems += [f"row {row} of {split}: {problem}" for row, problem in sorted(found[split].items())]
    if problems:
        more = f"\n  ... and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        words = "".join(f"\n  {problem}" for problem in problems[:_SHOWN]) + more
        if not skip:
            raise ValueError(f"{len(problems)} parts of {where} cannot be used; policy='skip' leaves them out:{words}")
        print(f"kerastl: {len(problems)} parts of {where} are left out:{words}", file=sys.stderr)
    kept_inputs, kept_labels = dict(inputs), dict(labels)
    for split, rows in found.items():
        if rows:
            kept = np.delete(np.arange(len(inputs[split])), list(rows))
            kept_inputs[split], kept_labels[split] = inputs[split][kept], labels[split][kept]
            some = kept_labels[split]
            if some.dtype.kind == "f" and (some == np.floor(some)).all():  # they were float for the sake of NaN
                kept_labels[split] = some.astype(np.int64)
            if not len(kept):  # labels that are held back, as of the hub's test splits
                del kept_inputs[split], kept_labels[split]
    return kept_inputs, kept_labels


def _problems(inputs: np.ndarray, labels: np.ndarray) -> dict[int, str]:
    """Row -> why it cannot be used."""
    found: dict[int, str] = {}
    if labels.dtype.kind == "f":
        for row in np.flatnonzero(~np.isfinite(labels).reshape(len(labels), -1).all(1)).tolist():
            holes = np.isnan(labels[row])
            found[row] = "no label" if holes.any() else f"the label {labels[row]}"
    elif labels.dtype.kind in "UO":
        found |= {row: "no label" for row, word in enumerate(labels.tolist()) if not str(word).strip()}
    elif types.is_multi_label(labels):
        for row, column in np.argwhere((labels != 0) & (labels != 1)).tolist():
            found.setdefault(row, f"{labels[row, column]} for class {column}, where 0 or 1 is wanted")
    elif labels.ndim == 1 and labels.dtype.kind == "i":
        found |= {row: f"the label {labels[row]}" for row in np.flatnonzero(labels < 0).tolist()}
    if inputs.dtype.kind == "f" and not (finite := np.isfinite(inputs)).all():
        for row in np.flatnonzero(~finite.reshape(len(inputs), -1).all(1)).tolist():
            place = tuple(np.argwhere(~finite[row])[0].tolist())
            found[row] = f"{inputs[row, *place]} in column {', '.join(map(str, place))}"
    return found


def _sets(
    labels: Mapping[str, np.ndarray], *, wanted: Sequence[str] | None, known: Sequence[str], where: Path
) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """The classes' names, and 0 and 1 ``(examples, classes)`` of each split in their order."""
    widths = {split: some.shape[1] if some.ndim == 2 else 1 for split, some in labels.items()}
    width = max(widths.values())
    if len(set(widths.values())) > 1 or (wanted and not known and len(wanted) < width):
        raise ValueError(
            f"Wanted labels (examples, classes) of the same classes in all splits. Received: {widths} classes in "
            f"{where}{f', and {len(wanted)} names of them' if wanted else ''}."
        )
    if not known and all((some.sum(1) == 1).all() for some in labels.values()):
        raise ValueError(
            "Wanted 0 and 1 for each class where an example may have none or several. Received: one 1 in every row of "
            f"{where}; of examples of one class give class indices (examples,), labels.argmax(1)."
        )
    if known and wanted:
        splits.check_names(known, wanted, what="labels")
    names = tuple(wanted or known or map(str, range(width)))
    order = [known.index(name) for name in names] if known else list(range(width))
    made = {}
    for split, some in labels.items():
        made[split] = np.zeros((len(some), len(names)), np.uint8)
        made[split][:, : len(order)] = some[:, order]
    return names, made


def _files(path: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], list[str]]:
    """Inputs and labels of each split in NumPy or idx files, and the pairs that belong to none."""
    if path.is_file() and not array_file.is_array(path):
        raise ValueError(f"Wanted a .npz, .npy, idx or .parquet file, or a folder of them. Received: {path}.")
    read, problems = array_file.read_set(path)
    if problems:
        words = "; ".join(f"{name} {problem}" for name, problem in problems.items())
        raise ValueError(f"Wanted arrays that can be read. Received: {path}: {words}.")
    inputs, labels, problems = {}, {}, []
    for group, pair in array_file.parts(read).items():
        if len(pair) < 2:
            continue
        split = "train" if group == "all" else SPLITS.get(group)
        if split is None or split in inputs:
            why = "which is no split" if split is None else f"of which there is one for {split} already"
            problems.append(f"{pair['inputs']} and {pair['labels']}: {group!r}, {why}")
            continue
        inputs[split], labels[split] = read[pair["inputs"]], read[pair["labels"]]
    if not inputs:
        raise ValueError(
            f"Wanted inputs ({', '.join(array_file.INPUT_WORDS)}) and labels ({', '.join(array_file.LABEL_WORDS)}) by "
            f"their names, as x_train and y_train. Received: {', '.join(read) or 'no array'} in {path}"
            f"{', a folder, of whose .npz files one has to be named' if path.is_dir() and not read else ''}."
        )
    return inputs, labels, problems


def _class_names(
    labels: Mapping[str, np.ndarray], *, wanted: Sequence[str] | None, known: Sequence[str], where: Path
) -> tuple[str, ...]:
    every = list(labels.values())
    if all(array.dtype.kind in "UO" for array in every):
        found = sorted({str(word) for array in every for word in array.tolist()}, key=image_folder.natural)
        splits.check_names(found, wanted, what="labels")
        return tuple(wanted or found)
    for split, array in zip(labels, every, strict=True):
        if array.dtype.kind not in "iu" or array.ndim != 1:
            odd = ~np.isfinite(array) | (array != np.floor(array)) if array.dtype.kind == "f" else np.zeros(1, bool)
            row = int(np.argwhere(odd)[0][0]) if odd.any() else 0
            first = f", {array[row]} in row {row} of {split}" if array.ndim == 1 and len(array) else ""
            raise ValueError(
                f"Wanted labels (examples,) that are class indices or words. Received: {array.dtype} of shape "
                f"{array.shape}{first}, in {where}."
            )
    if not any(array.size for array in every):
        raise ValueError(f"Wanted examples to train on. Received: none in {where}.")
    highest = max(int(array.max()) for array in every if array.size)
    if wanted or known:
        return tuple(wanted or known)
    if highest > 10 * len(np.unique(np.concatenate(every))) + 10:  # a slip, or no index at all
        raise ValueError(
            f"Labels reach {highest} in {where}, where far fewer classes occur: say what they are as words."
        )
    return tuple(str(index) for index in range(highest + 1))


def _labels(values: np.ndarray, names: Sequence[str], *, where: str) -> np.ndarray:
    if values.dtype.kind in "UO":
        number = {name: index for index, name in enumerate(names)}
        values = np.array([number[str(word)] for word in values.tolist()])
    outside = (values < 0) | (values >= len(names))
    if outside.any():
        row = int(outside.argmax())
        raise ValueError(
            f"Labels have to lie in 0..{len(names) - 1}. Received: {values[row]} in {where}, row {row} "
            f"({int(outside.sum())} such labels)."
        )
    return values.astype(np.int32)
