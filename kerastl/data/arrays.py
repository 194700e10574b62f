"""Arrays of one's own: NumPy files, or a parquet table of pictures or of lists of numbers.

``x_train`` and ``y_train`` of an ``.npz``, ``train-images.npy`` and ``train-labels.npy``, idx files as MNIST's: inputs,
labels and splits are known by their names (`array_file.parts`). A parquet file has named columns, as the Hugging Face
hub's data sets have; of a folder of them each begins with its split's name, ``train-00000-of-00001.parquet``.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kerastl import types
from kerastl.data import array_file, image_folder, pictures, splits

_SHOWN = 20  # rows that an error names
_AT_ONCE = 64_000_000  # bytes
_SPLITS = {word: split for split, words in splits.WORDS.items() for word in words}


def load(
    path: str | Path,
    *,
    input_column: str = "image",
    label_column: str = "label",
    split_column: str = "split",
    size: Sequence[int] | None = None,
    channels: int = 3,
    validation: int | float = 0.15,
    test: int | float = 0.15,
    seed: int = 0,
    limit: int | None = None,
    class_names: Sequence[str] | None = None,
) -> types.Dataset:
    """Arrays in three splits.

    Args:
        path: an ``.npz`` file; a ``.npy`` or idx file, whose partners are looked for beside it; a ``.parquet`` file; or
            a folder of either.
        input_column, label_column, split_column: names of a parquet file's columns; splits may be absent. Inputs are
            encoded pictures (bytes, or the hub's ``{bytes, path}``) or lists of numbers, all of one shape.
        size: height and width that encoded pictures are brought to; by default those of the first.
        channels: of encoded pictures, 3 for colour, 1 for grey.
        validation, test: how many (int), or what share (float), where there is no such split yet.
        seed: decides which examples validate and test, and the order.
        limit: keeps so many training examples, see `splits.dataset`.
        class_names: of labels that are numbers; by default the hub's names where the file has them, else the numbers.
            Where labels are words, the order of the classes.

    Returns:
        Inputs ``(examples, ...)`` as they are in the file, whole bytes of pictures without an axis of channels with
        one; labels int32.

    Raises:
        FileNotFoundError: there is nothing at the path.
        ValueError: a file that is not read; no inputs or no labels under the names known; labels that are neither
            class indices nor words, or have holes; inputs that are not numbers of one shape; or no such split can be
            made.
    """
    path, columns = Path(path), {"input_column": input_column, "label_column": label_column}
    columns |= {"split_column": split_column}
    inputs, labels, known = read(path, **columns, size=size, channels=channels)
    if "train" not in inputs:
        raise ValueError(f"Wanted examples to train on. Received: {', '.join(inputs)} in {path}.")
    names = _class_names(labels, wanted=class_names, known=known, where=path)
    arrays: dict[str, np.ndarray] = {}
    for split, values in inputs.items():
        arrays[f"{split}_inputs"] = _inputs(values, where=f"{split} of {path}")
        arrays[f"{split}_labels"] = _labels(labels[split], names, wanted=len(values), where=f"{split} of {path}")
    shapes = {name: array.shape[1:] for name, array in arrays.items() if name.endswith("inputs")}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"Wanted inputs of one shape in all splits. Received: {shapes} in {path}.")
    if "test" not in inputs:
        train, held_out = splits.stratified(arrays["train_labels"], validation=test, seed=seed)
        for what in ("inputs", "labels"):
            whole = arrays[f"train_{what}"]
            arrays[f"train_{what}"], arrays[f"test_{what}"] = whole[train], whole[held_out]
    arguments = {"path": os.path.abspath(path), "test": test, "class_names": list(names)}
    if parquet(path):
        arguments |= {**columns, "size": None if size is None else list(size), "channels": channels}
    return splits.dataset(
        types.Task(path.resolve().stem, names, arrays["train_inputs"].shape[1:]),
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
    size: Sequence[int] | None = None,
    channels: int = 3,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], tuple[str, ...]]:
    """Inputs and labels of each split as the files have them, and the names of the classes that these bring.

    Arguments and errors as for `load`.
    """
    if not path.exists():
        raise FileNotFoundError(f"There is no file or folder of arrays {path}.")
    files = parquet(path)
    if not files:
        return *_files(path), ()
    columns = {"input_column": input_column, "label_column": label_column, "split_column": split_column}
    inputs, labels, known, problems = tables(files, **columns, size=size, channels=channels)
    if problems:
        words = "".join(f"\n  {problem}" for problem in problems[:_SHOWN])
        more = f"\n  ... and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise ValueError(f"{len(problems)} rows of {path} cannot be used:{words}{more}")
    return inputs, labels, known


def parquet(path: Path) -> list[Path]:
    """The parquet files at a path, in the order of their names."""
    return sorted(path.glob("*.parquet")) if path.is_dir() else [path] if path.suffix == ".parquet" else []


def _files(path: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Inputs and labels of each split in NumPy or idx files."""
    if path.is_file() and not array_file.is_array(path):
        raise ValueError(f"Wanted a .npz, .npy, idx or .parquet file, or a folder of them. Received: {path}.")
    read, problems = array_file.read_set(path)
    if problems:
        words = "; ".join(f"{name} {problem}" for name, problem in problems.items())
        raise ValueError(f"Wanted arrays that can be read. Received: {path}: {words}.")
    inputs, labels = {}, {}
    for group, pair in array_file.parts(read).items():
        split = "train" if group == "all" else _SPLITS.get(group)
        if split is None or split in inputs or len(pair) < 2:
            continue
        inputs[split], labels[split] = read[pair["inputs"]], read[pair["labels"]]
    if not inputs:
        raise ValueError(
            f"Wanted inputs ({', '.join(array_file.INPUT_WORDS)}) and labels ({', '.join(array_file.LABEL_WORDS)}) by "
            f"their names, as x_train and y_train. Received: {', '.join(read) or 'no array'} in {path}."
        )
    return inputs, labels


def tables(
    files: Sequence[Path],
    *,
    input_column: str = "image",
    label_column: str = "label",
    split_column: str = "split",
    size: Sequence[int] | None = None,
    channels: int = 3,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], tuple[str, ...], list[str]]:
    """Inputs and labels of each split in parquet files, the names of the classes that these bring, and what is wrong.

    Arguments and errors as for `load`. Rows that cannot be used are left out, each with its reason: ``set.parquet, row
    7: nothing under label``.
    """
    columns = {"input_column": input_column, "label_column": label_column, "split_column": split_column}
    rows: dict[str, tuple[list[np.ndarray], list[Any]]] = {}
    known: tuple[str, ...] = ()
    shape: tuple[int, ...] | None = None
    problems: list[str] = []
    left = array_file.LARGEST
    for file in files:
        of_file = next((_SPLITS[word] for word in _SPLITS if file.stem.lower().startswith(word)), "train")
        for number, value, label, word, names in _rows(file, **columns):
            known, split = known or names, of_file if word is _NOTHING else _SPLITS.get(str(word).lower())
            try:
                array = _usable(value, label, split, word, **columns, size=size, channels=channels)
                shape = shape or array.shape
                if array.shape != shape:
                    raise ValueError(f"inputs of one shape are wanted, {shape} as before; received {array.shape}")
            except ValueError as error:
                problems.append(f"{file.name}, row {number}: {error}")
                continue
            left -= array.nbytes
            if left < 0:
                raise ValueError(f"Wanted at most {array_file.LARGEST:,} bytes of inputs. Received: more, in {file}.")
            pair = rows.setdefault(str(split), ([], []))
            pair[0].append(array)
            pair[1].append(label)
            if size is None and array.ndim == 3:
                size = array.shape[:2]
    inputs = {split: np.stack(pair[0]) for split, pair in rows.items()}
    return inputs, {split: np.asarray(pair[1]) for split, pair in rows.items()}, known, problems


