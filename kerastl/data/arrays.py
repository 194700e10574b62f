"""Arrays of one's own: NumPy files, or a parquet table of pictures or of lists of numbers.

``x_train`` and ``y_train`` of an ``.npz``, ``train-images.npy`` and ``train-labels.npy``, idx files as MNIST's: inputs,
labels and splits are known by their names (`array_file.parts`). A parquet file has named columns, as the Hugging Face
hub's data sets have; of a folder of them each has its split in its name, ``train-00000-of-00001.parquet``. Every row
is looked at before anything is trained. What cannot be used is listed with its reason: all of it at once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from kerastl import types
from kerastl.data import (
    class_order,
    enough,
    left_out,
    multi_label_columns,
    no_runs,
    parquet_table,
    scaled_pictures,
    splits,
)
from kerastl.inputs import array_file
from kerastl.inputs.image import Image
from kerastl.inputs.numbers import Numbers
from kerastl.tasks.multi_label import MultiLabel
from kerastl.tasks.single_label import SingleLabel

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
    skip = splits.skips(policy)
    path = Path(path)
    columns: dict[str, str] = {"input_column": input_column, "label_column": label_column, "split_column": split_column}
    label_options = multi_label_columns.columns_or_separator(None, label_columns)
    flags = label_options.get("label_columns", [])
    found = read(path, **columns, label_columns=flags, size=size, channels=channels)
    found = _usable(found, skip=skip, where=path)
    target, arrays = _arrays(found, wanted=class_names, where=path)
    missing = [split for split in ("test", "validation") if split not in found.inputs]
    enough.require_differences(arrays["train_labels"], target, where=f"train of {path}")
    enough.require_of_each(target.strata(arrays["train_labels"]), target.names, missing=missing)
    if "test" in missing:
        _hold_out(arrays, target, test=test, seed=seed, leave=len(missing))
    arguments: dict[str, object] = {
        "path": os.path.abspath(path),
        "test": test,
        "class_names": list(target.names),
        "policy": policy,
    }
    if parquet_table.files(path):
        arguments |= {**columns, **label_options, "size": None if size is None else list(size), "channels": channels}
    return splits.dataset(
        types.Task(path.resolve().stem, kind_of_inputs([arrays[f"{split}_inputs"] for split in found.inputs]), target),
        arrays,
        seed=seed,
        validation=validation,
        limit=limit,
        source="arrays",
        arguments=arguments,
    )


def _arrays(
    found: parquet_table.Arrays, *, wanted: Sequence[str] | None, where: Path
) -> tuple[SingleLabel | MultiLabel, dict[str, np.ndarray]]:
    """What is asked, and ``train_inputs``, ``train_labels`` and so on.

    Raises:
        ValueError: nothing to train on, inputs of different shapes, or labels that are no classes.
    """
    inputs, labels, known, *_ = found
    if "train" not in inputs:
        raise ValueError(f"Wanted examples to train on. Received: {', '.join(inputs)} in {where}.")
    if any(multi_label_columns.are_sets(some) for some in labels.values()):
        names, made = _sets(labels, wanted=wanted, known=known, where=where)
        target = MultiLabel(names)
    else:
        names = _class_names(labels, wanted=wanted, known=known, where=where)
        made = {split: _labels(some, names, where=f"{split} of {where}") for split, some in labels.items()}
        target = SingleLabel(names)
    arrays: dict[str, np.ndarray] = {}
    inputs, scaled = scaled_pictures.unscaled(inputs)
    if scaled:
        left_out.tell([f"the pictures of {where} were scaled to {scaled} and are raw pixels 0..255 again"])
    for split, values in inputs.items():
        whole_bytes = values.dtype == np.uint8 and values.ndim == 3
        arrays[f"{split}_inputs"] = values[..., None] if whole_bytes else values
        arrays[f"{split}_labels"] = made[split]
        arrays[f"{split}_origins"] = found.origins[split]
    shapes = {f"{split}_inputs": arrays[f"{split}_inputs"].shape[1:] for split in inputs}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"Wanted inputs of one shape in all splits. Received: {shapes} in {where}.")
    return target, arrays


def _hold_out(arrays: dict[str, np.ndarray], target: types.Target, *, test: int | float, seed: int, leave: int) -> None:
    """Makes a test split of some of the training examples."""
    kept = target.strata(arrays["train_labels"])
    train, held_out = splits.divided(kept, validation=test, seed=seed, leave=leave)
    for what in ("inputs", "labels", "origins"):
        whole = arrays[f"train_{what}"]
        arrays[f"train_{what}"], arrays[f"test_{what}"] = whole[train], whole[held_out]


def kind_of_inputs(inputs: Sequence[np.ndarray]) -> types.Inputs:
    """What inputs are: pictures where an example has height, width and channels and all values are whole, 0..255.

    0 and 1 alone are no bytes of pictures, which would be black: they are masks, boards, or of the range 0..1.
    """
    shape = inputs[0].shape[1:]
    pictures = len(shape) == 3 and all(map(_are_bytes, inputs)) and max(some.max(initial=0) for some in inputs) != 1
    return Image(shape) if pictures else Numbers(shape)


def _are_bytes(values: np.ndarray) -> bool:
    if values.dtype == np.uint8:
        return True
    return not values.size or bool(values.min() >= 0 and values.max() <= 255 and (values == np.floor(values)).all())


def read(
    path: Path,
    *,
    input_column: str = "image",
    label_column: str = "label",
    split_column: str = "split",
    label_columns: Sequence[str] = (),
    size: Sequence[int] | None = None,
    channels: int = 3,
) -> parquet_table.Arrays:
    """The arrays of each split as the files have them, without rows of a parquet file and arrays that are no split's.

    Arguments and errors as for `load`. One label an example is one axis; sets of classes are uint8 of 0 and 1.
    """
    if not path.exists():
        raise FileNotFoundError(f"There is no file or folder of arrays {path}.")
    no_runs.refuse(path)
    files = parquet_table.files(path)
    if not files:
        if label_columns:
            raise ValueError(f"Columns of classes are those of a parquet file. Received: {label_columns} for {path}.")
        return _files(path)
    columns = {"input_column": input_column, "label_column": label_column, "split_column": split_column}
    return parquet_table.read(files, **columns, label_columns=label_columns, size=size, channels=channels)


def in_rows(labels: np.ndarray) -> np.ndarray:
    """Labels that stand in one column as one axis, and truth values of every class as 0 and 1."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        return labels[:, 0]
    return labels.astype(np.uint8) if labels.ndim == 2 and labels.dtype == bool else labels


