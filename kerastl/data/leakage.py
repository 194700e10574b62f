"""What the splits share, counted before every training: a score on what was learnt by heart is no score."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

import numpy as np

from kerastl import types
from kerastl.data import near_duplicates
from kerastl.inputs.image import Image
from kerastl.system import atomic_files, bounded_json, downloads

MOST_PAIRS = 50_000_000
"""Pairs of a held-out and a training picture that are looked at: a few seconds of processor time.

All of 2,500 held-out pictures and 20,000 to train on; of a larger set so many held-out ones, evenly spread.
"""
OWN = 500
"""Training pictures that are looked for among the others, for comparison."""
_VERSION = 5  # of the counts; those of another are counted anew
_NEAR = (
    "near_duplicates",
    "near_duplicates_looked_for",
    "near_duplicates_within_train",
    "near_duplicates_within_train_looked_for",
)


def between(train: types.Split, validation: types.Split, test: types.Split, *, digest: str) -> Mapping[str, int]:
    """Counts for the report.

    Args:
        train, validation, test: inputs of any kind; near duplicates are looked for among pictures of 16 x 16 or more.
        digest: of the three, under which the counts are cached: they take seconds for large sets.

    Returns:
        ``exact_duplicates``: held-out examples that stand, bit for bit, in train, or test examples that stand in
        validation. ``contradicting_labels``: inputs that carry more than one label. ``near_duplicates`` of
        ``near_duplicates_looked_for``: held-out pictures of which train has one that is nearly the same (see
        `near_duplicates.between`), bit for bit or not. ``near_duplicates_within_train`` of as many training pictures,
        500 at most: those of which the rest of train has one. In a set of plain drawings, digits say, different
        pictures are nearly the same; then both shares are large, and the count says so and no more. A share far above
        the one within train says that pictures of train got into the others.
    """
    cached = downloads.home() / "overlaps" / f"{digest}-{_VERSION}.json"
    try:
        return {name: int(count) for name, count in bounded_json.read(cached).items()}
    except (OSError, ValueError, AttributeError):
        pass
    counts = {**_exact(train, validation, test), **_near(train, validation, test)}
    cached = downloads.workspace() / "overlaps" / cached.name
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        atomic_files.write_json(cached, counts)
    except OSError:
        pass  # no cache, no harm
    return counts


def of_rows(inputs: np.ndarray | types.LazyArray | Mapping[str, np.ndarray]) -> list[bytes]:
    """SHA-256 of the bytes of each example, of several inputs together: two that are equal share it."""
    if isinstance(inputs, Mapping):
        each = zip(*(of_rows(part) for part in inputs.values()), strict=True)
        return [hashlib.sha256(b"".join(digests)).digest() for digests in each]
    if isinstance(inputs, types.LazyArray):
        return inputs.digests()
    rows = np.ascontiguousarray(inputs).reshape(len(inputs), -1)
    return [hashlib.sha256(row.data).digest() for row in rows]


def _exact(train: types.Split, validation: types.Split, test: types.Split) -> dict[str, int]:
    answers: dict[bytes, bytes] = {}
    contradicting: set[bytes] = set()
    duplicates = 0
    for split in (train, validation, test):
        digests = of_rows(split.inputs)
        duplicates += sum(one in answers for one in digests)
        for one, label in zip(digests, _bytes_of(split.labels), strict=True):
            if answers.setdefault(one, label) != label:
                contradicting.add(one)
    return {"exact_duplicates": duplicates, "contradicting_labels": len(contradicting)}


def _bytes_of(labels: np.ndarray | Mapping[str, np.ndarray]) -> Iterator[bytes]:
    """The bytes of each example's label, of several targets together."""
    parts = labels.values() if isinstance(labels, Mapping) else (labels,)
    return (b"".join(label.tobytes() for label in row) for row in zip(*parts, strict=True))


def _near(train: types.Split, validation: types.Split, test: types.Split) -> dict[str, int]:
    kind = train.task.inputs
    if not isinstance(kind, Image) or kind.size[2] not in (1, 3) or min(kind.size[:2]) < 16:
        return dict.fromkeys(_NEAR, 0)
    most = max(1, MOST_PAIRS // max(len(train), 1))
    held_out = _spread(len(test) + len(validation), most)
    parts = (
        test.subset(held_out[held_out < len(test)]),
        validation.subset(held_out[held_out >= len(test)] - len(test)),
    )
    own = _spread(len(train), min(len(held_out), OWN))
    others = np.delete(np.arange(len(train)), own)
    index = near_duplicates.fingerprints(_pictures(train))
    across = [pair for part in parts for pair in near_duplicates.between(_pictures(part), index)]
    within = near_duplicates.between(_pictures(train.subset(own)), index.take(others))
    return dict(zip(_NEAR, (len(across), len(held_out), len(within), len(own)), strict=True))


def _pictures(split: types.Split) -> np.ndarray | types.LazyArray:
    assert not isinstance(split.inputs, Mapping)  # a picture is one input
    return split.inputs


def _spread(count: int, most: int) -> np.ndarray:
    """So many of the numbers below ``count``, evenly spread."""
    return np.unique(np.linspace(0, max(count - 1, 0), min(count, most)).astype(int)) if count else np.arange(0)
