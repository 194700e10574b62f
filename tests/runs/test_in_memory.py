"""What somebody in a notebook gives `predict`: data frames, tensors, lists of numbers, and what is none of these."""

from __future__ import annotations

import csv
import types
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from kerastl.inputs.numbers import Numbers
from kerastl.inputs.text import Text
from kerastl.runs import in_memory

ROWS = Numbers.of(np.array([[1, 2], [3, 4]], np.float32), columns=("age", "height"))


class Frame:
    """Of pandas, as far as it is asked: columns, and a table in a file."""

    def __init__(self, **columns):
        self.columns = list(columns)
        self.rows = list(zip(*columns.values(), strict=True))

    def to_csv(self, path, *, index):
        assert index is False
        with Path(path).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([self.columns, *self.rows])


def read(frame, kind=ROWS, *, column=None, settings=None):
    return list(in_memory.of_frame(frame, kind, column=column, settings=settings or {}))


def test_rows_of_a_frame_are_read_by_their_names():
    frame = Frame(height=[1.8, 1.1], name=["a", "b"], age=[3, 4])
    names, batches = zip(*read(frame), strict=True)
    assert names == ("row 0", "row 1")
    np.testing.assert_array_equal(np.concatenate(batches), np.array([[3, 1.8], [4, 1.1]], np.float32))


def test_a_bad_row_of_a_frame_stands_alone():
    (_, first), (name, second), (_, third) = read(Frame(age=[3, "old", 5], height=[1.8, 1.7, 1.6]))
    assert first.tolist() == [[3, np.float32(1.8)]]
    assert third.tolist() == [[5, np.float32(1.6)]]
    assert name == "row 1"
    assert str(second).startswith("row 1: Wanted numbers")


def test_a_frame_that_lacks_columns_is_refused_in_words():
    with pytest.raises(
        ValueError, match=r"^the data frame: Wanted a table with the columns age, height\. Received: age"
    ):
        read(Frame(age=[3]))
    with pytest.raises(ValueError, match=r"Wanted an array of sounds, or a list of them\. Received: a data frame"):
        read(Frame(age=[3]), types.SimpleNamespace(kind="sounds"))


def test_texts_of_a_frame_stand_in_one_column():
    kind = Text(4, ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "film"))
    frame = Frame(number=[1, 2], review=["good film", "film"])
    ((_, first), (_, second)) = read(frame, kind, column="review")
    assert first.tolist() == kind.read("good film").tolist()
    assert second.tolist() == kind.read("film").tolist()


def test_tensors_and_numbers_are_arrays_and_words_are_a_list():
    np.testing.assert_array_equal(in_memory.plain(tf.constant([[1.0, 2.0]])), [[1, 2]])
    np.testing.assert_array_equal(in_memory.plain([1, 2.5]), [1, 2.5])
    assert in_memory.plain(np.array(["a", "b"])) == ["a", "b"]
    array, frame = np.zeros(3), Frame(age=[1])
    for one in ("a", Path("a"), array, frame, ["a"], {"age": 3}):
        assert in_memory.plain(one) is one


@pytest.mark.parametrize("given", [None, 5, b"bytes"])
def test_what_is_no_input_is_refused(given):
    with pytest.raises(ValueError, match=rf"^Wanted a path, .* Received: {type(given).__name__}\.$"):
        in_memory.plain(given)


def test_a_picture_of_pillow_is_asked_about_by_its_path():
    with pytest.raises(ValueError, match=r"Received: Image\. It is asked about by its path"):
        in_memory.plain(Image.new("RGB", (8, 8)))
