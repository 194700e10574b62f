"""What the splits share, counted before every training: a score on what was learnt by heart is no score."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import numpy as np

from kerastl import downloads, durable, types
from kerastl.data import near_duplicates

LOOKED_AT = 500
"""Held-out pictures that are looked for among the training pictures; `kerastl audit` compares all of them."""


def between(train: types.Split, validation: types.Split, test: types.Split, *, digest: str) -> Mapping[str, int]:
    """Counts for the report.

    Args:
        train, validation, test: inputs of any shape; near duplicates are looked for among pictures of 16 x 16 or more.
        digest: of the three, under which the counts are cached: they take seconds for large sets.

    Returns:
        ``exact_duplicates``: held-out examples that stand, bit for bit, in train, or test examples that stand in
        validation. ``contradicting_labels``: inputs that carry more than one label. ``near_duplicates`` of
        ``near_duplicates_looked_for``: the first held-out pictures of which train has one that is nearly the same (see
        `near_duplicates.between`).
    """
    cached = downloads.home() / "overlaps" / f"{digest}.json"
    try:
        return {name: int(count) for name, count in json.loads(cached.read_text()).items()}
    except (OSError, ValueError, AttributeError):
        pass
    counts = {**_exact(train, validation, test), **_near(train, validation, test)}
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        durable.write_json(cached, counts)
    except OSError:
        pass  # no cache, no harm
    return counts


def of_rows(inputs: np.ndarray | types.Streamed) -> list[bytes]:
    """SHA-256 of the bytes of each example: two that are equal share it."""
    if isinstance(inputs, types.Streamed):
        return inputs.digests()
    rows = np.ascontiguousarray(inputs).reshape(len(inputs), -1)
    return [hashlib.sha256(row.data).digest() for row in rows]


def _exact(train: types.Split, validation: types.Split, test: types.Split) -> dict[str, int]:
    answers: dict[bytes, set[int]] = {}
    seen: set[bytes] = set()
    duplicates = 0
    for split in (train, validation, test):
        digests = of_rows(split.inputs)
        duplicates += sum(one in seen for one in digests)
        seen.update(digests)
        for one, label in zip(digests, split.labels.tolist(), strict=True):
            answers.setdefault(one, set()).add(label)
    contradicting = sum(len(labels) > 1 for labels in answers.values())
    return {"exact_duplicates": duplicates, "contradicting_labels": contradicting}


def _near(train: types.Split, validation: types.Split, test: types.Split) -> dict[str, int]:
    shape = train.inputs.shape[1:]
    if len(shape) != 3 or shape[2] not in (1, 3) or min(shape[:2]) < 16:
        return {"near_duplicates": 0, "near_duplicates_looked_for": 0}
    half = LOOKED_AT // 2
    parts = (test.head(LOOKED_AT - min(half, len(validation))), validation.head(half))
    held_out = np.concatenate([near_duplicates.small(part.inputs) for part in parts])
    found = near_duplicates.between(held_out, train.inputs)
    return {"near_duplicates": len(found), "near_duplicates_looked_for": len(held_out)}
