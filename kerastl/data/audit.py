"""Everything wrong with a data set, before a minute is spent on it.

Reads ``.npz``, ``.npy`` pairs, idx pairs (gzipped or not), and folders of pictures sorted by class.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from kerastl.data import archive, arrays, label_errors, near_duplicates, pictures
from kerastl.types import Finding

_INPUT_WORDS = ("x", "image", "images", "input", "inputs")
_LABEL_WORDS = ("y", "label", "labels", "target", "targets")
_SPLIT_FOLDERS = {"train", "training", "val", "valid", "validation", "dev", "test", "testing"}


def audit(path: str | Path, *, near: bool = True) -> list[Finding]:
    """Findings about a data set, errors first; an empty list means nothing was found.

    Args:
        path: a ``.npz`` file; a ``.npy`` or idx file (its partners are looked for beside it); a folder of such files;
            or a folder of pictures, ``class/picture`` or ``split/class/picture``.
        near: whether to look for near duplicates across splits as well (a minute for 10,000 against 60,000 pictures).

    Raises:
        ValueError: there is nothing at the path that this can read.
    """
    path = Path(path)
    if not path.exists():
        raise ValueError(f"Wanted a file or folder to audit. Received: {path}, which does not exist.")
    files = sorted(path.iterdir()) if path.is_dir() else sorted(path.parent.iterdir())
    if path.is_file() and path.suffix == ".npz":
        found = _audit_arrays(*_read_npz(path), near=near)
    elif path.is_file() and _is_array(path):
        found = _audit_arrays(
            *_read_arrays([file for file in files if _is_array(file) and _related(file, path)]), near=near
        )
    elif path.is_dir() and any(file.suffix == ".npz" for file in files):
        each = [(file, _audit_arrays(*_read_npz(file), near=near)) for file in files if file.suffix == ".npz"]
        found = [dataclasses.replace(one, where=f"{file.name}: {one.where}") for file, some in each for one in some]
    elif path.is_dir() and any(_is_array(file) for file in files):
        found = _audit_arrays(*_read_arrays([file for file in files if _is_array(file)]), near=near)
    elif path.is_dir() and any(file.is_dir() and not file.name.startswith(".") for file in files):
        found = _audit_pictures(path, near=near)
    else:
        raise ValueError(
            f"Wanted a .npz, .npy or idx file, or a folder of them or of class folders with pictures. Received: {path}."
        )
    return sorted(found, key=lambda one: (one.severity != "error", one.where, one.what))


def mislabelled(path: str | Path, answer: Callable[[np.ndarray], np.ndarray]) -> list[Finding]:
    """Examples whose label a first model doubts, one finding a split; see ``label_errors.find``.

    Args:
        path: a ``.npz``, ``.npy`` or idx file as for ``audit``.
        answer: takes inputs ``(examples, *shape)`` as they are in the file, returns probabilities
            ``(examples, classes)``.

    Raises:
        ValueError: there is nothing at the path that this can read.
    """
    path = Path(path)
    if path.suffix == ".npz":
        read, found = _read_npz(path)
    elif _is_array(path):
        read, found = _read_arrays([file for file in path.parent.iterdir() if _is_array(file) and _related(file, path)])
    else:
        raise ValueError(f"Wanted a .npz, .npy or idx file to look for wrong labels in. Received: {path}.")
    for pair in _parts(read).values():
        if {"inputs", "labels"} <= set(pair):
            labels = read[pair["labels"]]
            doubted = label_errors.find(labels, answer(read[pair["inputs"]]))
            if len(doubted):
                words = [f"{pair['labels']}[{row}] = {labels[row]}" for row in doubted]
                found.append(
                    Finding("warning", pair["labels"], f"{len(doubted)} labels look wrong: {_some(words, 20)}")
                )
    return found


def _is_array(path: Path) -> bool:
    return path.is_file() and (path.suffix == ".npy" or "-ubyte" in path.name)


def _key(name: str) -> tuple[str, str]:
    """``(which part, which set)``: ``("inputs", "train")`` for ``x_train``, ``train-images-idx3-ubyte``."""
    stem = re.sub(r"\.(npy|gz)$", "", name.lower())
    words = [word for word in re.split(r"[_\-.\s]+", stem) if word and not re.fullmatch(r"idx\d|ubyte|gz", word)]
    for part, known in (("inputs", _INPUT_WORDS), ("labels", _LABEL_WORDS)):
        for word in words:
            if word in known:
                return part, "_".join(other for other in words if other != word) or "all"
    return "other", "_".join(words)


def _parts(read: Mapping[str, np.ndarray]) -> dict[str, dict[str, str]]:
    """Set -> ``inputs``, ``labels`` -> the array's name."""
    parts: dict[str, dict[str, str]] = defaultdict(dict)
    for name in read:
        part, group = _key(name)
        if part != "other":
            parts[group][part] = name
    return parts


