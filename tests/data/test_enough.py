"""Labels that tell nothing apart, and classes or rows too few for the splits that are to be made of them."""

import dataclasses

import numpy as np
import pytest

from kerastl import types
from kerastl.data import arrays, enough, splits, table_csv
from kerastl.inputs.numbers import Numbers
from kerastl.tasks.multi_label import MultiLabel
from kerastl.tasks.regression import Regression
from kerastl.tasks.single_label import SingleLabel

ROWS = np.arange(120, dtype=np.float32).reshape(60, 2)
ONE, TWO = np.zeros(60, np.int32), np.arange(60, dtype=np.int32) % 2


def made(target, labels):
    parts = {"train_inputs": ROWS, "train_labels": labels, "test_inputs": ROWS[:20], "test_labels": labels[:20]}
    task = types.Task("toy", Numbers((2,)), target)
    return splits.dataset(task, parts, seed=0, validation=0.2, limit=None, source="toy")


@pytest.mark.parametrize(
    ("target", "labels", "words"),
    [
        (SingleLabel(("a",)), ONE, "two classes at least. Received: one class only, 'a': there is nothing to tell"),
        (SingleLabel(("a", "b", "c")), ONE + 1, "one class only, 'b'"),
        (MultiLabel(("a", "b", "c")), np.tile(np.uint8([1, 0, 1]), (60, 1)), "'a' and 'c' for every example"),
        (MultiLabel(("a",)), np.ones((60, 1), np.uint8), "one class only, 'a'"),
        (MultiLabel(("a",)), np.zeros((60, 1), np.uint8), "Received: no class, in train of toy"),
    ],
)
def test_whoever_reads_labels_that_are_all_the_same_is_refused(target, labels, words):
    with pytest.raises(ValueError, match=words):
        made(target, labels)


def test_labels_that_differ_and_those_of_no_classes_pass():
    made(SingleLabel(("a", "b")), TWO)
    made(MultiLabel(("a",)), TWO[:, None].astype(np.uint8))
    numbers = ROWS[:, :1]
    made(Regression.of(numbers, names=("x",)), numbers)
    same = dataclasses.replace(Regression.of(numbers, names=("x",)))
    enough.require_differences(np.ones((5, 1)), same, where="here")  # which the target's own `of` refuses
    enough.require_two(["a", "b"], where="here")


def test_arrays_of_one_class_or_of_few_of_each_are_refused(tmp_path):
    np.savez(tmp_path / "one.npz", x=ROWS, y=ONE)
    with pytest.raises(ValueError, match=r"one class only, '0'.*one\.npz"):
        arrays.load(tmp_path / "one.npz")
    np.savez(tmp_path / "few.npz", x=ROWS[:4], y=TWO[:4])
    with pytest.raises(ValueError, match=r"3 examples at least, one each for train, test and validation.*'0' \(2\)"):
        arrays.load(tmp_path / "few.npz")
    np.savez(tmp_path / "six.npz", x=ROWS[:6], y=TWO[:6])
    assert len(arrays.load(tmp_path / "six.npz").train) == 2


def written(tmp_path, cells, *, split=None):
    rows = [f"{place},{cell}" + (f",{split[place]}" if split else "") for place, cell in enumerate(cells)]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["age,price" + (",split" if split else ""), *rows]))
    return path


@pytest.mark.parametrize(
    ("cells", "task", "words"),
    [
        (["yes"] * 50, "auto", "one class only, 'yes'.*price of"),
        ([5] * 50, "auto", "one class only, '5'"),
        ([5] * 50, "regression", "price 5 for each of 50 examples"),
        (
            np.linspace(1, 9, 2000).tolist(),
            "classification",
            r"3 rows at least.*2,000 of 2,000 classes.*price holds 2,000 different numbers: --task regression",
        ),
        (["x", "y"] * 2, "auto", r"3 rows at least.*'x' \(2\), 'y' \(2\).*2 different words in 4 rows"),
        (range(6), "auto", "holds 6 different numbers, and no more than 20 are classes unless it is said: --task reg"),
        (range(6), "regression", r"Wanted two rows.*19 are enough \(test 0\.2, validation 0\.1\)\. Received: 6"),
        (range(18), "regression", "19 are enough"),
    ],
)
def test_a_table_says_what_is_wrong_with_its_column_or_how_many_rows_it_needs(cells, task, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        table_csv.load(written(tmp_path, cells), label_columns=["price"], task=task)


def test_as_many_rows_as_are_said_are_enough(tmp_path):
    data = table_csv.load(written(tmp_path, range(19)), label_columns=["price"], task="regression")
    assert (len(data.train), len(data.validation), len(data.test)) == (13, 2, 4)
    more = {"validation": 2, "test": 2}
    assert (
        len(table_csv.load(written(tmp_path, range(6)), label_columns=["price"], task="regression", **more).train) == 2
    )
    with pytest.raises(ValueError, match="6 are enough"):
        table_csv.load(written(tmp_path, range(5)), label_columns=["price"], task="regression", **more)


def test_a_table_that_brings_its_splits_needs_rows_for_those_alone_that_it_lacks(tmp_path):
    words = ["train"] * 4 + ["val"] * 2 + ["test"] * 2
    path = written(tmp_path, ["x", "y"] * 4, split=words)
    assert len(table_csv.load(path, label_columns=["price"]).train) == 4
    path = written(tmp_path, [1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5], split=words)
    with pytest.raises(ValueError, match=r"in validation or test of .* alone\. The column price holds 8 different"):
        table_csv.load(path, label_columns=["price"], task="classification")


def test_examples_of_one_class_each_cannot_be_divided():
    with pytest.raises(ValueError, match=r"a class of which there are two.*3 examples of as many classes"):
        splits.stratified(np.arange(3), validation=1, seed=0)


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"validation": 0}, "validation is 1 example or more, or a share between 0 and 1. Received: 0"),
        ({"validation": 5, "test": 1.0}, "test is 1 example or more, or a share between 0 and 1. Received: 1.0"),
        ({"validation": -0.1}, "Received: -0.1"),
        ({"validation": 0.1, "limit": 1}, "two training examples or more. Received: 1"),
    ],
)
def test_sizes_by_which_nothing_can_be_divided_are_refused_before_anything_is_read(sizes, words):
    with pytest.raises(ValueError, match=words):
        enough.require_sizes(**{"limit": None, **sizes})
    enough.require_sizes(limit=2, validation=1, test=0.5)
    enough.require_sizes(limit=None, validation=0.999)
