"""`advise`: which model to start from for one's own data, why, and what it costs."""

from __future__ import annotations

import dataclasses
import json
import shlex
from pathlib import Path


def advise(
    *,
    path: str,
    megabytes: float | None,
    milliseconds: float | None,
    unlabelled: str | None,
    as_json: bool,
    **columns: str | tuple[str, ...] | None,
) -> int:
    """Prints the command to run, the reasons and the cost.

    Where there are examples without labels beside, it also prints how to pretrain on them.

    Raises:
        FileNotFoundError, ValueError: the data cannot be read, or is arrays, which no foundation model is for; or no
            model is within the budget.
    """
    import kerastl

    asked, texts = list(columns["label_columns"] or ()), str(columns["text_column"])
    if kerastl.data.sentence_tasks.are_tasks(path, asked, text_column=texts):
        return _several_tasks(path, asked, texts, str(columns["split_column"]), as_json=as_json)
    facts = kerastl.data.facts.summarize(path, **columns)
    if facts.kind == "numbers":
        return _table(path, list(columns["label_columns"] or ()), str(columns["split_column"]), as_json=as_json)
    if kerastl.data.formats.format_of(Path(path)) == "arrays":
        raise ValueError(
            f"Foundation models take pictures of their own size, and {path} holds arrays of one. Save the pictures as "
            "files, a folder a class; or `kerastl copy mnist_cnn FILE` starts a recipe of your own."
        )
    if facts.kind == "pictures":
        total = sum(facts.counts.values())
        plan = kerastl.training.transfer.plan(
            examples=total if facts.examples is None else facts.examples,
            classes=len(facts.counts),
            each=None if facts.examples is None else total / max(len(facts.counts), 1),
        )
        forward_passes, epochs = 1 + plan.views, plan.fine_tune.epochs if plan.fine_tune else 0
    else:
        forward_passes, epochs = 0, kerastl.models.advice.TEXT_EPOCHS
    found = kerastl.models.advice.advise(
        **facts._asdict(), forward_passes=forward_passes, epochs=epochs, megabytes=megabytes, milliseconds=milliseconds
    )
    beside = (
        None
        if unlabelled is None
        else kerastl.data.facts.counted(unlabelled, kind=facts.kind, text_column=str(columns["text_column"]))
    )
    if as_json:
        print(json.dumps({**dataclasses.asdict(found), "unlabelled": beside}, indent=2))
        return 0
    words = ["kerastl", "run", found.recipe, "--data", path]
    words += [word for name, value in found.flags.items() for word in (f"--{name}", str(value))]
    by_column: list[str] = []
    for name in ("text" if facts.kind == "texts" else "path", "label", "split"):
        if (column := columns[f"{name}_column"]) != name:
            by_column += [f"--{name}-column", column]
    by_column += ["--label-separator", separator] if (separator := columns["label_separator"]) else []
    by_column += ["--label-columns", *columns["label_columns"]] if columns["label_columns"] else []
    print(shlex.join([*words, *by_column]))
    for reason in found.why:
        print(f"  {reason}")
    if unlabelled is not None and beside:
        first = [
            "kerastl",
            "run",
            *kerastl.models.advice.pretraining(found),
            "--data",
            path,
            "--unlabelled",
            unlabelled,
        ]
        total = sum(facts.counts.values()) if facts.examples is None else facts.examples
        print(
            f"  You have {beside:,} unlabelled {facts.kind} beside {total:,} labelled ones. To learn from those first, "
            f"and to see in one table whether it helped:\n  {shlex.join([*first, *by_column])}"
        )
    model = found.model
    print(
        f"  It takes {_minutes(found.minutes)} of training. The file that the run prefers ('balanced') has about "
        f"{kerastl.models.advice.promise(model)}; the first answers in {model.milliseconds:g} ms, measured on "
        f"{kerastl.models.advice.MACHINE}."
    )
    for other in found.others:
        sizes = f"{other.megabytes:g} MB (float16: {other.float16_megabytes:g} MB)"
        print(f"  also: {other.name} at {other.size}: {sizes}, {other.milliseconds:g} ms")
    return 0


def _minutes(minutes: float) -> str:
    return f"about {minutes:.0f} minutes" if minutes < 120 else f"about {minutes / 60:.0f} hours"


def _several_tasks(path: str, label_columns: list[str], text: str, split: str, *, as_json: bool) -> int:
    """Of sentences with several columns of labels: there is one recipe for them, whose trunk needs no budget."""
    given = {"text-column": text} if text != "text" else {}
    given |= {"split-column": split} if split != "split" else {}
    if as_json:
        flags = {"label-columns": label_columns, **given}
        print(json.dumps({"recipe": "multi_task_text", "flags": flags}, indent=2))
        return 0
    words = ["kerastl", "run", "multi_task_text", "--data", path, "--label-columns", *label_columns]
    print(shlex.join([*words, *(word for name, value in given.items() for word in (f"--{name}", value))]))
    print(
        "  Several columns of labels: one small net learns them all, each beside a net that learns it alone. "
        "--encoder minilm_l6 puts a pretrained trunk in its place."
    )
    return 0


def _table(path: str, label_columns: list[str], split_column: str, *, as_json: bool) -> int:
    """Of a table of numbers and categories: there is one recipe for it, which needs no foundation model."""
    words = ["kerastl", "run", "table_regressor", "--data", path, "--label-columns", *label_columns]
    words += ["--split-column", split_column] if split_column != "split" else []
    if as_json:
        flags = {"label-columns": label_columns, "split-column": split_column}
        print(json.dumps({"recipe": "table_regressor", "flags": flags}, indent=2))
        return 0
    print(shlex.join(words))
    print("  A table of numbers and categories: a small net learns it from nothing, in about a minute.")
    return 0
