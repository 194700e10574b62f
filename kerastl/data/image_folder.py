"""Pictures of one's own: a folder a class, a table of paths and labels, or an archive of either.

Folders stand as ``CLASS/PICTURE``, or in ``train``, ``validation`` and ``test`` as ``train/CLASS/PICTURE``. Every
picture is decoded before anything is trained. What cannot be is listed with its reason: all of it at once. Sets that
are too large for memory are streamed.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from kerastl import types
from kerastl.data import (
    class_order,
    decoding,
    enough,
    left_out,
    multi_label_columns,
    picture_listing,
    picture_table,
    splits,
    strata,
)
from kerastl.data.picture_listing import Columns
from kerastl.data.tables.table import Layout, stored
from kerastl.inputs.image import Image
from kerastl.tasks.multi_label import MultiLabel
from kerastl.tasks.single_label import SingleLabel


def load(
    path: str | Path,
    *,
    size: Sequence[int] = (224, 224),
    channels: int = 3,
    policy: str = "fail",
    validation: int | float = 0.15,
    test: int | float = 0.15,
    seed: int = 0,
    limit: int | None = None,
    class_names: Sequence[str] | None = None,
    table: str | None = None,
    path_column: str = "path",
    label_column: str = "label",
    split_column: str | None = "split",
    group_column: str | None = None,
    label_separator: str | None = None,
    label_columns: Sequence[str] = (),
    root: str | Path | None = None,
    in_memory: int = 256_000_000,
    cache_bytes: int | None = None,
    layout: Layout | Mapping[str, str] = Layout(),  # noqa: B008  frozen
) -> types.Dataset:
    """Pictures in three splits.

    Args:
        path: a folder, see `class_folders.read`; a table, see `picture_table.read`; or a zip or tar file, which is
            unpacked into the cache once, see `unpack.unpack`. A folder without classes is read by the table inside.
        size: height and width that every picture is brought to.
        channels: 3 for colour, 1 for grey.
        policy: what becomes of pictures that cannot be read: ``"fail"`` raises and lists them all, ``"skip"`` lists
            them on stderr and leaves them out.
        validation, test: how many pictures (int), or what share (float), where there is no such split yet. Copies of a
            picture, bit for bit after decoding, are left out first, so that none stands in two of them.
        seed: decides which pictures validate and test, and the order.
        limit: keeps so many training pictures, see `splits.dataset`.
        class_names: the order of the classes, where it must be one that is known already; by default names in natural
            order: 1, 2, 10.
        table: a table inside of the folder or archive, which is read instead of its folders.
        path_column, label_column: names of a table's columns. Where there is no such column it is found by what it
            holds, which is said, see `column_roles.find`.
        split_column: says where a picture stands (train, validation, test); ``"split"`` may be absent, ``None`` is not
            looked for.
        group_column: pictures of one group (a patient, a video) stand in one split, see `splits.grouped`.
        label_separator: stands between the classes of a picture, ``"|"`` for example, in a table of pictures that may
            have none (an empty field), one or several of them.
        label_columns: instead of ``label_column`` the names of the classes, each a column of 0 and 1, where a picture
            may have none, one or several of them.
        root: folder that a table's paths start from and stay in; by default its own.
        in_memory: bytes of decoded pixels up to which a split's inputs are an array; beyond, they are streamed.
        cache_bytes: that the pixels of streamed sets may take on disk, see `decoding.decode_all`.
        layout: how a table is written, and which folders are classes, where somebody knows it.

    Returns:
        Inputs uint8 ``(examples, *size, channels)``, an array or `streamed.Pictures`; labels int32 ``(examples,)``, or
        where a picture may have several classes uint8 ``(examples, classes)`` of 0 and 1.

    Raises:
        FileNotFoundError: there is nothing at the path.
        ValueError: unreadable pictures under ``"fail"``; a class without pictures, or with too few for all splits; one
            picture in two classes; a group in two splits; classes that are not the ``class_names`` given; a table or an
            archive that is not taken; or no such split can be made.
    """
    height, width = size
    reading = _Reading(
        (int(height), int(width), channels),
        splits.skips(policy),
        Columns(path_column, label_column, split_column, group_column),
        multi_label_columns.columns_or_separator(label_separator, label_columns),
        table,
        root,
        in_memory,
        cache_bytes,
        stored(layout),
    )
    return _loaded(path, reading, class_names=class_names, validation=validation, test=test, seed=seed, limit=limit)


@dataclasses.dataclass(frozen=True)
class _Reading:
    """How pictures are found and read, see `load`.

    Attributes:
        size: height, width and channels.
        columns: names of a table's.
        label_options: of a table whose pictures may have several classes.
    """

    size: tuple[int, int, int]
    skip: bool
    columns: Columns
    label_options: multi_label_columns.Columns
    table: str | None
    root: str | Path | None
    in_memory: int
    cache_bytes: int | None
    layout: Layout

    def arguments(
        self, path: str | Path, columns: Columns | None, *, test: int | float, names: Sequence[str]
    ) -> dict[str, object]:
        """The arguments of `load` that read the same pictures again, by the columns of the table that lists them."""
        height, width, channels = self.size
        again: dict[str, object] = {"path": os.path.abspath(path), "size": [height, width], "channels": channels}
        again |= {
            "policy": "skip" if self.skip else "fail",
            "test": test,
            "class_names": list(names),
            "in_memory": self.in_memory,
        }
        if columns is not None:
            again |= {f"{what}_column": name for what, name in columns._asdict().items()} | {"table": self.table}
            again |= {"root": None if self.root is None else os.path.abspath(self.root), **self.label_options}
        again |= {"layout": changed} if (changed := self.layout.changed()) else {}
        return again


def _loaded(
    path: str | Path,
    reading: _Reading,
    *,
    class_names: Sequence[str] | None,
    validation: int | float,
    test: int | float,
    seed: int,
    limit: int | None,
) -> types.Dataset:
    """`load`, its options taken together."""
    listing = picture_listing.listed(
        Path(path),
        table=reading.table,
        columns=reading.columns,
        root=reading.root,
        label_options=reading.label_options,
        layout=reading.layout,
    )
    listing.require()
    left_out.tell(listing.said)
    rows = listing.rows
    names = _class_names(listing.names, wanted=class_names, where=path)
    task = types.Task(listing.title, Image(reading.size), (MultiLabel if listing.multi_label else SingleLabel)(names))
    height, width, channels = reading.size
    decoded = decoding.decode_all(
        [row.path for row in rows],
        size=(height, width),
        channels=channels,
        in_memory=reading.in_memory,
        cache_bytes=reading.cache_bytes,
    )
    problems = [*listing.unusable, *(f"{rows[index].path}: {why}" for index, why in decoded.problems.items())]
    left_out.refuse_or_tell(problems, skip=reading.skip, what="picture", where=path)
    if listing.multi_label:
        labels = multi_label_columns.indicators([row.labels for row in rows], names)
    else:
        labels = class_order.indices([row.label for row in rows], names)
    groups = None if reading.columns.group is None else np.array([row.group for row in rows])
    origins = np.array([Path(os.path.relpath(row.path, listing.root)).as_posix() for row in rows], object)
    everything = types.Split("all", decoded.inputs, labels, task, origins)
    places = _places(everything, rows, decoded, groups=groups, test=test, seed=seed)
    arrays: dict[str, splits.Values] = {}
    for name, where in places.items():
        part = everything.subset(where)
        arrays |= {f"{name}_inputs": part.inputs, f"{name}_labels": part.labels, f"{name}_origins": origins[where]}
    return splits.dataset(
        task,
        arrays,
        seed=seed,
        validation=validation,
        limit=limit,
        source="image_folder",
        arguments=reading.arguments(path, listing.columns, test=test, names=names),
        groups=None if groups is None else groups[places["train"]],
    )


def _places(
    everything: types.Split,
    rows: Sequence[picture_table.Row],
    decoded: decoding.Decoded,
    *,
    groups: np.ndarray | None,
    test: int | float,
    seed: int,
) -> dict[str, np.ndarray]:
    """Split -> indices of its pictures: those that the rows say, without copies, and a test split where there is none.

    Raises:
        ValueError: a class, or a group, cannot stand where it has to.
    """
    names, kept = everything.task.target.names, splits.strata_of(everything)
    places = {
        name: np.array(
            [index for index, row in enumerate(rows) if row.split == name and index not in decoded.problems], int
        )
        for name in splits.WORDS
        if name == "train" or any(row.split == name for row in rows)
    }
    _refuse_empty_classes({name: kept[where] for name, where in places.items()}, names)
    places["train"] = _without_copies(places["train"], decoded.digests, kept, rows)
    if groups is not None:
        _refuse_torn_groups(places, groups)
    missing = [name for name in ("test", "validation") if name not in places]
    enough.require_of_each(
        kept[places["train"]],
        names,
        missing=missing,
        what="pictures" if groups is None else "groups",
        units=None if groups is None else groups[places["train"]],
    )
    if "test" in missing:
        whole = places["train"]
        left, taken = (
            splits.divided(kept[whole], validation=test, seed=seed, leave=len(missing))
            if groups is None
            else splits.grouped(kept[whole], groups[whole], validation=test, seed=seed, leave=len(missing))
        )
        places["train"], places["test"] = whole[left], whole[taken]
    return places


def _class_names(found: set[str], *, wanted: Sequence[str] | None, where: str | Path) -> tuple[str, ...]:
    names = sorted(found, key=class_order.natural)
    class_order.check(names, wanted, what="classes")
    enough.require_two(names, where=f"{where} (a folder, or a label of a table, is a class)")
    return tuple(wanted or names)


def _refuse_empty_classes(labels_of: Mapping[str, np.ndarray], names: Sequence[str]) -> None:
    for split, labels in labels_of.items():
        counts = strata.counts(labels, classes=len(names))
        empty = [name for name, count in zip(names, counts, strict=True) if not count]
        if empty:
            raise ValueError(f"Every class needs pictures in {split}. Received: none that can be read of {empty}.")


def _without_copies(
    where: np.ndarray, digests: np.ndarray, labels: np.ndarray, rows: Sequence[picture_table.Row]
) -> np.ndarray:
    """The first of equal pictures. Raises `ValueError` for one that stands in two classes."""
    first: dict[bytes, int] = {}
    kept = []
    for index in where.tolist():
        earlier = first.setdefault(digests[index].tobytes(), index)
        if earlier == index:
            kept.append(index)
        elif np.any(labels[earlier] != labels[index]):
            one, other = rows[earlier], rows[index]
            rule = "one class" if labels.ndim == 1 else "the same classes wherever it stands"
            raise ValueError(
                f"A picture belongs to {rule}. Received: the same one in {one.label!r} and {other.label!r}: "
                f"{one.path} and {other.path}; `kerastl audit` finds all of them."
            )
    return np.array(kept, int)


def _refuse_torn_groups(places: Mapping[str, np.ndarray], groups: np.ndarray) -> None:
    stands: dict[str, str] = {}
    for split, where in places.items():
        for group in np.unique(groups[where]).tolist():
            if stands.setdefault(group, split) != split:
                raise ValueError(f"A group stands in one split. Received: {group!r} in {stands[group]} and {split}.")
