"""The front door for data: whatever a recipe's `--data` names, loaded by the source that reads it.

Nothing is the built-in set; a name is a set that is fetched, ``tfds:NAME`` one of TensorFlow Datasets; anything else is
a path, of which `formats` says what it holds. A data set names the source that it came from, and loads again by that.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from kerastl import types
from kerastl.data import (
    adult_census,
    arrays,
    bike_rentals,
    cifar10,
    class_folders,
    class_order,
    fashion_mnist,
    formats,
    groceries,
    image_folder,
    left_out,
    mnist,
    movie_reviews,
    multi_label_columns,
    no_runs,
    overview,
    sentence_tasks,
    table_csv,
    text_csv,
    unlabelled,
    unlabelled_texts,
    vocabularies,
)
from kerastl.data.reading import (
    PictureReading,
    Splits,
    TableReading,
    TextReading,
    TextTasksReading,
    refuse_columns,
)
from kerastl.data.tables import files
from kerastl.system import near_names
from kerastl.tasks import single_label as one_class

_NAMED = {"mnist": mnist, "fashion_mnist": fashion_mnist, "cifar10": cifar10}
"""Sets of pictures of one size, which they keep."""
_FLAGS = {"policy='skip'": "--on-unreadable skip", "measure_on_train=True": "--evaluate-on-train"}
"""Words of a loader's error -> the flags of a recipe that say the same."""
_LACKING = ("has no column",)
"""Words of a loader's error about a column that is not there."""
_WITHOUT_TEACHER = "`kerastl run text_classifier --encoder small` learns them without a teacher."


def pictures(
    data: str | Path | None,
    *,
    size: Sequence[int],
    channels: int = 3,
    reading: PictureReading = PictureReading(),  # noqa: B008  frozen
    class_names: Sequence[str] | None = None,
    any_shape: bool = False,
    single_label: bool = False,
    seed: int = 0,
) -> types.Dataset:
    """Pictures with their labels, from wherever they are.

    Args:
        data: a folder with a folder a class, a table, an archive, arrays or parquet files, see `formats.format_of`;
            ``"mnist"``, ``"fashion_mnist"``, ``"cifar10"``, ``"groceries"``, or ``"tfds:NAME"``; ``None`` and ``""``
            are the groceries. A folder that is called like a set is given as ``./mnist``.
        size: height and width. Pictures in files, of TFDS and the groceries are brought to it; arrays and the other
            sets come as they are.
        channels: 3 for colour, 1 for grey.
        reading: columns, splits, and what becomes of what cannot be read. Sets that are published have their own test
            split.
        class_names: the order of the classes of pictures of one's own, before that in a file that ``reading`` names.
        any_shape: whether what comes as it is may have another shape than ``(*size, channels)``.
        single_label: whether a picture has to have exactly one of the classes.
        seed: of the split and the order.

    Returns:
        The data set of the source that read it, see `image_folder.load`, `arrays.load`, `tfds.load`, `groceries.load`.

    Raises:
        FileNotFoundError: there is nothing at the path, or a set cannot be had; near names are offered.
        ValueError: it cannot be used: what the source says, pictures of another shape, several classes a picture where
            one is wanted, or columns that are named of a set without any.
    """
    # a Path has lost the ./ that tells a folder from a set of its name
    name = f"{data}/" if isinstance(data, Path) and data.is_dir() else str(data or "groceries")
    size = (int(size[0]), int(size[1]))
    settings: dict[str, Any] = {"validation": reading.validation, "limit": reading.max_train_examples, "seed": seed}
    named = name in ("groceries", *_NAMED) or name.startswith("tfds:")
    if named:
        refuse_columns(reading, where=f"the set {name}")
    with _flags_in_errors(reading):
        if name == "groceries":
            found = groceries.load(size=size, **settings)
        elif name in _NAMED:
            found = _NAMED[name].load(**settings)
        elif named:
            from kerastl.data import tfds  # which imports TensorFlow

            found = tfds.load(name.removeprefix("tfds:"), size=size, **settings)
        else:
            if class_names is None and reading.class_names:
                class_names = class_order.read(reading.class_names)
            settings["class_names"] = class_names
            found = _own_pictures(name, reading, size=size, channels=channels, **settings)
    if not named:
        left_out.tell(overview.of_dataset(found))
    wanted, shape = (*size, channels), tuple(found.task.inputs.shape)
    if shape != wanted and not any_shape:
        raise ValueError(
            f"Wanted pictures of the shape {wanted}. Received: {shape} in --data {name}, whose pictures come as they "
            "are. Pictures in files, a folder a class, are brought to the size."
        )
    if single_label:
        one_class.require(found.task, where=f"--data {name}", instead="`kerastl run image_classifier` takes them.")
    return found


