from __future__ import annotations

import numpy as np

from kerastl.data import duplicates


def rows(split, *pairs):
    return [(digest.encode(), f"{split}[{index}]", answer) for index, (digest, answer) in enumerate(pairs)]


def exact(**splits):
    found = []
    duplicates.exact({name: rows(name, *pairs) for name, pairs in splits.items()}, found)
    return [(one.severity, one.where, one.what) for one in found]


def test_examples_that_stand_once_are_no_finding():
    assert exact(train=[("a", 0), ("b", 1)], test=[("c", 0)]) == []


def test_copies_within_across_and_with_another_answer_are_told_apart():
    assert exact(train=[("a", 0), ("b", 1), ("a", 0)], test=[("b", 1), ("c", 0)], dev=[("c", 1)]) == [
        ("warning", "train", "1 exact duplicate: train[2] = train[0]"),
        ("error", "test and train", "1 example stands in both: train[1] = test[0]"),
        ("error", "dev and test", "1 example stands in both: test[1] = dev[0]"),
        ("error", "labels", "1 example carries different labels: test[1] (0) = dev[0] (1)"),
    ]


def test_an_unknown_answer_contradicts_nothing():
    assert [where for _, where, _ in exact(train=[("a", 0)], test=[("a", None)])] == ["test and train"]


def test_near_ones_are_said_once_and_not_again_where_they_are_exact():
    scenes = np.kron(np.random.default_rng(4).integers(0, 256, (40, 8, 8, 3)), np.ones((1, 4, 4, 1))).astype(np.uint8)
    train, test = scenes[:30], scenes[30:].copy()
    test[0], test[1] = train[3], train[4][:, ::-1]
    digests = {
        name: [(array.tobytes(), f"{name}[{index}]", None) for index, array in enumerate(arrays)]
        for name, arrays in (("train", train), ("test", test))
    }
    found = []
    duplicates.near({"train": train, "test": test}, digests, found)
    assert [(one.severity, one.where) for one in found] == [("warning", "test and train")]
    assert found[0].what == "1 near duplicate across them: test[1] ~ train[4]"


def test_long_lists_are_cut():
    assert duplicates.some([1, 2, 3], 2) == "1, 2 and 1 more"
    assert duplicates.some(["a"]) == "a"
    assert duplicates.some(np.arange(7)) == "0, 1, 2, 3, 4 and 2 more"
