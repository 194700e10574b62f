"""A finished run measured again: are its files those that it wrote, and do they score what it says?"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from kerastl import data
from kerastl.runs import run_folder
from kerastl.system import digests, near_names
from kerastl.tasks.agreement import Agreement
from kerastl.types import Dataset, Split
from kerastl.untrusted import tflite_file
from kerastl.verify import answers as tables

if TYPE_CHECKING:
    from kerastl.runs.finished import FinishedRun

_MAY_BE_DELETED = ("stages/", "logs/", "answers/")
"""Folders that a run needs to go on, and nobody needs to use what it made."""
_STATED = {
    "validation": {"validation_score": "value"},
    "test": {"score": "value", "score_low": "low", "score_high": "high"},
}
"""Split -> key of a variant in the report -> which part of the score it is."""


def differences(run: FinishedRun, *, dataset: Dataset | None, progress: bool) -> tuple[str, ...]:
    """Everything in which a run is not what it states, in words; see `FinishedRun.verify`."""
    try:
        return tuple(_differences(run, dataset=dataset, progress=progress))
    except (KeyError, TypeError, AttributeError) as error:  # they may be anybody's, or damaged in the name of a field
        raise ValueError(
            f"report.json, config.json or files.json of {run.folder} is not as a run writes it: {error!r}."
        ) from error


def _differences(run: FinishedRun, *, dataset: Dataset | None, progress: bool) -> list[str]:
    from kerastl.runs import finished

    root, report, config = run.folder, run.report, run.config
    found = _files(run)
    if progress:
        print(f"digests: {'as stated' if not found else f'{len(found)} differ'}", file=sys.stderr)
    try:
        dataset = _loaded(run) if dataset is None else dataset
    except Exception as error:
        for difference in found:  # what was found is said all the same
            error.add_note(f"differs: {difference}")
        raise
    for place, stated in (("config.json", config["data"]["digest"]), ("report.json", report["data"]["digest"])):
        if dataset.digest != stated:
            found.append(f"data: {place} states digest {stated}, loaded {dataset.digest}")
    rows = {row["name"]: row for row in report["variants"]}
    chosen = rows.get(report["chosen"])
    bundle = root / "mobile" / "model.tflite"
    with tflite_file.SandboxedModel() as reader:  # whoever wrote the files wrote their digests too
        for name, row in rows.items():
            path = finished.inside(root, row["file"])
            found += _scores(reader, path, row, dataset, name=name, progress=progress)
        if chosen is None or not bundle.is_file():
            found.append(f"mobile/: holds no model.tflite of the chosen variant {report['chosen']!r}")
        else:
            found += _scores(reader, bundle, chosen, dataset, name="mobile/model.tflite", progress=progress)
            if (is_ := digests.of_file(bundle)) != chosen["sha256"]:
                found.append(f"mobile/model.tflite: the chosen file has SHA-256 {chosen['sha256']}, this {is_}")
            found += _texts(bundle.parent, dataset)
    return found


def _files(run: FinishedRun) -> list[str]:
    """Files whose bytes are not those that `files.json` and `report.json` state, and files that neither knows."""
    from kerastl.runs import finished

    root = run.folder
    pinned = finished.read_json(root / "files.json")
    stated = {("files.json", name): digest for name, digest in pinned.items()}
    stated |= {("report.json", row["file"]): row["sha256"] for row in run.report["variants"]}
    theirs = run_folder.inner(root)  # a run inside, or the next one in the making, is another one
    there = [path.relative_to(root) for path in sorted(root.rglob("*")) if path.is_symlink() or not path.is_dir()]
    found = [
        f"{name.as_posix()}: {'a link' if (root / name).is_symlink() else 'not named in files.json'}"
        for name in there
        if name.as_posix() not in {*pinned, "files.json", ".lock"} and name.parts[0] not in theirs
    ]
    for (place, name), digest in stated.items():
        path = finished.inside(root, name)
        if not path.is_file():
            if not name.startswith(_MAY_BE_DELETED):
                found.append(f"{name}: named in {place}, but missing")
        elif (is_ := digests.of_file(path)) != digest:
            found.append(f"{name}: {place} states SHA-256 {digest}, found {is_}")
    return found


def _loaded(run: FinishedRun) -> Dataset:
    """The data that a run names; where it is measured by agreement with its model, with that model's answers."""
    dataset = load_data(run.config)
    if run.report.get("task") != Agreement.kind:
        return dataset
    try:
        from kerastl.training import fitting

        answer = functools.partial(fitting.predict, run.model, task=run.task)
    except ModuleNotFoundError as error:
        error.add_note("No score was measured again: labels are the answers of model.keras, which needs Keras.")
        raise
    return data.unlabelled.with_answers(dataset, answer, name=run.task.target.output_names[0])


