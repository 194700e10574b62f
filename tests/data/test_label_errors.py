"""Planted wrong labels."""

from __future__ import annotations

import numpy as np
import pytest

from kerastl.data import label_errors


def test_the_rule_by_hand():
    labels = np.array([0, 0, 0, 1, 1, 1])
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.3, 0.7], [0.55, 0.45]])
    # thresholds: class 0: mean(0.9, 0.8, 0.1) = 0.6; class 1: mean(0.8, 0.7, 0.45) = 0.65
    assert label_errors.find(labels, probabilities).tolist() == [2]
    probabilities[5] = [0.95, 0.05]  # class 1 now at 0.517
    assert label_errors.find(labels, probabilities).tolist() == [5, 2]


@pytest.mark.parametrize("seed", range(5))
def test_five_percent_planted_in_overlapping_clouds(seed):
    """Answers of a nearest-centroid model that learnt from the wrong labels as well."""
    draw = np.random.default_rng(seed)
    centres = draw.normal(size=(10, 16)) * 1.5
    truth = draw.integers(0, 10, 4000)
    points = centres[truth] + draw.normal(size=(4000, 16))
    labels = truth.copy()
    planted = draw.choice(4000, 200, replace=False)
    labels[planted] = (truth[planted] + draw.integers(1, 10, 200)) % 10
    learnt = np.stack([points[labels == one].mean(0) for one in range(10)])
    logits = -0.5 * ((points[:, None] - learnt) ** 2).sum(-1)
    probabilities = np.exp(logits - logits.max(1, keepdims=True))
    probabilities /= probabilities.sum(1, keepdims=True)
    found = label_errors.find(labels, probabilities)
    right = np.isin(found, planted).sum()
    assert right / 200 >= 0.6
    assert right / len(found) >= 0.5
    assert np.isin(found[:100], planted).mean() > 0.9  # the most suspicious come first


def test_refusals_and_nothing():
    assert label_errors.find(np.array([0, 1]), np.eye(3)[:2]).tolist() == []
    with pytest.raises(ValueError, match="one label a row"):
        label_errors.find(np.zeros(3, int), np.eye(2))
    with pytest.raises(ValueError, match=r"in 0..1. Received: 0 to 5"):
        label_errors.find(np.array([0, 5]), np.eye(2))
