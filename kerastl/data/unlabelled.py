"""Inputs without labels, for a model that is proven against itself: arrays, or pictures that stand in no classes.

An ``.npz`` or ``.npy`` file holds what a model takes; pictures lie in a folder, or anywhere below it, with ``train``,
``validation`` and ``test`` for their splits where there are such. `with_answers` gives these examples, or those of any
other source, a model's own answers for labels.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kerastl import types
from kerastl.data import arrays, class_folders, decoding, left_out, no_runs, splits, unpack
from kerastl.inputs import array_file
from kerastl.inputs.image import Image
from kerastl.inputs.named import Named
from kerastl.system import bounded_zip, near_names
from kerastl.tasks.agreement import Agreement, Outputs

LEAST = 30
"""Examples below which an agreement says nothing: some calibrate, some choose, some test."""
Shape = Sequence[int | None]


@dataclasses.dataclass(frozen=True, eq=False)
class _Found:
    """What there is of one split: a part a name of an input, and where each example was found."""

    inputs: dict[str, Any]
    origins: np.ndarray


def load(
    path: str | Path,
    *,
    shapes: Mapping[str, Shape],
    policy: str = "fail",
    validation: int | float = 0.15,
    test: int | float = 0.15,
    seed: int = 0,
    limit: int | None = None,
    in_memory: int = 256_000_000,
    cache_bytes: int | None = None,
) -> types.Dataset:
    """Inputs in three splits, without labels.

    Args:
        path: an ``.npz`` file, or a ``.npy`` file whose partners of other splits are looked for beside it; or a folder
            of pictures, or a zip or tar file of one. For one input the array has that input's name, or one by which
            inputs are known (``x``, ``x_train``, ``images`` ...), or is the only one; for several inputs each has an
            array of its name. Arrays of other names, labels among them, are left alone.
        shapes: what a model takes: name of each input -> shape of one example, ``None`` for an axis of any size.
        policy: what becomes of pictures that cannot be read, and of examples with NaN: ``"fail"`` raises and lists
            them, ``"skip"`` lists them on stderr and leaves them out.
        validation, test: how many examples (int), or what share (float), where there is no such split yet. A share of
            few examples is thirty, where these are no more than a quarter: on seven of them any file may pass.
        seed: decides which examples validate and test, and the order.
        limit: keeps so many training examples, see `splits.dataset`.
        in_memory: bytes of decoded pixels up to which pictures are an array; beyond, they are streamed.
        cache_bytes: that the pixels of streamed sets may take on disk, see `decoding.decode_all`.

    Returns:
        Inputs of one kind: pictures uint8 ``(examples, height, width, channels)`` where all values are whole numbers
        0..255 and an example has three axes, else float32 numbers as they are; of several inputs a mapping. Labels are
        float32 ``(examples, 0)``: nothing is asked before `with_answers` has said what.

    Raises:
        FileNotFoundError: there is nothing at the path.
        ValueError: a file that is not read, no array under the names known, examples of another shape than the model
            takes, examples that cannot be used under ``"fail"``, fewer than `LEAST`, or no such split can be made.
    """
    skip, path = splits.skips(policy), Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no file or folder of inputs {path}.")
    no_runs.refuse(path)
    if array_file.is_array(path):
        found = _of_arrays(path, shapes, skip=skip)
    else:
        found = _of_pictures(path, shapes, skip=skip, in_memory=in_memory, cache_bytes=cache_bytes)
    counts = {name: len(some.origins) for name, some in found.items()}
    if "train" not in found or sum(counts.values()) < LEAST or (limit is not None and limit < LEAST):
        raise ValueError(
            f"Wanted {LEAST} examples or more, fewer say nothing of a file, some of them to train on. Received: "
            f"{', '.join(f'{count} of {name}' for name, count in counts.items()) or 'none'} in {path}"
            f"{'' if limit is None else f', limit={limit}'}."
        )
    task = types.Task(path.resolve().stem, _kind(list(found.values())), Agreement(("output",), (1.0,)))
    parts = {name: _split(name, some, task) for name, some in found.items()}
    if "test" not in parts:
        count = _enough(test, len(parts["train"]))
        train, held_out = splits.divided(splits.strata_of(parts["train"]), validation=count, seed=seed)
        parts["test"], parts["train"] = parts["train"].subset(held_out), parts["train"].subset(train)
    made: dict[str, Any] = {}
    for name, part in parts.items():
        made |= {f"{name}_inputs": part.inputs, f"{name}_labels": part.labels, f"{name}_origins": part.origins}
    arguments: dict[str, object] = {"path": os.path.abspath(path), "shapes": {k: list(v) for k, v in shapes.items()}}
    arguments |= {"policy": policy, "test": test, "in_memory": in_memory}
    validation = validation if "validation" in parts else _enough(validation, len(parts["train"]))
    options: dict[str, Any] = {"seed": seed, "validation": validation, "limit": limit}
    return splits.dataset(task, made, source="unlabelled", arguments=arguments, **options)


def with_answers(dataset: types.Dataset, answer: Callable[[Any], Outputs], *, name: str = "output") -> types.Dataset:
    """The same examples with a model's own answers for labels, of a data set with labels or without.

    Args:
        dataset: of any source; labels that it has are left out.
        answer: the float model's answers to the inputs of a split: an array, or of several outputs a mapping.
        name: of the one output.

    Returns:
        A data set whose target is agreement with the model, see `tasks.agreement`. Its digest stays that of the data
        as they were loaded: the last bit of an answer may be another one on another machine.

    Raises:
        ValueError: if an answer is not finite, or there is not one for each example.
    """
    labels = {split.name: answer(split.inputs) for split in (dataset.train, dataset.validation, dataset.test)}
    target = Agreement.of(labels["train"], names=(name,))
    task = dataclasses.replace(dataset.task, target=target)
    made = {}
    for split in (dataset.train, dataset.validation, dataset.test):
        target.check(labels[split.name], where=split.name, rows=len(split))
        own: Any = labels[split.name]
        made[split.name] = dataclasses.replace(split, labels=own, task=task)
    leakage = {**dataset.leakage, "contradicting_labels": 0}  # a model answers equal inputs alike
    return dataclasses.replace(dataset, task=task, leakage=leakage, **made)


def has_labels(path: str | Path, *, inputs: Sequence[str]) -> bool:
    """Whether data says what its examples are labelled with: nothing large is read for it.

    Args:
        path: as people write it after ``--data``. What is no file of arrays and no pictures has labels, or is refused
            by who reads it.
        inputs: names of what the model takes: an array for each of several is no labelled set.

    Raises:
        FileNotFoundError: there is no such file of arrays.
    """
    path = Path(path)
    if path.suffix.lower() in (".npz", ".npy") and not path.is_file():
        raise FileNotFoundError(f"There is no file of arrays {path}.")
    no_runs.refuse(path)
    if array_file.is_array(path):
        return len(inputs) < 2 and any(len(pair) == 2 for pair in array_file.parts(_names(path)).values())
    if not reads(path):
        return True
    folder = path if path.is_dir() else unpack.in_workspace(path)
    every = [file for part in class_folders.splits_of(folder).values() for file in class_folders.files(part)]
    if not any(map(class_folders.is_picture, every)):
        return True
    tops = [inner for part in class_folders.splits_of(folder).values() for inner in class_folders.folders(part)]
    classes = {top.name for top in tops if any(map(class_folders.is_picture, class_folders.files(top)))}
    return len(classes) > 1


def reads(path: str | Path) -> bool:
    """Whether `load` reads such a thing: an array file, a folder, an archive; tables and named sets it does not."""
    path = Path(path)
    archive = path.name.lower().endswith((".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz"))
    return array_file.is_array(path) or path.is_dir() or (archive and path.is_file())


def _names(path: Path) -> list[str]:
    """Of the arrays at a path, none of which is read."""
    if path.suffix.lower() != ".npz":
        return [file.name for file in path.parent.iterdir() if array_file.is_array(file)] if _has_part(path) else []
    try:
        with bounded_zip.opened(path) as opened:
            return [member.filename.removesuffix(".npy") for member in opened.infolist()]
    except bounded_zip.ZipError:  # whoever reads it says so
        return []


def _has_part(path: Path) -> bool:
    """Whether the name of a file says what it holds, so that it has partners."""
    return bool(array_file.parts([path.name]))


def _of_arrays(path: Path, shapes: Mapping[str, Shape], *, skip: bool) -> dict[str, _Found]:
    if path.suffix.lower() == ".npy" and not _has_part(path):
        read, problems = {path.name: array_file.read_npy(path)}, {}
    else:
        read, problems = array_file.read_set(path)
    if problems:
        words = "; ".join(f"{name} {problem}" for name, problem in problems.items())
        raise ValueError(f"Wanted arrays that can be read. Received: {path}: {words}.")
    named = _of_one(read, shapes, where=path) if len(shapes) == 1 else _of_several(read, shapes, where=path)
    found, wrong = {}, []
    for split, held in named.items():
        inputs = {name: _fitted(read[held[name]], shapes[name], name, where=path) for name in shapes}
        counts = {name: len(array) for name, array in inputs.items()}
        if len(set(counts.values())) > 1:
            raise ValueError(f"Wanted as many examples of each input. Received: {counts} in {path}.")
        bad = _not_finite(inputs)
        wrong += [f"row {row} of {split}: {problem}" for row, problem in bad.items()]
        kept = np.setdiff1d(np.arange(next(iter(counts.values()))), list(bad))
        origins = np.array([f"{next(iter(held.values()))}[{row}]" for row in kept], object)
        found[split] = _Found({name: array[kept] if bad else array for name, array in inputs.items()}, origins)
    left_out.refuse_or_tell(wrong, skip=skip, what="part", where=path)
    return found


def _of_one(read: Mapping[str, np.ndarray], shapes: Mapping[str, Shape], *, where: Path) -> dict[str, dict[str, str]]:
    """Split -> the one input -> name of its array. An input's own name goes before words that say the same."""
    found: dict[str, dict[str, str]] = {}
    ((name, shape),) = shapes.items()
    groups = array_file.parts((other for other in read if name.lower() in other.lower()), own=name, of=["inputs"])
    if not groups.keys() & {"all", *arrays.SPLITS}:
        groups = array_file.parts(read, of=["inputs"])
    for group, pair in groups.items():
        split = "train" if group == "all" else arrays.SPLITS.get(group)
        if split is None and read[pair["inputs"]].ndim < len(shape):  # image_size, series_names
            continue
        if split is None or split in found:
            raise ValueError(f"Wanted an array a split, as x_train and x_test. Received: {', '.join(read)} in {where}.")
        found[split] = {name: pair["inputs"]}
    if not found and len(read) == 1:
        found = {"train": {name: next(iter(read))}}
    if "train" not in found:
        raise ValueError(
            f"Wanted an array of the model's input {name!r}, or one named {', '.join(array_file.INPUT_WORDS)}. "
            f"Received: {', '.join(read) or 'no array'} in {where}.{near_names.did_you_mean(name, read)}"
        )
    return found


