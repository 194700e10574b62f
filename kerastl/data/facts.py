"""What a data set is, at a glance: its kind, the examples of each class, and how large one is. Nothing is decoded."""

from __future__ import annotations

import collections
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from kerastl.data import (
    arrays,
    bert_vocabulary,
    class_folders,
    class_mismatch,
    column_roles,
    familiarity,
    formats,
    labelled_texts,
    multi_label_columns,
    picture_listing,
    unlabelled_texts,
    unpack,
)
from kerastl.data.tables import files, headers
from kerastl.data.tables.table import Layout
from kerastl.inputs import array_file, pictures, wordpiece
from kerastl.system import special_files

_SAMPLE, _LONGEST = 300, 512


class Facts(NamedTuple):
    """What is known of a data set before anything is trained.

    Attributes:
        kind: ``"pictures"``, ``"texts"``, or ``"numbers"`` of a table of numbers and categories, of which no more is
            said.
        counts: examples of each class, in all splits together.
        length: of pictures the shorter side in pixels, the median of some; of texts the tokens, [CLS] and [SEP] among
            them, that nine in ten of some do not exceed.
        familiar: of texts, whether a pretrained encoder of English knows their language, see `familiarity`.
        examples: how many there are, where one may have none or several of the classes; ``None`` where each has one.
        said: what was understood of the files, a sentence each.
        parts: examples of each split that the data have.
        unusable: what cannot be used, each with its reason; a run stops at it, or leaves it out.
        numeric: of texts, whether every label is a number: there are then as many ``counts`` as different ones.
    """

    kind: str
    counts: dict[str, int]
    length: int
    familiar: bool = True
    examples: int | None = None
    said: tuple[str, ...] = ()
    parts: Mapping[str, int] = types.MappingProxyType({})
    unusable: tuple[str, ...] = ()
    numeric: bool = False


def summarize(
    path: str | Path,
    *,
    path_column: str = "path",
    text_column: str = "text",
    label_column: str = "label",
    split_column: str = "split",
    label_separator: str | None = None,
    label_columns: Sequence[str] = (),
    table: str | None = None,
    root: str | None = None,
    layout: Layout = Layout(),  # noqa: B008  frozen
) -> Facts:
    """Facts about a data set of one's own.

    Args:
        path: what `loading.pictures` and `loading.texts` take, see `formats.format_of`.
        path_column, text_column, label_column, split_column: names of a table's columns; without such they are found,
            see `column_roles.find`.
        label_separator, label_columns: of a table whose examples may have none or several classes, see
            `image_folder.load` and `text_csv.load`; columns also of a parquet file, see `arrays.load`.
        table, root: of pictures, see `image_folder.load`.
        layout: how the files are written, where somebody knows it.

    Raises:
        FileNotFoundError: there is nothing at the path.
        ValueError: it cannot be read, or holds arrays that are no pictures; or several classes are asked for of
            what cannot say them so.
    """
    path = Path(path)
    asked = column_roles.Asked(
        path_column, text_column, label_column, split_column, tuple(label_columns), label_separator
    )
    kind = formats.format_of(path)
    of_table = formats.kind_of_table(path, asked, layout) if kind == "table" else None
    if of_table == "numbers":
        read = files.read(path, layout, wanted=asked.names)
        formats.check_numbers(read, label_columns)
        return Facts("numbers", {}, 0, said=read.said)
    label_options = multi_label_columns.columns_or_separator(label_separator, label_columns)
    formats.check_label_options(kind, label_options, where=path)
    if of_table == "texts":
        return _texts(path, asked, layout)
    if kind in ("arrays", "parquet"):
        return _arrays(path, label_column, split_column, label_columns)
    listing = picture_listing.listed(
        path,
        table=table,
        columns=picture_listing.Columns(path_column, label_column, split_column),
        root=root,
        label_options=label_options,
        layout=layout,
    )
    listing.require()
    rows = listing.rows
    counts = collections.Counter(name for row in rows for name in (row.labels if listing.multi_label else (row.label,)))
    counts.update(dict.fromkeys(listing.names, 0))  # of no picture at all
    return Facts(
        "pictures",
        dict(counts),
        _side([row.path for row in rows]),
        examples=len(rows) if listing.multi_label else None,
        said=listing.said,
        parts=collections.Counter(str(row.split) for row in rows),
        unusable=listing.unusable,
    )


