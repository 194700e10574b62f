"""Pictures of one's own: a folder a class, a table of paths and labels, or an archive of either.

Folders stand as ``CLASS/PICTURE``, or in ``train``, ``validation`` and ``test`` as ``train/CLASS/PICTURE``. Every
picture is decoded before anything is trained. What cannot be is listed with its reason: all of it at once. Sets that
are too large for memory are streamed.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from kerastl import types
from kerastl.data import decoding, multi_label_sets, picture_table, splits, unpack
from kerastl.inputs import pictures
from kerastl.system import downloads

_TABLES = (".csv", ".tsv", ".txt")
_COLUMNS = {"path": "path", "label": "label", "split": "split", "group": None}


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
) -> types.Dataset:
    """Pictures in three splits.

    Args:
        path: a folder; a table (``.csv``, ``.tsv``), see `picture_table.read`; or a zip or tar file, which is unpacked
            into the cache once, see `unpack.unpack`.
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
        path_column, label_column: names of a table's columns.
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

    Returns:
        Inputs uint8 ``(examples, *size, channels)``, an array or `streamed.Pictures`; labels int32 ``(examples,)``, or
        where a picture may have several classes uint8 ``(examples, classes)`` of 0 and 1.

    Raises:
        FileNotFoundError: there is nothing at the path.
        ValueError: unreadable pictures under ``"fail"``; a class without pictures, or with too few for all splits; one
            picture in two classes; a group in two splits; classes that are not the ``class_names`` given; a table or an
            archive that is not taken; or no such split can be made.
    """
    if policy not in ("fail", "skip"):
        raise ValueError(f"policy is 'fail' or 'skip'. Received: {policy!r}.")
    columns = {"path": path_column, "label": label_column, "split": split_column, "group": group_column}
    label_options = multi_label_sets.columns_or_separator(label_separator, label_columns)
    title, rows, names = listed(Path(path), table=table, columns=columns, root=root, label_options=label_options)
    names = _class_names(names, wanted=class_names, where=path)
    task = types.Task(title, names, (*(int(side) for side in size), channels), multi_label=bool(label_options))
    looked = decoding.decode_all(
        [row.path for row in rows],
        size=(task.input_shape[0], task.input_shape[1]),
        channels=channels,
        in_memory=in_memory,
        cache_bytes=cache_bytes,
    )
    _judge(looked.problems, rows, policy=policy, where=path)
    number = {name: index for index, name in enumerate(names)}
    if label_options:
        labels = np.zeros((len(rows), len(names)), np.uint8)
        for index, row in enumerate(rows):
            labels[index, [number[label] for label in row.labels]] = 1
    else:
        labels = np.array([number[row.label] for row in rows], np.int32)
    groups = None if group_column is None else np.array([row.group for row in rows])
    places = {
        name: np.array(
            [index for index, row in enumerate(rows) if row.split == name and index not in looked.problems], int
        )
        for name in splits.WORDS
        if name == "train" or any(row.split == name for row in rows)
    }
    _refuse_empty_classes({name: labels[where] for name, where in places.items()}, names)
    places["train"] = _without_copies(places["train"], looked.digests, labels, rows)
    if groups is not None:
        _refuse_torn_groups(places, groups)
    missing = [name for name in ("test", "validation") if name not in places]
    units = groups if groups is not None else np.arange(len(rows))
    _refuse_small_classes(labels[places["train"]], units[places["train"]], names, missing, grouped=groups is not None)
    if "test" in missing:
        whole = places["train"]
        if groups is not None:
            kept, taken = splits.grouped(labels[whole], groups[whole], validation=test, seed=seed, leave=len(missing))
        elif label_options:
            kept, taken = splits.iterative_stratification(labels[whole], validation=test, seed=seed, leave=len(missing))
        else:
            kept, taken = splits.stratified(labels[whole], validation=test, seed=seed)
        places["train"], places["test"] = whole[kept], whole[taken]
    everything = types.Split("all", looked.inputs, labels)
    parts = {name: everything.subset(where) for name, where in places.items()}
    arrays = {f"{name}_{what}": getattr(part, what) for name, part in parts.items() for what in ("inputs", "labels")}
    arguments = {"path": os.path.abspath(path), "size": list(task.input_shape[:2]), "channels": channels}
    arguments |= {"policy": policy, "test": test, "class_names": list(names), "in_memory": in_memory}
    if table is not None or Path(path).suffix.lower() in _TABLES:
        arguments |= {f"{what}_column": name for what, name in columns.items()}
        arguments |= {"table": table, "root": None if root is None else os.path.abspath(root)} | label_options
    return splits.dataset(
        task,
        arrays,
        seed=seed,
        validation=validation,
        limit=limit,
        source="image_folder",
        arguments=arguments,
        groups=None if groups is None else groups[places["train"]],
    )


def natural(name: str) -> tuple:
    """A key that sorts ``"2"`` before ``"10"``, the same in every locale."""
    pieces = re.split(r"([0-9]+)", name)
    return tuple((int(piece), "") if index % 2 else (-1, piece) for index, piece in enumerate(pieces)), name


def listed(
    path: Path,
    *,
    table: str | None = None,
    columns: Mapping[str, Any] = _COLUMNS,
    root: str | Path | None = None,
    label_options: Mapping[str, Any] = MappingProxyType({}),
) -> tuple[str, list[picture_table.Row], set[str]]:
    """A title, the pictures with train, validation or test for their split, and the names of the classes.

    Nothing is decoded. Arguments and errors as for `load`; ``columns`` are the names of a table's,
    ``label_options`` is one of ``label_separator`` and ``label_columns``.
    """
    if not path.exists():
        raise FileNotFoundError(f"There is no folder of pictures {path}, and no table or archive of them.")
    title, folder = path.resolve().name, path
    if path.is_file() and path.suffix.lower() in _TABLES:
        title, table, folder = path.resolve().stem, path.name, path.parent
    elif path.is_file():
        title, folder = path.resolve().name.split(".")[0], _unpacked(path)
    if table is None:
        if columns["group"] is not None:
            raise ValueError(f"Groups are a column of a table. Received: group_column={columns['group']!r} for {path}.")
        if label_options:
            raise ValueError(
                "Pictures of several classes are listed in a table: a folder is one class. "
                f"Received: {label_options} for {path}."
            )
        parts = _parts(folder)
        rows = [row for split, part in parts.items() for row in _listed(part, split)]
        return title, rows, {inner.name for part in parts.values() for inner in folders(part)}
    file = folder / table
    if not file.is_file():
        raise FileNotFoundError(f"There is no table {table} in {folder}.")
    known = picture_table.columns_of(file, [columns["path"], *label_options.get("label_columns", [columns["label"]])])
    split_column = None if columns["split"] == "split" and "split" not in known else columns["split"]
    rows = picture_table.read(
        file,
        path_column=columns["path"],
        label_column=columns["label"],
        split_column=split_column,
        group_column=columns["group"],
        root=None if root is None else Path(root),
        **label_options,
    )
    rows = [row._replace(split=_split_of(row, file)) for row in rows]
    if all(row.split != "train" for row in rows):
        raise ValueError(f"Wanted pictures to train on. Received: none of split train in {file}.")
    if label_options:
        return (
            title,
            rows,
            {label for row in rows for label in row.labels}.union(label_options.get("label_columns", ())),
        )
    return title, rows, {row.label for row in rows}


def _split_of(row: picture_table.Row, file: Path) -> str:
    if row.split is None:
        return "train"
    if row.split.lower() in splits.BY_WORD:
        return splits.BY_WORD[row.split.lower()]
    raise ValueError(
        f"A split is one of {', '.join(splits.BY_WORD)}. Received: {row.split!r} in line {row.line} of {file}."
    )


def _unpacked(archive: Path) -> Path:
    """The folder of an archive's pictures in the cache."""
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    folder = downloads.home() / "unpacked" / digest[:32]
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        unpack.unpack(archive, folder)
    return unpack.strip_single_folders(folder)


