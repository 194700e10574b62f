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
    found = verify.per_class_metrics(answers, labels, class_names=("a", "b", "c", "d"))
    assert found.examples == {"a": 4, "b": 2, "c": 0, "d": 1}
    assert found.recall == {"a": 0.75, "b": 0.5, "c": None, "d": 1.0}
    assert found.balanced_accuracy == pytest.approx(0.75)
    assert found.majority_baseline == pytest.approx(4 / 7)
    with pytest.raises(ValueError, match="Wanted probabilities of shape"):
        verify.per_class_metrics(answers, labels, class_names=("a", "b"))


def drawn_sets(examples=300):
    generator = np.random.default_rng(0)
    labels = (generator.random((examples, 4)) < (0.5, 0.2, 0.05, 0.0)).astype(np.uint8)
    return np.round(np.clip(0.6 * labels + generator.normal(0.2, 0.25, labels.shape), 0, 1), 2), labels


def test_several_classes_are_right_when_all_of_them_are():
    probabilities, labels = drawn_sets()
    right = [
        all((p >= 0.5) == bool(label) for p, label in zip(*row, strict=True))
        for row in zip(probabilities, labels, strict=True)
    ]
    found = verify.score(probabilities, labels)
    assert found.value == sum(right) / 300
    single = verify.score(np.eye(2)[[int(one) for one in right]], np.ones(300, int))  # its interval is a proportion's
    assert (found.low, found.high) == (single.low, single.high)
    half = np.array([[0.5, 0.4999]])
    assert verify.score(half, np.array([[1, 0]])).value == 1.0


def test_by_class_of_several_against_a_count_by_hand():
    probabilities, labels = drawn_sets()
    names = ("a", "b", "c", "never")
    found = verify.per_class_metrics(probabilities, labels, class_names=names)
    f1s, averages, recalls = [], [], []
    for index, name in enumerate(names):
        having = [bool(label) for label in labels[:, index]]
        given = [p >= 0.5 for p in probabilities[:, index]]
        hits = sum(a and b for a, b in zip(having, given, strict=True))
        assert found.examples[name] == sum(having)
        assert found.multi_label.precision[name] == pytest.approx(hits / sum(given))
        if name == "never":
            assert found.recall[name] is None
            assert found.multi_label.average_precision[name] is None
            assert found.multi_label.f1[name] == 0
            continue
        recalls.append(hits / sum(having))
        f1s.append(2 * hits / (sum(having) + sum(given)))
        assert (found.recall[name], found.multi_label.f1[name]) == pytest.approx((recalls[-1], f1s[-1]))
        # the area under the steps of precision over recall, as scikit-learn defines it
        area, before = 0.0, 0.0
        for level in sorted(set(probabilities[:, index]), reverse=True):
            there = [bool(one) for one, p in zip(having, probabilities[:, index], strict=True) if p >= level]
            area += (sum(there) / sum(having) - before) * sum(there) / len(there)
            before = sum(there) / sum(having)
        averages.append(area)
        assert found.multi_label.average_precision[name] == pytest.approx(area)
    assert found.multi_label.macro_f1 == pytest.approx(np.mean(f1s))
    assert found.multi_label.mean_average_precision == pytest.approx(np.mean(averages))
    assert found.balanced_accuracy == pytest.approx(np.mean(recalls))
    sets = [tuple(row) for row in labels.tolist()]
    assert found.majority_baseline == max(sets.count(one) for one in sets) / 300


def test_labels_in_a_column_are_refused():
    """Each would be compared with the answers to all examples."""
    with pytest.raises(ValueError, match=r"Wanted labels .* Received: \(3, 1\)"):
        verify.score(np.eye(3), np.array([[0], [1], [2]]))
