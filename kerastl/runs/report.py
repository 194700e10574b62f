"""Rows -> `report.json`, a table in the terminal, a page that opens offline.

`report.json` is the only source of every number in prose; the page adds what is looked at: training curves, size
against score, and the pictures or texts that the chosen file gets wrong.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from kerastl import types
from kerastl.runs import baselines as rivals
from kerastl.runs import rows
from kerastl.runs.page import mistakes as mistaken
from kerastl.runs.page import overview, rendering
from kerastl.runs.page import words as wording
from kerastl.system import atomic_files, phrases
from kerastl.system.output import printable


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
    budget: Mapping[str, float] | None = None,
    ties: Sequence[str] = (),
    mistakes: Mapping[str, Any] | None = None,
    control: Mapping[str, Any] | None = None,
    baselines: Sequence[Mapping[str, Any]] = (),
    accept: Mapping[str, Any] | None = None,
    model_choice: str = "",
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """The content of `report.json`; `runs.remeasured` measures it again.

    Args:
        metadata: `recipe`, `tag`, `seed`, `versions`; a run folder's own; `made` and `settings` where they are known.
        dataset: what was trained, chosen and tested on.
        folder: the run folder, which holds every variant's file.
        stages: rows of `name`, `seconds`, `reused`.
        variants: every file measured.
        choice: the one that goes to the phone.
        details: what its score on the test split hides, see `types.Target.details`.
        skipped: techniques without a file, and why.
        frontier: variants that no other one beats in size, latency and validation score.
        budget: what the choice was counted from, see `verify.selection.budget`.
        ties: variants whose validation score is that of the chosen one but for chance.
        mistakes: what the chosen file gets wrong on the test split, see `page.mistakes.described`.
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
    loud = rivals.warnings(
        baselines, chosen, target=target, words=lambda score: wording.score_words(score, target.units)
    )
    return {
        "schema": 1,
        "recipe": metadata["recipe"],
        "tag": metadata["tag"],
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": dict(metadata["versions"]),
        "seed": metadata["seed"],
        "made": dict(metadata.get("made", {})),
        "settings": dict(metadata.get("settings", {})),
        "data": {
            "name": dataset.task.name,
            "digest": dataset.digest,
            **{split.name: len(split) for split in (dataset.train, dataset.validation, dataset.test)},
            **({} if dataset.drawn_from is None else {"drawn_from": dataset.drawn_from}),
            "overlaps": dict(dataset.leakage),
        },
        "data_overview": overview.described(dataset),
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
        "budget": None if budget is None else dict(budget),
        "ties": list(ties),
        "mistakes": None if mistakes is None else dict(mistakes),
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
    mistakes: mistaken.Misclassified | None = None,
    examples: Sequence[Mapping[str, str]] = (),
) -> Path:
    """Writes `report.json` and `report.html`, both or neither.

    Returns:
        The page's path.

    Raises:
        ValueError: if the report holds a NaN, an infinity, or something JSON has no word for.
    """
    text = json.dumps(report, indent=2, allow_nan=False, default=_number) + "\n"
    page, content = folder / "report.html", folder / "report.json"
    html = rendering.render(json.loads(text), curves=curves, mistakes=mistakes, examples=examples).encode()
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
    words += [report["privacy"]["words"]] if report.get("privacy") else []
    words += [report["model_choice"]] if report.get("model_choice") else []
    words += [report["selective"]["words"]] if report.get("selective") else []
    words.insert(1, f"ms: {wording.chosen_latency(report).measured}.")
    words += [f"skipped: {name}: {why}" for name, why in report["skipped"].items()]
    words += _baselines(report)
    for line in (*words, report["summary"]):
        console.print(printable(line), markup=False, highlight=False)
    for loud in report.get("warnings", ()):
        console.print(f"WARNING: {printable(loud)}", markup=False, highlight=False, style="bold yellow")


def _baselines(report: Mapping[str, Any]) -> list[str]:
    """What baselines score, in one line."""
    units, rows = report.get("units", "%"), []
    for row in report.get("baselines", ()):
        validation, test = (wording.score_words(row[key], units) for key in ("validation_score", "score"))
        rows.append(f"{row['name']} {validation} and {test}")
    return [f"Baselines, on validation and on test: {'; '.join(rows)}."] if rows else []