def _parts(root: Path) -> dict[str, Path]:
    """Split -> folder; a folder without splits is all of it training."""
    found = {
        split: folder
        for split, words in splits.WORDS.items()
        for folder in folders(root)
        if folder.name.lower() in words
    }
    if "train" not in found:
        _refuse_nameless_splits(root)
        return {"train": root}
    strays = [folder.name for folder in folders(root) if folder not in found.values()]
    if strays:
        raise ValueError(f"Folders beside the splits are of no class. Received: {', '.join(strays)} in {root}.")
    return found


def _refuse_nameless_splits(root: Path) -> None:
    """Raises `ValueError` for folders of the same classes, one called a split: a model would tell splits apart."""
    words = nameless_splits(root)
    if words:
        raise ValueError(f"A folder of splits has one called train. Received: {words} in {root}.")


def nameless_splits(root: Path) -> str:
    """Folders that hold the same classes and are splits by a part of their names, none of which is called train: in
    words, or an empty string where there are none.
    """
    tops = folders(root)
    if any(top.name.lower() in splits.WORDS["train"] for top in tops):
        return ""
    classes = [{inner.name for inner in folders(top)} for top in tops]
    named = any(splits.BY_WORD.keys() & re.split("[^a-z]+", top.name.lower()) for top in tops)
    if not named or len(tops) < 2 or len(classes[0]) < 2 or any(one != classes[0] for one in classes):
        return ""
    if any(is_picture(file) for top in tops for file in top.iterdir()):
        return ""
    names = ", ".join(sorted(top.name for top in tops))
    return f"{names}, each with {', '.join(sorted(classes[0])[:5])}: name them {', '.join(splits.WORDS)}"


