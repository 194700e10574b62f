"""Everything wrong with a table of sentences and their labels."""

from __future__ import annotations

import collections
import hashlib
from collections.abc import Sequence
from pathlib import Path

from kerastl.data import duplicates, enough, labelled_texts, multi_label_columns, text_csv
from kerastl.system import phrases
from kerastl.types import Finding

_LONG = 100_000


def table(
    path: Path,
    *,
    text_column: str,
    label_column: str,
    split_column: str,
    label_separator: str | None = None,
    label_columns: Sequence[str] = (),
) -> list[Finding]:
    """Findings about sentences, see `text_csv.load` and `audit.audit`."""
    label_options = multi_label_columns.columns_or_separator(label_separator, label_columns)
    try:
        examples, problems = labelled_texts.rows(
            path, [text_column, label_column], split_column, label_options=label_options
        )
    except ValueError as error:  # no table, no such column, no encoding
        return [Finding("error", path.name, str(error))]
    found = [Finding("error", *problem.split(": ", 1)) for problem in problems]
    if not examples:
        return [*found, Finding("error", path.name, "no row that can be used")]
    divided = any(example.split is not None for example in examples)
    digests: dict[str, list[tuple[bytes, str, object]]] = collections.defaultdict(list)
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for example in examples:
        split = (example.split or "train") if divided else "all"
        digest = hashlib.sha256(labelled_texts.normalize(example.text).encode()).digest()
        digests[split].append((digest, example.where, example.label))
        counts[split].update(example.names)
        if len(example.text) > _LONG:
            found.append(Finding("warning", example.where, f"{len(example.text):,} characters: most are not read"))
    total = sum(counts.values(), collections.Counter())
    total.update(dict.fromkeys(label_columns, 0))  # a column may name a class that no text has
    every = set(total)
    for split, count in counts.items():
        if len(every) == 1:
            found.append(Finding("error", split, enough.one_class(min(every))))
        if missing := sorted(every - set(count)):
            found.append(Finding("error", split, f"no example of class {duplicates.some(missing)}"))
    if few := sorted(f"{name!r} ({number})" for name, number in total.items() if number < text_csv.LEAST):
        count = phrases.counted(len(few), "class", "classes")
        what = f"{count} of fewer than {text_csv.LEAST} texts: {duplicates.some(few)}"
        found.append(Finding("error", path.name, what))
    duplicates.exact(digests, found)
    return found
