from __future__ import annotations

import numpy as np
import pytest

from kerastl.data import class_order


def test_natural_order_of_names():
    names = ["10", "9a", "9", "a10", "a9", "b", "", "10b", "010"]
    assert sorted(names, key=class_order.natural) == ["", "9", "9a", "010", "10", "10b", "a9", "a10", "b"]


def test_classes_that_are_others_than_before_are_named():
    class_order.check(["a", "b"], None, what="labels")
    class_order.check(["a", "b"], ["b", "a"], what="labels")
    with pytest.raises(ValueError, match=r"The labels have to be a, b\. Received: new ones \['c'\], lacking \['a'\]"):
        class_order.check(["b", "c"], ["a", "b"], what="labels")


def test_indices_are_places_among_the_names():
    found = class_order.indices(["b", "a", "b"], ("a", "b"))
    assert found.dtype == np.int32
    assert found.tolist() == [1, 0, 1]
    assert class_order.indices([], ("a",)).shape == (0,)


def test_names_are_read_from_a_text_file(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("\ufeffzebra\n  a b \n\n10\n", encoding="utf-8")
    assert class_order.read(path) == ["zebra", "a b", "10"]
    path.write_text("0 cat\n1 big dog\n2 10\n")
    assert class_order.read(path) == ["cat", "big dog", "10"]
    path.write_text("1 cat\n2 dog\n")
    assert class_order.read(path) == ["1 cat", "2 dog"]
    path.write_text("a\nb\na\n")
    with pytest.raises(ValueError, match=r"each class on a line of its own, once\. Received: .*\['a'\]"):
        class_order.read(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="UTF-8"):
        class_order.read(path)
    with pytest.raises(FileNotFoundError, match="a class a line"):
        class_order.read(tmp_path / "none.txt")
