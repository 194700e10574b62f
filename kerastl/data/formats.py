"""What a path of one's own holds: a table, parquet, arrays, an archive, or a folder of pictures.

The one answer for whoever reads it: a recipe, `kerastl advise` and `kerastl audit` take the same path for the same.
Nothing is decoded.
"""

from __future__ import annotations

import itertools
import math
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from kerastl.data import class_folders, multi_label_columns, no_runs, parquet_table, text_file, unpack
from kerastl.inputs import array_file
from kerastl.system import near_names

Format = Literal["table", "parquet", "arrays", "archive", "folder"]
"""``"table"``: of pictures or of sentences, see `holds_texts`. ``"arrays"``: NumPy or idx files. ``"folder"``: whatever
else a folder may be, one with a folder a class as a rule."""
TABLES = (*text_file.ENDINGS, ".txt")
"""Endings of tables; JSON lines are among them, and ``.txt``, which are of pictures."""


_LOOKED_AT, _WORDS = 50, 3
"""Rows by which a table of numbers is known, and most words that a category has."""


def format_of(path: Path) -> Format:
    """What there is at a path, told by names and, of an archive, by its bytes.

    A folder of parquet or array files is such a set unless it has folders with pictures inside: those are classes, and
    what lies beside them is not read.

    Raises:
        FileNotFoundError: there is nothing at the path.
        ValueError: a file of no kind that is known.
    """
    if not path.exists():
        raise FileNotFoundError(f"There is no file or folder {path}.")
    no_runs.refuse(path)
    files = list(path.iterdir()) if path.is_dir() else [path]
    if path.is_dir() and _has_classes(path):
        return "folder"
    if parquet_table.files(path):
        return "parquet"
    if any(map(array_file.is_array, files)):
        return "arrays"
    if path.is_dir():
        return "folder"
    if path.suffix.lower() in TABLES:
        return "table"
    if path.name.lower().endswith(unpack.ENDINGS) or zipfile.is_zipfile(path) or tarfile.is_tarfile(path):
        return "archive"
    raise ValueError(
        f"Wanted a table ({', '.join(TABLES)}), a .npz, .npy, idx or .parquet file, an archive (zip, tar), or a folder "
        f"of array files or with a folder of pictures a class. Received: {path}."
    )


def _has_classes(root: Path) -> bool:
    """Whether a picture lies in one of the folders, at any depth."""
    return any(class_folders.is_picture(file) for folder in class_folders.folders(root) for file in folder.rglob("*"))


def holds_numbers(table: Path, *, path_column: str, text_column: str) -> bool:
    """Whether a table is one of numbers and categories: it has no column of pictures or of sentences by their names,
    its first rows have numbers beyond 0 and 1, and no sentences.
    """
    header = text_file.columns(table) if table.suffix.lower() in text_file.ENDINGS else []
    if len(header) < 2 or {path_column, text_column} & set(header):
        return False
    try:
        rows = list(itertools.islice(text_file.read(table, columns=header), _LOOKED_AT))
    except ValueError:  # whoever reads it says what is wrong
        return False
    cells = [[value for value in column if value] for column in zip(*(row.values for row in rows), strict=True)]
    counted = any(column and all(map(_is_number, column)) and set(column) - {"0", "1"} for column in cells)
    return counted and not any(len(value.split()) > _WORDS for column in cells for value in column)


def _is_number(word: str) -> bool:
    try:
        return math.isfinite(float(word))
    except ValueError:
        return False


def check_numbers(table: Path, label_columns: Sequence[str], *, path_column: str, text_column: str) -> None:
    """Raises `ValueError` where nobody says what is to be known of a table of numbers and categories."""
    header = text_file.columns(table)
    lacking = [name for name in label_columns if name not in header]
    if lacking or not label_columns:
        hint = near_names.did_you_mean(lacking[0], header) if lacking else ""
        raise ValueError(
            f"Wanted sentences in a column {text_column!r}, pictures in {path_column!r}, or of numbers and categories "
            f"what is to be known, --label-columns NAME, for `kerastl run table_regressor`. Received: {table} with the "
            f"columns {', '.join(header)}{', and without ' + ', '.join(lacking) if lacking else ''}.{hint}"
        )


def holds_texts(table: Path, *, path_column: str, text_column: str) -> bool:
    """Whether a table is one of sentences: it has a column of them, or none of paths. JSON lines are always such."""
    ending = table.suffix.lower()
    if ending in text_file.JSON_LINES or ending not in text_file.ENDINGS:
        return ending in text_file.JSON_LINES
    names = text_file.columns(table)
    return text_column in names or path_column not in names


def check_label_options(kind: Format, label_options: multi_label_columns.Columns, *, where: str | Path) -> None:
    """Raises `ValueError` where several classes an example are asked for of what cannot say them so."""
    able = ("table", "parquet") if "label_columns" in label_options else ("table",)
    if label_options and kind not in able:
        raise ValueError(
            "Several classes an example are listed in a table. Separated labels are read from tables of pictures and "
            "of sentences, columns of 0 and 1 also from parquet files. Received: "
            f"{label_options} for {where}."
        )
