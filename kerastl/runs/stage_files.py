"""What a stage keeps: a trained model or a converted file, with its curves; an array; or splits that were computed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerastl.system import bounded_json
from kerastl.types import Split, Task

if TYPE_CHECKING:
    from kerastl.export.tflite import Converted
    from kerastl.training import Trained

_SPLITS = "splits.json"
_ARRAY = "array.npy"


def save(result: Trained | Converted | np.ndarray | tuple[Split, ...], folder: Path) -> None:
    """Writes a trained model, a converted file, an array, or a tuple of splits, into the empty folder of its stage.

    Of splits inputs and labels are kept, those of several by their names, and what is asked; origins are not.

    Raises:
        ValueError: it is none of these.
    """
    from kerastl.export import tflite
    from kerastl.training import fitting

    if isinstance(result, np.ndarray):
        np.save(folder / _ARRAY, result, allow_pickle=False)
    elif isinstance(result, tflite.Converted):
        tflite.save(result, folder)
    elif isinstance(result, fitting.Trained):
        fitting.save(result, folder)
    elif isinstance(result, tuple) and result and all(isinstance(one, Split) for one in result):
        _save_splits(result, folder)
    else:
        raise ValueError(
            "A stage without save= and load= makes a training.Trained, a tflite.Converted, an array, or a tuple of "
            f"splits. Received: {type(result).__name__}."
        )


def load(folder: Path) -> Trained | Converted | np.ndarray | tuple[Split, ...]:
    """Reads what `save` wrote.

    Raises:
        ValueError: splits are not what their kind of input takes.
    """
    from kerastl.export import tflite
    from kerastl.training import fitting

    if (folder / _ARRAY).is_file():
        return np.load(folder / _ARRAY, allow_pickle=False)
    if (folder / _SPLITS).is_file():
        return _load_splits(folder)
    return (tflite.load if (folder / "model.tflite").is_file() else fitting.load)(folder)


def _save_splits(splits: Sequence[Split], folder: Path) -> None:
    described = []
    for number, split in enumerate(splits):
        target = split.task.target.described()
        described.append(
            {"name": split.name, "task": split.task.name, "inputs": split.task.inputs.described(), "target": target}
        )
        np.savez(_file(folder, number), **_packed("inputs", split.inputs), **_packed("labels", split.labels))
    (folder / _SPLITS).write_text(json.dumps(described, indent=2), encoding="utf-8")


def _load_splits(folder: Path) -> tuple[Split, ...]:
    from kerastl import inputs, tasks

    splits = []
    for number, one in enumerate(bounded_json.read(folder / _SPLITS)):
        task = Task(one["task"], inputs.restored(one["inputs"]), tasks.restored(one["target"]))
        with np.load(_file(folder, number), allow_pickle=False) as file:
            examples, labels = (_unpacked(what, file) for what in ("inputs", "labels"))
        task.inputs.check(examples, where=f"{one['name']} of {folder}")
        splits.append(Split(one["name"], examples, labels, task))
    return tuple(splits)


def _packed(what: str, held: Any) -> dict[str, Any]:
    """Arrays by the names that they have in a file: ``inputs``, or of a mapping ``inputs NAME``."""
    if isinstance(held, Mapping):
        return {f"{what} {name}": np.asarray(array) for name, array in held.items()}
    return {what: np.asarray(held)}


def _unpacked(what: str, file: Mapping[str, np.ndarray]) -> Any:
    if what in file:
        return file[what]
    return {name.removeprefix(f"{what} "): file[name] for name in file if name.startswith(f"{what} ")}


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number}.npz"
