"""Tables: columns become numbers by what the training rows say; what is missing or wrong is named by its line."""

import csv

import numpy as np
import pytest

from kerastl.data import table_csv
from kerastl.tasks.regression import Regression
from kerastl.tasks.single_label import SingleLabel

RANDOM = np.random.default_rng(0)
AGES = RANDOM.uniform(18, 90, 300).round(1)
JOBS = RANDOM.choice(["cook", "baker", "clerk"], 300)
WAGES = (AGES * 30 + 500 * (JOBS == "clerk") + RANDOM.normal(0, 20, 300)).round(2)


def table(tmp_path, rows=None, *, header=("id", "age", "job", "wage"), name="wages.csv"):
    rows = list(zip(range(300), AGES, JOBS, WAGES, strict=True)) if rows is None else rows
    path = tmp_path / name
    with path.open("w", newline="") as sink:
        csv.writer(sink).writerows([header, *rows])
    return path


def test_numbers_and_categories_become_columns(tmp_path):
    data = table_csv.load(table(tmp_path), label_columns=["wage"], leave_out=["id"], unit="EUR", seed=3)
    assert data.task.inputs.columns == ("age", "job=baker", "job=clerk", "job=cook")
    assert isinstance(data.task.target, Regression)
    assert (data.task.target.names, data.task.target.unit) == (("wage",), "EUR")
    assert (len(data.train), len(data.validation), len(data.test)) == (216, 24, 60)
    for split in (data.train, data.validation, data.test):
        for place in range(0, len(split), 7):
            line = int(split.origins[place].rpartition(":")[2])
            row = line - 2  # the header is line 1
            wanted = [AGES[row], *(JOBS[row] == job for job in ("baker", "clerk", "cook"))]
            np.testing.assert_allclose(split.inputs[place], wanted, rtol=1e-6)
            assert split.labels[place, 0] == pytest.approx(WAGES[row])
    np.testing.assert_allclose(
        data.task.target.mean, [np.concatenate([data.train.labels, data.validation.labels]).mean()]
    )
    again = table_csv.load(**data.arguments)
    assert again.digest == data.digest


def test_classes_are_taken_where_labels_are_words_or_few_numbers(tmp_path):
    data = table_csv.load(table(tmp_path), label_columns=["job"], leave_out=["id"])
    assert isinstance(data.task.target, SingleLabel)
    assert data.task.target.names == ("baker", "clerk", "cook")
    assert data.train.labels.dtype == np.int32
    counts = [np.bincount(split.labels) / len(split) for split in (data.train, data.test)]
    np.testing.assert_allclose(*counts, atol=0.02)  # in proportion
    numbered = table(tmp_path, [(age, int(age > 50) + 9) for age in AGES], header=("age", "stars"), name="stars.csv")
    assert table_csv.load(numbered, label_columns=["stars"]).task.target.names == ("9", "10")
    asked = table_csv.load(numbered, label_columns=["stars"], task="regression")
    assert isinstance(asked.task.target, Regression)


def test_a_split_column_is_respected(tmp_path):
    words = ["train"] * 200 + ["dev"] * 50 + ["test"] * 50
    path = table(tmp_path, list(zip(AGES, WAGES, words, strict=True)), header=("age", "wage", "split"))
    data = table_csv.load(path, label_columns=["wage"])
    assert {int(origin.rpartition(":")[2]) for origin in data.test.origins} == set(range(252, 302))
    assert (len(data.train), len(data.validation), len(data.test)) == (200, 50, 50)
    assert data.task.inputs.columns == ("age",)
    path = table(tmp_path, [(1, 2, "later")], header=("age", "wage", "split"))
    with pytest.raises(ValueError, match="'later' in line 2"):
        table_csv.load(path, label_columns=["wage"])


def test_a_missing_value_is_named_or_filled_with_the_median_of_train(tmp_path):
    rows = [("" if place % 10 == 0 else age, "?" if place == 5 else job, wage)
            for place, (age, job, wage) in enumerate(zip(AGES, JOBS, WAGES, strict=True))]  # fmt: skip
    path = table(tmp_path, rows, header=("age", "job", "wage"))
    with pytest.raises(ValueError, match=r"without 31: age in line 2, .*--missing median"):
        table_csv.load(path, label_columns=["wage"])
    data = table_csv.load(path, label_columns=["wage"], missing="median")
    every = [data.train, data.validation, data.test]
    lines = np.concatenate([[int(o.rpartition(":")[2]) for o in split.origins] for split in every])
    inputs = np.concatenate([split.inputs for split in every])
    fitted = {int(o.rpartition(":")[2]) for split in every[:2] for o in split.origins}
    median = np.median([AGES[row] for row in range(300) if row % 10 and row + 2 in fitted])
    np.testing.assert_allclose(inputs[lines % 10 == 2, 0], median, rtol=1e-6)
    assert inputs[lines == 7, 1:].tolist() == [[0, 0, 0]]
    with pytest.raises(ValueError, match=r"Wanted all labels.*wage in line 3"):
        table_csv.load(table(tmp_path, [(1, 2), (3, "")], header=("age", "wage")), label_columns=["wage"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"label_columns": ["wge"]}, "Did you mean wage"),
        ({"label_columns": []}, "--label-columns"),
        ({"label_columns": ["wage"], "columns": ["wage"]}, "are no labels"),
        ({"label_columns": ["wage"], "task": "guess"}, "task is one of"),
        ({"label_columns": ["wage"], "missing": "zero"}, "missing one of"),
        ({"label_columns": ["job"], "task": "regression"}, "wants numbers"),
        ({"label_columns": ["age", "job"]}, "wants numbers"),
        ({"label_columns": ["wage"], "columns": ["name"]}, "--leave-out name"),
        ({"label_columns": ["wage"], "leave_out": ["NAME"]}, r"\(--leave-out\)\. Received: NAME .* Did you mean name"),
        ({"label_columns": ["wage"], "leave_out": ["name", "wage"]}, r"\(--leave-out\)\. Received: wage "),
        (
            {"label_columns": ["wage"], "leave_out": ["name"], "split_column": "jobs"},
            r"\(--split-column\).* Did you mean",
        ),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path, options, words):
    rows = [(*row[1:], f"name {row[0]}") for row in zip(range(300), AGES, JOBS, WAGES, strict=True)]
    path = table(tmp_path, rows, header=("age", "job", "wage", "name"))
    with pytest.raises(ValueError, match=words):
        table_csv.load(path, **options)


def test_several_numbers_at_once(tmp_path):
    with pytest.raises(FileNotFoundError, match="no table"):
        table_csv.load(tmp_path / "nowhere.csv", label_columns=["age", "wage"])
    path = table(tmp_path, list(zip(AGES, JOBS, WAGES, strict=True)), header=("age", "job", "wage"))
    data = table_csv.load(path, label_columns=["age", "wage"])
    assert data.task.target.names == ("age", "wage")
    assert data.train.labels.shape == (216, 2)
