"""`MODEL_CARD.md`: what the file is for, what it was made of, how good it is, where it fails, what it cost.

After Mitchell et al. 2019, "Model cards for model reporting", with the head that Hugging Face's hub reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kerastl.system import phrases
from kerastl.types import Latency, Task

NAME = "MODEL_CARD.md"
DATA_LICENCES = {
    "mnist": "not stated by its authors (LeCun, Cortes & Burges)",
    "fashion_mnist": "MIT, (c) 2017 Zalando SE",
    "cifar10": "not stated by its authors (Krizhevsky 2009)",
    "bike_rentals": "CC BY 4.0",
}
"""Name of a data set -> its licence; of others kerastl does not know it."""
WEIGHT_LICENCES = {
    "mobilenet_v2": "MobileNetV2 on ImageNet, Apache-2.0",
    "efficientnet_lite0": "EfficientNet-Lite0 on ImageNet, Apache-2.0",
    "minilm_l6": "all-MiniLM-L6-v2, Apache-2.0",
}
"""Value of a setting -> the pretrained weights that it names, and their licence."""
_PIPELINES = {"image": "image-classification", "text": "text-classification"}
_WORST = 5
"""Classes with the least F1 that a card names."""


def written(report: Mapping[str, Any], task: Task) -> str:
    """The card of a run's chosen file.

    Args:
        report: the content of `report.json`.
        task: what goes in and what is asked.
    """
    row = next(row for row in report["variants"] if row["name"] == report["chosen"])
    sections = {
        "Intended use": _use(report, task),
        "Data": _data(report),
        "Weights": _weights(report["settings"]),
        "Scores": _scores(report, row),
        "Limits": _limits(report, row),
        "Cost": _cost(report, row),
    }
    parts = [*_head(report, row, task), f"# {report['recipe']} / {report['tag']}", ""]
    latency = Latency.of(row["latency_ms"])
    parts += [
        f"A TFLite file for {report['task']} on {report['data']['name']}: {row['technique']}, {row['bytes']:,} bytes, "
        f"{latency.median:.3f} ms an inference ({latency.measured}). SHA-256 `{row['sha256']}`.",
        "",
    ]
    for title, lines in sections.items():
        parts += [f"## {title}", "", *lines, ""]
    return "\n".join(parts).rstrip() + "\n"


def _head(report: Mapping[str, Any], row: Mapping[str, Any], task: Task) -> Iterator[str]:
    yield "---"
    yield "library_name: litert"
    if "labels" in task.target.described() and task.inputs.kind in _PIPELINES:
        yield f"pipeline_tag: {_PIPELINES[task.inputs.kind]}"
    yield "tags:"
    yield from ("- tflite", "- kerastl")
    yield "metrics:"
    yield f"- {report['metric']}"
    yield "---"
    yield ""


def _use(report: Mapping[str, Any], task: Task) -> Iterator[str]:
    names = list(task.target.names)
    listed = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
    yield f"It takes {task.inputs.fed_with} and answers {report['task']}: {listed}."
    yield ""
    yield (
        "It is meant for inputs like those of the data below. Of other inputs (another camera, another language, "
        "another kind of thing) nothing was measured, and it answers them, too. Decisions about people need an "
        "evaluation of their own."
    )
    if (report.get("made") or {}).get("smoke"):
        yield ""
        yield "**It comes out of a smoke run, whose tiny sizes show that everything works: it is for no use.**"


def _data(report: Mapping[str, Any]) -> Iterator[str]:
    data = report["data"]
    unknown = "not known to kerastl: whoever gave the data can say it"
    yield f"- name: {data['name']}"
    yield f"- licence: {DATA_LICENCES.get(data['name'], unknown)}"
    yield f"- digest of all three splits (SHA-256): `{data['digest']}`"
    yield f"- examples: {data['train']:,} train, {data['validation']:,} validation, {data['test']:,} test"
    overlaps = data.get("overlaps") or {}
    if overlaps:
        yield f"- held-out examples that stand in another split as well: {overlaps.get('exact_duplicates', 0):,}"
    counts = [row["train"] for row in (report.get("data_overview") or {}).get("counts", ())]
    if counts:
        yield f"- training examples of a class: {min(counts):,} to {max(counts):,}"


def _weights(settings: Mapping[str, Any]) -> Iterator[str]:
    known = [WEIGHT_LICENCES[value] for value in _values(settings) if value in WEIGHT_LICENCES]
    if known:
        yield f"It began with {'; '.join(dict.fromkeys(known))}."
    else:
        yield (
            "No pretrained weights that kerastl comes with stand in its settings; where a setting names a model or a "
            "teacher, its licence is that of whoever made it."
        )


def _values(settings: Mapping[str, Any]) -> Iterator[str]:
    for value in settings.values():
        if isinstance(value, Mapping):
            yield from _values(value)
        elif isinstance(value, str):
            yield value


def _scores(report: Mapping[str, Any], row: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"The file itself on the test split, which chose nothing: {report['metric']} {_words(row['score'], report)} "
        f"(95 % interval {_words(row['score_low'], report)} to {_words(row['score_high'], report)}, "
        f"{report['data']['test']:,} examples). Its float model: {_words(row['float_score'], report)}; the two answer "
        f"{100 * row['agreement']:.2f} % of the examples alike."
    )
    for one in report.get("baselines", ()):
        yield f"- {one['name']}: {_words(one['score'], report)}"
    rows = [one for one in report.get("by_class", ()) if one.get("f1") is not None and one["examples"]]
    if rows and "f1_low" in rows[0]:
        yield ""
        yield "| class | examples | recall | precision | F1 (95 % interval) |"
        yield "|---|---:|---:|---:|---:|"
        for one in sorted(rows, key=lambda one: one["f1"])[:_WORST]:
            shares = [
                f"{100 * one[key]:.2f} %" if one[key] is not None else "" for key in ("recall", "precision", "f1")
            ]
            interval = f"({100 * one['f1_low']:.1f} to {100 * one['f1_high']:.1f})"
            yield f"| {_cell(one['name'])} | {one['examples']:,} | {' | '.join(shares)} {interval} |"
        if len(rows) > _WORST:
            yield ""
            yield f"The {_WORST} classes with the least F1 of {len(rows)}; `report.json` has all."


def _limits(report: Mapping[str, Any], row: Mapping[str, Any]) -> Iterator[str]:
    found = report.get("confusions") or ()
    if found:
        names = found[0]["names"]
        pairs = [cell for cell in found[0]["cells"] if cell[0] != cell[1]][:3]
        if pairs:
            said = "; ".join(f"{names[true]} for {names[other]} ({count} times)" for true, other, count in pairs)
            yield f"- It takes most often {said}, of the test examples."
    needs = row.get("min_runtime")
    if needs:
        yield f"- It needs LiteRT {needs['litert']} or newer; older runtimes may answer wrong without an error."
    for loud in report.get("warnings", ()):
        yield f"- {loud}"
    yield "- Its probabilities are those of the network; how well they are calibrated is not said here."
    yield "- What groups of people or of inputs it treats differently was not measured unless `report.json` says so."


def _cost(report: Mapping[str, Any], row: Mapping[str, Any]) -> Iterator[str]:
    seconds = sum(stage["seconds"] for stage in report["stages"])
    machine = (report.get("made") or {}).get("machine") or {}
    where = f" on {machine['cpu']}, {machine['cores']} cores" if machine else ""
    yield f"- made in {seconds / 60:.1f} minutes{where}; energy was not measured"
    if row.get("multiply_adds"):
        yield f"- one inference: {row['multiply_adds']:,} multiply-adds, {row['arena_bytes']:,} bytes of activations"
    command = (report.get("made") or {}).get("command")
    if command:
        yield f"- command: `{command}`"
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    yield f"- versions: {versions}"


def _cell(words: str) -> str:
    return words.replace("|", "\\|")


def _words(value: float, report: Mapping[str, Any]) -> str:
    units = report["units"]
    return f"{100 * value:.2f} %" if units == "%" else f"{phrases.plain(value)} {units}".rstrip()