def pictures_of_any_kind(
    data: str | Path,
    *,
    size: Sequence[int],
    channels: int = 3,
    reading: PictureReading = PictureReading(),  # noqa: B008  frozen
    seed: int = 0,
    **options: Any,
) -> types.Dataset:
    """Pictures with their labels, or where they stand in no classes without: what pretraining learns from.

    Args:
        data, size, channels, reading, seed: as for `pictures`; beside these a folder, an archive or arrays without
            labels.
        options: further ones of `pictures`.

    Returns:
        As `pictures`, or as `unlabelled.load`.

    Raises:
        FileNotFoundError, ValueError: as these.
    """
    if unlabelled.has_labels(data, inputs=["image"]):
        return pictures(data, size=size, channels=channels, reading=reading, seed=seed, **options)
    refuse_columns(reading, where=f"{data}, which has no labels")
    settings = {"validation": reading.validation, "test": reading.test, "limit": reading.max_train_examples}
    shapes = {"image": (*size, channels)}
    return unlabelled.load(data, shapes=shapes, policy=reading.on_unreadable, seed=seed, **settings)


def pictures_beside(
    data: str | Path, others: types.Dataset, *, on_unreadable: Literal["fail", "skip"] = "fail", seed: int = 0
) -> types.Dataset:
    """More pictures of the shape of others, whose labels, if any, nobody looks at: nearly all of them in train.

    Args:
        data: as for `pictures_of_any_kind`.
        others: that they are beside.
        on_unreadable: see `reading.Splits`; columns are not asked for.
        seed: of their order.

    Raises:
        FileNotFoundError, ValueError: as `pictures_of_any_kind`.
    """
    *size, channels = others.task.inputs.shape
    few = PictureReading(validation=unlabelled.LEAST, test=unlabelled.LEAST, on_unreadable=on_unreadable)
    return pictures_of_any_kind(data, size=size, channels=channels, reading=few, seed=seed)


def _own_pictures(
    name: str, reading: PictureReading, *, size: tuple[int, int], channels: int, **settings: Any
) -> types.Dataset:
    wanted = "a folder with a folder a class, a table, an archive, arrays (.npz, .npy, .parquet), tfds:NAME"
    path = _there(name, wanted=wanted, names=("groceries", *_NAMED))
    kind = formats.format_of(path)
    separator, columns = reading.label_separator, list(reading.label_columns)
    formats.check_label_options(kind, multi_label_columns.columns_or_separator(separator, columns), where=path)
    settings |= {"size": size, "channels": channels, "policy": reading.on_unreadable, "test": reading.test}
    settings |= {"label_column": reading.label_column, "split_column": reading.split_column, "label_columns": columns}
    if kind in ("arrays", "parquet"):
        return arrays.load(path, **settings)
    return image_folder.load(
        path,
        path_column=reading.path_column,
        group_column=reading.group_column,
        label_separator=separator,
        table=reading.table,
        root=reading.root,
        layout=reading.layout,
        **settings,
    )


