"""Rows -> `report.json`, a table in the terminal, a page that opens offline.

`report.json` is the only source of every number in prose; the page adds what is looked at: training curves, size
against score, and the pictures or texts that the chosen file gets wrong.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from PIL import Image
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from kerastl import types
from kerastl.inputs import wordpiece
from kerastl.runs import plots
from kerastl.system import atomic_files


@dataclasses.dataclass(frozen=True, eq=False)
class Misclassified:
    """Pictures or texts that a file gets wrong, the most confident mistake first.

    Attributes:
        pictures: uint8 `(shown, height, width, 1 or 3)`; `None` for texts.
        labels, predictions: class names, one an example; where it may have several, all of them in words.
        probabilities: of the predicted class, or of the surest of several answers that is wrong, 0..1.
        total, examples: mistakes in all, and examples looked at.
        texts: as the model read them, out of their tokens.
    """

    pictures: np.ndarray | None
    labels: tuple[str, ...]
    predictions: tuple[str, ...]
    probabilities: tuple[float, ...]
    total: int
    examples: int
    texts: tuple[str, ...] = ()


def misclassified(
    split: types.Split,
    probabilities: np.ndarray,
    *,
    class_names: Sequence[str],
    vocabulary: Sequence[str] = (),
    limit: int = 60,
) -> Misclassified:
    """The examples of a split that are answered wrong.

    Args:
        split: with pictures `(examples, height, width, 1 or 3)`, uint8, or token ids.
        probabilities: the file's answers, `(examples, classes)`.
        class_names: one name a class.
        vocabulary: the token of each id, for texts.
        limit: examples to keep; all mistakes are counted.

    Raises:
        ValueError: if the shapes do not fit each other.
    """
    if probabilities.shape != (len(split), len(class_names)):
        raise ValueError(
            f"Mistakes need probabilities of shape ({len(split)}, {len(class_names)}): one row an example, one "
            f"column a class. Received: {probabilities.shape}."
        )
    if not split.is_text and (split.inputs.ndim != 4 or split.inputs.shape[-1] not in (1, 3)):
        raise ValueError(
            f"A sheet of mistakes needs pictures (examples, height, width, 1 or 3). Received: {split.inputs.shape}."
        )
    predictions = types.predictions(probabilities, multi_label=split.multi_label)
    wrong = np.flatnonzero(~types.same_prediction(predictions, split.labels))
    confidence = probabilities.max(axis=1)
    if split.multi_label:
        sure = np.where(predictions, probabilities, 1 - probabilities)
        confidence = np.where(predictions != split.labels, sure, 0).max(axis=1)
    shown = wrong[np.argsort(-confidence[wrong], kind="stable")][:limit]
    return Misclassified(
        pictures=None if split.is_text else np.asarray(split.inputs[shown], np.uint8),
        texts=tuple(wordpiece.decode(ids, vocabulary) for ids in split.inputs[shown].tolist()) if split.is_text else (),
        labels=tuple(_in_words(label, class_names) for label in split.labels[shown]),
        predictions=tuple(_in_words(prediction, class_names) for prediction in predictions[shown]),
        probabilities=tuple(float(value) for value in confidence[shown]),
        total=len(wrong),
        examples=len(split),
    )


def _in_words(answer: Any, class_names: Sequence[str]) -> str:
    """A class index, or 0 and 1 for every class, as names."""
    if np.ndim(answer) == 0:
        return class_names[int(answer)]
    return ", ".join(name for name, there in zip(class_names, answer, strict=True) if there) or "none"


def build(
    metadata: Mapping[str, Any],
    dataset: types.Dataset,
    *,
    folder: Path,
    stages: Sequence[Mapping[str, Any]],
    variants: Sequence[types.Variant],
    choice: types.Choice,
    by_class: types.PerClassMetrics,
    skipped: Mapping[str, str] | None = None,
    frontier: Sequence[str] = (),
    control: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The content of `report.json`.

    Args:
        metadata: `recipe`, `tag`, `seed`, `versions`; a run folder's own.
        dataset: what was trained, chosen and tested on.
        folder: the run folder, which holds every variant's file.
        stages: rows of `name`, `seconds`, `reused`.
        variants: every file measured.
        choice: the one that goes to the phone.
        by_class: how it fares on the test split, class by class.
        skipped: techniques without a file, and why.
        frontier: variants that no other one beats in size, latency and validation score.
        control: what a teacher gave, seed by seed: ``teacher`` with its scores, ``distilled`` and ``alone`` with those
            of a student a seed, ``seeds``, ``steps``, and the fields of ``verify.baseline.DistillationGain``.

    Raises:
        ValueError: if a variant's file lies outside the folder, a name comes twice, or the choice is none of them.
    """
    names = [variant.artifact.name for variant in variants]
    if len(set(names)) != len(names) or choice.name not in names:
        raise ValueError(
            "A report needs variants with names of their own, and one of them chosen. "
            f"Received: variants {', '.join(names) or 'none'}; chosen {choice.name!r}."
        )
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
            "overlaps": dict(dataset.leakage),
        },
        "metric": dataset.task.metric,
        "stages": [{key: row[key] for key in ("name", "seconds", "reused")} for row in stages],
        "variants": [_row(variant, folder) for variant in variants],
        "chosen": choice.name,
        "why": choice.why,
        **_by_class(by_class),
        "skipped": dict(skipped or {}),
        "frontier": list(frontier),
        "control": None if control is None else dict(control),
    }


