"""`explain`: what the answers to inputs that somebody names come from, as a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerastl.inputs.image import Image
from kerastl.inputs.numbers import Numbers
from kerastl.inputs.text import Text
from kerastl.runs import input_files
from kerastl.runs.evaluation import categories, explanations, rendering
from kerastl.runs.evaluation.subject import Settings, Subject
from kerastl.system import atomic_files, digests, phrases
from kerastl.types import ClassTarget, TokenTarget
from kerastl.untrusted import tflite_file

if TYPE_CHECKING:
    from kerastl.runs.finished import FinishedRun

MOST = 20
"""Inputs on a page: each is covered some hundred times."""
_OURS = b" - kerastl</title>"


def explain(
    run: FinishedRun, inputs: Sequence[str | Path], *, out: Path, column: str | None = None, progress: bool = True
) -> dict[str, Any]:
    """Writes a page that explains the shipped file's answers.

    Args:
        run: a finished run, which has a report.
        inputs: as for `FinishedRun.predict`, at most `MOST`.
        out: the page, ``.html``.
        column: of a table.
        progress: whether what is being done is said, to standard error.

    Returns:
        ``out``, ``inputs`` with the answer to each in words, and what was measured of the explanations.

    Raises:
        FileNotFoundError: if there is no such input, or this is a bundle alone.
        ValueError: if the kind of input is not explained, there are too many, or ``out`` is a file of somebody else's.
    """
    if out.exists() and _OURS not in out.read_bytes()[:1000]:
        raise ValueError(f"Nothing of yours is overwritten. Received: {out}; choose another --out.")
    kind, target = run.task.inputs, run.task.target
    of_tokens = isinstance(target, TokenTarget)
    of_classes = isinstance(target, ClassTarget) and isinstance(kind, Image | Text) and not of_tokens
    if not isinstance(kind, Image | Text | Numbers) or not (of_classes or isinstance(kind, Numbers)):
        raise ValueError(f"Pictures, texts and rows of tables are explained. Received: {kind.kind} for {target.kind}.")
    names, examples = _read(run, inputs, column)
    with tflite_file.SandboxedModel() as reader:
        subject = Subject(run, None, reader, settings=Settings(), progress=progress)
        answers = np.asarray(subject.answer_of(subject.chosen)(examples))
        places = answers.argmax(-1) if isinstance(target, ClassTarget) else np.zeros(len(answers), int)
        if isinstance(kind, Image):
            found, shown = explanations.of_pictures(subject, examples, places)
        elif isinstance(kind, Text):
            found, shown = explanations.of_texts(subject, examples, places)
        else:
            found, shown = _of_rows(subject, kind, examples, places)
    said = [target.said(one)["words"] for one in answers]
    for one, name, words in zip(shown, names, said, strict=True):
        one |= {"answer": words, "origin": name}
    page = {
        **{key: run.config[key] for key in ("recipe", "tag")},
        "file": {"name": subject.chosen, "sha256": digests.of_file(run.file)},
        "units": target.units,
        "skipped": {},
        "explanations": found,
    }
    atomic_files.write_text(out, rendering.explanation(page, shown))
    rows = [{"input": name, "answer": words} for name, words in zip(names, said, strict=True)]
    return {"out": str(out), "inputs": rows, **found}


def _read(run: FinishedRun, inputs: Sequence[str | Path], column: str | None) -> tuple[list[str], np.ndarray]:
    names: list[str] = []
    parts = []
    ahead = input_files.read_ahead(run._examples(list(inputs), column=column), run.task.inputs)
    for named, batch in input_files.batches(ahead):
        for name, count in named:
            if isinstance(count, Exception):
                raise count
            names += [name] if count == 1 else [f"{name}[{place}]" for place in range(count)]
        if batch is not None:
            parts.append(np.asarray(batch))
        if len(names) > MOST:
            raise ValueError(f"A page explains {MOST} inputs at most. Received: more, {names[0]} the first.")
    if not parts:
        raise ValueError("Wanted an input to explain. Received: none.")
    return names, np.concatenate(parts)


def _of_rows(
    subject: Subject, kind: Numbers, rows: np.ndarray, places: np.ndarray
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What an answer loses when a column's value is the training rows' mean, or none of a category's; of the file."""
    columns, answer, mean = categories.of(kind), subject.answer_of(subject.chosen), np.asarray(kind.mean, np.float32)
    shown = []
    for row, place in zip(rows, places, strict=True):
        changed = np.repeat(row[None], len(columns) + 1, 0)
        for one, some in zip(changed[1:], columns.values(), strict=True):
            one[..., some] = mean[some] if len(some) == 1 else 0
        answers = np.asarray(answer(changed))[:, int(place)]
        lost = (answers[0] - answers[1:]).tolist()
        table = [
            {"column": name, "value": _value(kind, row, some), "contribution": less}
            for (name, some), less in zip(columns.items(), lost, strict=True)
        ]
        shown.append({"columns": sorted(table, key=lambda one: -abs(one["contribution"]))})
    return {"kind": "table", "explained": len(rows), "words": f"{len(rows)} answers explained"}, shown


def _value(kind: Numbers, row: np.ndarray, places: list[int]) -> str:
    if len(places) == 1 or not kind.columns:
        return phrases.plain(float(row[..., places[0]].mean()), digits=6)
    chosen = [kind.columns[place].partition("=")[2] for place in places if row[..., place].any()]
    return ", ".join(chosen) or "none"
