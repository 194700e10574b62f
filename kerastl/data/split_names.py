"""Splits by the names that people give to files, folders and sheets: ``train.csv``, ``seg_test``, ``TestData``."""

from __future__ import annotations

import re

from kerastl.data import splits


def of(name: str, *, anywhere: bool = True) -> str | None:
    """The split that a name says, alone or with ``set``, ``data``, ``split``, ``ing`` behind it; ``None`` for none.

    Args:
        name: without its ending.
        anywhere: whether each word of it may say so, else the first one alone.
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    words = [word for word in re.split("[^a-z]+", spaced) if word]
    plain = [re.sub("(sets?|data|split)$", "", word) or word for word in (words if anywhere else words[:1])]
    return next((splits.BY_WORD[word] for word in plain if word in splits.BY_WORD), None)