def _of_several(read: Mapping[str, np.ndarray], shapes: Mapping[str, Shape], *, where: Path) -> dict[str, dict]:
    """As `_of_one`, of several inputs."""
    lacking = [name for name in shapes if name not in read]
    if lacking:
        near = "".join(near_names.did_you_mean(name, read) for name in lacking)
        raise ValueError(
            f"Wanted an array for each of the model's inputs {', '.join(shapes)}. Received: {where} with "
            f"{', '.join(read) or 'none'}, without {', '.join(lacking)}.{near}"
        )
    return {"train": {name: name for name in shapes}}


def _fitted(array: np.ndarray, shape: Shape, name: str, *, where: Path) -> np.ndarray:
    """Examples in the shape that the model takes; a last axis of one may have been left out."""
    if tuple(shape[-1:]) == (1,) and array.ndim == len(shape):
        array = array[..., None]
    given = array.shape[1:]
    fits = len(given) == len(shape) and all(size in (None, own) for size, own in zip(shape, given, strict=True))
    if not fits or array.dtype.kind not in "buif":
        wanted = ", ".join(["examples", *("any" if size is None else str(size) for size in shape)])
        raise ValueError(
            f"Wanted inputs as the model takes them, numbers ({wanted}) for {name!r}. Received: {array.dtype} of shape "
            f"{array.shape} in {where}."
        )
    return array


