"""Iterative stratification against counts made by other means, and against the paper's own rule by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from kerastl import types
from kerastl.data import splits, strata
from kerastl.inputs.numbers import Numbers
from kerastl.tasks.multi_label import MultiLabel


def drawn(examples: int, shares: tuple[float, ...], *, seed: int = 0) -> np.ndarray:
    """Labels of which every class has at least 6 examples."""
    generator = np.random.default_rng(seed)
    labels = (generator.random((examples, len(shares))) < shares).astype(np.uint8)
    for column in labels.T:
        column[generator.choice(examples, 6, replace=False)] = 1
    return labels


def test_pairs_and_counts_are_those_of_a_loop():
    labels = drawn(50, (0.5, 0.1, 0.02))
    expected = [(row, column) for row in range(50) for column in range(3) if labels[row, column]]
    assert list(zip(*(part.tolist() for part in strata.pairs(labels)), strict=True)) == expected
    assert strata.counts(labels, classes=3).tolist() == [sum(int(row[k]) for row in labels) for k in range(3)]
    assert strata.counts(np.array([2, 0, 2]), classes=4).tolist() == [1, 0, 2, 0]


@pytest.mark.parametrize("seed", [0, 1, 12345])
@pytest.mark.parametrize("shares", [(0.5, 0.3, 0.02), (0.9, 0.9, 0.9, 0.05), (0.01,) * 8, (0.2, 0.0001)])
def test_every_class_is_divided_in_proportion(seed, shares):
    labels = drawn(600, shares, seed=seed)
    train, held_out = splits.iterative_stratification(labels, validation=0.2, seed=seed)
    assert sorted([*train, *held_out]) == list(range(600))
    assert len(held_out) == 120
    for column in labels.T:
        there = {row for row, value in enumerate(column) if value}
        exact = 0.2 * len(there)
        assert abs(len(there & set(held_out.tolist())) - exact) <= 1.5
    without = {row for row, sets in enumerate(labels) if not sets.any()}
    assert abs(len(without & set(held_out.tolist())) - 0.2 * len(without)) <= 0.02 * 600


def test_random_division_would_not_pass():
    """What the test above asks for is more than chance gives."""
    labels = drawn(600, (0.01,) * 8)
    worst = []
    for seed in range(5):
        taken = splits.shuffled(600, seed=seed)[:120]
        worst.append(max(abs(int(column[taken].sum()) - 0.2 * int(column.sum())) for column in labels.T))
    assert max(worst) > 1.5


def test_the_rarest_class_is_served_first():
    """Figure 1 by hand: b has 2 examples (rows 4, 5), so one goes to either side before a's six are shared out."""
    labels = np.array([[1, 0]] * 4 + [[1, 1]] * 2)
    taken = strata._iterated(labels, 0.5, np.arange(6))
    # b: row 4 (a tie in every respect) stays, row 5 goes; then a's: 2 more to each, the first stays
    assert taken.tolist() == [False, True, False, True, False, True]


def test_the_last_examples_of_a_class_are_mended():
    """Every example of b has a as well, and the iteration alone may give all of them to one side."""
    generator = np.random.default_rng(0)
    for _ in range(200):
        labels = (generator.random((30, 4)) < (0.6, 0.15, 0.15, 0.15)).astype(np.uint8)
        labels[generator.choice(30, 3, replace=False), 1] = 1
        labels[generator.choice(30, 3, replace=False), 2] = 1
        labels[generator.choice(30, 3, replace=False), 3] = 1
        taken = strata.divide(labels, wanted=5, leave=2, order=generator.permutation(30))
        assert taken.sum() == 5
        for column in labels.T:
            assert column[taken].any()
            assert column[~taken].sum() >= 2


def test_the_same_seed_gives_the_same_division_and_another_another():
    labels = drawn(200, (0.3, 0.1))
    first, again, other = (splits.iterative_stratification(labels, validation=40, seed=seed)[1] for seed in (3, 3, 4))
    assert first.tolist() == again.tolist()
    assert sorted(first) != sorted(other)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="0 and 1"):
        splits.iterative_stratification(np.array([[0, 2], [1, 0]]), validation=1, seed=0)
    with pytest.raises(ValueError, match="0 and 1"):
        splits.iterative_stratification(np.array([0, 1, 1]), validation=1, seed=0)
    with pytest.raises(ValueError, match="0 and 1"):
        splits.subset(np.array([[0, 2], [1, 0]]), count=1, seed=0)
    with pytest.raises(ValueError, match=r"too few examples of classes number \d that can go"):
        splits.iterative_stratification(np.array([[1, 1, 0], [1, 0, 1], *[[0, 0, 0]] * 9]), validation=3, seed=0)
    with pytest.raises(ValueError, match="between 1 and 9"):
        splits.iterative_stratification(drawn(10, (0.5, 0.5)), validation=10, seed=0)


def test_whole_groups_are_divided_as_evenly():
    labels, groups = drawn(300, (0.4, 0.1, 0.05)), np.arange(300) // 3
    train, held_out = splits.grouped(labels, groups, validation=0.2, seed=0, leave=2)
    assert not set(groups[train].tolist()) & set(groups[held_out].tolist())
    assert abs(len(held_out) - 60) <= 3
    for column in labels.T:
        assert abs(int(column[held_out].sum()) - 0.2 * int(column.sum())) <= 2


def test_a_smaller_set_keeps_every_class():
    labels = drawn(500, (0.5, 0.02, 0.02))
    kept = splits.subset(labels, count=40, seed=0)
    assert len(set(kept.tolist())) == 40
    assert labels[kept].any(0).all()
    assert abs(int(labels[kept, 0].sum()) - 0.08 * int(labels[:, 0].sum())) <= 2
    rare = np.array([[1, 0, 0]] * 9 + [[0, 1, 0], [0, 0, 1]], np.uint8)  # the only one of its class is kept
    assert set(splits.subset(rare, count=3, seed=0).tolist()) > {9, 10}
    with pytest.raises(ValueError, match="2 of 11 examples to take out, which cannot be, while 3 can"):
        splits.subset(rare, count=2, seed=0)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.full((4, 2), 2, np.uint8), r"0\.\.1\. Received: 2 in train, row 0, column 0 \(8 such"),
        (np.ones(4, np.int32), r"\(examples, classes\).*Received: shape \(4,\) in train"),
        (np.ones((4, 3), np.uint8), r"Received: shape \(4, 3\)"),
        (np.array([[1, 0]] * 4, np.uint8), "none of 'b' in train"),
    ],
)
def test_labels_are_checked_before_training(labels, words):
    task = types.Task("toy", Numbers((2,)), MultiLabel(("a", "b")))
    with pytest.raises(ValueError, match=words):
        splits.check(types.Split("train", np.zeros((4, 2), np.float32), labels, task))
    splits.check(types.Split("train", np.zeros((4, 2), np.float32), np.eye(2, dtype=np.uint8)[[0, 1, 1, 0]], task))


def test_how_few_examples_have_every_class():
    labels = np.array([[1, 1, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 0]], np.uint8)
    for rows in (slice(0, 5), slice(0, 1), slice(4, 5), slice(1, 4)):
        some = labels[rows]
        sizes = [
            sum(taken)
            for taken in itertools.product((0, 1), repeat=len(some))
            if ((taken @ some > 0) == some.any(0)).all()
        ]
        assert strata.minimum_examples(some) == min(sizes)


def test_of_one_class_each_as_many_as_there_are_classes_have_every_one():
    assert strata.minimum_examples(np.array([3, 0, 3, 1])) == 3