def texts(
    data: str | Path | None,
    *,
    sequence_length: int | None,
    vocabulary: vocabularies.Vocabulary,
    vocabulary_size: int = 8000,
    reading: TextReading = TextReading(),  # noqa: B008  frozen
    single_label: bool = False,
    seed: int = 0,
) -> types.Dataset:
    """Sentences with their labels, from wherever they are, as token ids.

    Args:
        data: see `text_csv.load`; ``None``, ``""`` and ``"movie_reviews"`` are the movie reviews.
        sequence_length, vocabulary, vocabulary_size: see `text_csv.load`.
        reading: columns, splits, and what becomes of rows that cannot be used.
        single_label: whether a text has to have exactly one of the classes.
        seed: of the split and the order.

    Returns:
        The data set of `text_csv.load` or `movie_reviews.load`.

    Raises:
        FileNotFoundError: there is nothing at the path, or the reviews cannot be had.
        ValueError: it cannot be used: what the source says, several classes a text where one is wanted, or settings of
            a file of one's own without one.
    """
    name = str(data or "movie_reviews")
    settings: dict[str, Any] = {"sequence_length": sequence_length, "vocabulary": vocabulary, "seed": seed}
    settings |= {"vocabulary_size": vocabulary_size, "limit": reading.max_train_examples}
    settings |= {"validation": reading.validation, "test": reading.test}
    with _flags_in_errors(reading):
        if name == "movie_reviews":
            refuse_columns(reading, where=f"the set {name}")
            found = movie_reviews.load(**settings)
        else:
            path = _there(name, wanted="a file or a folder of sentences", names=["movie_reviews"])
            if (kind := formats.format_of(path)) != "table":
                bare = path.is_dir() and not any(map(class_folders.is_picture, path.rglob("*")))
                held = "pictures" if kind in ("folder", "archive") else kind
                held = "no such file by its name; of a folder a class each text ends in .txt" if bare else held
                raise ValueError(
                    f"Wanted sentences: {', '.join(files.endings())}, a folder or an archive of such or of texts. "
                    f"Received: --data {name}, which holds {held}."
                )
            settings |= {"text_column": reading.text_column, "label_column": reading.label_column}
            settings["second_text_column"] = reading.second_text_column
            settings |= {"split_column": reading.split_column, "label_separator": reading.label_separator}
            settings |= {"label_columns": reading.label_columns, "policy": reading.on_unreadable}
            settings |= {"layout": reading.layout, "task": reading.task, "unit": reading.unit}
            found = text_csv.load(path, measure_on_train=reading.evaluate_on_train, **settings)
            left_out.tell(overview.of_dataset(found))
    if single_label:
        one_class.require(found.task, where=f"--data {name}", instead=_WITHOUT_TEACHER)
    return found


def text_tasks(
    data: str | Path | None,
    *,
    beside: Sequence[str | Path] = (),
    sequence_length: int,
    vocabulary: str | Path | None,
    vocabulary_size: int = 8000,
    reading: TextTasksReading = TextTasksReading(),  # noqa: B008  frozen
    seed: int = 0,
) -> types.Dataset:
    """Sentences of several tasks, out of one file or several, as token ids.

    Args:
        data: a ``.csv``, ``.tsv`` or JSON lines file; ``None``, ``""`` and ``"movie_reviews"`` are the movie reviews.
        beside: further files.
        sequence_length, vocabulary, vocabulary_size: see `text_csv.load`.
        reading: the tasks, which are columns, and the splits.
        seed: of the split and the order.

    Returns:
        The data set of `sentence_tasks.load`.

    Raises:
        FileNotFoundError: there is nothing at a path, or the reviews cannot be had.
        ValueError: it cannot be used: what the source says.
    """
    wanted, names = "a file of sentences (.csv, .tsv, .jsonl)", ["movie_reviews"]
    own = str(data or "movie_reviews") != "movie_reviews"
    with _flags_in_errors(reading):
        return sentence_tasks.load(
            _there(str(data), wanted=wanted, names=names) if own else None,
            beside=[_there(str(file), wanted=wanted, names=names) for file in beside],
            text_column=reading.text_column,
            label_columns=reading.label_columns,
            split_column=reading.split_column,
            sequence_length=sequence_length,
            vocabulary=vocabulary,
            vocabulary_size=vocabulary_size,
            policy=reading.on_unreadable,
            validation=reading.validation,
            test=reading.test,
            seed=seed,
            limit=reading.max_train_examples,
            layout=reading.layout,
        )


