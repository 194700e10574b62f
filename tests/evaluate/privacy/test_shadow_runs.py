"""Likelihood ratios of shadow runs beside normal densities, and on a model whose leak single losses do not show."""

from __future__ import annotations

import numpy as np
import pytest

from kerastl.evaluate.privacy import shadow_runs
from kerastl.evaluate.privacy.membership_inference import by_loss

DRAW = np.random.default_rng(0)


def normal(value, mean, spread):
    return np.exp(-((value - mean) ** 2) / (2 * spread**2)) / (spread * np.sqrt(2 * np.pi))


@pytest.mark.parametrize("runs", [8, 64])
def test_ratios_are_those_of_normal_densities(runs):
    """A spread that all examples share of few runs, one of its own of many."""
    inside = shadow_runs.memberships(10, runs, seed=0)
    shadows = DRAW.normal(size=(runs, 10)) + 2 * inside + np.arange(10)
    target = DRAW.normal(size=10) + np.arange(10)
    found = shadow_runs.likelihood_ratios(target, shadows, inside)
    densities = []
    for chosen in (inside, ~inside):
        parts = [shadows[chosen[:, one], one] for one in range(10)]
        centred = np.concatenate([part - part.mean() for part in parts])
        spreads = [part.std() if runs >= 64 else np.sqrt((centred**2).mean()) for part in parts]
        rows = zip(target, parts, spreads, strict=True)
        densities.append([normal(value, part.mean(), spread) for value, part, spread in rows])
    np.testing.assert_allclose(found, np.log(densities[0]) - np.log(densities[1]), rtol=1e-9, atol=1e-9)


def test_every_example_is_in_half_of_the_runs():
    inside = shadow_runs.memberships(101, 6, seed=1)
    np.testing.assert_array_equal(inside.sum(0), 3)
    assert set(inside.sum(1)) == {50, 51}
    assert len({row.tobytes() for row in inside}) == 6
    with pytest.raises(ValueError, match="even"):
        shadow_runs.memberships(10, 3, seed=0)


def test_shadow_runs_find_what_a_loss_does_not_show():
    """Examples differ in difficulty by ten times what membership changes: losses of members and others look alike."""
    count = 600
    inputs, labels, hard = np.arange(count)[:, None], DRAW.integers(0, 2, count), DRAW.normal(0, 5, count)
    trained = []

    def train(rows, seed):
        trained.append((len(rows), seed))
        logits = hard + np.random.default_rng(seed).normal(0, 0.3, count)
        logits[rows] += 0.5

        def answer(examples):
            share = 1 / (1 + np.exp(-logits[examples[:, 0]]))
            return np.where(labels[examples[:, :1]] == [[0, 1]], share[:, None], 1 - share[:, None])

        return answer

    members = np.zeros(count, bool)
    members[DRAW.permutation(count)[:300]] = True
    target = train(np.flatnonzero(members), 99)
    trained.clear()
    found = shadow_runs.by_likelihood(train, target, (inputs, labels), members, runs=8)
    plain = by_loss(target, (inputs[members], labels[members]), (inputs[~members], labels[~members]))[0]
    assert found.auc == pytest.approx(0.88, abs=0.05)  # Phi(0.5 / (0.3 sqrt 2)), were the means known
    assert plain.auc < 0.6
    assert found.rate > plain.rate
    assert trained == [(300, seed) for seed in range(1, 9)]
    assert "8 shadow runs" in found.name


def test_an_example_that_is_in_every_run_is_refused():
    with pytest.raises(ValueError, match="not in all"):
        shadow_runs.likelihood_ratios(np.zeros(2), np.zeros((2, 2)), np.array([[True, True], [False, True]]))
    with pytest.raises(ValueError, match="shapes"):
        shadow_runs.likelihood_ratios(np.zeros(3), np.zeros((2, 2)), np.ones((2, 2), bool))