def _related(file: Path, chosen: Path) -> bool:
    """Whether two files belong to one data set: a pair, or pairs of different splits, of the same kind."""
    return file.suffix == chosen.suffix and (_key(file.name)[0] != "other" or file == chosen)


def _read_npz(path: Path) -> tuple[dict[str, np.ndarray], list[Finding]]:
    read, found = {}, []
    try:
        for name, content in arrays.read_npz(path):
            if isinstance(content, arrays.ArrayFileError):
                found.append(Finding("error", name, str(content)))
            else:
                read[name] = content
    except arrays.ArrayFileError as error:
        found.append(Finding("error", path.name, str(error)))
    return read, found


def _read_arrays(files: Sequence[Path]) -> tuple[dict[str, np.ndarray], list[Finding]]:
    read, found = {}, []
    for path in files:
        try:
            read[path.name] = arrays.read_npy(path) if path.suffix == ".npy" else archive.read_idx(path)
        except Exception as error:
            found.append(Finding("error", path.name, f"cannot be read: {error}"))
    return read, found


def _audit_arrays(read: Mapping[str, np.ndarray], found: list[Finding], *, near: bool) -> list[Finding]:
    parts = _parts(read)
    if read and not parts:
        found.append(
            Finding(
                "error",
                ", ".join(read),
                f"no array is named as inputs ({', '.join(_INPUT_WORDS)}) or labels ({', '.join(_LABEL_WORDS)})",
            )
        )
    digests: dict[str, list[tuple[bytes, str, object]]] = {}
    classes = {group: _label_findings(read, pair.get("labels"), found) for group, pair in parts.items()}
    every = set().union(*classes.values()) if classes else set()
    for group, pair in parts.items():
        if (absent := every - classes[group]) and classes[group]:
            found.append(Finding("error", pair["labels"], f"no example of class {_some(sorted(absent))}"))
        if "inputs" not in pair:
            found.append(Finding("error", pair["labels"], "has no inputs beside it"))
            continue
        name = pair["inputs"]
        inputs, labels = read[name], read[pair["labels"]] if "labels" in pair else None
        if labels is None:
            found.append(Finding("error", name, "has no labels beside it"))
        elif inputs.shape[:1] != labels.shape[:1]:
            found.append(
                Finding(
                    "error", name, f"shape {inputs.shape} does not fit labels of shape {labels.shape}: one an input"
                )
            )
            labels = None
        if inputs.ndim == 0:
            found.append(Finding("error", name, "has no axis of examples"))
            continue
        _value_findings(name, inputs, found)
        answers = labels.tolist() if labels is not None and labels.ndim == 1 else [None] * len(inputs)
        rows = (np.ascontiguousarray(row).tobytes() for row in inputs)
        digests[group] = [
            (hashlib.sha256(row).digest(), f"{name}[{index}]", answer)
            for index, (row, answer) in enumerate(zip(rows, answers, strict=True))
        ]
    shapes = {read[pair["inputs"]].shape[1:] for pair in parts.values() if "inputs" in pair}
    if len(shapes) > 1:
        found.append(Finding("error", "inputs", f"splits differ in the shape of an example: {sorted(shapes)}"))
    _duplicate_findings(digests, found)
    if near:
        inputs = {group: read[pair["inputs"]] for group, pair in parts.items() if "inputs" in pair}
        _near_duplicate_findings(
            {group: near_duplicates.small(rows) for group, rows in inputs.items() if _are_pictures(rows)},
            digests,
            found,
        )
    return found


