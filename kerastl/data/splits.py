"""Splits, made once: stratified, by whole groups if there are any, disjoint, shuffled, and the same on every machine.

The order comes from raw 64-bit draws of PCG64, whose stream NumPy guarantees; `Generator.permutation` may change
between NumPy versions.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kerastl import types
from kerastl.data import leakage, multi_label_sets

_FEW, _STARTS = 100, 16
"""Groups up to which pairs of them are exchanged, from so many starts: among more, no two make a difference."""

WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}
"""What people call the splits, in folders and in columns of tables; in any case."""
BY_WORD = {word: split for split, words in WORDS.items() for word in words}
"""Each of these words -> the split."""


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
        labels: 0 and 1, ``(examples, classes)``; see `multi_label_sets.divide`.
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


def grouped(
    labels: np.ndarray, groups: np.ndarray, *, validation: int | float, seed: int, leave: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Splits examples in two so that no group stands on both sides, the classes as evenly as the groups allow.

    Pictures of one patient, one video, one plant are alike: whoever learns from some of them knows the others.

    How far the classes are from even is Pearson's chi-square of the counts taken out against the counts wanted. First
    every class gets a group, the rarest class first; then groups are taken, the largest first, as long as that brings
    the counts nearer; at the end single groups change sides while it does. Where there are few, two also change places,
    and the best of several starts is kept. It is a search that ends in a good place, not always in the best.

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
    if types.is_multi_label(labels):
        rows, classes = multi_label_sets.pairs(labels)
        # all examples as one class more, for those of no class count as well
        classes = np.concatenate([classes, np.full(examples, labels.shape[1])])
        of_pairs = number[np.concatenate([rows, np.arange(examples)])]
    else:
        classes, of_pairs = _class_indices(labels), number
    decide, keep = np.split(_draws(number.max() + 1 + examples, seed), [number.max() + 1])
    order = np.argsort(decide, kind="stable")
    orders = [order[np.argsort(-np.bincount(number)[order], kind="stable")]]
    if order.size <= _FEW:  # among few a good order matters, and costs little
        orders += [np.roll(order, start * order.size // _STARTS) for start in range(_STARTS)]
    found = []
    for order in orders:
        division = _Division(classes, of_pairs, share=wanted / examples, leave=leave)
        division.search(order)
        found.append(division)
    taken = min(found, key=lambda division: division.unevenness()).taken
    if not taken.any():
        raise ValueError(
            f"Wanted groups to take out so that {leave} of every class stay. Received: {taken.size} groups of "
            f"{examples} examples, none of which can go."
        )
    keep = np.argsort(keep, kind="stable")
    held_out = taken[number][keep]
    return keep[~held_out], keep[held_out]


class _Division:
    """Which groups are taken out: the search of `grouped`."""

    def __init__(self, labels: np.ndarray, groups: np.ndarray, *, share: float, leave: int) -> None:
        classes = int(labels.max()) + 1
        # one entry for each class that a group holds: most hold few of many
        cells, self.count = np.unique(groups * classes + labels, return_counts=True)
        self.group, self.label = cells // classes, cells % classes
        self.starts = np.searchsorted(self.group, np.arange(groups.max() + 2))
        self.left = np.bincount(self.label, minlength=classes)  # groups of each class on either side
        self.out = np.zeros(classes, np.int64)
        self.least_left = np.maximum(np.minimum(leave, self.left - 1), 1)
        target = np.bincount(labels, minlength=classes) * share
        # a class of which less than one is wanted would be judged by nothing
        target = np.where(self.left > 1, np.maximum(target, 1.0), target)
        self.weight = 1 / np.maximum(target, 1e-9)
        self.surplus = -target
        self.taken = np.zeros(groups.max() + 1, bool)

    def unevenness(self) -> float:
        return round(float((self.weight * self.surplus**2).sum()), 9)  # equal where only the order of sums differs

    def search(self, order: np.ndarray) -> None:
        few = self.taken.size <= _FEW
        for label in np.argsort(self.left, kind="stable"):
            if not self.out[label]:
                having = order[np.isin(order, self.group[self.label == label])]
                for some in (having[:1], having) if few else (having,):  # the best ones would make all starts alike
                    if self._best(some, below=np.inf):
                        break
        for group in order:
            entries = slice(self.starts[group], self.starts[group + 1])
            if not self.taken[group] and self._costs(entries).sum() < 0:
                self._move(group)
        for _ in range(1000):
            if not self._best(order, below=-1e-9) and not (few and self._exchange(order)):
                break

    def _best(self, groups: np.ndarray, *, below: float) -> bool:
        """Moves the group whose change of sides costs least; False where none costs less than ``below``."""
        costs = np.bincount(self.group, weights=self._costs(slice(None)))[groups]
        if not groups.size or not costs.min() < below:
            return False
        self._move(groups[np.argmin(costs)])
        return True

    def _exchange(self, order: np.ndarray) -> bool:
        """Puts one group back and takes another instead, where that brings the counts nearer."""
        for group in order[self.taken[order]]:
            entries = slice(self.starts[group], self.starts[group + 1])
            self._move(group)
            regained = self._costs(entries).sum()
            lost = self.label[entries][self.out[self.label[entries]] == 0]  # the other one has to bring these
            brings = np.bincount(self.group, weights=np.isin(self.label, lost))
            others = order[~self.taken[order] & (brings[order] == lost.size)]
            if self._best(others, below=regained - 1e-9):
                return True
            self._move(group)
        return False

    def _costs(self, entries: slice) -> np.ndarray:
        """What the entries add to chi-square if their groups change sides; infinite where a class would lose all."""
        label, count, back = self.label[entries], self.count[entries], self.taken[self.group[entries]]
        change = np.where(back, -count, count)
        costs = self.weight[label] * change * (2 * self.surplus[label] + change)
        barred = np.where(back, self.out[label] <= 1, self.left[label] <= self.least_left[label])
        return np.where(barred, np.inf, costs)

    def _move(self, group: int) -> None:
        entries = slice(self.starts[group], self.starts[group + 1])
        label, sign = self.label[entries], -1 if self.taken[group] else 1
        self.surplus[label] += sign * self.count[entries]
        self.out[label] += sign
        self.left[label] -= sign
        self.taken[group] = sign > 0


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
    if types.is_multi_label(labels):
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


def check_names(found: Sequence[str], wanted: Sequence[str] | None, *, what: str) -> None:
    """Raises `ValueError` where classes are not those that a data set had before; ``what`` they are called is said."""
    if wanted is not None and sorted(wanted) != sorted(found):
        added, lost = sorted(set(found) - set(wanted)), sorted(set(wanted) - set(found))
        raise ValueError(
            f"The {what} have to be {', '.join(wanted)}. Received: new ones {added or 'none'}, lacking "
            f"{lost or 'none'}. A class that was renamed is another class to a trained model."
        )


def digest(*splits: types.Split) -> str:
    """SHA-256 (hex) over name, type, shape and bytes of inputs and labels of the splits, their order included.

    Of streamed inputs the SHA-256 of each example stands for its bytes, so that none has to be read again.
    """
    sha256 = hashlib.sha256()
    for split in splits:
        for part, array in (("inputs", split.inputs), ("labels", split.labels)):
            if isinstance(array, types.LazyArray):
                sha256.update(f"{split.name} {part} streamed {array.dtype.str} {array.shape}\n".encode())
                sha256.update(b"".join(array.digests()))
                continue
            array = np.ascontiguousarray(array)
            sha256.update(f"{split.name} {part} {array.dtype.str} {array.shape}\n".encode())
            sha256.update(array.data)
    return sha256.hexdigest()


def dataset(
    task: types.Task,
    arrays: Mapping[str, Any],
    *,
    seed: int,
    validation: int | float,
    limit: int | None,
    source: str,
    arguments: Mapping[str, Any] | None = None,
    groups: np.ndarray | None = None,
) -> types.Dataset:
    """The three splits of a source: validation comes out of train, the test examples stay the test examples.

    Args:
        task: what the labels mean.
        arrays: ``train_inputs``, ``train_labels``, ``test_inputs``, ``test_labels``; and ``validation_inputs``,
            ``validation_labels`` where a source brings its own. Inputs may be streamed.
        seed: decides which examples validate and in which order all three stand.
        validation: count or share of the training examples, see `stratified`.
        limit: keeps so many training examples (``None``: all), and validation and test in proportion but not fewer
            than ten a class, below which no score says anything. Validation is taken out first, so a smaller training
            split never moves an example from validation to train.
        source: the module under ``kerastl.data`` that loads it again.
        arguments: further keyword arguments of its ``load``; the three above are kept with them.
        groups: what each training example belongs to, where that must not stand in two splits; see `grouped`.

    Raises:
        ValueError: see `stratified`, `grouped` and `subset`.
    """
    origin = {"train": "train", "validation": "train", "test": "test"}
    if "validation_labels" in arrays:
        origin["validation"] = "validation"
        picked = {name: shuffled(len(arrays[f"{name}_labels"]), seed=seed) for name in origin}
    else:
        labels = arrays["train_labels"]
        by_class = iterative_stratification if task.multi_label else stratified
        train, held_out = (
            by_class(labels, validation=validation, seed=seed)
            if groups is None
            else grouped(labels, groups, validation=validation, seed=seed)
        )
        picked = {"train": train, "validation": held_out, "test": shuffled(len(arrays["test_labels"]), seed=seed)}
    if limit is not None:
        labels = {name: arrays[f"{kind}_labels"] for name, kind in origin.items()}
        picked = limit_examples(picked, labels, limit=limit, least=10 * task.target.outputs, seed=seed)
    made = []
    for name, indices in picked.items():
        labels = arrays[f"{origin[name]}_labels"]
        labels = labels if types.is_multi_label(labels) else labels.astype(np.int32, copy=False)
        made.append(types.Split(name, arrays[f"{origin[name]}_inputs"], labels).subset(indices))
    check(task, *made)
    whole = digest(*made)
    arguments = {"seed": seed, "validation": validation, "limit": limit, **(arguments or {})}
    return types.Dataset(
        task, *made, digest=whole, source=source, arguments=arguments, leakage=leakage.between(*made, digest=whole)
    )


def check(task: types.Task, *made: types.Split) -> None:
    """Raises `ValueError` for what no training should begin with, naming split, row and column.

    That is: inputs of another shape than the task's or with NaN or infinity; labels that are no class indices; a class
    without an example in one of the splits, which would be learnt blindly or judged by nothing.
    """
    for split in made:
        if split.inputs.shape[1:] != task.inputs.shape:
            raise ValueError(
                f"Wanted inputs (examples, {', '.join(map(str, task.inputs.shape))}). Received: {split.inputs.shape} in "
                f"{split.name}."
            )
        inputs = split.inputs
        # streamed are pictures, which are whole numbers
        if not isinstance(inputs, types.LazyArray) and inputs.dtype.kind == "f" and not np.isfinite(inputs).all():
            place = tuple(int(index) for index in np.argwhere(~np.isfinite(inputs))[0])
            raise ValueError(
                f"Inputs have to be finite. Received: {inputs[place]} in {split.name}, row {place[0]}, column "
                f"{', '.join(map(str, place[1:]))}."
            )
        _check_labels(task, split)
        counts = multi_label_sets.counts(split.labels, classes=task.target.outputs)
        if not counts.all():
            lacking = [task.target.names[index] for index in np.flatnonzero(counts == 0)]
            raise ValueError(
                f"Every class needs an example in every split. Received: none of {', '.join(map(repr, lacking[:5]))}"
                f"{' ...' if len(lacking) > 5 else ''} in {split.name} ({len(split)} examples). Get more examples of "
                "it, take more for validation and test, or leave the class out."
            )


def _check_labels(task: types.Task, split: types.Split) -> None:
    labels = split.labels
    if labels.dtype.kind not in "iu":
        raise ValueError(f"Labels have to be integers. Received: {labels.dtype} in {split.name}.")
    if labels.shape != ((len(split), task.target.outputs) if task.multi_label else (len(split),)):
        words = "(examples, classes), for an example may have several" if task.multi_label else "(examples,)"
        raise ValueError(
            f"Labels of {task.target.outputs} classes are {words}. Received: shape {labels.shape} in {split.name}."
        )
    classes = 2 if task.multi_label else task.target.outputs
    outside = (labels < 0) | (labels >= classes)
    if outside.any():
        where = np.argwhere(outside)[0]
        column = f", column {where[1]}" if task.multi_label else ""
        raise ValueError(
            f"Labels have to lie in 0..{classes - 1}. Received: {labels[tuple(where)]} in {split.name}, row {where[0]}"
            f"{column} ({int(outside.sum())} such labels)."
        )


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
    taken = multi_label_sets.divide(labels, wanted=take, leave=leave, order=decide)
    return keep[~taken[keep]], keep[taken[keep]]


def _draws(count: int, seed: int) -> np.ndarray:
    return np.random.PCG64(seed).random_raw(count) if count else np.empty(0, np.uint64)
