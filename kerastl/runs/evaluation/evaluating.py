"""`evaluate`: every section that a run's task has, written beside its report as `evaluation.json` and `.html`."""

from __future__ import annotations

import contextlib
import datetime
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from kerastl.runs import reverification, run_folder
from kerastl.runs.evaluation import (
    adversarial,
    calibration,
    conformal,
    elsewhere,
    explanations,
    fairness,
    rendering,
    robustness,
)
from kerastl.runs.evaluation.subject import NotMeasured, Settings, Subject
from kerastl.system import atomic_files, digests, downloads
from kerastl.tasks.agreement import Agreement
from kerastl.types import Dataset
from kerastl.untrusted import tflite_file

if TYPE_CHECKING:
    from kerastl.runs.finished import FinishedRun

JSON, PAGE = "evaluation.json", "evaluation.html"
SECTIONS: dict[str, Callable[[Subject], dict[str, Any]]] = {
    "calibration": calibration.measure,
    "conformal": conformal.measure,
    "robustness": robustness.measure,
    "adversarial": adversarial.measure,
    "elsewhere": elsewhere.measure,
    "fairness": fairness.measure,
    "explanations": explanations.measure,
}


def evaluate(
    run: FinishedRun,
    *,
    settings: Settings = Settings(),  # noqa: B008  frozen
    dataset: Dataset | None = None,
    source: ModuleType | None = None,
    path: Path | str | None = None,
    download: bool = False,
    progress: bool = True,
) -> dict[str, Any]:
    """Measures what a score hides of a run's files, and writes it into the run's folder.

    Args:
        run: a finished run; a bundle alone does not know its data.
        settings: what is measured.
        dataset, source, path, download: where the data come from, as for `reverification.verify`.
        progress: whether what is being done is said, to standard error.

    Returns:
        What `evaluation.json` holds. A section that the task does not have, or nobody asked for, is under ``skipped``
        with the reason.

    Raises:
        FileNotFoundError: if this is a bundle alone, or there is nothing where data should lie.
        ValueError: if the data are not those of the run, or a setting names something that there is not; another
            process works in the folder.
    """
    _check(run, settings)
    with contextlib.nullcontext() if download else downloads.offline():
        data = dataset or reverification.dataset_of(run, source=source, path=path)
        if data.digest != run.report["data"]["digest"]:
            raise ValueError(
                f"The data are not those that the run was made of: {run.folder} states the digest "
                f"{run.report['data']['digest'][:12]}, loaded was {data.digest[:12]}."
            )
        with tflite_file.SandboxedModel() as reader:
            try:
                subject = Subject(run, data, reader, settings=settings, progress=progress)
            except (KeyError, TypeError) as error:  # anybody's
                raise ValueError(f"report.json of {run.folder} is not as a run writes it: {error!r}.") from error
            found = _measured(subject)
    found = json.loads(json.dumps(_finite(found), default=atomic_files.to_json_types))
    write(run.folder, found, rendering.render(found, pictures=subject.pictures))
    return found


def _check(run: FinishedRun, settings: Settings) -> None:
    if not 0 < settings.coverage < 1:
        raise ValueError(f"A coverage (--coverage) is a share between 0 and 1. Received: {settings.coverage}.")
    few = settings.corruption_examples is not None and settings.corruption_examples < 1
    if settings.explain < 0 or few:
        raise ValueError(
            "Wanted 0 or more explanations (--explain), and 1 or more examples to corrupt (--corruption-examples). "
            f"Received: {settings.explain}, {settings.corruption_examples}."
        )
    if run.report.get("task") == Agreement.kind:
        raise ValueError("An evaluation needs labels. Received: a run whose labels are its own model's answers.")


def _measured(subject: Subject) -> dict[str, Any]:
    run, settings = subject.run, subject.settings
    asked = {"elsewhere": settings.also_test, "fairness": settings.group_column, "robustness": settings.corruptions}
    found: dict[str, Any] = {
        "schema": 1,
        "recipe": run.config["recipe"],
        "tag": run.config["tag"],
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "file": {"name": subject.chosen, "sha256": digests.of_file(run.file)},
        "reference": subject.reference,
        "task": subject.task.target.kind,
        "metric": subject.task.target.metric,
        "units": subject.task.target.units,
        "higher_is_better": subject.task.target.higher_is_better,
        "data": {"name": subject.task.name, "digest": subject.dataset.digest, "test": len(subject.dataset.test)},
        "settings": {**settings.__dict__, "also_test": settings.also_test and str(settings.also_test)},
        "scores": {},
    }
    skipped: dict[str, str] = {}
    seconds: dict[str, float] = {}
    started = time.perf_counter()
    for name in subject.files:
        score = subject.task.target.score(subject.answers(name, subject.dataset.test), subject.dataset.test.labels)
        found["scores"][name] = {"score": score.value, "low": score.low, "high": score.high}
    seconds["prediction"] = time.perf_counter() - started
    for name, measure in SECTIONS.items():
        started = time.perf_counter()
        try:
            found[name] = measure(subject)
        except NotMeasured as error:
            if asked.get(name) and asked[name] != (robustness.NONE,):  # what somebody asked for is not passed over
                raise
            skipped[name] = " ".join(str(error).split())
        seconds[name] = time.perf_counter() - started
    return {**found, "skipped": skipped, "seconds": {name: round(value, 3) for name, value in seconds.items()}}


def _finite(value: Any) -> Any:
    """The same with nothing in the place of numbers that JSON has no word for."""
    if isinstance(value, Mapping):
        return {str(key): _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value


def write(folder: Path, found: Mapping[str, Any], page: str) -> None:
    """Writes both files into a run's folder and pins them in its `files.json`, which stays the list of all there is.

    Raises:
        ValueError: if another process works in the folder, or one of the files is a link.
    """
    text = json.dumps(found, indent=2, allow_nan=False) + "\n"
    run_folder.add(folder, {JSON: text.encode(), PAGE: page.encode()})
