"""The pictures at a path, listed and not decoded: in folders, in tables, in exports of labelling tools, or packed."""

from __future__ import annotations

import collections
import dataclasses
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from kerastl.data import (
    class_folders,
    class_mismatch,
    class_order,
    column_roles,
    enough,
    multi_label_columns,
    no_runs,
    picture_places,
    picture_table,
    split_names,
    unpack,
)
from kerastl.data.annotations import exports
from kerastl.data.tables import files
from kerastl.data.tables.table import Layout
from kerastl.system import phrases

_PART = re.compile(r"(?:.*[_ -])?(?:part|images?|img|batch|chunk|shard|fold)[_ -]?\d+", re.IGNORECASE)
"""Folders of pictures that were too many for one: ``images_001``, ``HAM10000_images_part_2``."""
_LOOKED_AT = 5_000  # rows by which a table beside folders is judged


class Columns(NamedTuple):
    """Names of a table's columns, see `image_folder.load`; ``None`` is not looked for."""

    path: str = "path"
    label: str = "label"
    split: str | None = "split"
    group: str | None = None


@dataclasses.dataclass(frozen=True)
class Listing:
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
        unusable: annotations without their pictures, and others that cannot be used, each with its reason.
        problems: why nothing of it can be used as it is, a sentence each, with the flags that help.
    """

    title: str
    rows: list[picture_table.Row]
    names: set[str]
    root: Path
    said: tuple[str, ...] = ()
    columns: Columns | None = None
    multi_label: bool = False
    places: frozenset[tuple[str, str]] = frozenset()
    unusable: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    def require(self) -> None:
        """Raises `ValueError` for all problems at once."""
        if self.problems:
            raise ValueError("\n".join(self.problems))


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
    ``label_columns``. What is wrong with classes and can be put right by a flag is among the problems.
    """
    if not path.exists():
        raise FileNotFoundError(f"There is no folder of pictures {path}, and no table or archive of them.")
    no_runs.refuse(path)
    title, folder = path.resolve().name, path
    if path.is_file() and files.is_table(path):
        title, table, folder = path.resolve().stem, path.name, path.parent
    elif path.is_file():
        title, folder = path.resolve().name.split(".")[0], unpack.in_workspace(path)
    of_table = _Tables(title, columns, root, label_options or {}, layout)
    found = of_table.read(folder / table) if table else None
    if found is None and layout.classes_at != "name" and not of_table.asked:
        found = _exported(title, folder)
    if found is None and layout.classes_at != "name":
        inside = _table_inside(folder)
        found = of_table.read_inside(folder, inside) if inside else of_table.read_each(folder)
    if found is None:
        of_table.refuse_folders(path)
        found = _in_folders(title, folder, layout)
        found = dataclasses.replace(found, said=(*found.said, *_unread(folder, found, layout)))
    return _settled(found, layout)


def _unread(folder: Path, found: Listing, layout: Layout) -> tuple[str, ...]:
    """What is said of tables beside folders of classes, which are not read.

    Raises:
        ValueError: one of them gives the pictures other classes, and nobody says which are meant.
    """
    tables = tables_in(folder)
    for file in tables if layout.classes_at == "auto" else ():
        places = picture_places.Places(str(folder.absolute()))
        try:
            table = files.read(file, layout)
            roles = column_roles.find(table, kind="pictures", is_picture=places.has)
        except ValueError:  # it says nothing of pictures
            continue
        labels = (
            {one for one in table.values(roles.label)[:_LOOKED_AT] if isinstance(one, str)} if roles.label else set()
        )
        named = column_roles.names_some(table.values(roles.example), places.has)
        if named and labels - found.names and len(table.rows) >= len(found.rows) / 2:
            raise ValueError(
                "Wanted one word for the class of a picture. Received: the folders "
                f"{', '.join(sorted(found.names)[:5])} and {file.name} with {', '.join(sorted(labels)[:5])} under "
                f"{roles.label!r}, in {folder}: --table "
                f"{file.name} reads the table, --classes-at leaf takes the folders."
            )
    if not tables:
        return ()
    names = ", ".join(file.name for file in tables[:5]) + (" ..." if len(tables) > 5 else "")
    are = "is" if len(tables) == 1 else "are"
    return (
        f"{names} {are} not read, for pictures lie in folders of classes; --table {tables[0].name} reads it instead",
    )


