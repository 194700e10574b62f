"""Rows -> `report.json`, a table in the terminal, a page that opens offline.

`report.json` is the only source of every number in prose; the page adds what is looked at: training curves, size
against score, and the pictures or texts that the chosen file gets wrong.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from jinja2 import UndefinedError as UndefinedError
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from kerastl import types
from kerastl.runs import baselines as rivals
from kerastl.runs import plots, rows
from kerastl.system import atomic_files, phrases
from kerastl.system.output import printable
from kerastl.verify import answers as tables


@dataclasses.dataclass(frozen=True, eq=False)
class Misclassified:
    """Examples that a file gets wrong, the most confident mistake first.

    Attributes:
        shown: each example for a page, as `types.Inputs.shown` gives it.
        labels, predictions: in words, one an example.
        confidences: how wrong each is: of classes the probability of the surest wrong answer, 0..1; of numbers the
            error in their units.
        units: of these, as in `types.Target`.
        origins: where each example was found; empty where the data does not know.
        total, examples: mistakes in all, and examples looked at.
    """

    shown: tuple[Mapping[str, str], ...]
    labels: tuple[str, ...]
    predictions: tuple[str, ...]
    confidences: tuple[float, ...]
    units: str
    origins: tuple[str, ...]
    total: int
    examples: int


def misclassified(split: types.Split, answers: Any, *, limit: int = 60) -> Misclassified:
    """The examples of a split that are answered wrong.

    Args:
        split: the examples and their task.
        answers: the file's answers, `(examples, outputs)`.
        limit: examples to keep; all mistakes are counted.

    Raises:
        ValueError: if there is not an answer an example.
    """
    target = split.task.target
    target.score(answers, split.labels)  # refuses answers of another shape
    confidence = target.confidence(answers, split.labels)
    wrong = np.flatnonzero(confidence > 0)
    rows = wrong[np.argsort(-confidence[wrong], kind="stable")][:limit]
    few = split.subset(rows)
    inputs: Any = few.inputs if isinstance(few.inputs, Mapping) else few.inputs[:]  # what is lazy is read here
    said = target.predictions(tables.row_of(answers, rows))

    def each(values: Any) -> Iterator[Any]:
        return (tables.row_of(values, place) for place in range(len(rows)))

    return Misclassified(
        shown=tuple(map(split.task.inputs.shown, each(inputs))),
        labels=tuple(map(target.label_words, each(few.labels))),
        predictions=tuple(map(target.label_words, each(said))),
        confidences=tuple(float(value) for value in confidence[rows]),
        units=target.units,
        origins=() if few.origins is None else tuple(map(str, few.origins)),
        total=len(wrong),
        examples=len(split),
    )


def build(
    metadata: Mapping[str, Any],
    dataset: types.Dataset,
    *,
    folder: Path,
    stages: Sequence[Mapping[str, Any]],
    variants: Sequence[types.Variant],
    choice: types.Choice,
    details: Mapping[str, Any],
    skipped: Mapping[str, str] | None = None,
    frontier: Sequence[str] = (),
    control: Mapping[str, Any] | None = None,
    baselines: Sequence[Mapping[str, Any]] = (),
    accept: Mapping[str, Any] | None = None,
    model_choice: str = "",
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """The content of `report.json`; `runs.remeasured` measures it again.

    Args:
        metadata: `recipe`, `tag`, `seed`, `versions`; a run folder's own.
        dataset: what was trained, chosen and tested on.
        folder: the run folder, which holds every variant's file.
        stages: rows of `name`, `seconds`, `reused`.
        variants: every file measured.
        choice: the one that goes to the phone.
        details: what its score on the test split hides, see `types.Target.details`.
        skipped: techniques without a file, and why.
        frontier: variants that no other one beats in size, latency and validation score.
        control: what a teacher gave, seed by seed: ``teacher`` with its scores, ``distilled`` and ``alone`` with those
            of a student a seed, ``seeds``, ``steps``, and the fields of ``verify.baseline.DistillationGain``.
        baselines: what the chosen file has to beat, see `runs.baselines`.
        accept: the bounds by which `publishing.publish` chose, the fields of `Acceptance`; ``None`` for another choice.
        model_choice: which of several trained models the files are of, and why; empty where there was one.
        notes: what else has to be said loudly, a sentence each.

    Raises:
        ValueError: if a variant's file lies outside the folder, a name comes twice, or the choice is none of them.
    """
    target, names = dataset.task.target, [variant.artifact.name for variant in variants]
    if len(set(names)) != len(names) or choice.name not in names:
        raise ValueError(
            "A report needs variants with names of their own, and one of them chosen. "
            f"Received: variants {', '.join(names) or 'none'}; chosen {choice.name!r}."
        )
    listed = [rows.of_variant(variant, folder) for variant in variants]
    chosen = next(row for row in listed if row["name"] == choice.name)
    loud = rivals.warnings(baselines, chosen, target=target, words=lambda score: score_words(score, target.units))
    return {
        "schema": 1,
        "recipe": metadata["recipe"],
        "tag": metadata["tag"],
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": dict(metadata["versions"]),
        "seed": metadata["seed"],
        "data": {
            "name": dataset.task.name,
            "digest": dataset.digest,
            **{split.name: len(split) for split in (dataset.train, dataset.validation, dataset.test)},
            **({} if dataset.drawn_from is None else {"drawn_from": dataset.drawn_from}),
            "overlaps": dict(dataset.leakage),
        },
        "task": target.kind,
        "metric": target.metric,
        "units": target.units,
        "higher_is_better": target.higher_is_better,
        "stages": [{key: row[key] for key in ("name", "seconds", "reused")} for row in stages],
        "variants": listed,
        "chosen": choice.name,
        "why": choice.why,
        "model_choice": model_choice,
        "within_budget": list(choice.within),
        **details,
        "summary": target.summary(details),
        "skipped": dict(skipped or {}),
        "frontier": list(frontier),
        "control": None if control is None else dict(control),
        "baselines": [dict(row) for row in baselines],
        "warnings": [*loud, *notes, *_wide(variants)],
        "accept": None if accept is None else dict(accept),
    }


def _wide(variants: Sequence[types.Variant]) -> list[str]:
    """What has to be said of latencies that say little."""
    wide = [variant for variant in variants if variant.latency.is_wide]
    if not wide:
        return []
    worst = max(wide, key=lambda variant: variant.latency.spread)
    names = ", ".join(variant.artifact.name for variant in wide)
    return [f"The latency of {names} says little; of {worst.artifact.name} {worst.latency.warning}."]


def write(
    report: Mapping[str, Any],
    folder: Path,
    *,
    curves: Sequence[types.History] = (),
    mistakes: Misclassified | None = None,
) -> Path:
    """Writes `report.json` and `report.html`, both or neither.

    Returns:
        The page's path.

    Raises:
        ValueError: if the report holds a NaN, an infinity, or something JSON has no word for.
    """
    text = json.dumps(report, indent=2, allow_nan=False, default=_number) + "\n"
    page, content = folder / "report.html", folder / "report.json"
    html = render(json.loads(text), curves=curves, mistakes=mistakes).encode()
    both = len(html) + len(text)
    with (
        atomic_files.atomic_replace(page, needed_bytes=both) as new_page,
        atomic_files.atomic_replace(content) as new_content,
    ):
        new_page.write_bytes(html)
        new_content.write_bytes(text.encode())
    return page


def _number(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise ValueError(f"A report holds numbers, strings, lists and mappings. Received: {value!r}.")


def render(
    report: Mapping[str, Any], *, curves: Sequence[types.History] = (), mistakes: Misclassified | None = None
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
        latency=_chosen_latency(report),
        size_plot=plots.measure(report, "size"),
        latency_plot=plots.measure(report, "latency"),
        scatter_plot=plots.scatter(report["scatter"]) if report.get("scatter") else "",
        curve_plots=[(one.stage, plots.curves(one)) for one in curves if plots.panels(one)],
        mistakes=mistakes,
        ends=[*_ends("in", chosen, "input"), *_ends("out", chosen, "output")],
        tiles=_tiles(mistakes) if mistakes else [],
        total_seconds=sum(row["seconds"] for row in report["stages"]),
    )


@functools.cache
def _template(units: str) -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters |= {"percent": _percent, "size": _size, "duration": _duration, "milliseconds": _milliseconds}
    environment.filters["score_of"] = score_words
    environment.filters["score"] = lambda value: score_words(value, units)
    return environment.from_string(Path(__file__).with_name("report.html").read_text(encoding="utf-8"))


def _ends(word: str, row: Mapping[str, Any], side: str) -> list[tuple[str, Mapping[str, Any]]]:
    """What goes in or comes out; where that is several, each with its name."""
    tensors = row.get(f"{side}s", ())
    return [(f"{word}, {one['name']}", one) for one in tensors] if len(tensors) > 1 else [(word, row[side])]


def _times_smaller(rows: Sequence[Mapping[str, Any]], chosen: Mapping[str, Any]) -> float | None:
    """How many times the teacher's float file holds the chosen one; None where the run had no teacher."""
    teachers = [row["bytes"] for row in rows if row["name"].split("_")[0] == "teacher" and row is not chosen]
    return max(teachers) / chosen["bytes"] if teachers else None


