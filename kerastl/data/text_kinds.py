"""What texts at a path are for, where no class is asked: tags of words, or for want of labels nothing.

`kerastl advise` asks, before anything is read whole.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Literal

from kerastl.data import tagged_texts, unlabelled_texts
from kerastl.data.tables import files, text_lines
from kerastl.data.tables.table import Layout
from kerastl.tasks import tagging

Kind = Literal["tagged", "unlabelled"]
_LOOKED_AT = 200
"""Lines by which a file is judged."""
_AMBIGUOUS = (".txt", ".tsv")
"""Endings that other texts have too."""


def other_than_classes(path: Path, layout: Layout = Layout()) -> Kind | None:  # noqa: B008  frozen
    """``"tagged"`` of a word a line with its tag, ``"unlabelled"`` of texts alone; ``None`` of anything else.

    Args:
        path: a file, or of tagged texts also a folder with one called train.
        layout: how it is written, where somebody knows it.

    Raises:
        ValueError: the file cannot be read.
    """
    inside = sorted(path.iterdir()) if path.is_dir() else [path]
    some = [one for one in inside if one.suffix.lower() in tagged_texts.ENDINGS and one.is_file()]
    named = [one for one in some if "train" in one.stem.lower()] if path.is_dir() else some
    if named and _is_tagged(named[0]):
        return "tagged"
    return "unlabelled" if path.is_file() and _has_no_labels(path, layout) else None


def _is_tagged(path: Path) -> bool:
    """Whether every line has a word and a tag at least; another file than of an ending of tags also has a span."""
    lines = text_lines.read(path)[0][:_LOOKED_AT]
    cells = [line.split("\t") if "\t" in line else line.split() for _, line in lines]
    cells = [one for one in cells if not one[0].startswith(("#", "-DOCSTART-"))]
    tags = [one[-1].strip() for one in cells if len(one) > 1]
    whole = len(tags) == len(cells) > 0 and all(map(tagging.is_tag, tags))
    return whole and (path.suffix.lower() not in _AMBIGUOUS or any(tag != tagging.OUTSIDE for tag in tags))


def _has_no_labels(path: Path, layout: Layout) -> bool:
    if path.suffix.lower() == unlabelled_texts.LINES:
        if layout.delimiter is not None:
            return False
        lines = text_lines.read(path, encoding=layout.encoding)[0]
        return not any("\t" in line or "__label__" in line for _, line in itertools.islice(lines, _LOOKED_AT))
    return files.is_table(path) and len(files.read(path, layout).columns) == 1
