"""A finished run in somebody's experiment tracker: Weights & Biases or MLflow, each an extra."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kerastl.system import near_names

if TYPE_CHECKING:
    from kerastl.runs.finished import FinishedRun

TRACKERS = ("mlflow", "wandb")


def check(tracker: str) -> None:
    """Refuses a tracker before anything is trained.

    Raises:
        ValueError: if there is no such tracker.
        ModuleNotFoundError: if its package is not installed.
    """
    if tracker not in TRACKERS:
        hint = near_names.did_you_mean(tracker, TRACKERS)
        raise ValueError(f"There is no tracker {tracker!r}.{hint} Available: {', '.join(TRACKERS)}.")
    if importlib.util.find_spec(tracker) is None:
        raise ModuleNotFoundError(f"--tracker {tracker} needs its package: pip install 'kerastl[{tracker}]'")


def track(run: FinishedRun, tracker: str) -> str:
    """Sends a finished run's settings, scores, costs, report and bundle to a tracker.

    It finds its server, or folder, by its own environment variables (``MLFLOW_TRACKING_URI``, ``WANDB_MODE`` ...).

    Args:
        run: the run.
        tracker: one of `TRACKERS`.

    Returns:
        The run's identity there.

    Raises:
        ValueError, ModuleNotFoundError: as `check`.
    """
    check(tracker)
    return _mlflow(run) if tracker == "mlflow" else _wandb(run)


def measures(report: Mapping[str, Any]) -> dict[str, float]:
    """What is tracked of a report: of the chosen file scores and costs, of all others the scores, and the time."""
    rows = {row["name"]: row for row in report["variants"]}
    chosen = rows[report["chosen"]]
    found = {"validation_score": chosen["validation_score"], "test_score": chosen["score"], "bytes": chosen["bytes"]}
    found |= {"milliseconds": chosen["latency_ms"]["median"], "agreement": chosen["agreement"]}
    found |= {key: chosen[key] for key in ("arena_bytes", "multiply_adds") if chosen.get(key) is not None}
    for name, row in rows.items():
        found |= {f"{name}.validation_score": row["validation_score"], f"{name}.test_score": row["score"]}
        found[f"{name}.bytes"] = row["bytes"]
    found["seconds"] = sum(stage["seconds"] for stage in report["stages"])
    return {name: float(value) for name, value in found.items()}


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings by their names, those inside a group behind a dot."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return found


def _mlflow(run: FinishedRun) -> str:
    mlflow: Any = importlib.import_module("mlflow")

    report = run.report
    mlflow.set_experiment(f"kerastl/{report['recipe']}")
    with mlflow.start_run(run_name=report["tag"]) as one:
        mlflow.log_params(flat(report["settings"]))
        mlflow.log_metrics(measures(report))
        mlflow.set_tags(
            {"chosen": report["chosen"], "data": report["data"]["name"], "digest": report["data"]["digest"]}
        )
        for name in ("report.html", "report.json"):
            mlflow.log_artifact(str(run.folder / name))
        mlflow.log_artifacts(str(run.bundle), "mobile")
        return str(one.info.run_id)


def _wandb(run: FinishedRun) -> str:
    wandb: Any = importlib.import_module("wandb")

    report = run.report
    with wandb.init(project=f"kerastl-{report['recipe']}", name=report["tag"], config=flat(report["settings"])) as one:
        one.summary.update(measures(report) | {"chosen": report["chosen"], "digest": report["data"]["digest"]})
        made = wandb.Artifact(f"{report['recipe']}-{report['tag']}", type="model")
        made.add_dir(str(run.bundle), name="mobile")
        for name in ("report.html", "report.json"):
            made.add_file(str(run.folder / name))
        one.log_artifact(made)
        return str(one.id)
