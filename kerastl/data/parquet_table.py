"""Parquet files of pictures or of lists of numbers with their labels, as the Hugging Face hub has them, row by row.

A label is a class index or a word; where an example may have none, one or several classes, a list of either, or a
column of 0 and 1 for each class.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kerastl.data import class_order, enough, multi_label_columns, parquet_pages, split_names, splits
from kerastl.inputs import array_file, pictures
from kerastl.system import bounded_json, bounded_zip

_AT_ONCE = 64_000_000  # bytes


class Arrays(NamedTuple):
    """Arrays of a data set as its files have them.

    Attributes:
        inputs: split -> ``(examples, ...)``.
        labels: split -> ``(examples,)``, or ``(examples, classes)`` of 0 and 1 where one may have several classes.
        names: of the classes, as far as the files bring them.
        problems: what is wrong with what is left out, in words.
        origins: split -> where each example was found: ``"set.parquet[7]"``, ``"x_train[7]"``.
    """

    inputs: dict[str, np.ndarray]
    labels: dict[str, np.ndarray]
    names: tuple[str, ...]
    problems: list[str]
    origins: dict[str, np.ndarray]


def files(path: Path) -> list[Path]:
    """The parquet files at a path, in the order of their names."""
    some = sorted(path.glob("*.parquet")) if path.is_dir() else [path] if path.suffix == ".parquet" else []
    return [file for file in some if file.is_file()]


def read(
    files: Sequence[Path],
    *,
    input_column: str = "image",
    label_column: str = "label",
    split_column: str = "split",
    label_columns: Sequence[str] = (),
    size: Sequence[int] | None = None,
    channels: int = 3,
) -> Arrays:
    """Inputs and labels of each split in parquet files, the names of the classes that these bring, and what is wrong.

    Arguments and errors as for `arrays.load`. Rows that cannot be used are left out, each with its reason:
    ``set.parquet, row 7: nothing under label``. Labels of sets of classes are uint8.
    """
    columns = {"input_column": input_column, "label_column": label_column, "split_column": split_column}
    rows: dict[str, tuple[list[np.ndarray], list[Any], list[str]]] = {}
    known: tuple[str, ...] = ()
    shape: tuple[int, ...] | None = None
    listed: bool | None = None  # whether labels are sets of classes
    problems: list[str] = []
    left = array_file.LARGEST
    for file in files:
        of_file = split_names.of(file.stem, anywhere=len(files) > 1) or "train"  # one file is hardly of test
        for number, value, label, word, names in _rows(file, **columns, label_columns=label_columns):
            known, split = known or names, of_file if word is _NOTHING else splits.BY_WORD.get(str(word).lower())
            try:
                if split is None:
                    raise ValueError(f"the split {word!r} under {split_column}, which is none of {_WORDS}")
                if value is None:
                    raise ValueError(f"nothing under {input_column}")
                label = _label(label, flags=bool(label_columns), column=label_column, known=known)
                listed = isinstance(label, tuple) if listed is None else listed
                if isinstance(label, tuple) != listed:
                    raise ValueError(f"labels of one kind are wanted, {'lists' if listed else 'no lists'} as before")
                array = _input(value, column=input_column, size=size, channels=channels)
                shape = shape or array.shape
                if array.shape != shape:
                    raise ValueError(f"inputs of one shape are wanted, {shape} as before; received {array.shape}")
            except ValueError as error:
                problems.append(f"{file.name}, row {number}: {error}")
                continue
            left -= array.nbytes
            if left < 0:
                raise ValueError(f"Wanted at most {array_file.LARGEST:,} bytes of inputs. Received: more, in {file}.")
            pair = rows.setdefault(str(split), ([], [], []))
            pair[0].append(array)
            pair[1].append(label)
            pair[2].append(f"{file.name}[{number}]")
            if size is None and array.ndim == 3:
                size = array.shape[:2]
    inputs = {split: np.stack(pair[0]) for split, pair in rows.items()}
    labels = {split: pair[1] for split, pair in rows.items()}
    origins = {split: np.array(pair[2], object) for split, pair in rows.items()}
    if listed:
        return Arrays(inputs, *_sets(labels, label_columns or known, where=files[0]), problems, origins)
    return Arrays(inputs, {split: np.asarray(some) for split, some in labels.items()}, known, problems, origins)


def _sets(
    labels_of: Mapping[str, Sequence[tuple]], known: Sequence[str], *, where: Path
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Classes by name or index as 0 and 1, ``(examples, classes)``, and their names; none for indices without any."""
    found = {one for labels in labels_of.values() for label in labels for one in label}
    if len({type(one) for one in found}) > 1:
        raise ValueError(f"Wanted lists of words or of class indices. Received: both, in {where}.")
    indices = all(isinstance(one, int) for one in found) and bool(found)
    if indices:
        names, width = tuple(known), len(known) or max(found) + 1
    else:
        names = tuple(sorted(found.union(known), key=class_order.natural))
        width = len(names)
    enough.require_two([str(one) for one in names or sorted(found)], where=f"lists in {where}")
    if indices and not known and width > 10 * len(found) + 11:  # a slip, or no index at all
        raise ValueError(
            f"Wanted classes with an example each. Received: {len(found)} in lists in {where}, of which the highest "
            f"index is {width - 1}."
        )
    number: dict[Any, int] = (
        {index: index for index in range(width)} if indices else {n: i for i, n in enumerate(names)}
    )
    matrices = {}
    for split, labels in labels_of.items():
        matrices[split] = np.zeros((len(labels), width), np.uint8)
        for row, label in zip(matrices[split], labels, strict=True):
            row[[number[one] for one in label]] = 1
    return matrices, names


