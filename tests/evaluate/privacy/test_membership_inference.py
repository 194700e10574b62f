"""Attacks by the loss on answers whose leak is known, and on the nearest neighbour, which knows them by heart."""

from __future__ import annotations

import numpy as np
import pytest

from kerastl.evaluate.privacy.membership_inference import by_loss, confidences

DRAW = np.random.default_rng(0)


def test_confidences_are_the_logits_of_the_labels_probabilities():
    answers = np.array([[0.2, 0.8], [0.5, 0.5], [1.0, 0.0], [1.0, 0.0]])
    found = confidences(answers, np.array([1, 0, 0, 1]))
    np.testing.assert_allclose(found[:2], [np.log(4), 0], atol=1e-12)
    assert found[2] == pytest.approx(-found[3]) == pytest.approx(16.118, abs=1e-3), "finite where a file says 0 or 1"


@pytest.mark.parametrize(
    ("answers", "labels"),
    [
        (np.ones((3, 2)) / 2, np.zeros(2, int)),
        (np.array([[3.0, -1.0]]), np.array([0])),
        (np.array([[np.nan, 0.5]]), np.array([0])),
        (np.ones((2, 2)) / 2, np.array([0, 2])),
        (np.ones((2, 2)) / 2, np.array([0, -1])),
    ],
)
def test_what_are_no_probabilities_of_labels_is_refused(answers, labels):
    with pytest.raises(ValueError, match="Received"):
        confidences(answers, labels)


def probabilities(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    share = 1 / (1 + np.exp(-logits))
    answers = np.empty((len(labels), 2))
    answers[np.arange(len(labels)), labels], answers[np.arange(len(labels)), 1 - labels] = share, 1 - share
    return answers


def test_a_threshold_a_class_finds_what_one_threshold_hides():
    """Class 1 is four harder than class 0, and members one surer than others of their class."""
    labels = DRAW.integers(0, 2, 8000)
    inside = np.arange(8000) < 4000
    logits = DRAW.normal(size=8000) + inside - 4 * labels
    table = probabilities(logits, labels)

    def answer(rows):
        return table[rows[:, 0]]

    rows = np.arange(8000)[:, None]
    one, by_class = by_loss(answer, (rows[inside], labels[inside]), (rows[~inside], labels[~inside]))
    assert by_class.auc == pytest.approx(0.76, abs=0.02)  # Phi(1 / sqrt 2)
    assert one.auc < by_class.auc - 0.08
    assert by_class.auc_interval[0] > one.auc_interval[1]
    assert (by_class.members, by_class.others, one.others) == (4000, 2000, 2000)


def test_a_model_that_knows_its_examples_by_heart_gives_them_away_and_one_that_learnt_nothing_does_not():
    inputs = DRAW.normal(size=(1200, 3))
    labels = DRAW.integers(0, 2, 1200)
    known = inputs[:600]

    def nearest(examples):
        gaps = ((examples[:, None] - known[None]) ** 2).sum(-1)
        return np.eye(2)[labels[gaps.argmin(1)]] * 0.9 + 0.05

    members, others = (inputs[:600], labels[:600]), (inputs[600:], labels[600:])
    assert by_loss(nearest, members, others)[0].auc == pytest.approx(0.75, abs=0.03)  # half of the others are wrong
    one, by_class = by_loss(lambda examples: np.full((len(examples), 2), 0.5), members, others)
    assert one.auc == by_class.auc == 0.5


def test_a_class_that_the_attacker_does_not_know_has_the_threshold_of_all():
    labels = np.array([0] * 400 + [1] * 3)
    logits = np.r_[DRAW.normal(size=400), [5.0, 5.0, 5.0]]
    table = probabilities(logits, labels)
    rows = np.arange(403)[:, None]
    members = np.r_[:200, 400:403]
    others = np.r_[200:400]
    _, found = by_loss(lambda rows: table[rows[:, 0]], (rows[members], labels[members]), (rows[others], labels[others]))
    assert found.members == 203
    assert found.rate >= 3 / 203, "those of the class that is surer than all others are found"
