"""`evaluation.json` -> the page, as HTML that needs nothing else."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2

from kerastl.runs.page import words


def render(found: Mapping[str, Any], *, pictures: Mapping[str, Any]) -> str:
    """The page as HTML that needs nothing else: styles, plots and pictures are inside.

    Args:
        found: what `evaluation.json` holds.
        pictures: what it does not hold, by section.
    """
    page = _template(str(found["units"])).render(found=found, pictures=pictures, names=_files(found))
    return "\n".join(line.rstrip() for line in page.splitlines() if line.strip()) + "\n"


def explanation(found: Mapping[str, Any], shown: Sequence[Mapping[str, Any]]) -> str:
    """The page of `kerastl explain`: answers to inputs that somebody named.

    Args:
        found: ``recipe``, ``tag``, ``file``, ``units``, and the section ``explanations``.
        shown: of each input what it is, its answer, and maps or words.
    """
    return render(found, pictures={"explanations": shown})


def error_words(value: float, units: str) -> str:
    """An error, or a difference of errors, as it is shown: a share in percent; what rounds to nothing has no sign."""
    return f"{round(100 * value, 1) + 0.0:.1f} %" if units == "%" else f"{value:.4g}"


@functools.cache
def _template(units: str) -> jinja2.Template:
    loaders = [jinja2.PackageLoader("kerastl.runs.evaluation", "."), jinja2.PackageLoader("kerastl.runs.page", ".")]
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(loaders), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.filters |= {
        "percent": lambda value, digits=1: "-" if value is None else f"{100 * value:.{digits}f} %",
        "number": lambda value, digits=3: "-" if value is None else f"{value:.{digits}g}",
        "gap": lambda value: "-" if value is None else f"{value:.3f}",
        "score": lambda value: words.score_words(value, units),
        "error": lambda value: "-" if value is None else error_words(value, units),
        "named": lambda name: str(name).replace("_", " "),
    }
    return environment.get_template("evaluation.html")


def _files(found: Mapping[str, Any]) -> list[str]:
    return list(found.get("scores", {}))