_NOTHING = object()  # where there is no column of splits
_WORDS = ", ".join(splits.WORDS)


def _rows(
    file: Path, *, input_column: str, label_column: str, split_column: str, label_columns: Sequence[str]
) -> Iterator[tuple[int, Any, Any, Any, tuple[str, ...]]]:
    """Row by row: its number, input, label and split, and the names of classes that the file brings.

    Of a column a class the label is class -> what stands there.

    Raises:
        ValueError: no such column, a file that cannot be read, or one that unpacks, or says so, to far more than it
            holds.
    """
    needed, number = [input_column, *(label_columns or [label_column])], 0
    names = _schema(file).names
    if lacking := [name for name in needed if name not in names]:
        raise ValueError(f"{file} has no column {', '.join(lacking)}. Its columns: {', '.join(names)}.")
    wanted = [*needed, *([split_column] if split_column in names else [])]
    known = class_names(file, label_column)
    for batch in batches(file, wanted):
        values = [batch.column(name).to_pylist() for name in wanted]
        if len(wanted) == len(needed):
            values.append([_NOTHING] * len(batch))
        for value, *labels, word in zip(*values, strict=True):
            label = dict(zip(label_columns, labels, strict=True)) if label_columns else labels[0]
            yield number, value, label, word, known
            number += 1


def batches(file: Path, columns: Sequence[str]) -> Iterator[Any]:
    """A file's rows in these columns, as record batches of pyarrow.

    Raises:
        ValueError: it cannot be read, or unpacks, or says so, to far more than it holds.
    """
    import pyarrow
    import pyarrow.parquet

    held, unpacked = file.stat().st_size, 0
    try:
        with pyarrow.parquet.ParquetFile(file) as opened:
            groups = [opened.metadata.row_group(index) for index in range(opened.num_row_groups)]
            # A value that a page holds once may stand in any number of rows: they come a few at a time.
            if opened.metadata.num_rows > held:
                raise ValueError(f"{file} of {held:,} bytes declares {opened.metadata.num_rows:,} rows.")
            largest = max((group.total_byte_size for group in groups), default=0)
            parquet_pages.check(file, opened.metadata, columns=columns)
            at_once = min(max(_AT_ONCE // max(largest, 1), 1), 1000)
            for batch in opened.iter_batches(batch_size=at_once, columns=list(columns)):
                unpacked += batch.nbytes
                if bounded_zip.unpacks_too_far(unpacked, held=held):
                    raise ValueError(
                        f"{file} of {held:,} bytes unpacks to more than {bounded_zip.RATIO} times as many."
                    )
                yield batch
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"{file} cannot be read: {error}") from error


def _schema(file: Path) -> Any:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(file) as opened:
            return opened.schema_arrow
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"{file} cannot be read: {error}") from error