def _settled(found: Listing, layout: Layout) -> Listing:
    """The same with classes that every split has, or what is wrong with them."""
    settled = class_mismatch.settle(found.rows, found.names, how=layout.class_mismatch)
    problems = settled.problems
    if len(settled.names) < 2 and not found.multi_label:
        here = enough.one_class(repr(next(iter(settled.names)))) if settled.names else "no class"
        problems = (f"Wanted labels of two classes at least. Received: {here}, in {found.root}.{_hint(found)}",)
    places = frozenset(place for place in found.places if place[1] in settled.names)
    return dataclasses.replace(
        found,
        rows=settled.rows,
        names=settled.names,
        said=(*found.said, *settled.said),
        places=places,
        problems=problems,
    )


def _hint(found: Listing) -> str:
    """What else may say the classes of pictures in no folders of such."""
    if found.columns is not None:
        return " --label-column NAME takes another column for their classes."
    pictures = [file for file in class_folders.files(found.root) if class_folders.is_picture(file)]
    counts = collections.Counter(class_folders.class_in_name(file.stem) for file in pictures)
    some = [str(name) for name in counts if name is not None]
    if pictures and 2 <= len(some) <= len(pictures) / 2 and counts[None] <= len(pictures) / 2:
        shown = ", ".join(some[:5]) + (" ..." if len(some) > 5 else "")
        return f" The files' names begin with {shown}: --classes-at name takes these for classes."
    if not pictures:
        return " No file in it is a picture by its name, one that ends in .jpg or .png say." + instead(found.root)
    if all(file.parent == found.root for file in pictures):
        loose = "the picture in it lies" if len(pictures) == 1 else f"all {len(pictures):,} pictures in it lie"
        return (
            f" A folder is a class, and {loose} in none: give each class a folder of its own, named after it. Where a "
            "table names each picture and its class: --table NAME."
        )
    return (
        " A folder is a class. Where a table names each picture and its class it is given itself, --data TABLE, or by "
        "--table NAME where it lies inside the folder."
    )


_RECORDS = {".tfrecord": "TensorFlow records", ".tfrecords": "TensorFlow records", ".lmdb": "an LMDB", ".mat": "MATLAB"}


def instead(root: Path) -> str:
    """What else lies in a folder without pictures, and what becomes of it."""
    endings = collections.Counter(file.suffix.lower() for file in class_folders.files(root) if file.is_file())
    packed = [file.name for file in class_folders.files(root) if file.name.lower().endswith(unpack.ENDINGS)]
    if packed:
        shown = ", ".join(sorted(packed)[:3]) + (" ..." if len(packed) > 3 else "")
        return f" It holds {shown}: unpack each into a folder named after its class; one archive alone is given itself."
    for ending, what in _RECORDS.items():
        if any(one.startswith(ending) for one in endings):
            return f" It holds {what} ({ending}), not read: --data tfds:NAME for a set of TensorFlow Datasets."
    if endings:
        (ending, count), *_ = endings.most_common(1)
        return f" {count:,} of its files end in {ending!r}." if ending else f" {count:,} of its files have no ending."
    return ""


def _in_folders(title: str, folder: Path, layout: Layout) -> Listing:
    found = class_folders.read(folder, classes_at=layout.classes_at)
    counts = collections.Counter(dict.fromkeys((name for _, name in found.places), 0))
    counts.update(one.label for one in found.examples)
    merged = class_order.settled(counts, layout.class_case)
    rows = [picture_table.Row(str(one.file), merged[one.label], one.split, None, 0) for one in found.examples]
    places = frozenset((split, merged[name]) for split, name in found.places)
    return Listing(title, rows, set(merged.values()), folder, found.said, places=places)


