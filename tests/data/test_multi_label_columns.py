from __future__ import annotations

import numpy as np
import pytest

from kerastl.data import multi_label_columns


def test_how_a_table_says_it():
    for separator, columns in (("|", ["red", "round"]), ("\t", ()), ("", ()), (None, ["red"]), (None, ["red", "red"])):
        with pytest.raises(ValueError, match="Received: label_"):
            multi_label_columns.columns_or_separator(separator, columns)
    assert multi_label_columns.columns_or_separator(None, ()) == {}
    assert multi_label_columns.columns_or_separator("|", ()) == {"label_separator": "|"}
    assert multi_label_columns.columns_or_separator(None, ("a", "b")) == {"label_columns": ["a", "b"]}
    assert multi_label_columns.names_of([" b ", "a", "", "b", " "]) == ("a", "b")
    assert multi_label_columns.names_of([]) == ()


@pytest.mark.parametrize(
    ("labels", "separator"),
    [
        (["a|b", "a", "c"], "|"),
        (["a|b", "b|c", "c|d"], "|"),
        (["a|b", "c|d"], None),
        (["a, b", "a", "b"], ","),
        (["clear cat", "clear dog", "clear", "dog"], " "),
        (["golden retriever", "labrador retriever", "poodle"], None),
        (["red ball", "red box", "blue ball", "blue box"], None),
        (["cat", "dog"], None),
    ],
)
def test_signs_between_classes_are_seen(labels, separator):
    assert multi_label_columns.separator_in(labels * 3) == separator


@pytest.mark.parametrize(
    ("labels", "sets"),
    [
        (np.zeros((4, 2), np.uint8), True),
        (np.zeros((4, 2), np.int64), True),
        (np.zeros(4, np.int64), False),
        (np.zeros((4, 1), np.int64), False),
        (np.zeros((4, 2), np.float32), False),
    ],
)
def test_arrays_that_say_of_every_class_whether_it_is_there(labels, sets):
    assert multi_label_columns.are_sets(labels) == sets


def test_indicators_are_in_the_order_of_the_names():
    found = multi_label_columns.indicators([("b",), (), ("a", "c")], ("c", "b", "a"))
    assert found.dtype == np.uint8
    assert found.tolist() == [[0, 1, 0], [0, 0, 0], [1, 0, 1]]
