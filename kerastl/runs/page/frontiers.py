"""The frontiers: score against bytes, latency and memory, on the validation split, which the choice was made by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kerastl.runs.page import charts, words

_MEASURES: dict[str, tuple[Callable[[Mapping[str, Any]], float | None], str]] = {
    "size": (lambda row: row["bytes"] / 1000, "file size in KB, logarithmic"),
    "latency": (lambda row: row["latency_ms"]["median"], "milliseconds of one inference, logarithmic"),
    "memory": (lambda row: row["arena_bytes"] / 1000 if row.get("arena_bytes") else None, "arena in KB, logarithmic"),
}
"""What can stand across: how it is read off a row, and its label."""
STYLES = {
    "chosen": "the chosen file",
    "front": "on the Pareto front: no other file beats it in size, latency and validation score together",
    "other": "another file that might have been chosen",
    "apart": "not to be chosen: a teacher's file, or a baseline's",
}
"""Class of a point -> what it means, for the legend."""


def plots(report: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], *, split: str) -> list[tuple[str, str]]:
    """A chart a measure: its title and SVG; of a measure that no file has, none.

    Args:
        report: of the run.
        rows: its variants in the order of their numbers.
        split: ``"validation"``, with the line of the budget, or ``"test"``.
    """
    found = []
    for what in _MEASURES:
        svg = _plot(report, rows, what, split=split)
        if svg:
            found.append((f"{what.capitalize()} against score on {split}", svg))
    return found


def style_of(report: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """The class of a file's point, one of `STYLES`."""
    if row["name"] == report["chosen"]:
        return "chosen"
    if row["name"] in report["frontier"]:
        return "front"
    return "other" if row.get("eligible", True) else "apart"


def _plot(report: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], what: str, *, split: str) -> str:
    measured, label = _MEASURES[what]
    units = report.get("units", "%")
    held = split == "validation"
    keys = ("validation_score", "validation_low", "validation_high") if held else ("score", "score_low", "score_high")
    points = []
    for number, row in enumerate(rows, start=1):
        across = measured(row)
        if across:
            value = row[keys[0]]
            points.append((number, row, across, value, (row.get(keys[1], value), row.get(keys[2], value))))
    if not points:
        return ""
    budget = (report.get("budget") or {}).get("least") if held else None
    scores = [value for _, _, _, value, _ in points]
    # intervals of few examples are wide, and need not be seen to their ends
    room = [*scores, *([] if budget is None else [budget])]
    gap = max(max(room) - min(room), 0.002 * abs(max(room)) or 1e-3)
    ends = [end for *_, bounds in points for end in bounds if min(room) - gap <= end <= max(room) + gap]
    chart = charts.Chart(
        f"{what} against {report['metric']} on {split}",
        x=charts.logarithmic([across for _, _, across, _, _ in points]),
        y=charts.linear([*room, *ends]),
        labels=(label, f"{report['metric']} on {split}" + (f" in {units}" if units not in ("", "%") else "")),
        percent=(False, units == "%"),
    )
    if budget is not None:
        chart.across_at(budget, title=f"the budget: {words.score_words(budget, units)} on validation")
    for number, row, across, value, bounds in sorted(points, key=lambda point: point[1]["name"] == report["chosen"]):
        said = f"{number}. {row['name']}: {words.score_words(value, units)} on {split}, {words.size(row['bytes'])}, "
        said += f"{words.milliseconds(row['latency_ms']['median'])}"
        style = style_of(report, row)
        tied = " tied" if row["name"] in report.get("ties", ()) and held else ""
        chart.mark(across, value, style=style + tied, title=said, label=str(number), interval=bounds)
    return chart.svg()


def chain(report: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What each step gave, from the largest float file of the run to the chosen one, by their rows.

    Steps are a teacher's float32 file, the float32 file of the model that the chosen one was made from, and the chosen
    one itself; what the run does not have is left out.
    """
    by_name = {row["name"]: row for row in rows}
    chosen = by_name[report["chosen"]]
    floats = [row for row in rows if row["technique"] == "float32" and row is not chosen]
    teachers = [row for row in rows if row["name"].split("_")[0] == "teacher" and row is not chosen]
    own = next((row for row in floats if row.get("model") and row["model"] == chosen.get("model")), None)
    student = next((row for row in floats if row not in teachers and row.get("model") == "model.keras"), None)
    steps = [max(teachers, key=lambda row: row["bytes"], default=None), student, own, chosen]
    found: list[dict[str, Any]] = []
    for row in steps:
        if row is not None and row["name"] not in [step["name"] for step in found]:
            before = found[-1] if found else None
            found.append(
                {
                    **row,
                    "smaller": before and before["bytes"] / row["bytes"],
                    "faster": before and before["latency_ms"]["median"] / row["latency_ms"]["median"],
                    "gained": before and row["validation_score"] - before["validation_score"],
                }
            )
    return found
