"""`advise`: which model to start from for one's own data, why, and what it costs."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kerastl.data.facts import Facts

NUMBERS = 20
"""Different numbers as labels of texts, above which they are taken for numbers to estimate, as those of a table."""


def advise(
    *,
    path: str,
    megabytes: float | None,
    milliseconds: float | None,
    unlabelled: str | None,
    as_json: bool,
    **flags: str | tuple[str, ...] | None,
) -> int:
    """Prints the command to run, the reasons and the cost.

    Where there are examples without labels beside, it also prints how to pretrain on them.

    Raises:
        FileNotFoundError, ValueError: the data cannot be read, or is arrays, which no foundation model is for; or no
            model is within the budget.
    """
    import kerastl

    reading = kerastl.data.reading
    settings = reading.from_flags(flags)
    if kerastl.data.sentence_tasks.are_tasks(
        path, settings["label_columns"], text_column=settings["text_column"], layout=settings["layout"]
    ):
        return _several_tasks(path, reading.as_flags(flags), as_json=as_json)
    kind = kerastl.data.text_kinds.other_than_classes(Path(path), settings["layout"]) if Path(path).exists() else None
    if kind is not None:
        return _without_classes(kind, path, reading.as_flags(flags), as_json=as_json)
    facts = kerastl.data.facts.summarize(path, **settings)
    if facts.kind == "numbers":
        return _table(path, reading.as_flags(flags), as_json=as_json)
    if kerastl.data.formats.format_of(Path(path)) == "arrays":
        raise ValueError(
            f"Foundation models take pictures of their own size, and {path} holds arrays of one. Save the pictures as "
            "files, a folder a class; or `kerastl copy mnist_cnn FILE` starts a recipe of your own."
        )
    regression = facts.numeric and len(facts.counts) > NUMBERS
    forward_passes, epochs, why = _planned(facts, regression=regression)
    found = kerastl.models.advice.advise(
        **{name: getattr(facts, name) for name in ("kind", "counts", "length", "familiar", "examples")},
        regression=regression,
        forward_passes=forward_passes,
        epochs=epochs,
        megabytes=megabytes,
        milliseconds=milliseconds,
    )
    beside = (
        None
        if unlabelled is None
        else kerastl.data.facts.counted(
            unlabelled, kind=facts.kind, text_column=settings["text_column"], layout=settings["layout"]
        )
    )
    if as_json:
        print(json.dumps({**dataclasses.asdict(found), "unlabelled": beside}, indent=2))
        return 0
    words = ["kerastl", "run", found.recipe, "--data", path]
    words += [word for name, value in found.flags.items() for word in (f"--{name}", str(value))]
    by_column = [*reading.as_flags(flags), *(["--on-unreadable", "skip"] if facts.unusable else [])]
    print(shlex.join([*words, *by_column]))
    adapts = found.recipe == "text_classifier" and found.model.name != "small"
    for reason in (*found.why, *([why] if adapts else []), *_of_numbers(facts, found.flags), *_understood(facts)):
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


def _planned(facts: Facts, *, regression: bool = False) -> tuple[int, int, str]:
    """Of the plan for such data: passes through the frozen model, epochs of fine-tuning, and why."""
    import kerastl

    labels, classes = sum(facts.counts.values()), max(len(facts.counts), 1)
    examples = labels if facts.examples is None else facts.examples
    several = None if facts.examples is None else labels / classes
    if facts.kind == "pictures":
        plan = kerastl.training.transfer.plan(examples=examples, classes=classes, each=several)
        return 1 + plan.views, plan.fine_tune.epochs if plan.fine_tune else 0, ""
    usual = kerastl.data.reading.TextReading()
    shares = [getattr(usual, part) for part in ("validation", "test") if not facts.parts.get(part)]
    train = max(round(facts.parts.get("train", examples) - sum(shares) * examples), 1)
    each = None if several is None else several * train / examples
    plan = kerastl.training.sentences.plan(examples=train, outputs=1 if regression else classes, each=each)
    return 1, plan.fine_tune.epochs if plan.fine_tune else 0, f"The run's plan: {plan.why}"


def _of_numbers(facts: Facts, flags: Mapping[str, object]) -> Iterator[str]:
    """That labels may be no classes, where all of them are numbers: stars of a review."""
    if facts.numeric and len(facts.counts) > 2 and "task" not in flags:
        yield (
            "All labels are numbers: with --task regression they are estimated, so that 4 is nearer to 5 than 1 is, "
            "and the score is the mean absolute error."
        )


def _without_classes(kind: str, path: str, flags: list[str], *, as_json: bool) -> int:
    """Of texts that have a tag a word, or no label: which recipe is for them."""
    recipe, why = {
        "tagged": (
            "text_tagger",
            "A word a line with its tag: the encoder is fine-tuned to tag words, scored by whole spans.",
        ),
        "unlabelled": (
            "text_embedding",
            "Texts without labels: each becomes a vector, in which like texts lie near, for semantic search. "
            f"`kerastl run pretrain_text --data {shlex.quote(path)}` goes on with an encoder's own lessons on them.",
        ),
    }[kind]
    words = ["kerastl", "run", recipe, "--data", path, *flags]
    if as_json:
        print(json.dumps({"recipe": recipe, "command": words}, indent=2))
        return 0
    print(shlex.join(words))
    print(f"  {why}")
    return 0


def _minutes(minutes: float) -> str:
    if minutes < 1.5:
        return "about a minute"
    return f"about {minutes:.0f} minutes" if minutes < 120 else f"about {minutes / 60:.0f} hours"


def _several_tasks(path: str, flags: list[str], *, as_json: bool) -> int:
    """Of sentences with several columns of labels: there is one recipe for them, whose trunk needs no budget."""
    words = ["kerastl", "run", "multi_task_text", "--data", path, *flags]
    if as_json:
        print(json.dumps({"recipe": "multi_task_text", "command": words}, indent=2))
        return 0
    print(shlex.join(words))
    print(
        "  Several columns of labels: one small net learns them all, each beside a net that learns it alone. "
        "--encoder minilm_l6 puts a pretrained trunk in its place."
    )
    return 0


def _understood(facts: Facts) -> Iterator[str]:
    """What the data were taken for: classes, splits, what was found out, and what cannot be used."""
    import kerastl

    yield from (f"{one}." for one in (*kerastl.data.overview.sentences(facts.counts, facts.parts), *facts.said))
    if facts.unusable:
        some = "; ".join(facts.unusable[:5]) + (" ..." if len(facts.unusable) > 5 else "")
        yield f"Left out, where a run without --on-unreadable skip stops: {len(facts.unusable):,} ({some})."


def _table(path: str, flags: list[str], *, as_json: bool) -> int:
    """Of a table of numbers and categories: there is one recipe for it, which needs no foundation model."""
    words = ["kerastl", "run", "table_regressor", "--data", path, *flags]
    if as_json:
        print(json.dumps({"recipe": "table_regressor", "command": words}, indent=2))
        return 0
    print(shlex.join(words))
    print("  A table of numbers and categories: a small net learns it from nothing, in about a minute.")
    return 0
