"""What a stage keeps: a trained model, a converted file with its curves, or splits that were computed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kerastl.types import Split, Task

if TYPE_CHECKING:
    from kerastl.export.tflite import Converted
    from kerastl.training import Trained

_SPLITS = "splits.json"


def save(result: Trained | Converted | tuple[Split, ...], folder: Path) -> None:
    """Writes a trained model, a converted file, or a tuple of splits, into the empty folder of its stage.

    Of splits inputs and labels are kept, arrays of one input and one target, and what is asked; origins are not.

    Raises:
        ValueError: it is none of these.
    """
    from kerastl.export import tflite
    from kerastl.training import fitting

    if isinstance(result, tflite.Converted):
        tflite.save(result, folder)
    elif isinstance(result, fitting.Trained):
        fitting.save(result, folder)
    elif isinstance(result, tuple) and result and all(isinstance(one, Split) for one in result):
        _save_splits(result, folder)
    else:
        raise ValueError(
            "A stage without save= and load= makes a training.Trained, a tflite.Converted, or a tuple of splits. "
            f"Received: {type(result).__name__}."
        )


def load(folder: Path) -> Trained | Converted | tuple[Split, ...]:
    """Reads what `save` wrote.

    Raises:
        ValueError: splits are not what their kind of input takes.
    """
    from kerastl.export import tflite
    from kerastl.training import fitting

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
        np.savez(_file(folder, number), inputs=np.asarray(split.inputs), labels=np.asarray(split.labels))
    (folder / _SPLITS).write_text(json.dumps(described, indent=2), encoding="utf-8")


def _load_splits(folder: Path) -> tuple[Split, ...]:
    from kerastl import inputs, tasks

    splits = []
    for number, one in enumerate(json.loads((folder / _SPLITS).read_text(encoding="utf-8"))):
        task = Task(one["task"], inputs.restored(one["inputs"]), tasks.restored(one["target"]))
        with np.load(_file(folder, number), allow_pickle=False) as file:
            examples, labels = file["inputs"], file["labels"]
        task.inputs.check(examples, where=f"{one['name']} of {folder}")
        splits.append(Split(one["name"], examples, labels, task))
    return tuple(splits)


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number}.npz"
