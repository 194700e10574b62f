"""Calibration against loops, scikit-learn and labels that were drawn from known probabilities."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import toy
from sklearn import metrics

from kerastl.evaluate import calibration

COUNT = 4000


def drawn(*, temperature=1.0, count=COUNT, classes=4, seed=0):
    """Logits, and labels drawn from their probabilities at a temperature."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (count, classes))
    chances = toy.softmax(logits, temperature)
    labels = (chances.cumsum(-1) > random.uniform(size=(count, 1))).argmax(-1)
    return logits, labels


def loop(confidence, right, edges):
    """The expected calibration error, one answer after the other."""
    total = 0.0
    for low, high in itertools.pairwise(edges):
        inside = [i for i, one in enumerate(confidence) if low < one <= high or (one == 0 == low)]
        if inside:
            gap = np.mean([right[i] for i in inside]) - np.mean([confidence[i] for i in inside])
            total += len(inside) / len(confidence) * abs(gap)
    return total


def test_the_error_is_that_of_a_loop():
    logits, labels = drawn(temperature=2.0, count=300)
    answers = toy.softmax(logits)
    sure, right = answers.max(-1), answers.argmax(-1) == labels
    found = calibration.expected_calibration_error(sure, right, bins=10)
    assert found == pytest.approx(loop(sure, right, np.linspace(0, 1, 11)), abs=1e-12)
    rows = calibration.reliability(sure, right, bins=10)
    assert sum(row.count for row in rows) == 300
    again = sum(row.count / 300 * abs(row.accuracy - row.confidence) for row in rows if row.count)
    assert again == pytest.approx(found, abs=1e-12)
    equal = calibration.reliability(sure, right, bins=10, equal_mass=True)
    assert {row.count for row in equal} == {30}
    edges = [row.low for row in equal] + [1.0]
    mass = calibration.expected_calibration_error(sure, right, bins=10, equal_mass=True)
    assert mass == pytest.approx(loop(sure, right, edges), abs=1e-12)


def test_proper_scores_are_scikit_learns():
    logits, labels = drawn(count=200, classes=2)
    answers = toy.softmax(logits)
    found = calibration.measure(answers, labels)
    assert found.brier == pytest.approx(2 * metrics.brier_score_loss(labels, answers[:, 1]), abs=1e-12)
    assert found.log_loss == pytest.approx(metrics.log_loss(labels, answers), abs=1e-12)
    assert found.log_loss_low < found.log_loss < found.log_loss_high


def test_zeros_of_eight_bits_cost_a_finite_loss():
    answers = np.array([[0.0, 1.0], [1 / 256, 255 / 256]])
    assert calibration.log_loss(answers, np.array([0, 0])).tolist() == pytest.approx([np.log(512), np.log(256)])


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_labels_were_drawn_at_is_found(temperature):
    logits, labels = drawn(temperature=temperature)
    found = calibration.fit_temperature(logits, labels)
    assert found == pytest.approx(temperature, rel=0.07)
    answers = calibration.scaled(logits, 1 / found)
    assert (answers.argmax(-1) == logits.argmax(-1)).all()
    after = calibration.measure(answers, labels)
    assert after.ece < 0.03
    assert after.ece_low < 0.005, "a calibrated model's interval goes down to nearly 0"
    if temperature != 1:
        assert after.ece_high < calibration.measure(toy.softmax(logits), labels).ece_low


def test_logits_of_probabilities_have_the_same_temperature():
    logits, labels = drawn(temperature=2.0)
    again = calibration.logits_of(toy.softmax(logits))
    assert calibration.fit_temperature(again, labels) == pytest.approx(calibration.fit_temperature(logits, labels))


def test_a_model_without_a_mistake_has_a_temperature():
    logits = np.eye(3)[np.arange(30) % 3] * 4
    assert 0.05 < calibration.fit_temperature(logits, np.arange(30) % 3) < 20


def test_vector_scaling_finds_factors_and_offsets_and_its_slope_is_right():
    logits, _ = drawn()
    chances = toy.softmax(logits * [2, 1, 0.5, 1] + [0, 1, 0, -1])
    labels = (chances.cumsum(-1) > np.random.default_rng(3).uniform(size=(COUNT, 1))).argmax(-1)
    factors, offsets = calibration.fit_vector(logits, labels)
    assert factors == pytest.approx([2, 1, 0.5, 1], abs=0.15)
    assert offsets - offsets.mean() == pytest.approx([0, 1, 0, -1], abs=0.15)
    after = calibration.log_loss(calibration.scaled(logits, factors, offsets), labels).mean()
    best = calibration.fit_temperature(logits, labels)
    assert after < calibration.log_loss(calibration.scaled(logits, 1 / best), labels).mean() - 0.05
    assert calibration.log_loss(chances, labels).mean() == pytest.approx(after, abs=0.01)


@pytest.mark.parametrize(
    ("answers", "labels", "words"),
    [
        (np.ones((3, 2)), np.zeros(2, int), "a class an example"),
        (np.full((2, 2), np.nan), np.zeros(2, int), "not all finite"),
        (np.full((2, 2), 1.5), np.zeros(2, int), r"probabilities in 0..1. Received: 1.5"),
        (np.ones((2, 2)), np.array([0, 2]), r"class indices 0..1"),
    ],
)
def test_what_is_no_answer_is_refused(answers, labels, words):
    with pytest.raises(ValueError, match=words):
        calibration.measure(answers, labels)
