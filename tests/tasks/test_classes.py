"""What kinds of classification have in common, against counts and numbers by hand."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from kerastl.tasks import classes

NAMES = ("a", "b", "c")


@pytest.mark.parametrize(
    "names",
    [
        ("cat", "dog\n"),
        ("cat", "d\rog"),
        ("cat", "d\u2028og"),  # `str.splitlines` breaks here too, and so does whoever reads labels.txt with it
        ("cat", ""),
        ("cat", "  "),
        ("cat", "cat"),
        ("cat", os.fsdecode(b"caf\xe9")),
        (),
    ],
)
def test_a_class_name_is_a_line_of_its_own(names):
    with pytest.raises(ValueError, match="one line of text each, no two the same"):
        classes.check_names(names)


def test_any_line_of_text_is_a_class_name():
    names = ["with space", "näme-日本", "100%s", "quote'\"", "<b>", "[/red]", "{0}", "tab\there", " edge "]
    assert classes.check_names(names) == tuple(names)


@pytest.mark.parametrize(
    ("right", "count", "low", "high"), [(81, 263, 0.2553, 0.3662), (0, 20, 0.0, 0.1611), (29, 29, 0.8830, 1.0)]
)
def test_wilson_interval_against_written_down_numbers(right, count, low, high):
    """Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662; 0 of 20 gives 0 to 0.1611."""
    found = classes.wilson(np.arange(count) < right)
    assert (found.value, found.count) == (right / count, count)
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


def test_answers_have_a_row_a_label_and_a_column_a_class():
    classes.check_answers(np.zeros((2, 3)), np.zeros(2), classes=3)
    for answers, labels in ((np.zeros((2, 4)), np.zeros(2)), (np.zeros((3, 3)), np.zeros(2)), (np.zeros((0, 3)), [])):
        with pytest.raises(ValueError, match=r"answers of shape \(examples, 3\) and one label a row"):
            classes.check_answers(answers, np.asarray(labels), classes=3)


def test_a_class_without_an_example_is_named():
    classes.check_examples(NAMES, np.array([1, 2, 3]), where="the test split", examples=6)
    with pytest.raises(ValueError, match=r"none of 'b', 'c' in the test split \(6 examples\)"):
        classes.check_examples(NAMES, np.array([6, 0, 0]), where="the test split", examples=6)
    many = [f"class {number}" for number in range(9)]
    with pytest.raises(ValueError, match=r"'class 4' \.\.\. in"):
        classes.check_examples(many, np.zeros(9), where="train", examples=0)
    classes.check_all_there(np.array([1, 1]))
    with pytest.raises(ValueError, match=r"all 2 classes and no others\. Received: counts \[3, 0\]"):
        classes.check_all_there(np.array([3, 0]))


@pytest.mark.parametrize(
    "weights",
    [{0: 1.0, 1: 2.0}, {0: 1.0, 1: 1.0, 2: 1.0, 3: 1.0}, {0: 1.0, 1: 1.0, 4: 1.0}]
    + [{0: 1.0, 1: wrong, 2: 1.0} for wrong in (0.0, -1.0, float("nan"), float("inf"))],
)
def test_every_class_has_a_positive_finite_weight(weights):
    classes.check_weights({2: 0.1, 0: 7.0, 1: 1.0}, NAMES)
    with pytest.raises(ValueError, match=r"by its index 0\.\.2 \(a, b, c\)\. Received: \{0: 1\.0"):
        classes.check_weights(weights, NAMES)


HAVING = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]], bool)
GIVEN = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0], [1, 0, 0]], bool)


def test_rows_of_classes_against_a_count_by_hand():
    rows = classes.class_rows(NAMES, HAVING, GIVEN)
    keys = ("name", "examples", "answered", "hits", "recall", "precision", "f1")
    assert [tuple(row[key] for key in keys) for row in rows] == [
        ("a", 3, 2, 2, 2 / 3, 1.0, 0.8),
        ("b", 2, 1, 1, 0.5, 1.0, 2 / 3),
        ("c", 0, 1, 0, None, 0.0, 0.0),
    ]
    assert rows[2]["recall_low"] is rows[2]["recall_high"] is None
    # Wilson's interval of 2 of 3, as statsmodels' proportion_confint(2, 3, method="wilson") gives it
    assert (rows[0]["recall_low"], rows[0]["recall_high"]) == pytest.approx((0.20765960, 0.93850812), abs=1e-7)
    assert classes.majority(HAVING) == 0.5  # the set of a alone, twice of four
    assert classes.shares(np.array([1, 0]), np.array([4, 0])) == [0.25, None]
    assert classes.mean([0.25, None, 0.75]) == 0.5


def test_the_worst_class_is_among_those_with_examples():
    rows = [
        {"name": "a", "recall": 0.9, "f1": 0.4},
        {"name": "b", "recall": 0.5, "f1": 0.6},
        {"name": "c", "recall": None, "f1": 0.0},
    ]
    assert classes.worst(rows, "recall")["name"] == "b"
    assert classes.worst(rows, "f1")["name"] == "a"
    assert classes.percent(0.98765) == "98.77 %"


def test_a_class_that_the_model_answers_often_is_not_lost():
    assert classes.lost(NAMES, np.array([5, 4, 9]), np.array([1, 0, 3])) is None  # four are too few to tell
    check, wanted, gone = classes.lost(NAMES, np.array([5, 4, 9]), np.array([0, 0, 3]))
    assert check == "predictions of every class"
    assert wanted == "every class that the model answers 5 times or more"
    assert gone == "none of [\"'a': 5\"]"


def test_the_table_of_classes_shows_shares_and_what_is_lacking():
    rows = [{"name": "a", "examples": 1200, "recall": 0.5}, {"name": "b", "examples": 0, "recall": None}]
    found = classes.table(rows, note="said above", columns={"Recall": ("recall", "no example")})
    assert found["columns"] == ["Class", "Examples", "Recall"]
    assert found["rows"] == [["a", "1,200", "50.00 %"], ["b", "0", "no example"]]
    assert found["note"] == "said above"


def test_the_table_begins_with_the_worst_class():
    rows = classes.class_rows(NAMES, HAVING, GIVEN)
    found = classes.table(rows, note="", columns={"F1": ("f1", "no example")})
    assert [row[0] for row in found["rows"]] == ["b", "a", "c"], "the one without examples comes last"
    assert found["rows"][1][2].startswith("80.00 % (")


def test_averages_equal_those_of_scikit_learn():
    draw = np.random.default_rng(3)
    labels, given = draw.integers(0, 6, 400), draw.integers(0, 6, 400)
    given = np.where(draw.random(400) < 0.5, labels, given)
    given[given == 5] = 4  # the last class is never named
    eye = np.eye(6, dtype=bool)
    rows = classes.class_rows([f"class {one}" for one in range(6)], eye[labels], eye[given])
    found = classes.averages(rows)
    assert set(found) == {"macro", "weighted", "micro"}
    for name, own in found.items():
        wanted = metrics.precision_recall_fscore_support(labels, given, average=name, zero_division=0)
        assert (own["precision"], own["recall"], own["f1"]) == pytest.approx(wanted[:3])
    by_class: Any = metrics.precision_recall_fscore_support(labels, given, zero_division=0)
    for key, wanted in zip(("precision", "recall", "f1"), by_class, strict=False):
        assert [row[key] or 0.0 for row in rows] == pytest.approx(wanted.tolist())
    kinds = {"macro": "each class counts alike"}
    cells = classes.averages_table(found, kinds=kinds)["rows"]
    assert cells == [
        [
            "macro: each class counts alike",
            *(classes.percent(found["macro"][key]) for key in ("recall", "precision", "f1")),
        ]
    ]


def test_the_interval_of_f1_covers_as_often_as_it_says():
    """Drawn samples of a class whose F1 is known: 95 of 100 intervals hold it, give or take."""
    draw = np.random.default_rng(0)
    cells = draw.multinomial(150, [0.2, 0.06, 0.04, 0.7], size=2000)  # hits, missed, wrongly named, neither
    true = 2 * 0.2 / (2 * 0.2 + 0.06 + 0.04)
    bounds = [classes.f1_bounds(int(hits), int(hits + missed + wrong)) for hits, missed, wrong, _ in cells]
    covered = np.mean([low <= true <= high for low, high in bounds])
    print(f"covered {covered:.3f}")
    assert 0.93 < covered < 0.97
    assert classes.f1_bounds(0, 5)[0] == 0
    assert classes.f1_bounds(5, 5)[1] == 1