def _exported(title: str, folder: Path) -> Listing | None:
    """The pictures of an export of a labelling tool; ``None`` where the folder is none."""
    found = exports.read(folder)
    if found is None:
        return None
    rows = [
        picture_table.Row(str(one.file), ", ".join(one.labels), one.split or "train", None, 0, one.labels)
        for one in found.examples
    ]
    what = f"annotations of {found.title}: a picture's classes are those of the boxes and shapes in it"
    rows, several, said = picture_table.simplified(rows)
    names = {name for row in rows for name in row.labels or (row.label,)} - {""}
    said = (what, *found.said, *said)
    return Listing(title, rows, names, folder, said, multi_label=several, unusable=found.problems)


def _table_inside(folder: Path) -> str | None:
    """The table of a folder whose pictures lie in no folders of classes; ``None`` where it has none, or classes.

    Raises:
        ValueError: there are several, of which none is called train.
    """
    tables = tables_in(folder)
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
    parts = len(holding) > 1 and all(_PART.fullmatch(inner.name) for inner in holding)
    flat = loose or len(holding) < 2 or parts or all(split_names.of(inner.name) for inner in holding)
    if (nested and not parts) or not flat:
        return None
    train = [file for file in tables if split_names.of(file.stem) == "train"]
    if len(tables) > 1 and len(train) != 1:
        raise ValueError(
            f"Wanted one table of pictures. Received: {', '.join(file.name for file in tables[:10])} in {folder}: "
            f"--table {tables[0].name} reads one of them."
        )
    return (train or tables)[0].name


def tables_in(folder: Path) -> list[Path]:
    """The tables in a folder, without what tells of the data set."""
    some = [file for file in sorted(folder.iterdir()) if file.is_file() and not file.name.startswith(".")]
    return [file for file in some if files.is_table(file) and not class_folders.is_notice(file)]