def counted(path: str | Path, *, kind: str, text_column: str = "text", layout: Layout = Layout()) -> int:  # noqa: B008
    """Examples of a set of one's own whose labels, if any, are not asked for; none of them is decoded.

    Args:
        path: of pictures a folder with pictures anywhere below it, an archive of one, or arrays; of texts what
            `unlabelled_texts.load` takes.
        kind: ``"pictures"`` or ``"texts"``.
        text_column, layout: of texts.

    Raises:
        FileNotFoundError: there is nothing at the path.
        ValueError: it cannot be read.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no file or folder {path}.")
    if kind == "texts":
        return unlabelled_texts.count(path, text_column=text_column, layout=layout)
    if array_file.is_array(path):
        return max((len(array) for array in array_file.read_set(path)[0].values() if array.ndim), default=0)
    folder = path if path.is_dir() else unpack.in_workspace(path)
    return sum(class_folders.is_picture(file) for file in class_folders.files(folder))


def _texts(path: Path, asked: column_roles.Asked, layout: Layout) -> Facts:
    read = labelled_texts.read(path, asked, layout=layout)
    if not all(headers.is_number(name) for one in read.examples for name in one.names):  # which may be no classes
        read, problems = class_mismatch.settled_texts(read, how=layout.class_mismatch)
        if problems:
            raise ValueError(f"{problems[0]} In {path}.")
    examples, contradicting, copies = labelled_texts.without_copies(read.examples)
    some = [examples[index].text for index in familiarity.spread(len(examples), _SAMPLE)]
    tokenizer = wordpiece.Tokenizer(bert_vocabulary.tokens())

    def tokens(text: str) -> int:
        return int(np.count_nonzero(tokenizer.encode(text, _LONGEST)))

    lengths = [tokens(text) for text in some]
    elsewhere = familiarity.foreign(familiarity.of(some, tokenizer), english=True)
    counts = collections.Counter(name for example in examples for name in example.names)
    counts.update(dict.fromkeys(asked.label_columns, 0))
    return Facts(
        "texts",
        dict(counts),
        int(np.percentile(lengths, 90)) if lengths else 2,
        familiar=not elsewhere,
        examples=len(examples) if any(example.labels is not None for example in examples) else None,
        said=(
            *read.said,
            *([f"copies of a text are left out: {copies:,}"] if copies else []),
            *([elsewhere] if elsewhere else []),
            *(
                f"the column {name!r} holds texts as well: with --text-column {read.roles.example} "
                f"--second-text-column {name} both are read, as a pair"
                for name in read.more_texts
            ),
        ),
        parts=collections.Counter(example.split or "train" for example in examples),
        unusable=(*read.problems, *contradicting),
        numeric=all(map(headers.is_number, counts)) and not asked.label_columns,
    )


def _arrays(path: Path, label_column: str, split_column: str, label_columns: Sequence[str]) -> Facts:
    inputs, labels, names, *_ = arrays.read(
        path, label_column=label_column, split_column=split_column, label_columns=label_columns
    )
    shapes = {values.shape[1:] for values in inputs.values()}
    if any(values.dtype != np.uint8 or values.ndim not in (3, 4) for values in inputs.values()):
        raise ValueError(
            f"Wanted arrays of pictures, bytes (examples, height, width, channels). Received: {sorted(shapes)} in "
            f"{path}. `kerastl run shrink_model --model MODEL --data {path}` shrinks a model of yours on such; "
            "`kerastl copy mnist_cnn FILE` starts a recipe of your own."
        )
    side = min((min(shape[:2]) for shape in shapes), default=0)
    if any(multi_label_columns.are_sets(values) for values in labels.values()):
        having = np.concatenate([values != 0 for values in labels.values()])
        names = names or tuple(map(str, range(having.shape[1])))
        each = dict(zip(names, having.sum(0).tolist(), strict=True))
        return Facts("pictures", each, side, examples=len(having))
    found = collections.Counter(label for values in labels.values() for label in np.ravel(values).tolist())
    if names:  # labels that are held back are -1 in the hub's test splits
        found = {one: count for one, count in found.items() if not isinstance(one, int) or 0 <= one < len(names)}
    counts = {names[label] if names and isinstance(label, int) else str(label): count for label, count in found.items()}
    return Facts("pictures", counts, side)


def _side(paths: list[str]) -> int:
    """The shorter side of pictures, the median of some, by their headers."""
    sides = []
    for index in familiarity.spread(len(paths), _SAMPLE):
        try:
            special_files.refuse(Path(paths[index]))  # a table may name one
            with Image.open(paths[index], formats=pictures.formats()) as picture:
                sides.append(min(picture.size))
        except Exception:  # decoders raise whatever damage provokes; the audit lists it
            continue
    return int(np.median(sides)) if sides else 0
