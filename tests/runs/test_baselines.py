"""Cheap baselines against independent calculations, and how loudly it is said that one of them does as well."""

from __future__ import annotations

import numpy as np
import pytest

from kerastl.inputs.image import Image
from kerastl.inputs.numbers import Numbers
from kerastl.inputs.text import Text
from kerastl.runs import baselines
from kerastl.tasks.multi_label import MultiLabel
from kerastl.tasks.multi_task import MultiTask
from kerastl.tasks.regression import Regression
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Dataset, Split, Task

NAMES = ("a", "b", "c")


def dataset(task, inputs, labels):
    parts = {"train": slice(0, 200), "validation": slice(200, 250), "test": slice(250, None)}
    splits = [Split(name, inputs[part], labels[part], task) for name, part in parts.items()]
    return Dataset(task, *splits, digest="0" * 64, source="toy")


def numbers(count=300, columns=5):
    return np.random.default_rng(0).normal(3, 2, (count, columns)).astype(np.float32)


def by_name(data):
    return {row["name"]: row for row in baselines.measured(data)}


def test_a_table_of_classes():
    rows = numbers()
    labels = np.where(rows[:, 0] > 3, 1, 0).astype(np.int32)
    labels[rows[:, 1] > 6] = 2
    data = dataset(Task("toy", Numbers((5,)), SingleLabel(NAMES)), rows, labels)
    found = by_name(data)
    often = np.bincount(labels[:200]).argmax()
    assert found["always the same answer"]["score"] == pytest.approx((labels[250:] == often).mean())
    # least squares to one-hot labels, by another road
    designed = np.c_[rows, np.ones(len(rows))].astype(float)
    weights = np.linalg.lstsq(designed[:200], np.eye(3)[labels[:200]], rcond=None)[0]
    wanted = ((designed[250:] @ weights).argmax(1) == labels[250:]).mean()
    assert wanted > 0.75
    assert found["a linear model"]["score"] == pytest.approx(wanted, abs=0.05)


def test_a_table_of_numbers_is_a_line_and_its_middle_the_median():
    rows = numbers()
    labels = (rows @ np.arange(5) + 7).astype(np.float32)
    target = Regression.of(labels[:200], names=("price",), unit="EUR")
    found = by_name(dataset(Task("toy", Numbers((5,)), target), rows, labels))
    middle = np.median(labels[:200])
    assert found["always the same answer"]["score"] == pytest.approx(np.abs(labels[250:] - middle).mean(), rel=1e-4)
    assert found["a linear model"]["score"] < 0.05


def test_several_classes_an_example_and_columns_that_are_missing():
    rows = numbers()
    labels = (rows[:, :3] > 3).astype(np.int32)
    rows[::7, 4], rows[:, 3] = np.nan, np.inf
    found = by_name(dataset(Task("toy", Numbers((5,)), MultiLabel(NAMES)), rows, labels))
    sets, counts = np.unique(labels[:200], axis=0, return_counts=True)
    same = (labels[250:] == sets[counts.argmax()]).all(1).mean()
    assert found["always the same answer"]["score"] == pytest.approx(same)
    assert found["a linear model"]["score"] > same + 0.3


def test_the_words_of_a_text_whatever_their_order():
    random = np.random.default_rng(0)
    vocabulary = tuple(f"w{number}" for number in range(50))
    ids = random.integers(10, 50, (300, 12)).astype(np.int32)
    labels = random.integers(0, 3, 300).astype(np.int32)
    ids[np.arange(300), random.integers(0, 12, 300)] = 5 + labels  # one word says it all, anywhere
    ids[:, 9:] = np.where(random.random((300, 3)) < 0.5, 0, ids[:, 9:])  # padding
    labels = np.where((ids == 5).any(1), 0, np.where((ids == 6).any(1), 1, 2)).astype(np.int32)
    found = by_name(dataset(Task("toy", Text(12, vocabulary), SingleLabel(NAMES)), ids, labels))
    assert found["TF-IDF with logistic regression"]["score"] > 0.8  # nearly all of 500 pairs of words say nothing
    assert found["always the same answer"]["score"] < 0.6


