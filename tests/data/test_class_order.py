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
