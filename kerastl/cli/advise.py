"""`advise`: which model to start from for one's own data, why, and what it costs."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kerastl.data.facts import Facts


def advise(
    *,
    path: str,
    megabytes: float | None,
    milliseconds: float | None,
    as_json: bool,
    **flags: str | tuple[str, ...] | None,
) -> int:
    """Prints the command to run, the reasons and the cost.

    Raises:
        FileNotFoundError, ValueError: the data cannot be read, or is arrays, which no foundation model is for; or no
            model is within the budget.
    """
    import kerastl

    reading = kerastl.data.reading
    facts = kerastl.data.facts.summarize(path, **reading.from_flags(flags))
    if facts.kind == "numbers":
        return _table(path, reading.as_flags(flags), as_json=as_json)
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
        **{name: getattr(facts, name) for name in ("kind", "counts", "length", "familiar", "examples")},
        forward_passes=forward_passes,
        epochs=epochs,
        megabytes=megabytes,
        milliseconds=milliseconds,
    )
    if as_json:
        print(json.dumps(dataclasses.asdict(found), indent=2))
        return 0
    words = ["kerastl", "run", found.recipe, "--data", path]
    words += [word for name, value in found.flags.items() for word in (f"--{name}", str(value))]
    words += reading.as_flags(flags)
    words += ["--on-unreadable", "skip"] if facts.unusable else []
    print(shlex.join(words))
    for reason in (*found.why, *_understood(facts)):
        print(f"  {reason}")
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