_NOTHING = object()  # where there is no column of splits


def _rows(
    file: Path, *, input_column: str, label_column: str, split_column: str
) -> Iterator[tuple[int, Any, Any, Any, tuple[str, ...]]]:
    """Row by row: its number, input, label and split, and the names of classes that the file brings.

    Raises:
        ValueError: no such column, a file that cannot be read, or one that unpacks to far more than it holds.
    """
    import pyarrow
    import pyarrow.parquet

    held, unpacked, number = file.stat().st_size, 0, 0
    try:
        with pyarrow.parquet.ParquetFile(file) as opened:
            names = opened.schema_arrow.names
            groups = [opened.metadata.row_group(index) for index in range(opened.num_row_groups)]
            if lacking := [name for name in (input_column, label_column) if name not in names]:
                raise ValueError(f"{file} has no column {', '.join(lacking)}. Its columns: {', '.join(names)}.")
            # A value that a page holds once may stand in any number of rows: they come a few at a time.
            if opened.metadata.num_rows > held:
                raise ValueError(f"{file} of {held:,} bytes declares {opened.metadata.num_rows:,} rows.")
            largest = max((group.total_byte_size for group in groups), default=0)
            wanted = [name for name in (input_column, label_column, split_column) if name in names]
            known = _hub_names(opened.schema_arrow.metadata, label_column)
            at_once = min(max(_AT_ONCE // max(largest, 1), 1), 1000)
            for batch in opened.iter_batches(batch_size=at_once, columns=wanted):
                unpacked += batch.nbytes
                if array_file.unpacks_too_far(unpacked, held=held):
                    raise ValueError(f"{file} of {held:,} bytes unpacks to more than {array_file.RATIO} times as many.")
                values = [batch.column(name).to_pylist() for name in wanted]
                if len(values) < 3:
                    values.append([_NOTHING] * len(batch))
                for value, label, word in zip(*values, strict=True):
                    yield number, value, label, word, known
                    number += 1
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"{file} cannot be read: {error}") from error


def _usable(
    value: Any,
    label: Any,
    split: str | None,
    word: Any,
    *,
    input_column: str,
    label_column: str,
    split_column: str,
    size: Sequence[int] | None,
    channels: int,
) -> np.ndarray:
    """A row's input as an array.

    Raises:
        ValueError: saying what is wrong with the row, without naming it.
    """
    if split is None:
        raise ValueError(f"the split {word!r} under {split_column}, which is none of {', '.join(splits.WORDS)}")
    if value is None or label is None:
        raise ValueError(f"nothing under {input_column if value is None else label_column}")
    if isinstance(label, float):
        raise ValueError(f"the label {label!r} under {label_column}, which is neither a class index nor a word")
    content = value.get("bytes") if isinstance(value, dict) else value
    if isinstance(content, bytes):
        side = None if size is None else (int(size[0]), int(size[1]))
        return pictures.read(io.BytesIO(content), size=side, channels=channels).pixels
    if isinstance(value, dict):
        raise ValueError(f"no picture under {input_column} but a path alone, {value.get('path')}")
    array = np.asarray(value)  # raises ValueError where lists are not of one length
    if array.dtype.kind not in "buif" or array.ndim == 0:
        raise ValueError(f"no list of numbers under {input_column} but {array.dtype} of shape {array.shape}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        place = tuple(np.argwhere(~np.isfinite(array))[0].tolist())
        raise ValueError(f"{array[place]} under {input_column}, column {', '.join(map(str, place))}")
    return array


def _hub_names(metadata: Mapping[bytes, bytes] | None, label_column: str) -> tuple[str, ...]:
    """The names of classes that the Hugging Face hub writes into a parquet file's metadata."""
    try:
        info = json.loads((metadata or {})[b"huggingface"])
        names = info["info"]["features"][label_column]["names"]
        return tuple(names) if all(isinstance(name, str) for name in names) else ()
    except (KeyError, TypeError, ValueError):
        return ()


def _inputs(values: np.ndarray, *, where: str) -> np.ndarray:
    if values.dtype.kind not in "buif" or values.ndim < 2:
        raise ValueError(
            f"Wanted inputs (examples, ...) of numbers. Received: {values.dtype} of shape {values.shape} in {where}."
        )
    if values.dtype.kind == "f" and not np.isfinite(values).all():  # said here, where rows are still those of the file
        row, *place = np.argwhere(~np.isfinite(values))[0].tolist()
        raise ValueError(
            f"Inputs have to be finite. Received: {values[row, *place]} in {where}, row {row}, column "
            f"{', '.join(map(str, place))}."
        )
    return values[..., None] if values.dtype == np.uint8 and values.ndim == 3 else values


def _class_names(
    labels: Mapping[str, np.ndarray], *, wanted: Sequence[str] | None, known: Sequence[str], where: Path
) -> tuple[str, ...]:
    every = [array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array for array in labels.values()]
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


def _labels(values: np.ndarray, names: Sequence[str], *, wanted: int, where: str) -> np.ndarray:
    values = values[:, 0] if values.ndim == 2 else values
    if len(values) != wanted:
        raise ValueError(f"Wanted a label an input. Received: {len(values)} labels for {wanted} inputs in {where}.")
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