def plain_columns(file: Path) -> list[str]:
    """The columns of words, numbers and lists of words, of which none is a picture or an array; errors as `batches`."""
    import pyarrow.types as kinds

    def is_word(kind: Any) -> bool:
        kind = kind.value_type if kinds.is_dictionary(kind) else kind
        return kinds.is_string(kind) or kinds.is_large_string(kind)

    def is_plain(kind: Any) -> bool:
        if kinds.is_list(kind) or kinds.is_large_list(kind):
            return is_word(kind.value_type) or kinds.is_integer(kind.value_type)
        return is_word(kind) or kinds.is_boolean(kind) or kinds.is_integer(kind) or kinds.is_floating(kind)

    return [field.name for field in _schema(file) if is_plain(field.type)]


def holds_table(file: Path) -> bool:
    """Whether a file holds words or plain numbers alone: it has no column of bytes, structures or lists of numbers,
    which are pictures and arrays.
    """
    import pyarrow.types as kinds

    try:
        fields = {field.name: field.type for field in _schema(file)}
    except ValueError:  # whoever reads it says what is wrong
        return False
    words = any(kinds.is_string(kind) or kinds.is_large_string(kind) for kind in fields.values())
    lists = {name: kind.value_type for name, kind in fields.items() if kinds.is_list(kind) or kinds.is_large_list(kind)}
    arrays = any(not kinds.is_string(kind) and not class_names(file, name) for name, kind in lists.items())
    other = (kinds.is_binary, kinds.is_large_binary, kinds.is_struct, kinds.is_fixed_size_list)
    return words and not arrays and not any(one(kind) for kind in fields.values() for one in other)


def _label(value: Any, *, flags: bool, column: str, known: Sequence[str]) -> Any:
    """A row's label: an index, a word, or a tuple of either where it may have several.

    Raises:
        ValueError: saying what is wrong with it, without naming the row.
    """
    if flags:
        odd = [f"{flag!r} under {name}" for name, flag in value.items() if flag not in (0, 1)]
        if odd:
            raise ValueError(f"{', '.join(odd)}, where 0 or 1 is wanted")
        return tuple(name for name, flag in value.items() if flag)
    if value is None or (isinstance(value, str) and not value.strip()):
        raise ValueError(f"nothing under {column}")
    if isinstance(value, float):
        raise ValueError(f"the label {value!r} under {column}, which is neither a class index nor a word")
    if not isinstance(value, list):
        return value
    if all(isinstance(one, str) for one in value):
        return multi_label_columns.names_of(value)
    highest = len(known) - 1 if known else np.inf
    if not all(isinstance(one, int) and not isinstance(one, bool) and 0 <= one <= highest for one in value):
        raise ValueError(f"a list under {column} of neither words nor class indices: {value[:5]}")
    if len(set(value)) < len(value):  # who writes 0 and 1 for every class would be read as of these two
        raise ValueError(f"a class more than once under {column}: a list names the classes that are there")
    return tuple(value)


def _input(value: object, *, column: str, size: Sequence[int] | None, channels: int) -> np.ndarray:
    """A row's input as an array.

    Raises:
        ValueError: saying what is wrong with it, without naming the row.
    """
    content = value.get("bytes") if isinstance(value, dict) else value
    if isinstance(content, bytes):
        side = None if size is None else (int(size[0]), int(size[1]))
        return pictures.read(io.BytesIO(content), size=side, channels=channels).pixels
    if isinstance(value, dict):
        raise ValueError(f"no picture under {column} but a path alone, {value.get('path')}")
    array = np.asarray(value)  # raises ValueError where lists are not of one length
    if array.dtype.kind not in "buif" or array.ndim == 0:
        raise ValueError(f"no list of numbers under {column} but {array.dtype} of shape {array.shape}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        place = tuple(np.argwhere(~np.isfinite(array))[0].tolist())
        raise ValueError(f"{array[place]} under {column}, column {', '.join(map(str, place))}")
    return array


def class_names(file: Path, label_column: str) -> tuple[str, ...]:
    """The names of classes that the Hugging Face hub writes into a parquet file's metadata; errors as `batches`."""
    metadata = _schema(file).metadata
    try:
        info = bounded_json.loads((metadata or {})[b"huggingface"])
        feature = info["info"]["features"][label_column]
        feature = feature[0] if isinstance(feature, list) else feature.get("feature", feature)  # of a list of labels
        names = feature["names"]
        return tuple(names) if all(isinstance(name, str) for name in names) else ()
    except (KeyError, IndexError, AttributeError, TypeError, ValueError):
        return ()