@pytest.mark.parametrize("wide", ["pictures", "columns", "words"])
def test_what_is_not_cheap_or_not_linear_is_left_out(wide, monkeypatch):
    task, inputs = Task("toy", Numbers((5,)), SingleLabel(NAMES)), numbers()
    if wide == "pictures":
        task = Task("toy", Image((4, 4, 1)), task.target)
        inputs = np.zeros((300, 4, 4, 1), np.uint8)
    if wide == "columns":
        monkeypatch.setattr(baselines, "COLUMNS", 4)
    if wide == "words":
        monkeypatch.setattr(baselines, "ENTRIES", 100)
        task = Task("toy", Text(4, tuple("abcdefghij")), task.target)
        inputs = np.ones((300, 4), np.int32)
    data = dataset(task, inputs, (np.arange(300) % 3).astype(np.int32))
    assert set(by_name(data)) == {"always the same answer"}


def test_a_baseline_that_does_better_is_said_and_one_that_ties_only_where_it_looks_at_nothing():
    target = SingleLabel(NAMES)
    rows = [{"name": "a linear model", "score": 0.9}, {"name": "always the same answer", "score": 0.4}]
    for row in rows:
        row["validation_score"] = row["score"]

    def said(score, asked=target, validation=None):
        chosen = {"name": "int8", "score": score, "validation_score": score if validation is None else validation}
        return baselines.warnings(rows, chosen, target=asked, words=lambda value: f"{value:.2f}")

    assert said(0.91) == said(0.9) == []
    assert said(0.89) == [
        "a linear model scores 0.90 on test, and the chosen int8 0.89: it is no better than this baseline."
    ]
    assert len(said(0.4)) == 2, "a file that has learnt nothing"
    assert said(0.95, validation=0.8) == [
        "a linear model scores 0.90 on validation, and the chosen int8 0.80: it is no better than this baseline."
    ]
    assert len(said(0.8, validation=0.8)) == 1, "once a baseline"
    rows[0]["score"] = rows[0]["validation_score"] = 1.0
    assert said(1.0) == [], "two perfect ones"
    rows[:] = [
        {"name": "a linear model", "score": 0.9, "validation_score": 0.9},
        {"name": "linear_probe", "score": 0.4, "validation_score": 0.4},
    ]
    lower = Regression(("x",), (0.0,), (1.0,))  # an error, the lower the better
    assert len(said(0.3, lower)) == len(said(0.4, lower)) == 0
    assert len(said(0.5, lower)) == 1


def test_of_several_tasks_each_has_a_baseline_of_its_own():
    rows = numbers()
    side = np.where(rows[:, 0] > 3, 1, 0).astype(np.int32)
    price = (rows @ np.arange(5) + 7).astype(np.float32)
    kinds = {"side": SingleLabel(("low", "high")), "price": Regression.of(price[:200], names=("price",))}
    target = MultiTask(tuple(kinds.items()))
    side[::3], price[1::3] = -1, np.nan
    parts = {"train": slice(0, 200), "validation": slice(200, 250), "test": slice(250, None)}
    task = Task("toy", Numbers((5,)), target)
    splits = [Split(name, rows[part], {"side": side[part], "price": price[part]}, task) for name, part in parts.items()]
    found = by_name(Dataset(task, *splits, digest="0" * 64, source="toy"))
    often = np.bincount(side[:200][side[:200] >= 0]).argmax()
    asked, wanted = side[250:], price[250:]
    error = np.nanmean(np.abs(wanted - np.nanmedian(price[:200]))) / kinds["price"].spread[0]
    expected = ((asked[asked >= 0] == often).mean() + 1 - error) / 2
    assert found["always the same answer"]["score"] == pytest.approx(expected, abs=1e-6)
    assert 0.9 < found["a linear model"]["score"] <= 1
