"""The pictures at a path, listed and not decoded: in folders, in a table, or in an archive of either."""

from __future__ import annotations

import collections
from pathlib import Path
from typing import NamedTuple

from kerastl.data import (
    class_folders,
    class_order,
    column_roles,
    multi_label_columns,
    no_runs,
    picture_table,
    split_names,
    unpack,
)
from kerastl.data.tables import files
from kerastl.data.tables.table import Layout


class Columns(NamedTuple):
    """Names of a table's columns, see `image_folder.load`; ``None`` is not looked for."""

    path: str = "path"
    label: str = "label"
    split: str | None = "split"
    group: str | None = None


class Listing(NamedTuple):
    """What there is, before anything is decoded.

    Attributes:
        title: a name for the data set.
        rows: the pictures, with train, validation or test for their split.
        names: of the classes.
        root: folder that the pictures are told from.
        said: what was understood of how they lie, and what was left out, a sentence each.
        columns: of the table that they are listed in; ``None`` where they lie in folders.
        multi_label: whether a picture may have none or several classes.
        places: split and class of each folder of a class, also of those without a picture.
    """

    title: str
    rows: list[picture_table.Row]
    names: set[str]
    root: Path
    said: tuple[str, ...] = ()
    columns: Columns | None = None
    multi_label: bool = False
    places: frozenset[tuple[str, str]] = frozenset()


def listed(
    path: Path,
    *,
    table: str | None = None,
    columns: Columns = Columns(),  # noqa: B008  frozen
    root: str | Path | None = None,
    label_options: multi_label_columns.Columns | None = None,
    layout: Layout = Layout(),  # noqa: B008  frozen
) -> Listing:
    """The pictures at a path, of which none is decoded.

    Arguments and errors as for `image_folder.load`; ``label_options`` is one of ``label_separator`` and
    ``label_columns``.
    """
    label_options = label_options or {}
    if not path.exists():
        raise FileNotFoundError(f"There is no folder of pictures {path}, and no table or archive of them.")
    no_runs.refuse(path)
    title, folder = path.resolve().name, path
    if path.is_file() and files.is_table(path):
        title, table, folder = path.resolve().stem, path.name, path.parent
    elif path.is_file():
        title, folder = path.resolve().name.split(".")[0], unpack.in_workspace(path)
    table = table or _table_inside(folder)
    if table is not None:
        return _listed_in_table(
            title, folder / table, columns=columns, root=root, label_options=label_options, layout=layout
        )
    if columns.group is not None:
        raise ValueError(f"Groups are a column of a table. Received: group_column={columns.group!r} for {path}.")
    if label_options:
        raise ValueError(
            "Pictures of several classes are listed in a table: a folder is one class. Received: "
            f"{label_options} for {path}."
        )
    found = class_folders.read(folder, classes_at=layout.classes_at)
    counts = collections.Counter(dict.fromkeys((name for _, name in found.places), 0))
    counts.update(one.label for one in found.examples)
    merged = class_order.settled(counts, layout.class_case)
    rows = [picture_table.Row(str(one.file), merged[one.label], one.split, None, 0) for one in found.examples]
    places = frozenset((split, merged[name]) for split, name in found.places)
    return Listing(title, rows, set(merged.values()), folder, found.said, places=places)


def _table_inside(folder: Path) -> str | None:
    """The table of a folder whose pictures lie in no folders of classes; ``None`` where it has none, or classes.

    Raises:
        ValueError: there are several, of which none is called train.
    """
    tables = [file for file in sorted(folder.iterdir()) if file.is_file() and files.is_table(file)]
    if not tables:
        return None
    holding = [inner for inner in class_folders.folders(folder) if any(map(class_folders.is_picture, inner.rglob("*")))]
    loose = any(class_folders.is_picture(file) for file in folder.iterdir())
    nested = any(
        class_folders.is_picture(file)
        for top in holding
        for inner in class_folders.folders(top)
        for file in inner.rglob("*")
    )
    flat = loose or len(holding) < 2 or all(split_names.of(inner.name) for inner in holding)
    if nested or not flat:
        return None
    train = [file for file in tables if split_names.of(file.stem) == "train"]
    if len(tables) > 1 and len(train) != 1:
        raise ValueError(
            f"Wanted one table of pictures. Received: {', '.join(file.name for file in tables[:10])} in {folder}: "
            f"--table {tables[0].name} reads one of them."
        )
    return (train or tables)[0].name


def _listed_in_table(
    title: str,
    file: Path,
    *,
    columns: Columns,
    root: str | Path | None,
    label_options: multi_label_columns.Columns,
    layout: Layout,
) -> Listing:
    if not file.is_file():
        raise FileNotFoundError(f"There is no table {file.name} in {file.parent}.")
    flags = label_options.get("label_columns", [])
    asked = column_roles.Asked(
        path=columns.path,
        label=columns.label,
        split=columns.split,
        label_columns=tuple(flags),
        label_separator=label_options.get("label_separator"),
    )
    found = picture_table.read(
        file, asked, group_column=columns.group, root=None if root is None else Path(root), layout=layout
    )
    rows = [row._replace(split=row.split or "train") for row in found.rows]
    if all(row.split != "train" for row in rows):
        raise ValueError(f"Wanted pictures to train on. Received: none of split train in {file}.")
    names = (
        {label for row in rows for label in row.labels}.union(flags)
        if found.multi_label
        else {row.label for row in rows}
    )
    known = Columns(found.roles.example, found.roles.label or columns.label, found.roles.split, columns.group)
    return Listing(
        title, rows, names, file.parent if root is None else Path(root), found.said, known, found.multi_label
    )