def print_table(report: Mapping[str, Any], *, console: Console | None = None) -> None:
    """Prints a report's variants, smallest first, and the chosen one with its reason."""
    if console is None:  # as one piece, which goes where whatever else is printed goes
        console = Console(force_jupyter=False)  # which would draw an empty frame beside it
        with console.capture() as printed:
            print_table(report, console=console)
        print(printed.get(), end="", flush=True)
        return
    table = Table(
        title=escape(printable(f"{report['recipe']} / {report['tag']}")),
        title_justify="left",
        box=box.SIMPLE,
        padding=(0, 1, 0, 0),
    )
    table.add_column("variant", overflow="fold")  # long names give way to the numbers
    units = report.get("units", "%")
    unit = units or "score"
    # shares in percent without the sign: the whole row fits a terminal of 80 columns
    for header in ("bytes", f"valid. {unit}", f"test {unit}", "interval", "agree %", "ms"):
        table.add_column(header, justify="right", no_wrap=True)
    for row in sorted(report["variants"], key=lambda row: row["bytes"]):
        chosen = row["name"] == report["chosen"]
        keys = ("validation_score", "score", "score_low", "score_high")
        scores = {key: f"{100 * row[key]:.2f}" if units == "%" else phrases.plain(row[key]) for key in keys}
        wide = types.Latency.of(row["latency_ms"]).is_wide
        table.add_row(
            escape(printable(f"{row['name']}{' *' if chosen else ''}")),
            f"{row['bytes']:,}",
            scores["validation_score"],
            scores["score"],
            f"{scores['score_low']}-{scores['score_high']}",
            f"{100 * row['agreement']:.2f}",
            f"{row['latency_ms']['median']:.3f}{'?' if wide else ''}",
            style="bold green" if chosen else None,
        )
    console.print(table)
    words = [f"* {report['chosen']}: {report['why']}", *([report["control"]["words"]] if report["control"] else [])]
    words += [report["single_tasks"]["words"]] if report.get("single_tasks") else []
    words += [report["heads"]["words"]] if report.get("heads") else []
    words += [report["model_choice"]] if report.get("model_choice") else []
    words += [report["selective"]["words"]] if report.get("selective") else []
    words.insert(1, f"ms: {_chosen_latency(report).measured}.")
    words += [f"skipped: {name}: {why}" for name, why in report["skipped"].items()]
    words += _baselines(report)
    for line in (*words, report["summary"]):
        console.print(printable(line), markup=False, highlight=False)
    for loud in report.get("warnings", ()):
        console.print(f"WARNING: {printable(loud)}", markup=False, highlight=False, style="bold yellow")


