"""Splits, made once: stratified, by whole groups if there are any, disjoint, shuffled, and the same on every machine.

The order comes from raw 64-bit draws of PCG64, whose stream NumPy guarantees; `Generator.permutation` may change
between NumPy versions.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from kerastl import types
from kerastl.data import enough, group_search, leakage, strata

Values = np.ndarray | types.LazyArray | Mapping[str, np.ndarray]
"""Inputs, labels or origins of a split; see `types.Split`."""

WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}
"""What people call the splits, in folders and in columns of tables; in any case."""
BY_WORD = {word: split for split, words in WORDS.items() for word in words}
"""Each of these words -> the split."""
NO_LABEL = -1
"""Stands where an example's label is hidden, see `hide_labels`."""


def shuffled(count: int, *, seed: int) -> np.ndarray:
    """A permutation of ``0..count-1`` (int64), the same on every machine for a seed."""
    return np.argsort(_draws(count, seed), kind="stable")


def stratified(labels: np.ndarray, *, validation: int | float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Splits examples in two, each class in the same proportion.

    Args:
        labels: class indices ``(examples,)``, integers from 0.
        validation: how many examples to take out (an int), or what share of them (a float between 0 and 1).
        seed: the same seed gives the same split on every machine.

    Returns:
        ``(train_indices, validation_indices)``: int64, disjoint, together all examples, both shuffled. Every class
        keeps at least one example in train, and where so many are taken out and the class has two, one in validation.
        A share that is less than one of each class is one of each.

    Raises:
        ValueError: labels are not class indices, or so many cannot be taken out.
    """
    labels = _class_indices(labels)
    counts = np.bincount(labels)
    largest = int(np.maximum(counts - 1, 0).sum())  # one example of each class stays
    wanted = _wanted(validation, labels.size)
    one_each = np.minimum(np.maximum(counts - 1, 0), 1)
    if isinstance(validation, float):
        wanted = max(wanted, int(one_each.sum()))
    if not largest:
        raise ValueError(
            "Examples that are divided need a class of which there are two: train keeps one of each. Received: "
            f"{labels.size} examples of as many classes."
        )
    if not 1 <= wanted <= largest:
        raise ValueError(
            f"validation has to be between 1 and {largest} examples (train keeps one of each class). "
            f"Received: {validation}{f', that is {wanted}' if wanted != validation else ''}."
        )
    lower = one_each if wanted >= one_each.sum() else np.zeros_like(counts)
    take = _apportion(counts, int(wanted), upper=np.maximum(counts - 1, 0), lower=lower)
    return _divide(labels, take, seed)


def iterative_stratification(
    labels: np.ndarray, *, validation: int | float, seed: int, leave: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """As `stratified`, of examples that may have several classes, each class as nearly in proportion as can be.

    Args:
        labels: 0 and 1, ``(examples, classes)``; see `strata.divide`.
        validation, seed: as for `stratified`.
        leave: as for `grouped`, of single examples.

    Raises:
        ValueError: labels are something else, or so many cannot be taken out so that every class is on both sides.
    """
    labels = np.asarray(labels)
    wanted = _wanted(validation, len(labels))
    if not 1 <= wanted < len(labels):
        raise ValueError(f"validation has to be between 1 and {len(labels) - 1} examples. Received: {validation}.")
    return _divide_sets(labels, int(wanted), leave=leave, seed=seed)


def divided(labels: np.ndarray, *, validation: int | float, seed: int, leave: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Splits examples in two by what `types.Target.strata` gives: `stratified` on one axis, of two axes
    `iterative_stratification`, which alone asks for ``leave``. Errors as of these.
    """
    if np.ndim(labels) == 2:
        return iterative_stratification(labels, validation=validation, seed=seed, leave=leave)
    return stratified(labels, validation=validation, seed=seed)


def grouped(
    labels: np.ndarray, groups: np.ndarray, *, validation: int | float, seed: int, leave: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Splits examples in two so that no group stands on both sides, the classes as evenly as the groups allow.

    Pictures of one patient, one video, one plant are alike: whoever learns from some of them knows the others.

    They are found by the search of `group_search`.

    Args:
        labels: class indices ``(examples,)``, integers from 0; or 0 and 1 ``(examples, classes)``.
        groups: what each example belongs to ``(examples,)``, of any type that sorts.
        validation: how many examples to take out (an int), or what share of them (a float between 0 and 1), as nearly
            as whole groups allow.
        seed: the same seed gives the same split on every machine; it decides between groups that are alike.
        leave: groups of every class that stay at least, where the class has so many: 2 where another split is to come
            out of what is left.

    Returns:
        ``(train_indices, validation_indices)``: int64, disjoint, together all examples, both shuffled.

    Raises:
        ValueError: labels are neither of the two, not one group an example, or no group can be taken out.
    """
    labels, groups = np.asarray(labels), np.asarray(groups)
    examples = len(labels)
    if groups.shape != (examples,):
        raise ValueError(f"Wanted one group an example. Received: {groups.shape} for {labels.shape} labels.")
    wanted = _wanted(validation, examples)
    if not 1 <= wanted < examples:
        raise ValueError(f"validation has to be between 1 and {examples - 1} examples. Received: {validation}.")
    _, number = np.unique(groups, return_inverse=True)
    if labels.ndim == 2:
        rows, classes = strata.pairs(labels)
        # all examples as one class more, for those of no class count as well
        classes = np.concatenate([classes, np.full(examples, labels.shape[1])])
        of_pairs = number[np.concatenate([rows, np.arange(examples)])]
    else:
        classes, of_pairs = _class_indices(labels), number
    decide, keep = np.split(_draws(number.max() + 1 + examples, seed), [number.max() + 1])
    taken = group_search.search(
        classes,
        of_pairs,
        sizes=np.bincount(number),
        share=wanted / examples,
        leave=leave,
        order=np.argsort(decide, kind="stable"),
    )
    if not taken.any():
        raise ValueError(
            f"Wanted groups to take out so that {leave} of every class stay. Received: {taken.size} groups of "
            f"{examples} examples, none of which can go."
        )
    keep = np.argsort(keep, kind="stable")
    held_out = taken[number][keep]
    return keep[~held_out], keep[held_out]


def subset(labels: np.ndarray, *, count: int, seed: int) -> np.ndarray:
    """Indices of a smaller set with the same proportions and at least one example of each class, shuffled.

    Args:
        labels: as for `stratified` or `iterative_stratification`.

    Raises:
        ValueError: so few cannot keep one of each class.
    """
    labels = np.asarray(labels)
    if count >= len(labels):
        return shuffled(len(labels), seed=seed)
    if labels.ndim == 2:
        return _divide_sets(labels, count, leave=0, seed=seed)[1]
    counts = np.bincount(labels)
    present = np.minimum(counts, 1)
    if count < present.sum():
        raise ValueError(f"A limit has to keep one example of each of {present.sum()} classes. Received: {count}.")
    return _divide(labels, _apportion(counts, count, upper=counts, lower=present), seed)[1]


def per_class(labels: np.ndarray, *, count: int, seed: int) -> np.ndarray:
    """Indices of ``count`` examples of each class, of all where a class has fewer; shuffled.

    Raises:
        ValueError: labels are not class indices, or fewer than one example is asked for.
    """
    labels = _class_indices(labels)
    if count < 1:
        raise ValueError(f"Wanted one example of each class or more. Received: {count}.")
    return _divide(labels, np.minimum(np.bincount(labels), count), seed)[1]


def hide_labels(split: types.Split, *, count: int, seed: int) -> tuple[types.Split, types.Split]:
    """Semi-supervised learning's two parts of a split: ``count`` labeled examples of each class, and all the others.

    Returns:
        Those with their labels, shuffled; and the others in their order, with `NO_LABEL` where their labels were.

    Raises:
        ValueError: as `per_class`.
    """
    rows = per_class(np.asarray(split.labels), count=count, seed=seed)
    others = split.subset(np.setdiff1d(np.arange(len(split)), rows))
    return split.subset(rows), dataclasses.replace(others, labels=np.full_like(others.labels, NO_LABEL))


def repeated(split: types.Split, count: int) -> types.Split:
    """``count`` examples: those of a split again and again in their order."""
    return split.subset(np.resize(np.arange(len(split)), count))


def skips(policy: str) -> bool:
    """Whether what cannot be used is left out. Raises `ValueError` unless that, or to fail, is the policy."""
    if policy not in ("fail", "skip"):
        raise ValueError(f"policy is 'fail' or 'skip'. Received: {policy!r}.")
    return policy == "skip"


def limit_examples(
    parts: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray], *, limit: int, least: int, seed: int
) -> dict[str, np.ndarray]:
    """Smaller splits: ``limit`` training examples, and of the others a like share, but ``least`` at least.

    Args:
        parts: split -> indices of its examples.
        labels: split -> the labels that these indices are of.

    Raises:
        ValueError: see `subset`.
    """
    share = limit / len(parts["train"])
    smaller = {}
    for split, rows in parts.items():
        count = limit if split == "train" else max(math.ceil(share * len(rows)), least)
        smaller[split] = rows[subset(labels[split][rows], count=count, seed=seed)]
    return smaller


def digest(*splits: types.Split) -> str:
    """SHA-256 (hex) over name, type, shape and bytes of inputs and labels of the splits, their order included.

    Of streamed inputs the SHA-256 of each example stands for its bytes, so that none has to be read again. Where inputs
    or labels are a mapping, its names count as well.
    """
    sha256 = hashlib.sha256()
    for split in splits:
        for what, value in (("inputs", split.inputs), ("labels", split.labels)):
            if isinstance(value, Mapping):
                for name, part in value.items():
                    _add(sha256, f"{split.name} {what} {name!r}", part)
            else:
                _add(sha256, f"{split.name} {what}", value)
    return sha256.hexdigest()


def _add(sha256: hashlib._Hash, title: str, array: np.ndarray | types.LazyArray) -> None:
    if isinstance(array, types.LazyArray):
        sha256.update(f"{title} streamed {array.dtype.str} {array.shape}\n".encode())
        sha256.update(b"".join(array.digests()))
        return
    array = np.ascontiguousarray(array)
    sha256.update(f"{title} {array.dtype.str} {array.shape}\n".encode())
    sha256.update(array.data)


def dataset(
    task: types.Task,
    arrays: Mapping[str, Values],
    *,
    seed: int,
    validation: int | float,
    limit: int | None,
    source: str,
    arguments: Mapping[str, object] | None = None,
    groups: np.ndarray | None = None,
) -> types.Dataset:
    """The three splits of a source: validation comes out of train, the test examples stay the test examples.

    Args:
        task: what goes in and what is asked.
        arrays: ``train_inputs``, ``train_labels``, ``test_inputs``, ``test_labels``; and ``validation_inputs``,
            ``validation_labels`` where a source brings its own. Inputs may be streamed; of several inputs or targets
            they are mappings. ``train_origins`` and so on say where each example was found, ``train_texts`` how it was
            written, see `types.Split`.
        seed: decides which examples validate and in which order all three stand.
        validation: count or share of the training examples, see `divided`.
        limit: keeps so many training examples (``None``: all), and validation and test in proportion but not fewer
            than ten an output (a class), below which no score says anything. Validation is taken out first, so a
            smaller training split never moves an example from validation to train.
        source: the module under ``kerastl.data`` that loads it again.
        arguments: further keyword arguments of its ``load``; the three above are kept with them.
        groups: what each training example belongs to, where that must not stand in two splits; see `grouped`.

    Raises:
        ValueError: all labels are the same; or see `check`, `divided`, `grouped` and `subset`.
    """
    enough.require_differences(arrays["train_labels"], task.target, where=f"train of {task.name}")
    given = {name: _given(task, arrays, name) for name in WORDS if f"{name}_labels" in arrays}
    kept = {name: strata_of(split) for name, split in given.items()}
    if "validation" in given:
        picked = {name: shuffled(len(given[name]), seed=seed) for name in WORDS}
    else:
        train, held_out = (
            divided(kept["train"], validation=validation, seed=seed)
            if groups is None
            else grouped(kept["train"], groups, validation=validation, seed=seed)
        )
        picked = {"train": train, "validation": held_out, "test": shuffled(len(given["test"]), seed=seed)}
    whole = {name: name if name in given else "train" for name in picked}
    if limit is not None:
        every = {name: kept[there] for name, there in whole.items()}
        outputs = sum(part.outputs for part in types.targets_of(task.target).values())
        picked = limit_examples(picked, every, limit=limit, least=10 * outputs, seed=seed)
    made = [dataclasses.replace(given[whole[name]].subset(rows), name=name) for name, rows in picked.items()]
    check(*made)
    pinned = digest(*made)
    return types.Dataset(
        task,
        *made,
        digest=pinned,
        source=source,
        arguments={"seed": seed, "validation": validation, "limit": limit, **(arguments or {})},
        leakage=leakage.between(*made, digest=pinned),
    )


def _given(task: types.Task, arrays: Mapping[str, Any], name: str) -> types.Split:
    """The examples that a source brings for a split, their labels looked at and brought to the target's type."""
    labels = arrays[f"{name}_labels"]
    more = (arrays.get(f"{name}_{what}") for what in ("origins", "texts"))
    split = types.Split(name, arrays[f"{name}_inputs"], labels, task, *more)
    task.target.check(labels, where=name, rows=len(split))
    if isinstance(labels, Mapping) or (labels.ndim > 1 and labels.dtype.kind in "iu"):
        return split  # 0 and 1 of many classes stay bytes
    return dataclasses.replace(split, labels=labels.astype(task.target.label_dtype, copy=False))


def strata_of(split: types.Split) -> np.ndarray:
    """What a split's division keeps in proportion, see `types.Target.strata`."""
    labels: Any = split.labels
    return split.task.target.strata(labels)


def check(*made: types.Split) -> None:
    """Raises `ValueError` for what no training should begin with, naming split, row and column.

    Inputs and labels are what their task says, see `types.Inputs.check` and `types.Target.check`; and no split lacks
    what it has to have, see `types.Target.check_split`: a class without an example would be learnt blindly or judged by
    nothing.
    """
    for split in made:
        inputs: Any = split.inputs
        labels: Any = split.labels
        split.task.inputs.check(inputs, where=split.name)
        split.task.target.check(labels, where=split.name, rows=len(split))
        split.task.target.check_split(labels, where=split.name)


def _class_indices(labels: np.ndarray) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer) or (labels.size and labels.min() < 0):
        raise ValueError(
            "Labels have to be class indices: one axis of integers from 0. "
            f"Received: shape {labels.shape}, type {labels.dtype}."
        )
    return labels


def _wanted(validation: int | float, examples: int) -> int | float:
    """A count or a share as a count."""
    if not isinstance(validation, float):
        return validation
    if not 0 < validation < 1:
        raise ValueError(f"validation as a share has to lie between 0 and 1. Received: {validation}.")
    return round(validation * examples)


def _apportion(counts: np.ndarray, total: int, *, upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """How many of each class: proportional within the bounds, largest remainders first, ``total`` together."""
    quota = counts * (total / counts.sum())
    take = np.clip(np.floor(quota).astype(np.int64), lower, upper)
    while take.sum() != total:
        step = 1 if take.sum() < total else -1
        free = take < upper if step == 1 else take > lower
        # The class furthest from its quota; the lower index where two are equal.
        distance = np.where(free, step * (quota - take), -np.inf)
        take[int(np.argmax(distance))] += step
    return take


def _divide(labels: np.ndarray, take: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """``(left, taken)``: of each class ``c``, ``take[c]`` examples are taken; both sides are shuffled."""
    # Two independent orders: were the order that decides also the order kept, the left side would begin with
    # the class whose share was full first.
    decide, keep = (np.argsort(half, kind="stable") for half in _draws(2 * labels.size, seed).reshape(2, -1))
    by_class = decide[np.argsort(labels[decide], kind="stable")]
    starts = np.concatenate([[0], np.cumsum(np.bincount(labels))[:-1]])
    taken = np.zeros(labels.size, bool)
    for start, count in zip(starts, take, strict=True):
        taken[by_class[start : start + count]] = True
    return keep[~taken[keep]], keep[taken[keep]]


def _divide_sets(labels: np.ndarray, take: int, *, leave: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """As `_divide`, of examples that may have several classes."""
    decide, keep = (np.argsort(half, kind="stable") for half in _draws(2 * len(labels), seed).reshape(2, -1))
    taken = strata.divide(labels, wanted=take, leave=leave, order=decide)
    return keep[~taken[keep]], keep[taken[keep]]


def _draws(count: int, seed: int) -> np.ndarray:
    return np.random.PCG64(seed).random_raw(count) if count else np.empty(0, np.uint64)
