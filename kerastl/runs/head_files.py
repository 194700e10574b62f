"""One file a head: each of several tasks as a file of its own, cut out of the network of all, proven like any other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerastl.runs import single_tasks
from kerastl.types import Artifact, Dataset, Split, Verification

if TYPE_CHECKING:
    from kerastl.runs.candidates import Candidate

FOLDER = "heads"
"""Folder of a run that holds a file a head."""
Check = Callable[[Artifact, "Candidate", Split], Verification]
"""Compares a file with its model on a split; raises `verify.VerificationError` where it is another one."""
Predict = Callable[[str, Split], Any]
"""What the file of one task answers to a split of that task alone."""


def write(model: Any, dataset: Dataset, *, chosen: Candidate, check: Check, folder: Path) -> dict[str, Any]:
    """Writes a file for each task: the trunk and that task's head, stored as the chosen file is.

    Who asks one question at a time pays for no other head; who asks several pays for the trunk each time.

    Args:
        model: the float model of all tasks, functional, with an output a task by its name.
        dataset: of all tasks. Files are compared with the model on the examples of validation and of test that have a
            label of their task.
        chosen: the candidate that goes to the phone.
        check: see `Check`.
        folder: the run's.

    Returns:
        What the report says, as JSON types: ``rows``, one a task, and ``words``.

    Raises:
        verify.VerificationError: a file is not its model within the tolerance of the chosen one's technique.
    """
    from kerastl.export import keras_graph
    from kerastl.verify import benchmark

    paths, agreements = {}, {}
    for name in dataset.task.target.names:
        one = single_tasks.dataset_of(dataset, name)
        head = keras_graph.class_of_models(model)(model.inputs, model.output[name], name=model.name)
        paths[name] = folder / FOLDER / f"{name}.tflite"
        made = single_tasks.write(head, one.train, how=chosen, path=paths[name])
        artifact = Artifact(f"{FOLDER}/{name}", made.how.description, paths[name], integer=made.how.integer)
        agreements[name] = min(check(artifact, made, split).agreement for split in (one.validation, one.test))
    latencies = {name: found.median for name, found in benchmark.latencies(paths).items()}
    return described(dataset, answers=_answers_of(paths), paths=paths, latencies=latencies, agreements=agreements)


def described(
    dataset: Dataset,
    *,
    answers: Predict,
    paths: Mapping[str, Path],
    latencies: Mapping[str, float],
    agreements: Mapping[str, float],
) -> dict[str, Any]:
    """What the report says: of each head's file its size, its latency, its score and how far it agrees with the model.

    Args:
        dataset: of all tasks.
        answers: see `Predict`.
        paths, latencies, agreements: by the tasks' names.
    """
    target: Any = dataset.task.target
    rows = []
    for name, part in target.parts:
        test = single_tasks.split_of(dataset.test, name)
        row: dict[str, Any] = {"name": name, "metric": part.metric, "units": part.units}
        row |= {"file": f"{FOLDER}/{name}.tflite", "bytes": paths[name].stat().st_size}
        row |= {"latency_ms": latencies[name], "agreement": agreements[name]}
        rows.append({**row, "score": part.score(answers(name, test), test.labels).value})
    sizes = ", ".join(f"{row['file']} {row['bytes']:,} bytes" for row in rows)
    return {"rows": rows, "words": f"One file a head, for who asks one question at a time: {sizes}."}


def _answers_of(paths: Mapping[str, Path]) -> Predict:
    from kerastl.verify import predictions

    return lambda name, split: predictions.predict_tflite(paths[name], split.inputs, kind=split.task.inputs)
