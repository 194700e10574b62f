"""Finished runs side by side: their chosen files on the same test examples, what each costs and gains."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerastl.runs import remeasured, reverification
from kerastl.system import atomic_files, downloads, output
from kerastl.untrusted import tflite_file

if TYPE_CHECKING:
    from kerastl.runs.finished import FinishedRun
    from kerastl.types import Dataset

_RESAMPLES = 2000
LEVEL = 0.05
"""Probability below which chance is no explanation of a difference."""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What runs on the same data have in common and what not.

    Attributes:
        metric, units, higher_is_better: of the scores.
        data: name of the data set, its digest, and the number of test examples.
        rows: a run each: ``name``, ``folder``, ``recipe``, ``tag``, ``chosen``, ``score``, ``score_low``,
            ``score_high``, ``bytes``, ``milliseconds``, ``cpu``, ``arena_bytes``, ``multiply_adds``, ``seconds`` of all
            its stages, and against the first run ``smaller`` and ``faster``, how many times.
        pairs: two runs each, see `paired`, with the names of both as ``one`` and ``other``.
        settings: those that are not the same in all runs: name -> a value a run, ``None`` where it has no such.
    """

    metric: str
    units: str
    higher_is_better: bool
    data: Mapping[str, Any]
    rows: tuple[Mapping[str, Any], ...]
    pairs: tuple[Mapping[str, Any], ...]
    settings: Mapping[str, Sequence[Any]]

    def as_json(self) -> dict[str, Any]:
        """The same in JSON types."""
        return dataclasses.asdict(self)

    def page(self, file: Path | str) -> Path:
        """Writes a page that needs nothing else, and returns its path."""
        from kerastl.runs.page import compared

        path = Path(file)
        atomic_files.write_text(path, compared.render(self))
        return path

    def _repr_html_(self) -> str:
        from kerastl.runs.page import compared

        return compared.table(self)


def compare(
    runs: Sequence[FinishedRun], *, data: Path | str | None = None, download: bool = False, progress: bool = True
) -> Comparison:
    """Has the chosen files of several runs answer the test examples that they share.

    Args:
        runs: two at least.
        data: where the data lie now, if they have moved.
        download: whether a data set that is not in the cache may be fetched.
        progress: whether each file is named on standard error when it begins.

    Raises:
        FileNotFoundError: if one is a bundle alone, or the data do not lie where they did.
        ValueError: if there are not two runs, or they are not of the same data or task.
    """
    runs = list(runs)
    _check(runs)
    first = runs[0]
    with contextlib.nullcontext() if download else downloads.offline():
        dataset = reverification.dataset_of(first, source=None, path=data)
    if dataset.digest != first.report["data"]["digest"]:
        raise ValueError(
            f"Wanted the data of {first.folder}, digest {first.report['data']['digest'][:12]}. Received: data of "
            f"digest {dataset.digest[:12]}."
        )
    answers = _answered(runs, dataset, progress=progress)
    target, labels = dataset.task.target, dataset.test.labels
    names, rows = _names(runs), []
    for name, run, given in zip(names, runs, answers, strict=True):
        score = target.score(given, labels)
        rows.append({"name": name, **_row(run), "score": score.value, "score_low": score.low, "score_high": score.high})
    for row in rows:
        row |= {"smaller": rows[0]["bytes"] / row["bytes"], "faster": rows[0]["milliseconds"] / row["milliseconds"]}
    errors = [np.asarray(target.confidence(given, labels), np.float64) for given in answers]
    pairs = []
    for (one, other), (a, b) in zip(
        itertools.combinations(range(len(runs)), 2), itertools.combinations(errors, 2), strict=True
    ):
        shares = target.units == "%" and all(
            abs(np.mean(wrong <= 0) - rows[place]["score"]) < 1e-9 for place, wrong in ((one, a), (other, b))
        )
        pairs.append({"one": names[one], "other": names[other], **paired(a, b, shares=shares)})
    report = first.report
    return Comparison(
        metric=report["metric"],
        units=report["units"],
        higher_is_better=report["higher_is_better"],
        data={"name": dataset.task.name, "digest": dataset.digest, "test": len(dataset.test)},
        rows=tuple(rows),
        pairs=tuple(pairs),
        settings=_differing(runs),
    )