def _by_class(found: types.PerClassMetrics) -> dict[str, Any]:
    rows = [{"name": name, "examples": count, "recall": found.recall[name]} for name, count in found.examples.items()]
    means = {"balanced_accuracy": found.balanced_accuracy, "majority_baseline": found.majority_baseline}
    several = found.multi_label
    if several is None:
        return {"by_class": rows, **means}
    for row in rows:
        row |= {key: getattr(several, key)[row["name"]] for key in ("precision", "f1", "average_precision")}
    means |= {"macro_f1": several.macro_f1, "mean_average_precision": several.mean_average_precision}
    return {"by_class": rows, **means}


def _row(variant: types.Variant, folder: Path) -> dict[str, Any]:
    artifact, facts, test = variant.artifact, variant.facts, variant.test
    path, root = artifact.path.resolve(), folder.resolve()
    if not path.is_relative_to(root):
        raise ValueError(f"A variant's file lies in its run folder {folder}. Received: {artifact.path}.")
    return {
        "name": artifact.name,
        "file": path.relative_to(root).as_posix(),
        "sha256": facts.sha256,
        "technique": artifact.technique,
        "bytes": facts.bytes,
        "gzip_bytes": facts.gzip_bytes,
        "parameters": facts.parameters,
        "sparsity": facts.sparsity,
        "validation_score": variant.validation.score.value,
        "score": test.score.value,
        "score_low": test.score.low,
        "score_high": test.score.high,
        "float_score": test.float_score,
        "agreement": test.agreement,
        "max_difference": test.max_difference,
        "worst_layer": dataclasses.asdict(variant.worst_layer) if variant.worst_layer else None,
        "latency_ms": {key: getattr(variant.latency, key) for key in ("median", "p95", "threads", "runs")},
        "ops": {key: getattr(facts.operators, key) for key in ("total", "integer", "float", "flex")},
        "input": _tensor(facts.input),
        "output": _tensor(facts.output),
    }


def _tensor(tensor: types.Tensor) -> dict[str, Any]:
    return {
        "dtype": tensor.dtype,
        "shape": [int(size) for size in tensor.shape],
        "scale": tensor.scale,
        "zero_point": tensor.zero_point,
    }


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
    page, rows = folder / "report.html", folder / "report.json"
    html = render(json.loads(text), curves=curves, mistakes=mistakes).encode()
    both = len(html) + len(text)
    with (
        atomic_files.atomic_replace(page, needed_bytes=both) as new_page,
        atomic_files.atomic_replace(rows) as new_rows,
    ):
        new_page.write_bytes(html)
        new_rows.write_bytes(text.encode())
    return page