def load_data(config: dict[str, Any], *, source: ModuleType | None = None) -> Dataset:
    """The data set that a run names, loaded again by the source that loaded it.

    Args:
        config: the run's ``config.json``.
        source: a module of one's own with a function ``load``, where it is none under `kerastl.data`.

    Raises:
        ValueError: if it names none, or a source that there is not, or arguments that the source does not take. Nothing
            else that a run names is imported: it may be anybody's.
    """
    named = config.get("data")
    if not named:
        raise ValueError("config.json names no data set: the run ended before it had loaded one.")
    name, arguments = str(named.get("source")), named.get("arguments")
    try:
        if source is None and name in data.__all__:
            source = getattr(data, name)
    except ModuleNotFoundError as error:
        error.add_note(f"No score was measured again: the data come from kerastl.data.{name}, which needs it.")
        raise
    load = getattr(source, "load", None)
    if load is None:
        hint = near_names.did_you_mean(name, data.__all__)
        raise ValueError(
            f"kerastl.data has no source {name!r}, which config.json names.{hint} A source of your own is given with "
            "--source FILE."
        )
    try:
        inspect.signature(load).bind(**arguments)
    except TypeError as error:  # it may be anybody's
        raise ValueError(f"The source {name!r} is not loaded with what config.json says: {error}.") from error
    return load(**arguments)


def _scores(
    reader: tflite_file.SandboxedModel,
    path: Path,
    row: dict[str, Any],
    dataset: Dataset,
    *,
    name: str,
    progress: bool,
) -> list[str]:
    """Where a file's scores on validation and test are not the stated ones, to the last digit."""
    if not path.is_file():
        return []  # the digests have said so
    found, target = [], dataset.task.target
    for split in (dataset.validation, dataset.test):
        score = target.score(_answers(reader, path, split), split.labels)
        for key, part in _STATED[split.name].items():
            if getattr(score, part) != row[key]:
                found.append(f"{name}: {key} stated {row[key]!r}, measured {getattr(score, part)!r}")
        if progress:
            words = f"{score.value:.4%}" if target.units == "%" else f"{score.value:.6g} {target.units}".rstrip()
            print(f"{name}: {words} on {split.name}", file=sys.stderr)
    return found


def _answers(reader: tflite_file.SandboxedModel, path: Path, split: Split) -> tables.Outputs:
    """A file's answers to a split, in parts: what is made of lazy inputs need not fit into memory at once."""
    kind, parts = split.task.inputs, []
    for start in range(0, len(split), 1000):
        some: Any = split.subset(slice(start, start + 1000)).inputs
        examples: Any = some if isinstance(some, Mapping) else some[:]  # what is lazy is read here
        parts.append(reader.run(path, kind.fed(examples)))
    return tables.concatenated(parts)


def _texts(bundle: Path, dataset: Dataset) -> list[str]:
    """Where the bundle's lists of words are not those of the task."""
    from kerastl.runs import finished

    described = {**dataset.task.inputs.described(), **dataset.task.target.described()}
    lists = {"labels.txt": described.get("labels"), "vocab.txt": described.get("vocabulary")}
    meant = {
        "labels.txt": "its lines are not the class names in the model's order",
        "vocab.txt": "its lines are not the tokens that the model was trained with",
    }
    found = []
    for name, words in lists.items():
        path = finished.inside(bundle, name)  # a link would print any file's lines
        if words is None:
            continue
        if not path.is_file():
            found.append(f"mobile/{name}: is missing")
        elif path.read_text(encoding="utf-8").split("\n")[:-1] != list(words):
            found.append(f"mobile/{name}: {meant[name]}")
    return found