def paired(one: np.ndarray, other: np.ndarray, *, shares: bool) -> dict[str, Any]:
    """Whether two files differ on the same examples by more than chance explains.

    Args:
        one, other: how wrong each answer is, ``(examples,)``, 0 where it is right.
        shares: whether the score is the share of right answers. Then the test is McNemar's exact one (McNemar 1947), of
            the examples that only one of the two gets right; else a paired bootstrap of the mean error (Efron 1979).

    Returns:
        ``test``, its name; ``p``, the probability of a difference as large by chance; ``differs``, whether that is
        below `LEVEL`; ``gain``, of the other's score over the one's, or of the one's mean error over the other's, so
        that more is better, with its 95 % interval ``gain_low`` and ``gain_high`` from a paired bootstrap; of shares
        also ``only_one`` and ``only_other``, the examples that only one of them gets right.
    """
    a, b = ((table > 0).astype(np.float64) if shares else table for table in (one, other))
    gains, count = a - b, len(a)
    draw = np.random.default_rng(0)
    drawn = np.array([gains[draw.integers(0, count, count)].mean() for _ in range(_RESAMPLES)])
    low, high = np.percentile(drawn, [2.5, 97.5])
    found: dict[str, Any] = {"gain": float(gains.mean()), "gain_low": float(low), "gain_high": float(high)}
    if shares:
        only_one, only_other = int((gains < 0).sum()), int((gains > 0).sum())
        p = _mcnemar(only_one, only_other)
        found |= {"test": "McNemar, exact", "only_one": only_one, "only_other": only_other}
    else:
        # as often as the drawn means, centred on no difference, are as far out as the measured one
        p = float((1 + np.sum(np.abs(drawn - gains.mean()) >= abs(gains.mean()))) / (1 + _RESAMPLES))
        found["test"] = "paired bootstrap"
    return {**found, "p": p, "differs": p < LEVEL}


def _mcnemar(only_one: int, only_other: int) -> float:
    """Two-sided probability of so uneven a division, where both ways are as likely."""
    from scipy import stats

    whole = only_one + only_other
    return min(1.0, 2 * float(stats.binom.cdf(min(only_one, only_other), whole, 0.5))) if whole else 1.0


def _check(runs: Sequence[FinishedRun]) -> None:
    if len(runs) < 2:
        raise ValueError(f"A comparison is of two runs at least. Received: {len(runs)}.")
    first = runs[0]
    for run in runs[1:]:
        for key, what in (("task", "task"), ("metric", "metric")):
            if run.report[key] != first.report[key]:
                raise ValueError(
                    f"Runs of the same {what} are compared. Received: {first.folder} of {first.report[key]}, "
                    f"{run.folder} of {run.report[key]}."
                )
        one, other = (each.report["data"] for each in (first, run))
        if one["digest"] != other["digest"]:
            raise ValueError(
                "Runs on the same data are compared: only then do they answer the same test examples. Received: "
                f"{first.folder} on {one['name']}, digest {one['digest'][:12]}, and {run.folder} on {other['name']}, "
                f"digest {other['digest'][:12]}. Another seed divides the same files otherwise; give both runs the "
                "same data, seed and sizes of splits."
            )


def _answered(runs: Sequence[FinishedRun], dataset: Dataset, *, progress: bool) -> list[Any]:
    """What each run's chosen file answers to the test examples."""
    found = []
    with tflite_file.SandboxedModel() as reader:  # a run may be anybody's
        for run in runs:
            if progress:
                print(f"{output.printable(str(run.folder))}: {len(dataset.test):,} test examples", file=sys.stderr)
            found.append(remeasured.predict_split(reader, run.file, dataset.test))
    return found


def _names(runs: Sequence[FinishedRun]) -> list[str]:
    """A name a run: recipe and tag, the folder where two have the same."""
    short = [f"{run.report['recipe']}/{run.report['tag']}" for run in runs]
    return short if len(set(short)) == len(short) else [str(run.folder) for run in runs]


def _row(run: FinishedRun) -> dict[str, Any]:
    report = run.report
    row = next(one for one in report["variants"] if one["name"] == report["chosen"])
    return {
        "folder": str(run.folder),
        "recipe": report["recipe"],
        "tag": report["tag"],
        "chosen": report["chosen"],
        "bytes": row["bytes"],
        "milliseconds": row["latency_ms"]["median"],
        "cpu": row["latency_ms"].get("cpu", ""),
        "arena_bytes": row.get("arena_bytes"),
        "multiply_adds": row.get("multiply_adds"),
        "seconds": sum(stage["seconds"] for stage in report["stages"]),
    }


def _differing(runs: Sequence[FinishedRun]) -> dict[str, list[Any]]:
    """Settings that are not the same in all runs, by the names of their flags."""
    flat = [_flat(run.config.get("config", {})) for run in runs]
    names = dict.fromkeys(itertools.chain(*flat))
    columns = {name: [one.get(name) for one in flat] for name in names}
    return {name: values for name, values in columns.items() if any(value != values[0] for value in values)}


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in settings.items():
        flag = prefix + name.replace("_", "-")
        found |= _flat(value, f"{flag}.") if isinstance(value, Mapping) else {flag: value}
    return found
