"""The page of a comparison of runs, and its table alone for a notebook."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import jinja2

from kerastl.runs.page import charts, words

if TYPE_CHECKING:
    from kerastl.runs.comparison import Comparison


def render(found: Comparison) -> str:
    """The page as HTML that needs nothing else."""
    return _environment(found.units).get_template("compare.html").render(found=found, plots=_plots(found))


def table(found: Comparison) -> str:
    """Its first table alone."""
    return _environment(found.units).get_template("sections/compared_runs.html").render(found=found)


def gain_words(value: float, units: str) -> str:
    """What a run gains over another: points of a share, else in the units of the score."""
    return words.difference(value, units)


@functools.cache
def _environment(units: str) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("kerastl.runs.page", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    for name in ("percent", "size", "duration", "milliseconds", "count"):
        environment.filters[name] = getattr(words, name)
    environment.filters["score"] = lambda value: words.score_words(value, units)
    environment.filters["gain"] = lambda value: gain_words(value, units)
    return environment


def _plots(found: Comparison) -> list[tuple[str, str]]:
    """Score against bytes and against latency, a point a run."""
    made = []
    for title, key, label in (
        ("Size against score on test", "bytes", "bytes, logarithmic"),
        ("Latency against score on test", "milliseconds", "milliseconds of one inference, logarithmic"),
    ):
        rows: list[Any] = list(found.rows)
        chart = charts.Chart(
            title,
            x=charts.logarithmic([row[key] for row in rows]),
            y=charts.linear([row[end] for row in rows for end in ("score_low", "score_high")]),
            labels=(label, found.metric),
            percent=(False, found.units == "%"),
        )
        for number, row in enumerate(rows, start=1):
            said = (
                f"{number}. {row['name']}: {words.score_words(row['score'], found.units)}, {words.size(row['bytes'])}"
            )
            bounds = (row["score_low"], row["score_high"])
            style = "chosen" if number == 1 else "other"
            chart.mark(row[key], row["score"], style=style, title=said, label=str(number), interval=bounds)
        made.append((title, chart.svg()))
    return made