def _not_finite(inputs: Mapping[str, np.ndarray]) -> dict[int, str]:
    """Row -> why it cannot be used."""
    found: dict[int, str] = {}
    for name, array in inputs.items():
        if array.dtype.kind == "f":
            for row in np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(1)).tolist():
                found[row] = f"numbers of {name!r} that are not finite"
    return dict(sorted(found.items()))


def _of_pictures(
    path: Path, shapes: Mapping[str, Shape], *, skip: bool, in_memory: int, cache_bytes: int | None
) -> dict[str, _Found]:
    (name, shape), *others = shapes.items()
    if others or len(shape) != 3 or shape[-1] not in (1, 3) or None in shape:
        raise ValueError(
            "Wanted a model of one input (height, width, 1 or 3), which pictures can be brought to. Received: "
            f"{ {name: tuple(one) for name, one in shapes.items()} } for {path}; of other inputs give arrays (.npz)."
        )
    height, width, channels = (int(size or 0) for size in shape)
    folder = path if path.is_dir() else unpack.in_workspace(path)
    every = {
        split: [file for file in class_folders.files(part) if class_folders.is_picture(file)]
        for split, part in class_folders.splits_of(folder).items()
    }
    files = [(split, file) for split, some in every.items() for file in some]
    size = {"size": (height, width), "channels": channels}
    decoded = decoding.decode_all(
        [str(file) for _, file in files], **size, in_memory=in_memory, cache_bytes=cache_bytes
    )
    problems = [f"{files[place][1]}: {problem}" for place, problem in decoded.problems.items()]
    left_out.refuse_or_tell(problems, skip=skip, what="part", where=path)
    places: dict[str, list[int]] = {split: [] for split in every}
    seen: set[bytes] = set()
    for place, (split, _) in enumerate(files):
        digest = decoded.digests[place].tobytes()
        if place not in decoded.problems and not (split == "train" and digest in seen):  # the first of equal pictures
            places[split].append(place)
            seen.add(digest)
    named = np.array([Path(os.path.relpath(file, folder)).as_posix() for _, file in files], object)
    take = decoded.inputs.take if isinstance(decoded.inputs, types.LazyArray) else decoded.inputs.__getitem__
    return {split: _Found({name: take(np.array(rows, int))}, named[rows]) for split, rows in places.items() if rows}