def _usable(arrays: parquet_table.Arrays, *, skip: bool, where: Path) -> parquet_table.Arrays:
    """Arrays without the rows that cannot be used, and without splits of which no row can.

    Raises:
        ValueError: there are such rows, and they are not to be skipped; or arrays that are no examples and labels.
    """
    inputs, labels, names, problems, origins = arrays
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
    left_out.refuse_or_tell(problems, skip=skip, what="part", where=where)
    kept_inputs, kept_labels, kept_origins = dict(inputs), dict(labels), dict(origins)
    for split, rows in found.items():
        if rows:
            kept = np.delete(np.arange(len(inputs[split])), list(rows))
            kept_inputs[split], kept_labels[split] = inputs[split][kept], labels[split][kept]
            kept_origins[split] = origins[split][kept]
            some = kept_labels[split]
            if some.dtype.kind == "f" and (some == np.floor(some)).all():  # they were float for the sake of NaN
                kept_labels[split] = some.astype(np.int64)
            if not len(kept):  # labels that are held back, as of the hub's test splits
                del kept_inputs[split], kept_labels[split]
    return parquet_table.Arrays(kept_inputs, kept_labels, names, problems, kept_origins)


def _problems(inputs: np.ndarray, labels: np.ndarray) -> dict[int, str]:
    """Row -> why it cannot be used."""
    found: dict[int, str] = {}
    if labels.dtype.kind == "f":
        for row in np.flatnonzero(~np.isfinite(labels).reshape(len(labels), -1).all(1)).tolist():
            holes = np.isnan(labels[row])
            found[row] = "no label" if holes.any() else f"the label {labels[row]}"
    elif labels.dtype.kind in "UO":
        found |= {row: "no label" for row, word in enumerate(labels.tolist()) if not str(word).strip()}
    elif multi_label_columns.are_sets(labels):
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
        class_order.check(known, wanted, what="labels")
    names = tuple(wanted or known or map(str, range(width)))
    order = [known.index(name) for name in names] if known else list(range(width))
    made = {}
    for split, some in labels.items():
        made[split] = np.zeros((len(some), len(names)), np.uint8)
        made[split][:, : len(order)] = some[:, order]
    return names, made


def _files(path: Path) -> parquet_table.Arrays:
    """The arrays of each split in NumPy or idx files, and the pairs that belong to none."""
    if path.is_file() and not array_file.is_array(path):
        raise ValueError(f"Wanted a .npz, .npy, idx or .parquet file, or a folder of them. Received: {path}.")
    read, problems = array_file.read_set(path)
    if problems:
        words = "; ".join(f"{name} {problem}" for name, problem in problems.items())
        raise ValueError(f"Wanted arrays that can be read. Received: {path}: {words}.")
    inputs, labels, origins, wrong = {}, {}, {}, []
    for group, pair in array_file.parts(read).items():
        if len(pair) < 2:
            continue
        split = "train" if group == "all" else SPLITS.get(group)
        if split is None or split in inputs:
            why = "which is no split" if split is None else f"of which there is one for {split} already"
            wrong.append(f"{pair['inputs']} and {pair['labels']}: {group!r}, {why}")
            continue
        inputs[split], labels[split] = read[pair["inputs"]], in_rows(read[pair["labels"]])
        rows = range(len(np.atleast_1d(inputs[split])))
        origins[split] = np.array([f"{pair['inputs']}[{row}]" for row in rows], object)
    if not inputs:
        raise ValueError(
            f"Wanted inputs ({', '.join(array_file.INPUT_WORDS)}) and labels ({', '.join(array_file.LABEL_WORDS)}) by "
            f"their names, as x_train and y_train. Received: {', '.join(read) or 'no array'} in {path}"
            f"{', a folder, of whose .npz files one has to be named' if path.is_dir() and not read else ''}."
        )
    return parquet_table.Arrays(inputs, labels, (), wrong, origins)


def _class_names(
    labels: Mapping[str, np.ndarray], *, wanted: Sequence[str] | None, known: Sequence[str], where: Path
) -> tuple[str, ...]:
    every = list(labels.values())
    if all(array.dtype.kind in "UO" for array in every):
        found = sorted({str(word) for array in every for word in array.tolist()}, key=class_order.natural)
        class_order.check(found, wanted, what="labels")
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
