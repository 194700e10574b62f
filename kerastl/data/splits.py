"""Splits, made once: stratified, disjoint, shuffled, and the same on every machine for a seed.

The order comes from raw 64-bit draws of PCG64, whose stream NumPy guarantees; `Generator.permutation` may change
between NumPy versions.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from kerastl import types
from kerastl.data import overlaps


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
        keeps at least one example in train.

    Raises:
        ValueError: labels are not class indices, or so many cannot be taken out.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer) or (labels.size and labels.min() < 0):
        raise ValueError(
            "Labels have to be class indices: one axis of integers from 0. "
            f"Received: shape {labels.shape}, type {labels.dtype}."
        )
    counts = np.bincount(labels)
    largest = int(np.maximum(counts - 1, 0).sum())  # one example of each class stays
    wanted = validation
    if isinstance(validation, float):
        if not 0 < validation < 1:
            raise ValueError(f"validation as a share has to lie between 0 and 1. Received: {validation}.")
        wanted = round(validation * labels.size)
    if not 1 <= wanted <= largest:
        raise ValueError(
            f"validation has to be between 1 and {largest} examples (train keeps one of each class). "
            f"Received: {validation}{f', that is {wanted}' if wanted != validation else ''}."
        )
    take = _apportion(counts, int(wanted), upper=np.maximum(counts - 1, 0), lower=np.zeros_like(counts))
    return _divide(labels, take, seed)


def subset(labels: np.ndarray, *, count: int, seed: int) -> np.ndarray:
    """Indices of a smaller set with the same proportions and at least one example of each class, shuffled.

    Raises:
        ValueError: ``count`` is smaller than the number of classes.
    """
    labels = np.asarray(labels)
    if count >= labels.size:
        return shuffled(labels.size, seed=seed)
    counts = np.bincount(labels)
    present = np.minimum(counts, 1)
    if count < present.sum():
        raise ValueError(f"A limit has to keep one example of each of {present.sum()} classes. Received: {count}.")
    return _divide(labels, _apportion(counts, count, upper=counts, lower=present), seed)[1]


def digest(*splits: types.Split) -> str:
    """SHA-256 (hex) over name, type, shape and bytes of inputs and labels of the splits, their order included."""
    sha256 = hashlib.sha256()
    for split in splits:
        for part, array in (("inputs", split.inputs), ("labels", split.labels)):
            array = np.ascontiguousarray(array)
            sha256.update(f"{split.name} {part} {array.dtype.str} {array.shape}\n".encode())
            sha256.update(array.data)
    return sha256.hexdigest()


def dataset(
    task: types.Task,
    arrays: Mapping[str, np.ndarray],
    *,
    seed: int,
    validation: int | float,
    limit: int | None,
    source: str,
    arguments: Mapping[str, Any] | None = None,
) -> types.Dataset:
    """The three splits of a source: validation comes out of train, the test examples stay the test examples.

    Args:
        task: what the labels mean.
        arrays: ``train_inputs``, ``train_labels``, ``test_inputs``, ``test_labels``; and ``validation_inputs``,
            ``validation_labels`` where a source brings its own.
        seed: decides which examples validate and in which order all three stand.
        validation: count or share of the training examples, see `stratified`.
        limit: keeps so many training examples (``None``: all), and validation and test in proportion but not fewer
            than ten a class, below which no score says anything. Validation is taken out first, so a smaller training
            split never moves an example from validation to train.
        source: the module under ``kerastl.data`` that loads it again.
        arguments: further keyword arguments of its ``load``; the three above are kept with them.

    Raises:
        ValueError: see `stratified` and `subset`.
    """
    origin = {"train": "train", "validation": "train", "test": "test"}
    if "validation_labels" in arrays:
        origin["validation"] = "validation"
        picked = {name: shuffled(len(arrays[f"{name}_labels"]), seed=seed) for name in origin}
    else:
        train, held_out = stratified(arrays["train_labels"], validation=validation, seed=seed)
        picked = {"train": train, "validation": held_out, "test": shuffled(len(arrays["test_labels"]), seed=seed)}
    if limit is not None:
        share = limit / len(picked["train"])
        for name, indices in picked.items():
            count = limit if name == "train" else max(math.ceil(share * len(indices)), 10 * task.classes)
            picked[name] = indices[subset(arrays[f"{origin[name]}_labels"][indices], count=count, seed=seed)]
    made = []
    for name, indices in picked.items():
        labels = arrays[f"{origin[name]}_labels"][indices].astype(np.int32, copy=False)
        made.append(types.Split(name, arrays[f"{origin[name]}_inputs"][indices], labels))
    check(task, *made)
    whole = digest(*made)
    arguments = {"seed": seed, "validation": validation, "limit": limit, **(arguments or {})}
    return types.Dataset(
        task, *made, digest=whole, source=source, arguments=arguments, overlaps=overlaps.between(*made, digest=whole)
    )


def check(task: types.Task, *made: types.Split) -> None:
    """Raises `ValueError` for what no training should begin with, naming split, row and column.

    That is: inputs of another shape than the task's or with NaN or infinity; labels that are no class indices; a class
    without an example in one of the splits, which would be learnt blindly or judged by nothing.
    """
    for split in made:
        if split.inputs.shape[1:] != task.input_shape:
            raise ValueError(
                f"Wanted inputs (examples, {', '.join(map(str, task.input_shape))}). Received: {split.inputs.shape} in "
                f"{split.name}."
            )
        if split.inputs.dtype.kind == "f" and not np.isfinite(split.inputs).all():
            place = tuple(int(index) for index in np.argwhere(~np.isfinite(split.inputs))[0])
            raise ValueError(
                f"Inputs have to be finite. Received: {split.inputs[place]} in {split.name}, row {place[0]}, column "
                f"{', '.join(map(str, place[1:]))}."
            )
        if split.labels.dtype.kind not in "iu":
            raise ValueError(f"Labels have to be integers. Received: {split.labels.dtype} in {split.name}.")
        outside = (split.labels < 0) | (split.labels >= task.classes)
        if outside.any():
            row = int(outside.argmax())
            raise ValueError(
                f"Labels have to lie in 0..{task.classes - 1}. Received: {split.labels[row]} in {split.name}, row {row}"
                f" ({int(outside.sum())} such labels)."
            )
        counts = np.bincount(split.labels, minlength=task.classes)
        if not counts.all():
            lacking = [task.class_names[index] for index in np.flatnonzero(counts == 0)]
            raise ValueError(
                f"Every class needs an example in every split. Received: none of {', '.join(map(repr, lacking[:5]))}"
                f"{' ...' if len(lacking) > 5 else ''} in {split.name} ({len(split)} examples). Get more examples of "
                "it, take more for validation, or leave the class out."
            )


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


def _draws(count: int, seed: int) -> np.ndarray:
    return np.random.PCG64(seed).random_raw(count) if count else np.empty(0, np.uint64)
