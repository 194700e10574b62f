"""Labels of pictures and of sentences that a finished run's file doubts: a table, and a page to click through."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kerastl.data import column_roles, duplicates, formats, label_errors, labelled_texts, picture_listing
from kerastl.data.tables.table import Layout
from kerastl.inputs.image import Image
from kerastl.inputs.text import Text
from kerastl.runs.finished import FinishedRun
from kerastl.system import atomic_files, near_names, phrases
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Finding

COLUMNS = ("where", "label", "answer", "probability_of_label", "probability_of_answer", "text")
"""Of the table."""
_AT_ONCE = 256
_LONGEST = 2000


@dataclasses.dataclass(frozen=True)
class Example:
    """A picture or a sentence with its label.

    Attributes:
        where: it stands, for messages: a path, or the line of a table.
        label: its class.
        path: of a picture.
        text: a sentence.
    """

    where: str
    label: str
    path: str = ""
    text: str = ""


@dataclasses.dataclass(frozen=True)
class Doubt:
    """An example whose label is probably wrong.

    Attributes:
        example: it, with its label.
        answer: the class that the file gives it.
        own, probability: of its label, and of the answer, 0 to 1.
    """

    example: Example
    answer: str
    own: float
    probability: float


@dataclasses.dataclass(frozen=True)
class Doubts:
    """What `find` found.

    Attributes:
        title: name of the data.
        run: of the run that was asked.
        found: the most suspicious first.
        looked: examples that the file answered.
        unknown: classes that the run does not know -> how many examples were therefore not asked about.
        names: of the run's classes.
    """

    title: str
    run: str
    found: tuple[Doubt, ...]
    looked: int
    unknown: dict[str, int]
    names: tuple[str, ...]

    def findings(self) -> Iterator[Finding]:
        """The same for `kerastl audit`."""
        if self.unknown:
            some = [
                f"{name!r} ({count:,}){near_names.did_you_mean(name, self.names)}"
                for name, count in self.unknown.items()
            ]
            what = f"the run knows no class {duplicates.some(some)}: its examples were not asked about"
            yield Finding("warning", self.title, what)
        if self.found:
            words = [
                f"{one.example.where} = {one.example.label} ({one.answer} {one.probability:.0%})" for one in self.found
            ]
            count = phrases.counted(len(self.found), "label looks", "labels look")
            yield Finding("warning", self.title, f"{count} wrong: {duplicates.some(words, 20)}")

    def table(self) -> str:
        """All of them as CSV, of `COLUMNS`."""
        sink = io.StringIO()
        written = csv.writer(sink, lineterminator="\n")
        written.writerow(COLUMNS)
        for one in self.found:
            shares = [f"{share:.6f}" for share in (one.own, one.probability)]
            written.writerow([one.example.where, one.example.label, one.answer, *shares, one.example.text])
        return sink.getvalue()

    def write(self, page: str | Path, *, kind: Image | Text) -> Path:
        """Writes a page to click through, and the table beside it, whose path is returned.

        Args:
            page: its path, ``.html``.
            kind: the run's, which shows an example.

        Raises:
            ValueError: the page has another ending, or its folder is not there.
        """
        from kerastl.runs.page import doubts

        page = Path(page)
        if page.suffix.lower() != ".html" or not page.absolute().parent.is_dir():
            raise ValueError(f"Wanted a page FILE.html in a folder that is there. Received: --page {page}.")
        beside = page.with_suffix(".csv")
        atomic_files.write_text(page, doubts.render(self, kind))
        atomic_files.write_text(beside, self.table())
        return beside


def find(
    path: str | Path,
    run: FinishedRun,
    *,
    path_column: str = "path",
    text_column: str = "text",
    label_column: str = "label",
    split_column: str = "split",
    label_separator: str | None = None,
    label_columns: Sequence[str] = (),
    table: str | None = None,
    root: str | None = None,
    layout: Layout = Layout(),  # noqa: B008  frozen
) -> Doubts:
    """Examples of pictures or of sentences whose label the run's file doubts, see `label_errors.find`.

    A run that has learnt from the same examples has learnt some wrong labels by heart and doubts fewer of them.

    Args:
        path: as for `data.audit.audit`, whose other arguments these are.
        run: of pictures or of sentences of one class each.

    Raises:
        FileNotFoundError: there is nothing at the path.
        ValueError: the run or the data is of another kind, or the run knows none of the classes.
    """
    path, target, kind = Path(path), run.task.target, run.task.inputs
    if not isinstance(target, SingleLabel):
        raise ValueError(
            f"Labels of one class an example are doubted by a run of such. Received: {run.folder}, for {target.kind}."
        )
    if label_separator is not None or label_columns:
        raise ValueError(
            "Labels of one class an example are doubted. Received: --label-separator or --label-columns, by which an "
            "example may have several; leave --model out."
        )
    asked = column_roles.Asked(path_column, text_column, label_column, split_column)
    texts = formats.format_of(path) == "table" and formats.kind_of_table(path, asked, layout) == "texts"
    if not isinstance(kind, Text if texts else Image) or kind.kind not in ("text", "image"):
        raise ValueError(
            f"Wanted a run of {'sentences' if texts else 'pictures'}, for {path} holds such. Received: {run.folder}, "
            f"whose file takes {kind.kind}."
        )
    if texts:
        read = labelled_texts.read(path, asked, layout=layout)
        several = any(one.labels is not None for one in read.examples)
        examples = [Example(one.where, one.label, text=one.text) for one in read.examples]
    else:
        columns = picture_listing.Columns(path_column, label_column, split_column)
        listing = picture_listing.listed(path, table=table, columns=columns, root=root, layout=layout)
        several = listing.multi_label
        examples = [
            Example(_relative(row.path, listing.root, row.line), row.label, path=row.path) for row in listing.rows
        ]
    if several:
        raise ValueError(f"Labels of one class an example are doubted. Received: {path}, with several a row.")
    known = [one for one in examples if one.label in target.names]
    unknown = Counter(one.label for one in examples if one.label not in target.names)
    if not known:
        raise ValueError(
            f"Wanted examples of the classes of {run.folder}: {', '.join(target.names[:20])}. Received: {path}, with "
            f"{', '.join(list(unknown)[:20]) or 'none'}."
        )
    known, answers = _answered(run, known)
    places = np.array([target.names.index(one.label) for one in known])
    found = [
        Doubt(
            known[row],
            target.names[int(answers[row].argmax())],
            *map(float, (answers[row, places[row]], answers[row].max())),
        )
        for row in label_errors.find(places, answers).tolist()
    ]
    # confident learning also finds what is answered as labelled, where another class is as likely as it ever gets
    found = [one for one in found if one.answer != one.example.label]
    return Doubts(path.name, run.folder.name, tuple(found), len(known), dict(unknown), tuple(target.names))


def _relative(picture: str, root: Path, line: int) -> str:
    path = Path(picture)
    name = path.relative_to(root).as_posix() if path.is_relative_to(root) else picture
    return f"line {line}: {name}" if line else name


def _answered(run: FinishedRun, examples: Sequence[Example]) -> tuple[list[Example], np.ndarray]:
    """The examples that can be read, and the file's probabilities ``(examples, classes)``."""
    kind: Any = run.task.inputs
    if isinstance(kind, Text):
        parts = []
        for start in range(0, len(examples), _AT_ONCE):
            some = [kind.of_row({"text": one.text})[0] for one in examples[start : start + _AT_ONCE]]
            parts.append(np.asarray(run.answers(np.stack(some)), np.float64))
        return list(examples), np.concatenate(parts)
    names, kept, rows = run.task.target.names, [], []
    given = run.each_answer([Path(one.path) for one in examples])
    for one, (_, answer) in zip(examples, given, strict=True):
        if not isinstance(answer, Exception):  # the audit says what cannot be read
            kept.append(one)
            rows.append([answer["probabilities"][name] for name in names])
    return kept, np.asarray(rows, np.float64).reshape(len(kept), len(names))


def shown(one: Example, kind: Image | Text) -> dict[str, str]:
    """An example for a page: ``picture``, a data URI, or ``text``."""
    if isinstance(kind, Text):
        return {"text": one.text[:_LONGEST]}
    return dict(kind.shown(kind.read(one.path)[0]))
