"""One file of several tasks beside a file a task: what a shared trunk gives or takes from each, and what it saves."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerastl.system import phrases
from kerastl.types import Dataset, NamedTargets, Schedule, Split, Task

if TYPE_CHECKING:
    from kerastl.runs.candidates import Candidate
    from kerastl.training import fitting

FOLDER = "single_tasks"
"""Folder of a run that holds a file a task; none of them goes to the phone."""
Predict = Callable[[str, Split], Any]
"""What the file of one task answers to a split of that task alone, or the file of all tasks under the name ``""``."""


def task_of(task: Task, name: str) -> Task:
    """The one of several tasks that has a name, on the same inputs.

    Raises:
        ValueError: there is none of that name.
    """
    parts = dict(task.target.parts) if isinstance(task.target, NamedTargets) else {}
    if name not in parts:
        raise ValueError(f"Wanted one of the tasks {', '.join(parts) or 'of a target of several'}. Received: {name!r}.")
    return dataclasses.replace(task, target=parts[name])


def split_of(split: Split, name: str) -> Split:
    """The examples of a split of several tasks that have a label of one of them, with that label alone."""
    task, target, labels = task_of(split.task, name), split.task.target, split.labels
    if not isinstance(target, NamedTargets) or not isinstance(labels, Mapping):
        raise ValueError(f"Wanted labels of several tasks. Received: one array in split {split.name!r}.")
    rows = np.flatnonzero(target.labelled(labels)[name])
    return dataclasses.replace(split.subset(rows), labels=labels[name][rows], task=task)


def dataset_of(dataset: Dataset, name: str) -> Dataset:
    """A data set of several tasks as one of a single task, of the examples that have its label; see `split_of`."""
    parts = {key: split_of(getattr(dataset, key), name) for key in ("train", "validation", "test")}
    return dataclasses.replace(dataset, task=task_of(dataset.task, name), **parts)


def alone(dataset: Dataset, name: str, *, schedule: Schedule) -> tuple[Dataset, Schedule]:
    """What the single-task model of as many steps as that of all tasks learns from, and for how long.

    Where fewer examples have a label of the task, an epoch is shorter, and there are more of them, as near as whole
    epochs come.

    Args:
        dataset: of several tasks.
        name: of the one.
        schedule: of the training of all tasks.
    """
    one = dataset_of(dataset, name)
    epochs = round(schedule.epochs * len(dataset.train) / len(one.train))
    return one, dataclasses.replace(schedule, epochs=epochs)


def compare(
    trained: Mapping[str, fitting.Trained], dataset: Dataset, *, chosen: Candidate, file: Path, folder: Path
) -> dict[str, Any]:
    """Writes the file of every single-task model, measures it, and puts it beside the chosen file of all tasks.

    The files are stored as the chosen one is, by post-training quantization where that was trained for; as float32
    where that cannot be done with one of them. The latencies are of files that take turns.

    Args:
        trained: a model a task, by the task's name.
        dataset: of all tasks; nothing is chosen by what is measured here.
        chosen: the candidate that goes to the phone.
        file: its file.
        folder: the run's.

    Returns:
        What the report says, as JSON types: ``rows``, one a task, and the sums; see `described`.

    Raises:
        ValueError: there is not a model a task, or one has no float32 file.
    """
    from kerastl.verify import benchmark, predictions

    if sorted(trained) != sorted(dataset.task.target.names):
        raise ValueError(
            f"Wanted a model for each of the tasks {', '.join(dataset.task.target.names)}. Received: "
            f"{', '.join(trained) or 'none'}."
        )
    paths = {"": file}
    for name in dataset.task.target.names:
        paths[name] = folder / FOLDER / f"{name}.tflite"
        write(trained[name].model, split_of(dataset.train, name), how=chosen, path=paths[name])
    latencies = benchmark.latencies(paths)
    return described(
        dataset,
        answers=lambda name, split: predictions.predict_tflite(paths[name], split.inputs, kind=split.task.inputs),
        sizes={name: path.stat().st_size for name, path in paths.items()},
        latencies={name: found.median for name, found in latencies.items()},
    )


def described(
    dataset: Dataset, *, answers: Predict, sizes: Mapping[str, int], latencies: Mapping[str, float]
) -> dict[str, Any]:
    """What the report says: of each task the two files' scores, sizes and latencies, and the sums of the latter.

    Args:
        dataset: of all tasks.
        answers: of a file, by the task's name, to a split; of the file of all tasks by the name ``""``.
        sizes, latencies: bytes and milliseconds of each file by the same names.
    """
    target: Any = dataset.task.target
    rows = []
    shared = {split.name: answers("", split) for split in (dataset.validation, dataset.test)}
    for name, part in target.parts:
        row: dict[str, Any] = {"name": name, "metric": part.metric, "units": part.units}
        row |= {"file": f"{FOLDER}/{name}.tflite", "bytes": sizes[name], "latency_ms": latencies[name]}
        for split, key in ((dataset.validation, "validation_score"), (dataset.test, "score")):
            one, there = split_of(split, name), target.labelled(split.labels)[name]
            both = {"shared": part.score(shared[split.name][name][there], one.labels)}
            both["alone"] = part.score(answers(name, one), one.labels)
            row |= {f"{which}_{key}": score.value for which, score in both.items()}
            if split is dataset.test:
                ends = ("low", "high")
                row |= {f"{which}_{key}_{end}": getattr(both[which], end) for which in both for end in ends}
        row["gain"] = part.drop(row["alone_score"], row["shared_score"])
        rows.append(row)
    found = {"rows": rows, "bytes": sizes[""], "latency_ms": latencies[""]}
    found |= {f"sum_{key}": sum(row[key] for row in rows) for key in ("bytes", "latency_ms")}
    found["words"] = _words(found)
    return found


def _words(found: Mapping[str, Any]) -> str:
    """The same in a sentence."""
    gains = "; ".join(f"{row['name']} {_gained(row)}" for row in found["rows"])
    shares = (found["bytes"] / found["sum_bytes"], found["latency_ms"] / found["sum_latency_ms"])
    return (
        f"Beside a model a task, trained for as many steps: {gains}. The one file has {shares[0]:.0%} of the bytes of "
        f"the {phrases.counted(len(found['rows']), 'file', 'files')} and takes {shares[1]:.0%} of their time."
    )


def _gained(row: Mapping[str, Any]) -> str:
    """How much better the file of all tasks is than that of one, on test."""
    if row["units"] == "%":
        return f"{100 * (row['shared_score'] - row['alone_score']):+.2f} points"
    return f"{row['gain']:+.3f} standard deviations"


def write(model: Any, train: Split, *, how: Candidate, path: Path) -> Candidate:
    """Writes the file of one task, stored as the chosen one is where that can be done after training.

    Args:
        model: of that task.
        train: calibrates integers; of that task.
        how: the chosen candidate.
        path: where to.

    Returns:
        The file as it was before its metadata, and how it is stored.
    """
    from kerastl.export import metadata
    from kerastl.runs import candidates
    from kerastl.system import atomic_files

    alike = [name for name in candidates.POST_TRAINING[:-1] if candidates.TECHNIQUES[name] is how.how]
    alike = alike or ["static_int8"] * how.how.integer  # as near as quantization without training comes
    techniques = list(dict.fromkeys([*alike, "float32"]))
    made = candidates.post_training(model, train, techniques=techniques, skipped={})
    content = metadata.add(made[0].tflite, train.task, description=f"{train.task.name}, {made[0].how.description}")
    atomic_files.write_bytes(path, content)
    return made[0]
