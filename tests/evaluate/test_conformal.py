"""Conformal prediction: the coverage that was asked for, on ten splits, of floats, of 8 bits and of numbers."""

from __future__ import annotations

import numpy as np
import pytest
import toy

from kerastl.evaluate import conformal

HELD, NEW = 4000, 4000


def answers(seed, *, bits=None, sure=2.0, alike=True):
    """Answers of an overconfident model of ten classes, and labels."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (HELD + NEW, 10)) * (1 if alike else random.uniform(0, 3, (HELD + NEW, 1)))
    chances = toy.softmax(logits)
    labels = (chances.cumsum(-1) > random.uniform(size=(len(logits), 1))).argmax(-1)
    given = toy.softmax(sure * logits)
    return (given if bits is None else np.rint(given * 2**bits) / 2**bits), labels


@pytest.mark.parametrize("method", conformal.METHODS)
@pytest.mark.parametrize("bits", [None, 8])
def test_ten_splits_of_ten_have_the_coverage_within_two_points(method, bits):
    found = []
    for seed in range(10):
        given, labels = answers(seed, bits=bits)
        rule = conformal.fit(given[:HELD], labels[:HELD], coverage=0.9, method=method, seed=seed)
        found.append(conformal.measure(rule, given[HELD:], labels[HELD:]))
    shares = [one["coverage"] for one in found]
    assert max(abs(share - 0.9) for share in shares) <= 0.02, shares
    assert all(1 < one["size"] < 6 for one in found)
    for one in found:
        assert sum(row["sets"] for row in one["by_size"]) == NEW
        assert sum(row["hold"] for row in one["by_size"]) == pytest.approx(one["coverage"] * NEW)
        assert one["worst_class"]["coverage"] <= one["coverage"]


def test_the_least_ambiguous_sets_are_the_smallest_and_adaptive_ones_are_fair_to_easy_and_hard_examples():
    given, labels = answers(0, sure=1.0, alike=False)
    sizes, apart = {}, {}
    fifths = np.argsort(given.max(-1)[HELD:]).reshape(5, -1)
    for method in ("lac", "aps"):
        rule = conformal.fit(given[:HELD], labels[:HELD], coverage=0.9, method=method)
        held = rule.sets(given[HELD:])
        sizes[method] = held.sum(-1).mean()
        hit = held[np.arange(NEW), labels[HELD:]]
        apart[method] = np.abs(hit[fifths].mean(-1) - 0.9).max()
    assert sizes["lac"] < sizes["aps"]
    assert apart["aps"] < 0.03 < 0.06 < apart["lac"]


def test_the_quantile_is_the_one_of_the_paper():
    """ceil((n + 1) (1 - alpha)) / n, from 19 scores the greatest at 95 %, and from 18 none is high enough."""
    one = np.arange(19) / 19
    given = np.stack([1 - one, one], -1)
    rule = conformal.fit(given, np.zeros(19, int), coverage=0.95)
    assert rule.threshold == pytest.approx(18 / 19, abs=1e-6)
    rule = conformal.fit(given[:18], np.zeros(18, int), coverage=0.95)
    assert rule.threshold == np.inf
    assert rule.sets(given).all()


def test_regularization_ends_the_tail():
    given, labels = answers(1, sure=0.3)
    found = {
        method: conformal.fit(given[:HELD], labels[:HELD], coverage=0.95, method=method, penalty=0.2, free=2).sets(
            given[HELD:]
        )
        for method in ("aps", "raps")
    }
    assert found["raps"].sum(-1).std() < found["aps"].sum(-1).std()


def test_intervals_of_numbers_hold_as_many_labels():
    for seed in range(10):
        random = np.random.default_rng(seed)
        labels = random.normal(0, 5, (HELD + NEW, 2))
        given = labels + random.standard_t(3, labels.shape) * [1, 10]
        widths = conformal.fit_intervals(given[:HELD], labels[:HELD], coverage=0.95)
        rows = conformal.measure_intervals(widths, given[HELD:], labels[HELD:])
        assert [row["coverage"] for row in rows] == pytest.approx([0.95, 0.95], abs=0.02)
        assert widths[1] / widths[0] == pytest.approx(10, rel=0.15)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"coverage": 1.0}, r"\(--coverage\) between 0 and 1"),
        ({"coverage": 0.9, "method": "best"}, "one of lac, aps, raps"),
    ],
)
def test_what_is_no_rule_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        conformal.fit(np.ones((3, 2)) / 2, np.zeros(3, int), **options)
    with pytest.raises(ValueError, match="between 0 and 1"):
        conformal.fit_intervals(np.ones((3, 1)), np.ones((3, 1)), coverage=0)
