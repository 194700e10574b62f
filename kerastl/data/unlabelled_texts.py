"""Sentences without labels in a file of one's own: token ids in three splits, for a language model to learn from."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from kerastl import types
from kerastl.data import familiarity, labelled_texts, left_out, splits, vocabularies
from kerastl.data.tables import files, text_lines
from kerastl.data.tables.table import Layout, Row, stored
from kerastl.data.unlabelled import LEAST
from kerastl.inputs.text import Text
from kerastl.tasks.agreement import Agreement

LINES = ".txt"
"""Ending of a file with a text a line, and nothing else."""


def load(
    path: str | Path,
    *,
    text_column: str = "text",
    sequence_length: int = 128,
    vocabulary: vocabularies.Vocabulary = "bert",
    vocabulary_size: int = 8000,
    policy: str = "fail",
    validation: int | float = 0.1,
    test: int | float = 0.1,
    seed: int = 0,
    limit: int | None = None,
    layout: Layout | Mapping[str, str] = Layout(),  # noqa: B008  frozen
) -> types.Dataset:
    """A file of sentences in three splits, without labels.

    Args:
        path: see `tables.files.read`; or a ``.txt`` file with a text a line, blank lines between them.
        text_column: of texts, where there are columns.
        sequence_length, vocabulary, vocabulary_size: see `text_csv.load`.
        policy: what becomes of rows without a text: ``"fail"`` raises and lists them, ``"skip"`` lists them on stderr.
        validation, test: how many (int), or what share (float). Of copies, which case and white space alone tell apart,
            the first is kept, so that none stands in two splits.
        seed: decides which texts validate and test, and the order.
        limit: keeps so many training texts, see `splits.dataset`.
        layout: how the file is written, where somebody knows it; it is one file, which is divided here.

    Returns:
        Inputs int32 ``(examples, sequence_length)``; labels float32 ``(examples, 0)``, as of `unlabelled.load`.

    Raises:
        FileNotFoundError: there is no such file, or the vocabulary cannot be had.
        ValueError: the file cannot be read, or splits have files of their own; rows that cannot be used under
            ``"fail"``; fewer texts than `unlabelled.LEAST`; or no such split can be made.
    """
    skip, path, layout = splits.skips(policy), Path(path), stored(layout)
    rows, said = _rows(path, text_column, layout)
    left_out.tell(said)
    kept: dict[str, tuple[Row, str]] = {}
    problems = []
    for row, text in rows:
        if row.problem or not text.strip():
            problems.append(f"{row.where}: {row.problem or 'empty text'}")
        else:
            kept.setdefault(labelled_texts.normalize(text), (row, text))
    left_out.refuse_or_tell(problems, skip=skip, what="text", kept=len(kept))
    examples = list(kept.values())
    if len(examples) < LEAST or (limit is not None and limit < LEAST):
        raise ValueError(
            f"Wanted {LEAST} different texts or more, fewer say nothing of a model. Received: {len(examples)} in {path}"
            f"{'' if limit is None else f', limit={limit}'}."
        )
    parts = _divided(len(examples), validation=validation, test=test, seed=seed)
    training = [examples[row][1] for row in parts["train"]]
    tokenizer, arrays = vocabularies.tokenizer(vocabulary, training, size=vocabulary_size), {}
    if vocabulary is not None:
        left_out.tell(familiarity.warnings(training, tokenizer, english=vocabulary == "bert"))
    for name, rows in parts.items():
        ids = [tokenizer.encode(examples[row][1], sequence_length) for row in rows]
        arrays[f"{name}_inputs"] = np.asarray(ids, np.int32)
        arrays[f"{name}_labels"] = np.zeros((len(rows), 0), np.float32)
        origins = [examples[row][0] for row in rows]
        arrays[f"{name}_origins"] = np.array([f"{one.file or path.name}:{one.line}" for one in origins], object)
    arguments: dict[str, object] = {"path": os.path.abspath(path), "text_column": text_column, "policy": policy}
    arguments |= {"sequence_length": sequence_length, "vocabulary": vocabularies.from_anywhere(vocabulary)}
    arguments |= {"vocabulary_size": vocabulary_size, "test": test}
    arguments |= {"layout": changed} if (changed := layout.changed()) else {}
    return splits.dataset(
        types.Task(
            path.stem, Text(sequence_length, tokenizer.vocabulary, tokenizer.settings), Agreement(("output",), (1.0,))
        ),
        arrays,
        seed=seed,
        validation=validation,
        limit=limit,
        source="unlabelled_texts",
        arguments=arguments,
    )


def count(path: str | Path, *, text_column: str = "text", layout: Layout = Layout()) -> int:  # noqa: B008  frozen
    """How many texts there are, copies included; rows without one do not count. Other errors are those of `load`."""
    rows, _ = _rows(Path(path), text_column, layout)
    return sum(bool(text.strip()) and row.problem is None for row, text in rows)


def _rows(path: Path, column: str, layout: Layout) -> tuple[Iterator[tuple[Row, str]], tuple[str, ...]]:
    """The rows, each with its text, and what was found out about the file."""
    if layout.more:
        named = ", ".join(f"--layout.{split}-file {file}" for split, file in layout.more)
        raise ValueError(
            f"Texts without labels are one file, which is divided: --validation and --test say how. Received: {named}."
        )
    if path.suffix.lower() == LINES:
        lines, said = text_lines.read(path, encoding=layout.encoding)
        return ((Row(number, (line,)), line) for number, line in lines), said
    table = files.read(path, layout, wanted=[column])
    texts = map(labelled_texts.words, table.values(column))
    return zip(table.rows, texts, strict=True), table.said


def _divided(count: int, *, validation: int | float, test: int | float, seed: int) -> dict[str, np.ndarray]:
    """Split -> rows; all are of one stratum."""
    parts, left = {}, np.arange(count)
    for number, (name, wanted) in enumerate((("test", test), ("validation", validation))):
        if isinstance(wanted, float) and 0 < wanted < 1:
            wanted = max(round(wanted * count), 1)
        kept, taken = splits.divided(np.zeros(len(left), np.int64), validation=wanted, seed=2 * seed + number)
        parts[name], left = left[taken], left[kept]
    return {"train": left, **parts}