class _Tables(NamedTuple):
    """How tables of pictures are read, see `listed`."""

    title: str
    columns: Columns
    root: str | Path | None
    label_options: multi_label_columns.Columns
    layout: Layout

    @property
    def asked(self) -> bool:
        """Whether somebody names columns or a root, which only tables have."""
        return self.columns != Columns() or self.root is not None or bool(self.label_options)

    def refuse_folders(self, path: Path) -> None:
        """Raises `ValueError` where something is asked for that no folders of classes have."""
        if self.columns.group is not None:
            raise ValueError(
                f"Groups are a column of a table. Received: group_column={self.columns.group!r} for {path}."
            )
        if self.label_options:
            raise ValueError(
                "Pictures of several classes are listed in a table: a folder is one class. Received: "
                f"{self.label_options} for {path}."
            )

    def read(self, file: Path, *, of: str = "train") -> Listing:
        """The pictures of one table, which are of a split where it does not say so itself."""
        root = None if self.root is None else Path(self.root)
        found, said = self._rows(file, root), ()
        if root is None and not any(os.path.lexists(row.path) for row in found.rows):
            if (archive := _archive_beside(file)) is not None:
                root = unpack.in_workspace(archive)
                found, said = self._rows(file, root), (f"pictures lie in {archive.name}, which is unpacked for them",)
            if not any(os.path.lexists(row.path) for row in found.rows):
                raise ValueError(
                    f"Wanted a table whose pictures are there. Received: {file}, none of whose "
                    f"{phrases.counted(len(found.rows), 'picture is', 'pictures are')}, {found.rows[0].path} say: "
                    "--root FOLDER says where they lie."
                )
        return self._listing([(of, found)], root or file.parent, said, needed=of == "train")

    def read_inside(self, folder: Path, name: str) -> Listing:
        """The pictures of a table inside of a folder, and of those that are called by the other splits."""
        whole = self.read(folder / name)
        others = [file for file in tables_in(folder) if split_names.of(file.stem) not in ("train", None)]
        if split_names.of(Path(name).stem) != "train" or any(row.split != "train" for row in whole.rows):
            others = []
        parts, said = [], []
        for file in others:
            try:
                parts.append(self.read(file, of="test"))
            except ValueError as error:  # Kaggle's have no labels
                said.append(f"{file.name} is left out: {str(error).splitlines()[0]}")
                continue
            split = split_names.of(file.stem)
            parts[-1] = dataclasses.replace(parts[-1], rows=[row._replace(split=split) for row in parts[-1].rows])
            said.append(f"{file.name} is read for {split}")
        if any(part.multi_label != whole.multi_label for part in parts):
            raise ValueError(
                f"Wanted tables alike. Received: one class a picture in some of {folder}, several in others."
            )
        return dataclasses.replace(
            whole,
            rows=[*whole.rows, *(row for part in parts for row in part.rows)],
            names=whole.names.union(*(part.names for part in parts)),
            said=(*whole.said, *said),
        )

    def read_each(self, folder: Path) -> Listing | None:
        """The pictures of folders that are splits, each with a table of its own; ``None`` where they are none."""
        root = unpack.strip_single_folders(folder)
        found = []
        for top in sorted(class_folders.folders(root)):
            tables = tables_in(top)
            if (split := split_names.of(top.name)) and len(tables) == 1 and _flat(top):
                found.append((split, self._rows(tables[0], top)))
        if "train" not in {split for split, _ in found}:
            return None
        return self._listing(found, root, [f"{split}: a table of its own" for split, _ in found])

    def _rows(self, file: Path, root: Path | None) -> picture_table.Rows:
        if not file.is_file():
            raise FileNotFoundError(f"There is no table {file.name} in {file.parent}.")
        asked = column_roles.Asked(
            path=self.columns.path,
            label=self.columns.label,
            split=self.columns.split,
            label_columns=tuple(self.label_options.get("label_columns", [])),
            label_separator=self.label_options.get("label_separator"),
        )
        return picture_table.read(file, asked, group_column=self.columns.group, root=root, layout=self.layout)

    def _listing(
        self, found: Sequence[tuple[str, picture_table.Rows]], root: Path, said: Sequence[str], *, needed: bool = True
    ) -> Listing:
        """One listing of the tables of some splits, or of one that may say itself which they are."""
        several = any(rows.multi_label for _, rows in found)
        rows = [
            row._replace(
                split=row.split or split,
                labels=row.labels or ((row.label,) if several and row.label else ()),
            )
            for split, some in found
            for row in some.rows
        ]
        if needed and all(row.split != "train" for row in rows):
            raise ValueError(f"Wanted pictures to train on. Received: none of split train in {root}.")
        said = [*said, *dict.fromkeys(one for _, some in found for one in some.said)]
        if several and not self.label_options and all(some.by_box for _, some in found):
            rows, several, more = picture_table.simplified(rows)
            said += more
        flags = self.label_options.get("label_columns", [])
        names = {name for row in rows for name in row.labels}.union(flags) if several else {row.label for row in rows}
        roles = found[0][1].roles
        known = Columns(roles.example, roles.label or self.columns.label, roles.split, self.columns.group)
        return Listing(self.title, rows, names, root, tuple(said), known, several)


def _flat(folder: Path) -> bool:
    """Whether pictures lie in a folder, or in one alone inside that is called as folders of pictures are."""
    inner = [one for one in class_folders.folders(folder) if any(map(class_folders.is_picture, one.rglob("*")))]
    return all(one.name.lower() in class_folders.PICTURES for one in inner)


def _archive_beside(file: Path) -> Path | None:
    """The one archive in the folder of a table, ``None`` where there is none or there are several."""
    some = [one for one in file.parent.iterdir() if one.is_file() and one.name.lower().endswith(unpack.ENDINGS[:6])]
    some = [one for one in some if one != file and not files.is_table(one)]
    return some[0] if len(some) == 1 else None
