"""Section: corruptions at five strengths, adversarial examples, and whether compression costs more off clean data."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from kerastl.evaluate import robustness
from kerastl.evaluate.corruptions import pictures, tables, texts
from kerastl.inputs.image import Image
from kerastl.inputs.numbers import Numbers
from kerastl.inputs.text import Text
from kerastl.inputs.text_pair import TextPair
from kerastl.runs.evaluation import categories, rendering
from kerastl.runs.evaluation.subject import NotMeasured, Subject
from kerastl.system import near_names
from kerastl.types import Inputs, TokenTarget

_SECONDS = 30.0  # a file may answer, where nobody says how many examples
_LEAST, _MOST = 100, 500
NONE = "none"


def corruptions_of(kind: Inputs) -> tuple[dict[str, Any], Callable[..., np.ndarray]]:
    """The corruptions of a kind of input, and a function of examples, a name and a strength.

    Raises:
        NotMeasured: if there are none of this kind.
    """
    if isinstance(kind, Image):
        return pictures.LEVELS, pictures.corrupted
    if isinstance(kind, Text) and not isinstance(kind, TextPair):
        return texts.LEVELS, functools.partial(_texts, kind)
    if isinstance(kind, Numbers):
        facts = {"mean": np.asarray(kind.mean), "spread": np.asarray(kind.spread)}
        groups = [places for places in categories.of(kind).values() if len(places) > 1]
        return tables.LEVELS, functools.partial(tables.corrupted, categories=groups, **facts)
    raise NotMeasured(f"pictures, single texts and tables are corrupted; this takes {kind.kind}")


def _texts(kind: Text, ids: np.ndarray, name: str, strength: int, *, seed: int = 0) -> np.ndarray:
    """Token ids of corrupted texts: what the tokenizer had dropped, capitals say, cannot be corrupted any more."""
    read = [" ".join(word.text for word in kind.words(one)) for one in ids]
    made = texts.corrupted(read, name, strength, seed=seed)
    # a text that is an accent and nothing else is blank without it, and nobody asks for the answer to nothing
    same = [one.split() == other.split() or not other.strip() for one, other in zip(read, made, strict=True)]
    return np.concatenate(
        [one[None] if alike else kind.of_row({"text": text}) for one, text, alike in zip(ids, made, same, strict=True)]
    )


def measure(subject: Subject) -> dict[str, Any]:
    """Each file under each corruption, on the same test examples.

    Raises:
        NotMeasured: if this kind of input is not corrupted, or no corruption was wanted.
        ValueError: if there is no such corruption.
    """
    if isinstance(subject.task.target, TokenTarget):
        raise NotMeasured("labels of tokens do not fit corrupted texts, whose tokens are others")
    levels, corrupted = corruptions_of(subject.task.inputs)
    names = _wanted(subject.settings.corruptions, levels)
    split = subject.dataset.test.take(_count(subject, len(names)))
    examples: Any = split.inputs[:]  # pyright: ignore[reportArgumentType]
    changed: dict[tuple[str, int], np.ndarray] = {}
    for name in names:
        for strength in pictures.STRENGTHS:
            changed[name, strength] = corrupted(examples, name, strength, seed=subject.settings.seed)
    same = {name for name in names if all((changed[name, one] == examples).all() for one in pictures.STRENGTHS)}
    clean, off = {}, {}
    for name in subject.files:
        subject.say(f"{name} answers {len(split):,} examples under {len(names)} corruptions")
        answer, seen = subject.answer_of(name), {}
        clean[name] = subject.errors(answer(examples), split.labels)
        off[name] = {}
        for key, those in changed.items():
            digest = zlib.crc32(np.ascontiguousarray(those).tobytes())  # of texts many strengths are alike
            if digest not in seen:
                seen[digest] = subject.errors(answer(those), split.labels)
            off[name][key] = seen[digest]
    rows = {name: robustness.measure(clean[name], off[name]) for name in subject.files}
    reference = subject.reference
    for name, row in rows.items():
        row["mean_corruption_error"] = robustness.mean_corruption_error(row, rows[reference]) if reference else None
        if reference and name != reference:
            of = {"reference_clean": clean[reference], "reference_corrupted": off[reference]}
            row["cost"] = robustness.cost(clean[name], off[name], **of)
    found = {"examples": len(split), "names": names, "without_effect": sorted(same), "files": rows}
    return {**found, "reference": reference, "words": _words(subject, rows)}


def _words(subject: Subject, rows: dict[str, dict[str, Any]]) -> str:
    row, shown = rows[subject.chosen], functools.partial(rendering.error_words, units=subject.task.target.units)
    words = f"errors of {shown(row['clean'])} grow to {shown(row['corrupted'])} under corruptions"
    if "cost" in row:
        cost = row["cost"]
        more = "more" if cost["more_low"] > 0 else "less" if cost["more_high"] < 0 else "not measurably more"
        words += (
            f"; compression costs {more} there ({shown(cost['clean'])} clean, {shown(cost['corrupted'])} corrupted)"
        )
    return words


def _wanted(names: tuple[str, ...], levels: dict[str, Any]) -> list[str]:
    if names == (NONE,):
        raise NotMeasured("--corruptions none")
    unknown = [name for name in names if name not in levels]
    if unknown:
        raise ValueError(
            f"there is no corruption {unknown[0]!r}.{near_names.did_you_mean(unknown[0], list(levels))} Available: "
            f"{', '.join(levels)}, or {NONE}"
        )
    return list(names or levels)


def _count(subject: Subject, names: int) -> int:
    """Examples that are corrupted: as many as was said, else as take half a minute by the run's own latencies."""
    if subject.settings.corruption_examples is not None:
        return subject.settings.corruption_examples
    slowest = max(subject.rows[name]["latency_ms"]["median"] for name in subject.files)
    return int(np.clip(_SECONDS / (slowest / 1000 * (1 + 5 * names)), _LEAST, _MOST))
