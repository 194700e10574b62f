"""What a path of one's own holds: a table, parquet, arrays, an archive, or a folder of pictures.

The one answer for whoever reads it: a recipe, `kerastl advise` and `kerastl audit` take the same path for the same.
Nothing is decoded.
"""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from kerastl.data import (
    class_folders,
    column_roles,
    multi_label_columns,
    no_runs,
    parquet_table,
    picture_places,
    unpack,
)
from kerastl.data.tables import files
from kerastl.data.tables.table import Layout, Table, TableError
from kerastl.inputs import array_file

Format = Literal["table", "parquet", "arrays", "archive", "folder"]
"""``"table"``: rows of pictures, of sentences or of numbers, see `kind_of_table`; also a folder or an archive of such.
``"parquet"``: of pictures or of arrays. ``"arrays"``: NumPy or idx files. ``"archive"``, ``"folder"``: whatever else
one may hold, pictures with a folder a class as a rule."""


_BESIDE = 100_000
"""Files that are looked at around a table."""


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
    inside = list(path.iterdir()) if path.is_dir() else [path]
    if path.is_dir() and _has_classes(path):
        return "folder"
    if parquets := parquet_table.files(path):
        return "table" if parquet_table.holds_table(parquets[0]) else "parquet"
    if any(map(array_file.is_array, inside)):
        return "arrays"
    if files.is_table(path) and not any(map(class_folders.is_picture, inside)):
        return "table"
    if path.is_dir():
        return "folder"
    if path.name.lower().endswith(unpack.ENDINGS) or zipfile.is_zipfile(path) or tarfile.is_tarfile(path):
        return "table" if files.is_packed_table(path) else "archive"
    raise ValueError(
        f"Wanted a table ({', '.join(files.endings())}), a .npz, .npy, idx or .parquet file, an archive (zip, tar), or "
        f"a folder of array files, of texts, or with a folder of pictures a class. Received: {path}."
    )


def _has_classes(root: Path) -> bool:
    """Whether a picture lies in one of the folders, at any depth."""
    return any(class_folders.is_picture(file) for folder in class_folders.folders(root) for file in folder.rglob("*"))


def kind_of_table(
    path: Path,
    asked: column_roles.Asked,
    layout: Layout = Layout(),  # noqa: B008  frozen
) -> column_roles.Kind:
    """What the rows of a table are, see `column_roles.kind_of`; of one that cannot be read, sentences.

    Words that name pictures beside the table, without their endings, are those pictures.
    """
    try:
        table = files.read(path, layout, wanted=asked.names)
        kind = column_roles.kind_of(table, asked)
    except ValueError:
        return "texts"
    if kind == "pictures" or not path.is_file() or asked.text in table.columns:
        return kind
    beside = picture_places.Places(str(path.absolute().parent), most_files=_BESIDE)
    words = any(column_roles.names_some(table.values(name), beside.has) for name in table.columns_once)
    return "pictures" if words else kind


def check_numbers(table: Table, label_columns: Sequence[str]) -> None:
    """Raises `ValueError` where nobody says what is to be known of a table of numbers and categories."""
    if not label_columns:
        raise ValueError(
            "Wanted sentences in a column 'text', pictures in 'path' (--text-column, --path-column), or of numbers and "
            "categories what is to be known, --label-columns NAME, for `kerastl run table_regressor`. Received: "
            f"{table.path} with the columns {', '.join(table.columns)}."
        )
    try:
        table.require(label_columns)
    except TableError as error:
        raise ValueError(f"{error} `kerastl run table_regressor` learns those of --label-columns NAME.") from error


def check_label_options(kind: Format, label_options: multi_label_columns.Columns, *, where: str | Path) -> None:
    """Raises `ValueError` where several classes an example are asked for of what cannot say them so."""
    able = ("table", "folder", "archive")  # of which the last two may hold a table
    able = (*able, "parquet") if "label_columns" in label_options else able
    if label_options and kind not in able:
        raise ValueError(
            "Several classes an example are listed in a table. Separated labels are read from tables of pictures and "
            "of sentences, columns of 0 and 1 also from parquet files. Received: "
            f"{label_options} for {where}."
        )
