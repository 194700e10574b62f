"""Confusion of classes, against scikit-learn's matrix."""

from __future__ import annotations

import numpy as np
from sklearn import metrics

from kerastl.tasks import confusion

NAMES = [f"intent {number}" for number in range(77)]


def test_the_cells_are_those_of_scikit_learn():
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 77, 3000)
    given = np.where(draw.random(3000) < 0.8, labels, (labels + draw.integers(1, 4, 3000)) % 77)
    found = confusion.matrix(NAMES, labels, given)
    whole = np.zeros((77, 77), int)
    for true, said, count in found["cells"]:
        whole[true, said] = count
    np.testing.assert_array_equal(whole, metrics.confusion_matrix(labels, given, labels=range(77)))
    assert (found["examples"], found["left_out"]) == (3000, 0)
    counts = [count for true, said, count in found["cells"] if true != said]
    assert counts == sorted(counts, reverse=True), "the most frequent mistakes come first"
    pairs = confusion.pairs(found)
    assert len(pairs) == len(counts)
    assert pairs[0] == (NAMES[found["cells"][0][0]], NAMES[found["cells"][0][1]], counts[0])
    assert [type(value) for value in found["cells"][0]] == [int] * 3, "JSON has no word for NumPy's numbers"


def test_a_report_holds_so_many_cells(monkeypatch):
    monkeypatch.setattr(confusion, "MOST_PAIRS", 2)
    found = confusion.matrix(["a", "b", "c"], np.array([0, 0, 0, 1, 2, 2]), np.array([1, 1, 2, 1, 0, 2]))
    assert found["cells"] == [[0, 1, 2], [0, 2, 1]]
    assert found["left_out"] == 3
