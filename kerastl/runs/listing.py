"""The runs that lie under a folder: finished ones with what they made, others with how far they came."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from kerastl.system import bounded_json, run_marks


@dataclasses.dataclass(frozen=True)
class ListedRun:
    """A run's folder at a glance; nothing in it is trusted, and no model is opened.

    Attributes:
        folder: of the run.
        recipe, tag: its names.
        finished: whether it is published; then what follows is known.
        smoke: whether its sizes were tiny.
        score, score_low, score_high: of the chosen file on test.
        metric, units: of the score.
        chosen, bytes, milliseconds: the chosen file, its size and median latency.
        data: name of the data set.
        created: hour of the run, as it says it.
        note: of one that is not finished, how far it came; or what is wrong with its files.
    """

    folder: Path
    recipe: str
    tag: str
    finished: bool
    smoke: bool = False
    score: float | None = None
    score_low: float | None = None
    score_high: float | None = None
    metric: str = ""
    units: str = ""
    chosen: str = ""
    bytes: int | None = None
    milliseconds: float | None = None
    data: str = ""
    created: str = ""
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """The same in JSON types."""
        return {**dataclasses.asdict(self), "folder": str(self.folder)}


def runs(folder: Path | str = "saved_models") -> list[ListedRun]:
    """All runs one or two folders below one, by their names.

    Raises:
        FileNotFoundError: if there is no such folder.
    """
    root = Path(folder)
    if not root.is_dir():
        raise FileNotFoundError(f"There is no folder {root}: `kerastl run RECIPE` makes it.")
    found = []
    for place in sorted({*root.glob("*"), *root.glob("*/*")}):
        if place.is_dir() and not place.is_symlink() and not place.name.startswith("."):
            config = run_marks.config_of(place)
            if config is not None:
                found.append(_looked_at(place, config))
    return found


def _looked_at(place: Path, config: dict[str, Any]) -> ListedRun:
    recipe, tag = str(config.get("recipe")), str(config.get("tag"))
    made = config.get("made")
    smoke = isinstance(made, dict) and made.get("smoke") is True
    created = str(config.get("created", ""))
    if not run_marks.is_finished(place):
        stages = [path for path in (place / "stages").glob("*") if path.is_dir() and not path.name.startswith(".")]
        note = f"not finished: {len(stages)} stage{'' if len(stages) == 1 else 's'} done"
        return ListedRun(place, recipe, tag, False, smoke=smoke, created=created, note=note)
    try:
        report = bounded_json.read_object(place / "report.json")
        row = next(row for row in report["variants"] if row["name"] == report["chosen"])
        score, low, high = (float(row[key]) for key in ("score", "score_low", "score_high"))
        metric, units, chosen, created = (str(report[key]) for key in ("metric", "units", "chosen", "created"))
        return ListedRun(
            place,
            recipe,
            tag,
            True,
            smoke=smoke,
            score=score,
            score_low=low,
            score_high=high,
            metric=metric,
            units=units,
            chosen=chosen,
            created=created,
            bytes=int(row["bytes"]),
            milliseconds=float(row["latency_ms"]["median"]),
            data=str(report["data"]["name"]),
        )
    except (OSError, ValueError, KeyError, TypeError, StopIteration) as error:
        return ListedRun(place, recipe, tag, False, created=created, note=f"report.json cannot be read: {error!r}")