def _listed(folder: Path, split: str) -> list[picture_table.Row]:
    """Every picture below the class folders, in the order of the classes and of the file names."""
    return [
        picture_table.Row(str(file), inner.name, split, None, 0)
        for inner in sorted(folders(folder), key=lambda inner: natural(inner.name))
        for file in files(inner)
        if is_picture(file)
    ]


def _class_names(found: set[str], *, wanted: Sequence[str] | None, where: str | Path) -> tuple[str, ...]:
    names = sorted(found, key=natural)
    splits.check_names(names, wanted, what="classes")
    if len(names) < 2:
        raise ValueError(f"Wanted a folder a class, two at least. Received: {names or 'none'} in {where}.")
    return tuple(wanted or names)


def _judge(problems: Mapping[int, str], rows: Sequence[picture_table.Row], *, policy: str, where: str | Path) -> None:
    if not problems:
        return
    words = "\n".join(f"  {rows[index].path}: {problem}" for index, problem in problems.items())
    if policy == "fail":
        raise ValueError(f"{len(problems)} pictures of {where} cannot be read; policy='skip' leaves them out:\n{words}")
    print(f"kerastl: {len(problems)} pictures of {where} are left out:\n{words}", file=sys.stderr)


def _refuse_empty_classes(labels_of: Mapping[str, np.ndarray], names: Sequence[str]) -> None:
    for split, labels in labels_of.items():
        counts = multi_label_sets.counts(labels, classes=len(names))
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


def _refuse_small_classes(
    labels: np.ndarray, units: np.ndarray, names: Sequence[str], missing: Sequence[str], *, grouped: bool
) -> None:
    """Raises `ValueError` for classes of which not every split that is to be made can have one."""
    examples, classes = multi_label_sets.pairs(labels)
    units = np.unique(units, return_inverse=True)[1][examples]
    _, first = np.unique(np.stack([classes, units]), axis=1, return_index=True)
    counts = np.bincount(classes[first], minlength=len(names))
    few = [f"{name!r} ({count})" for name, count in zip(names, counts, strict=True) if count <= len(missing)]
    if few:
        what = "groups" if grouped else "pictures"
        raise ValueError(
            f"Every class needs {len(missing) + 1} {what} at least, one each for train, {' and '.join(missing)}. "
            f"Received: {len(few)} of {len(names)} classes with fewer: {', '.join(few[:5])}"
            f"{' ...' if len(few) > 5 else ''}. Get more of them, or leave the classes out."
        )


def folders(folder: Path) -> list[Path]:
    """The folders in a folder, without those that no person made."""
    return [path for path in folder.iterdir() if path.is_dir() and not _is_hidden(path.name)]


def files(folder: Path) -> list[Path]:
    """Files below a class folder, in an order that does not depend on the file system.

    Hidden ones are left out, and what lies in hidden folders: thumbnails are copies that no digest knows again.
    """
    found = [
        path
        for path in folder.rglob("*")
        if (path.is_file() or (path.is_symlink() and not path.exists()))  # a link to nothing is to be told of
        and not any(map(_is_hidden, path.relative_to(folder).parts))
    ]
    return sorted(found, key=lambda path: os.fsencode(path.relative_to(folder)))


def is_picture(file: Path) -> bool:
    """Whether it is one by its name, be it of a format that is not read."""
    return file.suffix.lower() in (*pictures.ENDINGS, *pictures.FOREIGN)


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX", "@eaDir"))  # the last two: macOS' archives, Synology's thumbnails
