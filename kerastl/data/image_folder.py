"""Pictures of one's own: a folder a class, ``CLASS/PICTURE`` or ``train``, ``validation``, ``test`` with such folders.

Every picture is decoded before anything is trained. What cannot be is listed with its reason: all of it at once.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kerastl import types
from kerastl.data import pictures, splits

_SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}


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
) -> types.Dataset:
    """A folder of pictures in three splits.

    Args:
        path: the folder.
        size: height and width that every picture is brought to.
        channels: 3 for colour, 1 for grey.
        policy: what becomes of pictures that cannot be read: ``"fail"`` raises and lists them all, ``"skip"`` lists
            them on stderr and leaves them out.
        validation, test: how many pictures (int), or what share (float), where the folder has no such split. Copies
            of a picture, bit for bit after decoding, are left out first, so that none stands in two of them.
        seed: decides which pictures validate and test, and the order.
        limit: keeps so many training pictures, see `splits.dataset`.
        class_names: the order of the classes, where it must be one that is known already; by default folder names in
            natural order: 1, 2, 10.

    Returns:
        Inputs uint8 ``(examples, *size, channels)``, labels int32.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: unreadable pictures under ``"fail"``; a class without pictures; one picture in two classes; folders
            that are not the ``class_names`` given; or no such split can be made.
    """
    if policy not in ("fail", "skip"):
        raise ValueError(f"policy is 'fail' or 'skip'. Received: {policy!r}.")
    root = Path(path)
    if not root.is_dir():
        raise FileNotFoundError(f"There is no folder of pictures {root}.")
    parts = _parts(root)
    names = _class_names(parts, wanted=class_names)
    task = types.Task(root.resolve().name, names, (*(int(side) for side in size), channels))
    problems: list[str] = []
    read = {split: _read(folder, names, task, problems) for split, folder in parts.items()}
    if problems:
        words = "\n".join(f"  {problem}" for problem in problems)
        if policy == "fail":
            raise ValueError(
                f"{len(problems)} pictures of {root} cannot be read; policy='skip' leaves them out:\n{words}"
            )
        print(f"kerastl: {len(problems)} pictures of {root} are left out:\n{words}", file=sys.stderr)
    _refuse_empty_classes(read, names)
    train_inputs, train_labels = _without_copies(*read["train"], names)
    if "test" in read:
        test_inputs, test_labels = read["test"]
    else:
        kept, taken = splits.stratified(train_labels, validation=test, seed=seed)
        test_inputs, test_labels = train_inputs[taken], train_labels[taken]
        train_inputs, train_labels = train_inputs[kept], train_labels[kept]
    arguments = {"path": str(root.resolve()), "size": list(task.input_shape[:2]), "channels": channels}
    arguments |= {"policy": policy, "test": test, "class_names": list(names)}
    arrays = {
        "train_inputs": train_inputs,
        "train_labels": train_labels,
        "test_inputs": test_inputs,
        "test_labels": test_labels,
    }
    if "validation" in read:
        arrays |= dict(zip(("validation_inputs", "validation_labels"), read["validation"], strict=True))
    return splits.dataset(
        task, arrays, seed=seed, validation=validation, limit=limit, source="image_folder", arguments=arguments
    )


def natural(name: str) -> tuple:
    """A key that sorts ``"2"`` before ``"10"``, the same in every locale."""
    pieces = re.split(r"([0-9]+)", name)
    return tuple((int(piece), "") if index % 2 else (-1, piece) for index, piece in enumerate(pieces)), name


def _parts(root: Path) -> dict[str, Path]:
    """Split -> folder; a folder without splits is all of it training."""
    found = {
        split: folder for split, words in _SPLITS.items() for folder in _folders(root) if folder.name.lower() in words
    }
    if "train" not in found:
        return {"train": root}
    strays = [folder.name for folder in _folders(root) if folder not in found.values()]
    if strays:
        raise ValueError(f"Folders beside the splits are of no class. Received: {', '.join(strays)} in {root}.")
    return found


def _class_names(parts: dict[str, Path], *, wanted: Sequence[str] | None) -> tuple[str, ...]:
    present = {split: {folder.name for folder in _folders(part)} for split, part in parts.items()}
    names = sorted(set().union(*present.values()), key=natural)
    if wanted is not None and sorted(wanted) != sorted(names):
        added, lost = sorted(set(names) - set(wanted)), sorted(set(wanted) - set(names))
        raise ValueError(
            f"The folders have to be the classes {', '.join(wanted)}. Received: new ones {added or 'none'}, lacking "
            f"{lost or 'none'}. A class that was renamed is another class to a trained model."
        )
    if len(names) < 2:
        raise ValueError(f"Wanted a folder a class, two at least. Received: {names or 'none'} in {parts['train']}.")
    return tuple(wanted or names)


def _read(folder: Path, names: Sequence[str], task: types.Task, problems: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Every readable picture of one split with its class, in the order of the classes and of their file names."""
    height, width, channels = task.input_shape
    rows, labels = [], []
    for label, name in enumerate(names):
        for file in _files(folder / name):
            if file.suffix.lower() not in pictures.ENDINGS:
                continue
            try:
                rows.append(pictures.read(file, channels=channels, size=(height, width)).pixels)
            except pictures.PictureError as error:
                problems.append(f"{file}: {error}")
                continue
            labels.append(label)
    inputs = np.stack(rows) if rows else np.empty((0, *task.input_shape), np.uint8)
    return inputs, np.asarray(labels, np.int32)


def _refuse_empty_classes(read: dict[str, tuple[np.ndarray, np.ndarray]], names: Sequence[str]) -> None:
    for split, (_, labels) in read.items():
        counts = np.bincount(labels, minlength=len(names))
        empty = [name for name, count in zip(names, counts, strict=True) if not count]
        if empty:
            raise ValueError(f"Every class needs pictures in {split}. Received: none that can be read of {empty}.")


def _without_copies(inputs: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The first of equal pictures. Raises `ValueError` for one that stands in two classes."""
    first: dict[bytes, int] = {}
    kept = []
    for index, row in enumerate(inputs):
        earlier = first.setdefault(row.tobytes(), index)
        if earlier == index:
            kept.append(index)
        elif labels[earlier] != labels[index]:
            raise ValueError(
                f"A picture belongs to one class. Received: the same one in {names[labels[earlier]]!r} and "
                f"{names[labels[index]]!r}; `kerastl audit` names the files."
            )
    return inputs[kept], labels[kept]


def _folders(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]


def _files(folder: Path) -> list[Path]:
    """Files below a class folder, in an order that does not depend on the file system."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return sorted(found, key=lambda path: os.fsencode(path.relative_to(folder)))
