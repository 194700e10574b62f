"""`report.json` -> the page, as HTML that needs nothing else."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
from jinja2 import UndefinedError as UndefinedError

from kerastl import types
from kerastl.runs import plots
from kerastl.runs.page import mistakes as mistaken
from kerastl.runs.page import words


def render(
    report: Mapping[str, Any], *, curves: Sequence[types.History] = (), mistakes: mistaken.Misclassified | None = None
) -> str:
    """The page as HTML that needs nothing else: styles, plots and pictures are inside.

    Raises:
        UndefinedError: if the report lacks something that the page shows.
    """
    template = _template(report.get("units", "%"))
    files = sorted(report["variants"], key=lambda row: row["bytes"])
    chosen = next(row for row in files if row["name"] == report["chosen"])
    return template.render(
        report=report,
        rows=files,
        chosen=chosen,
        smaller=_times_smaller(files, chosen),
        latency=words.chosen_latency(report),
        size_plot=plots.measure(report, "size"),
        latency_plot=plots.measure(report, "latency"),
        scatter_plot=plots.scatter(report["scatter"]) if report.get("scatter") else "",
        privacy_plot=plots.privacy(report["privacy"]) if report.get("privacy") else "",
        curve_plots=[(one.stage, plots.curves(one)) for one in curves if plots.panels(one)],
        mistakes=mistakes,
        ends=[*_ends("in", chosen, "input"), *_ends("out", chosen, "output")],
        tiles=_tiles(mistakes) if mistakes else [],
        total_seconds=sum(row["seconds"] for row in report["stages"]),
    )


@functools.cache
def _template(units: str) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("kerastl.runs.page", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    environment.filters |= {
        "percent": words.percent,
        "size": words.size,
        "duration": words.duration,
        "milliseconds": words.milliseconds,
    }
    environment.filters["score_of"] = words.score_words
    environment.filters["score"] = lambda value: words.score_words(value, units)
    return environment.get_template("page.html")


def _ends(word: str, row: Mapping[str, Any], side: str) -> list[tuple[str, Mapping[str, Any]]]:
    """What goes in or comes out; where that is several, each with its name."""
    tensors = row.get(f"{side}s", ())
    return [(f"{word}, {one['name']}", one) for one in tensors] if len(tensors) > 1 else [(word, row[side])]


def _times_smaller(rows: Sequence[Mapping[str, Any]], chosen: Mapping[str, Any]) -> float | None:
    """How many times the teacher's float file holds the chosen one; None where the run had no teacher."""
    teachers = [row["bytes"] for row in rows if row["name"].split("_")[0] == "teacher" and row is not chosen]
    return max(teachers) / chosen["bytes"] if teachers else None


def _tiles(found: mistaken.Misclassified) -> list[dict[str, str]]:
    """What is shown of each example beside the example itself."""
    tiles = []
    for place, (example, label, prediction, confidence) in enumerate(
        zip(found.shown, found.labels, found.predictions, found.confidences, strict=True)
    ):
        if found.units == "%":
            sure = f"{100 * confidence:.0f} %" if math.isfinite(confidence) else "?"
        else:
            sure = f"(off by {words.score_words(confidence, found.units)})"
        origin = found.origins[place] if found.origins else ""
        tiles.append({**example, "label": label, "prediction": prediction, "confidence": sure, "origin": origin})
    return tiles
