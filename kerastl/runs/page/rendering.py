"""`report.json` -> the page, as HTML that needs nothing else."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jinja2
from jinja2 import UndefinedError as UndefinedError

from kerastl import types
from kerastl.runs import plots
from kerastl.runs.page import charts, frontiers, matrices, words
from kerastl.runs.page import mistakes as mistaken


def render(
    report: Mapping[str, Any],
    *,
    curves: Sequence[types.History] = (),
    mistakes: mistaken.Misclassified | None = None,
    examples: Sequence[Mapping[str, str]] = (),
) -> str:
    """The page as HTML that needs nothing else: styles, plots and pictures are inside.

    Args:
        report: the content of `report.json`.
        curves: of every training.
        mistakes: examples that the chosen file gets wrong.
        examples: of the data, see `overview.examples`.

    Raises:
        UndefinedError: if the report lacks something that the page shows.
    """
    template = _template(report.get("units", "%"))
    files = sorted(report["variants"], key=lambda row: row["bytes"])
    chosen = next(row for row in files if row["name"] == report["chosen"])
    tiles = _tiles(mistakes) if mistakes else []
    used = {frontiers.style_of(report, row) for row in files}
    return template.render(
        report=report,
        rows=files,
        chosen=chosen,
        steps=frontiers.chain(report, files),
        smaller=_times_smaller(files, chosen),
        latency=words.chosen_latency(report),
        settings=_flat(report.get("settings", {})),
        validation_plots=frontiers.plots(report, files, split="validation"),
        test_plots=frontiers.plots(report, files, split="test"),
        styles=frontiers.STYLES,
        styles_used=used,
        confusions=[matrices.shown(matrix, tiles) for matrix in report.get("confusions", ())],
        detail_charts=list(_charts(report)),
        scatter_plot=plots.scatter(report["scatter"]) if report.get("scatter") else "",
        privacy_plot=plots.privacy(report["privacy"]) if report.get("privacy") else "",
        curve_plots=[(one.stage, plots.curves(one)) for one in curves if plots.panels(one)],
        mistakes=mistakes,
        listed_mistakes=_listed(report.get("mistakes")),
        examples=examples,
        ends=[*_ends("in", chosen, "input"), *_ends("out", chosen, "output")],
        tiles=tiles[: mistakes.surest or len(tiles)] if mistakes else [],
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
    for name in ("percent", "size", "duration", "milliseconds", "count", "times"):
        environment.filters[name] = getattr(words, name)
    environment.filters["score_of"] = words.score_words
    environment.filters["score"] = lambda value: words.score_words(value, units)
    environment.filters["against"] = lambda value, other: words.difference(value - other, units)
    return environment.get_template("page.html")


def _charts(report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What a kind of target brings as charts, drawn, with the colours of their series."""
    for chart in report.get("charts", ()):
        plot = charts.drawn(chart)
        if plot:
            names = [series["name"] for series in chart["series"]]
            coloured = [(name, charts.COLOURS[place % len(charts.COLOURS)]) for place, name in enumerate(names)]
            yield {"title": chart["title"], "note": chart["note"], "plot": plot, "series": coloured}


def _listed(found: Mapping[str, Any] | None) -> list[tuple[str, str, str, Mapping[str, Any]]]:
    """The lists of examples that a report has: their place in it, a title, what they are, the list."""
    if not found:
        return []
    lists = [
        ("mistakes", "Mistakes, to be found again", "What the chosen file answers wrong, the surest first:", found),
        (
            "mistakes.disagreements",
            "Where the files disagree",
            f"What {' and '.join(found['files'])} answer otherwise:",
            found["disagreements"],
        ),
        (
            "mistakes.doubtful",
            "Doubtful labels",
            "Examples that these files answer with confidence, and otherwise than their label says (Northcutt et al. "
            "2021), the most suspicious first: look whether the label is right.",
            found["doubtful"] or {"rows": []},
        ),
    ]
    return [one for one in lists if one[3]["rows"]]


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings by the names of their flags."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        flag = prefix + name.replace("_", "-")
        found |= _flat(value, f"{flag}.") if isinstance(value, Mapping) else {flag: value}
    return found


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
