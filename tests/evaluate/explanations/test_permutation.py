"""Permutation importance against scikit-learn's, and of a category as a whole."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import inspection, linear_model

from kerastl.evaluate.explanations import permutation


def test_importances_are_scikit_learns():
    random = np.random.default_rng(0)
    rows = random.normal(size=(600, 3))
    labels = rows @ [3, 1, 0] + random.normal(0, 0.1, 600)
    model = linear_model.LinearRegression().fit(rows, labels)
    wanted = inspection.permutation_importance(model, rows, labels, n_repeats=30, random_state=0)

    def score(answers: np.ndarray) -> float:
        return 1 - float(((answers[:, 0] - labels) ** 2).mean() / labels.var())

    columns = {"c": [2], "b": [1], "a": [0]}
    found = permutation.importance(lambda some: model.predict(some)[:, None], rows, score, columns=columns, repeats=30)
    assert list(found) == ["a", "b", "c"]
    assert [mean for mean, _ in found.values()] == pytest.approx(wanted.importances_mean, rel=0.03, abs=1e-3)


def test_answers_of_several_outputs_are_scored_as_they_come():
    rows = np.arange(40.0).reshape(20, 2)
    found = permutation.importance(
        lambda some: {"sum": some.sum(-1), "first": some[:, 0]},
        rows,
        lambda answers: -float(np.abs(answers["first"] - rows[:, 0]).mean()),
        columns={"first": [0], "second": [1]},
    )
    assert found["first"][0] > 1
    assert found["second"] == (0, 0)


def test_a_category_is_dealt_as_a_whole():
    seen = []
    rows = np.eye(4)[np.arange(40) % 4]
    permutation.importance(
        lambda some: (seen.append(some), some)[1], rows, lambda answers: 0.0, columns={"kind": [0, 1, 2, 3]}
    )
    for dealt in seen:
        np.testing.assert_array_equal(dealt.sum(-1), 1)
    assert (seen[1] != rows).any()
