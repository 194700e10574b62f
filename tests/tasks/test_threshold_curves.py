"""Curves over thresholds and the areas under them, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from kerastl.tasks import classes, multi_label, threshold_curves

DRAW = np.random.default_rng(0)
LABELS = DRAW.integers(0, 3, 600)
HAVING = np.eye(3, dtype=bool)[LABELS]
LOGITS = DRAW.normal(size=(600, 3)) + 1.2 * HAVING
ANSWERS = np.round(np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True), 2)  # rounded, so that there are ties


def test_roc_and_its_area_are_those_of_scikit_learn():
    for place in range(3):
        found = threshold_curves.roc(ANSWERS[:, place], HAVING[:, place])
        assert found is not None
        points, area = found
        false, true, _ = metrics.roc_curve(HAVING[:, place], ANSWERS[:, place], drop_intermediate=False)
        np.testing.assert_allclose(points, np.stack([false, true], -1))
        assert area == pytest.approx(metrics.roc_auc_score(HAVING[:, place], ANSWERS[:, place]))
    assert threshold_curves.roc(ANSWERS[:, 0], np.zeros(600, bool)) is None
    assert threshold_curves.roc(ANSWERS[:, 0], np.ones(600, bool)) is None


def test_precision_and_recall_are_those_of_scikit_learn():
    for place in range(3):
        points = threshold_curves.precision_recall(ANSWERS[:, place], HAVING[:, place])
        assert points is not None
        precision, recall, _ = metrics.precision_recall_curve(HAVING[:, place], ANSWERS[:, place])
        np.testing.assert_allclose(points, np.stack([recall, precision], -1)[::-1])
        wanted = metrics.average_precision_score(HAVING[:, place], ANSWERS[:, place])
        assert multi_label.average_precision(ANSWERS[:, place], HAVING[:, place]) == pytest.approx(wanted)
    assert threshold_curves.precision_recall(ANSWERS[:, 0], np.zeros(600, bool)) is None


def test_a_thinned_curve_keeps_its_ends_and_its_area():
    found = threshold_curves.roc(ANSWERS[:, 0] + DRAW.random(600) * 1e-3, HAVING[:, 0])
    assert found is not None
    points, area = found
    thin = np.array(threshold_curves.thinned(points))
    assert len(points) > 400
    assert len(thin) <= threshold_curves.POINTS + 2
    assert (thin[0].tolist(), thin[-1].tolist()) == ([0, 0], [1, 1])
    assert abs(np.trapezoid(thin[:, 1], thin[:, 0]) - area) < 0.01


def test_what_a_threshold_gives_is_counted():
    rows = classes.class_rows(["a", "b", "c"], HAVING, np.eye(3, dtype=bool)[ANSWERS.argmax(-1)])
    threshold_curves.areas(rows, ANSWERS, HAVING)
    found = threshold_curves.counts(rows, ANSWERS, HAVING)
    assert len(found["levels"]) == threshold_curves.STEPS
    assert [row["name"] for row in found["classes"]] == [row["name"] for row in sorted(rows, key=lambda one: one["f1"])]
    for row in found["classes"]:
        place = "abc".index(row["name"])
        for value, there, named in zip(found["levels"], row["found"], row["named"], strict=True):
            above = ANSWERS[:, place] >= value
            assert (there, named) == ((above & HAVING[:, place]).sum(), above.sum())
    right = ANSWERS.argmax(-1) == LABELS
    whole = threshold_curves.coverage(ANSWERS, right)
    for place in (0, 20, 45):
        above = ANSWERS.max(-1) >= place / threshold_curves.STEPS
        assert (whole["answered"][place], whole["right"][place]) == (above.sum(), (above & right).sum())


def test_curves_of_the_classes_with_the_least_area(monkeypatch):
    monkeypatch.setattr(threshold_curves, "MOST_CURVES", 2)
    rows = classes.class_rows(["a", "b", "c"], HAVING, HAVING)
    threshold_curves.areas(rows, ANSWERS, HAVING)
    roc, other = threshold_curves.charts(rows, ANSWERS, HAVING)
    worst = sorted(rows, key=lambda row: row["roc_auc"])[:2]
    assert [one["name"] for one in roc["series"]] == [f"{row['name']}, AUC {row['roc_auc']:.4f}" for row in worst]
    assert [one["name"] for one in other["series"]] == [row["name"] for row in worst]
    assert "2 of 3 classes" in roc["note"]
    assert threshold_curves.charts([{"name": "a", "roc_auc": None}], ANSWERS, HAVING) == []