def _number(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise ValueError(f"A report holds numbers, strings, lists and mappings. Received: {value!r}.")


def render(
    report: Mapping[str, Any], *, curves: Sequence[types.History] = (), mistakes: Misclassified | None = None
) -> str:
    """The page as HTML that needs nothing else: styles, plots and pictures are inside."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters |= {"percent": _percent, "size": _size, "duration": _duration, "milliseconds": _milliseconds}
    template = environment.from_string(Path(__file__).with_name("report.html").read_text(encoding="utf-8"))
    rows = sorted(report["variants"], key=lambda row: row["bytes"])
    chosen = next(row for row in rows if row["name"] == report["chosen"])
    return template.render(
        report=report,
        rows=rows,
        chosen=chosen,
        smaller=_times_smaller(rows, chosen),
        size_plot=plots.measure(report, "size"),
        latency_plot=plots.measure(report, "latency"),
        curve_plots=[(one.stage, plots.curves(one)) for one in curves if plots.panels(one)],
        mistakes=mistakes,
        tiles=_tiles(mistakes) if mistakes else [],
        kind="texts" if mistakes and mistakes.pictures is None else "pictures",
        total_seconds=sum(row["seconds"] for row in report["stages"]),
    )


def _times_smaller(rows: Sequence[Mapping[str, Any]], chosen: Mapping[str, Any]) -> float | None:
    """How many times the teacher's float file holds the chosen one; None where the run had no teacher."""
    teachers = [row["bytes"] for row in rows if row["name"].split("_")[0] == "teacher" and row is not chosen]
    return max(teachers) / chosen["bytes"] if teachers else None


def print_table(report: Mapping[str, Any], *, console: Console | None = None) -> None:
    """Prints a report's variants, smallest first, and the chosen one with its reason."""
    console = Console() if console is None else console
    table = Table(
        title=escape(f"{report['recipe']} / {report['tag']}"),
        title_justify="left",
        box=box.SIMPLE,
        padding=(0, 1, 0, 0),
    )
    table.add_column("variant", overflow="fold")  # long names give way to the numbers
    # shares in percent without the sign: the whole row fits a terminal of 80 columns
    for header in ("bytes", "valid. %", "test %", "interval", "agree %", "ms"):
        table.add_column(header, justify="right", no_wrap=True)
    for row in sorted(report["variants"], key=lambda row: row["bytes"]):
        chosen = row["name"] == report["chosen"]
        shares = {
            key: f"{100 * row[key]:.2f}"
            for key in ("validation_score", "score", "score_low", "score_high", "agreement")
        }
        table.add_row(
            f"{row['name']}{' *' if chosen else ''}",
            f"{row['bytes']:,}",
            shares["validation_score"],
            shares["score"],
            f"{shares['score_low']}-{shares['score_high']}",
            shares["agreement"],
            f"{row['latency_ms']['median']:.3f}",
            style="bold green" if chosen else None,
        )
    console.print(table)
    console.print(f"* {report['chosen']}: {report['why']}", markup=False, highlight=False)
    if report["control"]:
        console.print(report["control"]["words"], markup=False, highlight=False)
    for name, why in report["skipped"].items():
        console.print(f"skipped: {name}: {why}", markup=False, highlight=False)
    several = "macro_f1" in report
    key = "f1" if several else "recall"
    worst = min((row for row in report["by_class"] if row["recall"] is not None), key=lambda row: row[key])
    mean = (
        f"macro F1 {_percent(report['macro_f1'])}, mean average precision {_percent(report['mean_average_precision'])}"
        if several
        else f"balanced accuracy {_percent(report['balanced_accuracy'])}"
    )
    console.print(
        f"{mean}; worst class {worst['name']} {_percent(worst[key])}; always answering the most frequent "
        f"{'set of classes' if several else 'class'}: {_percent(report['majority_baseline'])}",
        markup=False,
        highlight=False,
    )


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
    tiles = []
    shown = [{"text": text} for text in found.texts] if found.pictures is None else map(_drawn, found.pictures)
    for example, label, prediction, probability in zip(
        shown, found.labels, found.predictions, found.probabilities, strict=True
    ):
        tiles.append(
            {
                **example,
                "label": label,
                "prediction": prediction,
                "probability": f"{100 * probability:.0f} %" if math.isfinite(probability) else "?",
            }
        )
    return tiles


def _drawn(picture: np.ndarray) -> dict[str, str]:
    sink = io.BytesIO()
    Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).save(sink, format="PNG", optimize=True)
    return {"source": "data:image/png;base64," + base64.b64encode(sink.getvalue()).decode()}
