"""Everything wrong with a table of sentences and their labels."""

from __future__ import annotations

import collections
import hashlib
from pathlib import Path

from kerastl.data import class_mismatch, column_roles, duplicates, enough, labelled_texts, overview, text_csv
from kerastl.data.tables.table import Layout
from kerastl.system import phrases
from kerastl.types import Finding

_LONG = 100_000


def table(path: Path, asked: column_roles.Asked, *, layout: Layout) -> list[Finding]:
    """Findings about sentences, see `labelled_texts.read` and `audit.audit`."""
    try:
        read = labelled_texts.read(path, asked, layout=layout)
    except ValueError as error:  # no table, no such column, classes that are doubtful
        return [Finding("error", path.name, str(error))]
    read, mismatch = class_mismatch.settled_texts(read, how=layout.class_mismatch)
    found = [Finding("error", path.name, problem) for problem in mismatch]
    found += [Finding("error", *problem.split(": ", 1)) for problem in read.problems]
    examples = read.examples
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
    total.update(dict.fromkeys(asked.label_columns, 0))  # a column may name a class that no text has
    every = set(total)
    for split, count in counts.items():
        if len(every) == 1:
            found.append(Finding("error", split, enough.one_class(min(every))))
        if (missing := sorted(every - set(count))) and not mismatch:  # which says the same, and what helps
            found.append(Finding("error", split, f"no example of class {duplicates.some(missing)}"))
    if few := sorted(f"{name!r} ({number})" for name, number in total.items() if number < text_csv.LEAST):
        count = phrases.counted(len(few), "class", "classes")
        what = f"{count} of fewer than {text_csv.LEAST} texts: {duplicates.some(few)}"
        found.append(Finding("error", path.name, what))
    duplicates.exact(digests, found)
    parts = {split: len(some) for split, some in digests.items()}
    said = (*overview.sentences(total, parts), *read.said)
    return [*found, *(Finding("note", path.name, sentence) for sentence in said)]
