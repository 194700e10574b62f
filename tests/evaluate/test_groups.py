"""Figures by group: fairlearn 0.15's own numbers, loops, and remedies that do what they say.

`benchmarks/evaluate/fairness.py` asks fairlearn itself, in an environment of its own.
"""

from __future__ import annotations

import numpy as np
import pytest

from kerastl.evaluate import groups

NAMES = (
    "demographic_parity_difference",
    "demographic_parity_ratio",
    "equalized_odds_difference",
    "equalized_odds_ratio",
)
FAIRLEARN = {
    0: (0.4780847678287285, 0.11890162623300453, 0.19565217391304346, 0.17101449275362318),
    1: (0.46332046332046334, 0.0, 0.8666666666666667, 0.0),
    2: (0.4759803921568628, 0.08049242424242423, 0.896551724137931, 0.0),
}
"""Seed of `example` -> what fairlearn 0.15.0 said, worst case, between groups."""
BY_GROUP = {
    "a": (0.5426008968609866, 0.9333333333333333, 0.19491525423728814),
    "b": (0.28125, 0.8043478260869565, 0.07017543859649122),
    "c": (0.4883720930232558, 0.868421052631579, 0.1875),
    "d": (0.06451612903225806, 1.0, 0.03333333333333333),
}
"""Selection, true positive and false positive rates of its `MetricFrame`, of seed 0."""


def example(seed):
    random = np.random.default_rng(seed)
    names = random.choice(["a", "b", "c", "d"], 500, p=[0.5, 0.3, 0.15, 0.05])
    rate = np.vectorize({"a": 0.5, "b": 0.3, "c": 0.4, "d": 0.1}.get)(names)
    labels = random.uniform(size=500) < rate
    return np.where(random.uniform(size=500) < 0.75, labels, random.uniform(size=500) < rate), labels, names


@pytest.mark.parametrize("seed", FAIRLEARN)
def test_gaps_are_fairlearns(seed):
    found = groups.gaps(*example(seed))
    assert tuple(found[name] for name in NAMES) == pytest.approx(FAIRLEARN[seed], abs=1e-9)


def test_rates_are_fairlearns_the_smallest_group_first():
    found = groups.by_group(*example(0))
    for one in found:
        rates = one.selection, one.true_positive, one.false_positive
        assert rates == pytest.approx(BY_GROUP[one.name], abs=1e-9)
        assert one.ends["selection"][0] < one.selection < one.ends["selection"][1]
        assert one.accuracy + one.error == pytest.approx(1)
    assert [one.examples for one in found] == sorted(one.examples for one in found)
    alone = groups.by_group(np.array([True]), np.array([False]), np.array(["x"]))[0]
    assert alone.true_positive is None
    assert alone.ends["true_positive"] == (0, 1)


def test_intervals_hold_the_gap_of_the_whole_and_a_gap_of_nothing_is_not_known():
    found = groups.gaps_with_intervals(*example(0))
    for one in found.values():
        assert one["low"] <= one["value"] <= one["high"]
    nobody = groups.gaps(np.zeros(4, bool), np.array([0, 1, 0, 1]), np.array(list("aabb")))
    assert nobody["demographic_parity_difference"] == 0
    assert np.isnan(nobody["demographic_parity_ratio"])
    assert np.isnan(nobody["equalized_odds_ratio"])


def test_a_change_of_the_gaps_is_told_from_none():
    selected, labels, names = example(0)
    moved = selected & (names != "b")  # the file no longer finds anybody of one group
    found = groups.change(moved, selected, labels, names)["equalized_odds_difference"]
    assert found["value"] == pytest.approx(
        groups.gaps(moved, labels, names)["equalized_odds_difference"]
        - groups.gaps(selected, labels, names)["equalized_odds_difference"]
    )
    assert found["low"] > 0
    same = groups.change(selected, selected, labels, names)["equalized_odds_difference"]
    assert same["value"] == same["low"] == same["high"] == 0


def test_weights_make_group_and_label_independent():
    _, labels, names = example(0)
    weight = groups.reweighted(labels, names)
    rates = [weight[(names == name) & labels].sum() / weight[names == name].sum() for name in "abcd"]
    assert rates == pytest.approx([labels.mean()] * 4)
    assert weight.sum() == pytest.approx(len(labels))


def test_draws_are_balanced_and_of_no_group_more_than_there_is_while_there_is():
    _, labels, names = example(0)
    for by, apart in (("group", lambda r: names[r]), ("cell", lambda r: np.char.add(names[r], labels[r].astype(str)))):
        rows = groups.balanced_draw(labels, names, by=by, seed=1)
        _, counts = np.unique(apart(rows), return_counts=True)
        assert len(rows) == 500
        assert np.ptp(counts) <= 1
        assert set(np.unique(rows[names[rows] == "d"])) <= set(np.flatnonzero(names == "d"))
    large = groups.balanced_draw(labels, names, by="group")
    assert len(np.unique(large[names[large] == "a"])) == 125, "of a large group none comes twice"
    rows = groups.balanced_draw(labels, names, by="reweighted")
    assert [labels[rows][names[rows] == name].mean() for name in "abc"] == pytest.approx([labels.mean()] * 3, abs=0.02)


@pytest.mark.parametrize("wanted", ["demographic_parity", "equal_opportunity", "equalized_odds"])
def test_thresholds_bring_groups_nearer(wanted):
    random = np.random.default_rng(0)
    names = random.choice(["a", "b"], 4000)
    labels = random.uniform(size=4000) < np.where(names == "a", 0.5, 0.2)
    scores = np.clip(0.25 + 0.3 * labels + 0.15 * (names == "a") + random.normal(0, 0.15, 4000), 0, 1)
    chosen = groups.thresholds(scores[:2000], labels[:2000], names[:2000], wanted=wanted)
    new = slice(2000, None)
    before = groups.gaps(scores[new] >= 0.5, labels[new], names[new])
    after = groups.gaps(groups.apply_thresholds(scores[new], names[new], chosen), labels[new], names[new])
    key = "demographic_parity_difference" if wanted == "demographic_parity" else "equalized_odds_difference"
    assert after[key] < before[key] / 2
    assert after[key] < 0.1
    with pytest.raises(ValueError, match="none for c"):
        groups.apply_thresholds(scores[:1], np.array(["c"]), chosen)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="an answer, a label and a group"):
        groups.gaps(np.zeros(3), np.zeros(3), np.array(["a"]))
    with pytest.raises(ValueError, match="by group, cell or reweighted"):
        groups.balanced_draw(np.zeros(3), np.array(["a"] * 3), by="all")
    with pytest.raises(ValueError, match="both labels"):
        groups.thresholds(np.ones(3), np.ones(3), np.array(["a"] * 3))