def _are_pictures(inputs: np.ndarray) -> bool:
    """Large enough that two of one class need not be alike, and of numbers."""
    shape = inputs.shape[1:]
    grey_or_coloured = len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3))
    sound = inputs.dtype.kind in "buif" and len(inputs) > 0 and bool(np.isfinite(inputs).all())
    return grey_or_coloured and min(shape[:2]) >= 16 and sound


def _label_findings(read: Mapping[str, np.ndarray], name: str | None, found: list[Finding]) -> set[int]:
    """Adds what is wrong with labels; the classes that occur."""
    if name is None:
        return set()
    labels = read[name]
    if labels.ndim != 1:
        found.append(Finding("error", name, f"wanted class indices on one axis, received shape {labels.shape}"))
        return set()
    if not np.issubdtype(labels.dtype, np.integer):
        broken = np.issubdtype(labels.dtype, np.floating) and int((~np.isfinite(labels)).sum())
        found.append(
            Finding(
                "error",
                name,
                f"labels are {labels.dtype}, wanted integers" + (f"; {broken} are NaN or infinite" if broken else ""),
            )
        )
        return set()
    if (negative := labels < 0).any():
        found.append(
            Finding("error", name, f"{negative.sum()} labels below 0, first at {_some(np.nonzero(negative)[0])}")
        )
    classes = {int(label) for label in np.unique(labels) if label >= 0}
    if len(classes) == 1:
        found.append(Finding("error", name, f"every label is {classes.pop()}: there is nothing to learn"))
        return set()
    if classes:
        highest = max(classes)
        empty = highest + 1 - len(classes)
        if empty > max(10, len(classes)):
            # Listing a million absent classes helps nobody: such a number is a slip, or no class index at all.
            found.append(Finding("error", name, f"labels reach {highest} though only {len(classes)} classes occur"))
        elif empty:
            absent = sorted(set(range(highest + 1)) - classes)
            found.append(Finding("error", name, f"no example of class {_some(absent)} of 0..{highest}"))
    return classes


def _value_findings(name: str, inputs: np.ndarray, found: list[Finding]) -> None:
    if inputs.dtype == object or inputs.dtype.kind not in "buif":
        found.append(Finding("error", name, f"wanted numbers, received type {inputs.dtype}"))
    elif not len(inputs):
        found.append(Finding("error", name, "holds no example"))
    elif inputs.dtype.kind == "f":
        broken = ~np.isfinite(inputs).reshape(len(inputs), -1).all(axis=1)
        if broken.any():
            where = _some(np.nonzero(broken)[0])
            found.append(Finding("error", name, f"{broken.sum()} examples hold NaN or infinity: {where}"))


def _duplicate_findings(digests: Mapping[str, Sequence[tuple[bytes, str, object]]], found: list[Finding]) -> None:
    """Exact duplicates: a leak across splits and a contradiction between labels are errors, a repetition is not."""
    seen: dict[bytes, list[tuple[str, str, object]]] = defaultdict(list)
    for split, rows in digests.items():
        for digest, where, answer in rows:
            seen[digest].append((split, where, answer))
    within: dict[str, list[str]] = defaultdict(list)
    across: dict[str, list[str]] = defaultdict(list)
    contradicting = []
    for copies in seen.values():
        if len(copies) < 2:
            continue
        first = {}
        for split, where, _ in copies:
            if split in first:
                within[split].append(f"{where} = {first[split]}")
            first.setdefault(split, where)
        if len(first) > 1:
            across[" and ".join(sorted(first))].append(" = ".join(first.values()))
        if len({answer for _, _, answer in copies if answer is not None}) > 1:
            contradicting.append(" = ".join(f"{where} ({answer})" for _, where, answer in copies[:3]))
    for split, pairs in within.items():
        found.append(Finding("warning", split, f"{len(pairs)} exact duplicates: {_some(pairs)}"))
    for pair, pairs in across.items():
        found.append(Finding("error", pair, f"{len(pairs)} examples stand in both: {_some(pairs)}"))
    if contradicting:
        found.append(
            Finding("error", "labels", f"{len(contradicting)} examples carry different labels: {_some(contradicting)}")
        )


