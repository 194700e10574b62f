"""What the dataclasses refuse."""

from __future__ import annotations

import os

import numpy as np
import pytest

from kerastl.inputs.image import Image
from kerastl.inputs.text import Text
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import TEXT_INPUTS, Task, is_multi_label, text_inputs


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
        Task("animals", Image((8, 8, 1)), SingleLabel(names))


def test_any_line_of_text_is_a_class_name():
    names = ("with space", "näme-日本", "100%s", "quote'\"", "<b>", "[/red]", "{0}", "tab\there", " edge ")
    assert Task("animals", Image((8, 8, 1)), SingleLabel(names)).target.outputs == len(names)


def test_a_vocabulary_is_of_lines_and_of_texts():
    assert Task("texts", Text(16, ("[PAD]", "a")), SingleLabel(("a", "b"))).vocabulary == ("[PAD]", "a")
    for shape, vocabulary in (((16,), ("a", "b\n")), ((16,), ("a", "")), ((16,), ("a", "## ")), ((8, 8, 1), ("a",))):
        with pytest.raises(ValueError, match="tokens are one line of text each"):
            Task("texts", Text(shape[0], vocabulary), SingleLabel(("a", "b")))


def test_a_texts_three_inputs():
    ids = np.array([[2, 9, 3, 0, 0], [2, 3, 0, 0, 0]], np.int32)
    found = text_inputs(ids)
    assert tuple(found) == TEXT_INPUTS
    np.testing.assert_array_equal(found["ids"], ids)
    np.testing.assert_array_equal(found["mask"], [[1, 1, 1, 0, 0], [1, 1, 0, 0, 0]])
    np.testing.assert_array_equal(found["segment_ids"], np.zeros((2, 5)))
    assert {values.dtype.name for values in found.values()} == {"int32"}


def test_labels_of_several_classes_are_told_by_their_shape_and_type():
    several = is_multi_label
    assert several(np.zeros((3, 2), np.uint8))
    assert not several(np.zeros(3, np.int32))
    assert not several(np.zeros((3, 1), np.int32))  # class indices in a column
    assert not several(np.zeros((3, 2), np.float32))  # soft labels
    assert not several((np.zeros(3, np.int32), np.zeros((3, 2), np.float32)))
