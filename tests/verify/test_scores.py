from __future__ import annotations

import numpy as np
import pytest

from kerastl import verify


def test_wilson_interval_against_written_down_numbers():
    """Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662; 0 of 20 gives 0 to 0.1611."""
    for right, count, low, high in ((81, 263, 0.2553, 0.3662), (0, 20, 0.0, 0.1611), (29, 29, 0.8830, 1.0)):
        rows = np.zeros((count, 2))
        rows[:right, 1] = 1
        rows[right:, 0] = 1
        found = verify.score(rows, np.ones(count, int))
        assert found.value == right / count
        assert found.count == count
        assert (round(found.low, 4), round(found.high, 4)) == (low, high)
    with pytest.raises(ValueError, match="one label a row"):
        verify.score(np.zeros((0, 2)), np.zeros(0))


def test_by_class_against_a_count_by_hand():
    labels = np.array([0, 0, 0, 0, 1, 1, 3])
    answers = np.eye(4)[[0, 0, 0, 2, 1, 0, 3]]
    found = verify.by_class(answers, labels, class_names=("a", "b", "c", "d"))
    assert found.examples == {"a": 4, "b": 2, "c": 0, "d": 1}
    assert found.recall == {"a": 0.75, "b": 0.5, "c": None, "d": 1.0}
    assert found.balanced_accuracy == pytest.approx(0.75)
    assert found.majority_baseline == pytest.approx(4 / 7)
    with pytest.raises(ValueError, match="Wanted probabilities of shape"):
        verify.by_class(answers, labels, class_names=("a", "b"))