def texts_of_any_kind(
    data: str | Path | None,
    *,
    sequence_length: int,
    vocabulary: vocabularies.Vocabulary,
    reading: TextReading = TextReading(),  # noqa: B008  frozen
    seed: int = 0,
    **options: Any,
) -> types.Dataset:
    """Sentences with their labels, or where a file has none without: what a language model learns from.

    Args:
        data, sequence_length, vocabulary, reading, seed: as for `texts`; a file without the column of labels, or one
            that ends in ``.txt``, has none.
        options: further ones of `texts`.

    Returns:
        As `texts`, or as `unlabelled_texts.load`.

    Raises:
        FileNotFoundError, ValueError: as these.
    """
    settings: dict[str, Any] = {"sequence_length": sequence_length, "vocabulary": vocabulary, "seed": seed}
    path = Path(data or "")
    wanted = reading.label_columns or (reading.label_column,)
    lines = path.suffix.lower() == unlabelled_texts.LINES
    if not lines and (not path.is_file() or not files.is_table(path) or _has_any(path, wanted, reading)):
        return texts(data, reading=reading, **settings, **options)
    settings["layout"] = reading.layout
    settings |= {"validation": reading.validation, "test": reading.test, "limit": reading.max_train_examples}
    return unlabelled_texts.load(path, text_column=reading.text_column, policy=reading.on_unreadable, **settings)


def _has_any(path: Path, names: Sequence[str], reading: TextReading) -> bool:
    """Whether a table has one of some columns."""
    return any(map(files.read(path, reading.layout, wanted=[reading.text_column, *names]).has, names))


def tables(
    data: str | Path | None,
    *,
    reading: TableReading = TableReading(),  # noqa: B008  frozen
    seed: int = 0,
) -> types.Dataset:
    """A table of numbers and categories, from wherever it is.

    Args:
        data: see `table_csv.load`; ``None``, ``""`` and ``"bike_rentals"`` are the bike rentals, ``"adult_census"``
            the census.
        reading: what is to be known, what goes in, and the splits.
        seed: of the split and the order.

    Raises:
        FileNotFoundError: there is nothing at the path, or the bike rentals cannot be had.
        ValueError: it cannot be used: what the source says, or columns are named without a table of one's own.
    """
    name = str(data or "bike_rentals")
    settings: dict[str, Any] = {"validation": reading.validation, "test": reading.test, "seed": seed}
    settings["limit"] = reading.max_train_examples
    if name in ("bike_rentals", "adult_census"):
        refuse_columns(reading, where=f"the set {name}")
        return (bike_rentals if name == "bike_rentals" else adult_census).load(**settings)
    return table_csv.load(
        _there(name, wanted="a table (.csv, .tsv, .jsonl)", names=["bike_rentals", "adult_census"]),
        label_columns=reading.label_columns,
        leave_out=reading.leave_out,
        split_column=reading.split_column,
        task=reading.task,
        unit=reading.unit,
        missing=reading.missing,
        layout=reading.layout,
        **settings,
    )


def _there(name: str, *, wanted: str, names: Sequence[str]) -> Path:
    """The path. Raises `FileNotFoundError` where there is nothing."""
    path = Path(name)
    if not path.exists():
        raise FileNotFoundError(
            f"Wanted {wanted}; or one of {', '.join(names)}. Received: --data {name}, where there is nothing."
            f"{near_names.did_you_mean(name, names)}"
        )
    no_runs.refuse(path)
    return path


@contextlib.contextmanager
def _flags_in_errors(reading: Splits) -> Iterator[None]:
    """Adds to an error that names arguments of a loader the flags that a recipe has for them."""
    try:
        yield
    except ValueError as error:
        flags = [flag for words, flag in _FLAGS.items() if words in str(error)]
        if any(words in str(error) for words in _LACKING):
            fields = [field.name.replace("_", "-") for field in dataclasses.fields(reading)]
            flags += [f"--{name} NAME" for name in fields if name.endswith("-column") and name != "group-column"]
        if flags:
            error.add_note(f"As flags: {', '.join(flags)}.")
        raise