def _near_duplicate_findings(
    pictures_of: Mapping[str, np.ndarray],
    digests: Mapping[str, Sequence[tuple[bytes, str, object]]],
    found: list[Finding],
) -> None:
    """Pictures of one split that are nearly one of another's; exact duplicates are not listed again."""
    names = sorted(pictures_of, key=lambda name: len(pictures_of[name]))
    for index, one in enumerate(names):
        for other in names[index + 1 :]:
            pairs = near_duplicates.between(pictures_of[one], pictures_of[other])
            words = [
                f"{digests[one][pair.first][1]} ~ {digests[other][pair.second][1]}"
                for pair in pairs
                if digests[one][pair.first][0] != digests[other][pair.second][0]
            ]
            if words:
                many = len(words) > max(10, 0.01 * len(pictures_of[one]))
                meaning = "; so many may only say that pictures of this set are plain, and different ones alike"
                what = f"{len(words)} near duplicates across them: {_some(words)}{meaning if many else ''}"
                found.append(Finding("warning", f"{one} and {other}", what))


def _audit_pictures(root: Path, *, near: bool) -> list[Finding]:
    found: list[Finding] = []
    tops = _folders(root)
    by_split = {top.name: top for top in tops if top.name.lower() in _SPLIT_FOLDERS}
    whole = len(by_split) == len(tops)
    if by_split and not whole:
        strays = [top.name for top in tops if top.name not in by_split]
        found.append(Finding("warning", root.name, f"folders beside the splits are left out: {_some(strays)}"))
    splits = by_split or {"all": root}
    digests: dict[str, list[tuple[bytes, str, object]]] = {}
    looks: dict[str, list[np.ndarray]] = {}
    classes: dict[str, set[str]] = {}
    grey: list[str] = []
    for split, folder in splits.items():
        digests[split], looks[split], classes[split] = [], [], set()
        for class_folder in _folders(folder):
            readable = list(_pictures(class_folder, root, found, grey))
            if readable:
                classes[split].add(class_folder.name)
            else:
                found.append(Finding("error", _name(class_folder, root), "class without a readable picture"))
            digests[split] += [(digest, where, class_folder.name) for digest, where, _ in readable]
            looks[split] += [look for _, _, look in readable]
        for stray in sorted(folder.iterdir()):
            if stray.is_file() and stray.suffix.lower() in pictures.ENDINGS:
                found.append(Finding("warning", _name(stray, root), "picture outside any class folder"))
    if 0 < len(grey) < sum(len(rows) for rows in digests.values()):
        found.append(Finding("warning", root.name, f"{len(grey)} pictures are grey among coloured ones: {_some(grey)}"))
    every = set().union(*classes.values())
    for split, present in classes.items():
        if len(present) == 1:
            found.append(Finding("error", split, f"a single class, {min(present)}: there is nothing to learn"))
        missing = sorted(name for name in every - present if not (splits[split] / name).is_dir())
        if missing:
            found.append(Finding("error", split, f"no example of class {_some(missing)}"))
    _duplicate_findings(digests, found)
    if near:
        _near_duplicate_findings({split: np.concatenate(some) for split, some in looks.items() if some}, digests, found)
    return found


def _pictures(
    folder: Path, root: Path, found: list[Finding], grey: list[str]
) -> Iterator[tuple[bytes, str, np.ndarray]]:
    """``(digest of the decoded pixels, where, small picture)`` of each picture that can be read."""
    for path in sorted(folder.rglob("*")):
        if path.is_dir() or path.name.startswith("."):
            continue
        where = _name(path, root)
        if path.suffix.lower() not in pictures.ENDINGS:
            found.append(Finding("warning", where, "not a picture by its name"))
            continue
        try:
            picture = pictures.read(path)
        except pictures.PictureError as error:
            found.append(Finding("error", where, str(error)))
            continue
        found += [Finding("warning", where, remark) for remark in picture.remarks if remark != pictures.GREY]
        if pictures.GREY in picture.remarks:
            grey.append(where)
        digest = hashlib.sha256(f"{picture.pixels.shape}".encode() + picture.pixels.tobytes()).digest()
        yield digest, where, near_duplicates.small(picture.pixels[None])


def _folders(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(".")]


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _some(items: Sequence | np.ndarray, most: int = 5) -> str:
    words = ", ".join(str(item) for item in items[:most])
    return words + (f" and {len(items) - most} more" if len(items) > most else "")