def _enough(wanted: int | float, examples: int) -> int | float:
    """How many examples a share is; of few examples so many that a score of them says something."""
    if not isinstance(wanted, float) or not 0 < wanted < 1:
        return wanted
    return max(round(wanted * examples), min(LEAST, examples // 4))


def _kind(found: Sequence[_Found]) -> types.Inputs:
    """Pictures or numbers, of several inputs each."""
    kinds: dict[str, Any] = {}
    for name, first in found[0].inputs.items():
        parts = [some.inputs[name] for some in found]
        if len({part.shape[1:] for part in parts}) > 1:
            raise ValueError(f"Wanted inputs of one shape. Received: {[part.shape for part in parts]} for {name!r}.")
        _, *shape = first.shape
        lazy = isinstance(first, types.LazyArray)  # pictures
        kinds[name] = Image((shape[0], shape[1], shape[2])) if lazy else arrays.kind_of_inputs(parts)
    several: Any = Named(tuple(kinds.items()))
    return next(iter(kinds.values())) if len(kinds) == 1 else several


def _split(name: str, found: _Found, task: types.Task) -> types.Split:
    """Examples in the type that their kind has, with no labels."""
    held: dict[str, Any] = {
        key: part if isinstance(part, types.LazyArray) else part.astype(types.kind_of(task.inputs, key).dtype)
        for key, part in found.inputs.items()
    }
    inputs: Any = held if len(held) > 1 else next(iter(held.values()))
    return types.Split(name, inputs, np.zeros((len(found.origins), 0), np.float32), task, found.origins)