def _baselines(report: Mapping[str, Any]) -> list[str]:
    """What baselines score, in one line."""
    units = report.get("units", "%")
    rows = [
        f"{row['name']} {score_words(row['validation_score'], units)} and {score_words(row['score'], units)}"
        for row in report.get("baselines", ())
    ]
    return [f"Baselines, on validation and on test: {'; '.join(rows)}."] if rows else []


def _chosen_latency(report: Mapping[str, Any]) -> types.Latency:
    """That of the chosen file; all were measured alike."""
    return types.Latency.of(next(row for row in report["variants"] if row["name"] == report["chosen"])["latency_ms"])


def score_words(value: float, units: str) -> str:
    """A score in words: shares in percent, else in the units of its task."""
    return _percent(value) if units == "%" else f"{phrases.plain(value)} {units}".rstrip()


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _size(count: float) -> str:
    return f"{count / 1e6:,.2f} MB" if count >= 1e6 else f"{count / 1e3:,.1f} KB" if count >= 1e3 else f"{count:,.0f} B"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s"


def _milliseconds(value: float) -> str:
    return f"{value:.2f} ms" if value >= 1 else f"{1000 * value:.0f} µs"


def _tiles(found: Misclassified) -> list[dict[str, str]]:
    """What is shown of each example beside the example itself."""
    tiles = []
    for place, (example, label, prediction, confidence) in enumerate(
        zip(found.shown, found.labels, found.predictions, found.confidences, strict=True)
    ):
        if found.units == "%":
            words = f"{100 * confidence:.0f} %" if math.isfinite(confidence) else "?"
        else:
            words = f"(off by {score_words(confidence, found.units)})"
        origin = found.origins[place] if found.origins else ""
        tiles.append({**example, "label": label, "prediction": prediction, "confidence": words, "origin": origin})
    return tiles
