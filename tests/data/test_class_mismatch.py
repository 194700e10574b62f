from __future__ import annotations

import pytest

from kerastl.data import class_mismatch
from kerastl.data.picture_table import Row


def rows(**splits: str) -> list[Row]:
    """Two pictures of each class of each split: ``train="cat dog"``."""
    return [
        Row(f"{split}/{name}/{index}", name, split, None, 0)
        for split, names in splits.items()
        for name in names.split()
        for index in range(2)
    ]


def names(found) -> set[str]:
    return {row.label for row in found}


@pytest.mark.parametrize(
    ("name", "others", "meant"),
    [
        ("cats", ["cat", "dog"], "cat"),
        ("Cat", ["cat", "dog"], "cat"),
        ("golden_retriever", ["golden retriever", "poodle"], "golden retriever"),
        ("GoldenRetriever", ["golden retriever", "poodle"], "golden retriever"),
        ("labradr", ["labrador", "poodle"], "labrador"),
        ("boxes", ["box", "bus"], "box"),
        ("glass", ["grass", "bus"], "grass"),
        ("class 11", ["class 1", "class 12"], None),
        ("wolf", ["cat", "dog"], None),
    ],
)
def test_near_names(name, others, meant):
    assert class_mismatch.nearest(name, others) == meant


def test_classes_that_are_everywhere_stay_as_they_are():
    some = rows(train="cat dog", test="cat dog")
    for how in ("ask", "merge", "skip"):
        assert class_mismatch.settle(some, {"cat", "dog"}, how=how) == class_mismatch.Settled(some, {"cat", "dog"})


def test_all_that_is_wrong_is_said_with_the_flags():
    some = rows(train="cat dog fox", validation="cat dog fox", test="cats dog wolf")
    found = class_mismatch.settle(some, {"cat", "cats", "dog", "fox", "wolf", "void"}, how="ask")
    assert found.rows == some
    (problem,) = found.problems
    for words in (
        "'cat' in test (there is 'cats')",
        "'cats' in train and validation (there is 'cat')",
        "'fox' in test",
        "'void' in train and validation and test",
        "--class-mismatch merge says that 'cats' is 'cat'",
        "--class-mismatch skip",
        "--class-mismatch split",
    ):
        assert words in problem


def test_classes_are_merged_left_out_or_divided_anew():
    some = rows(train="cat dog fox", test="cats dog")
    every = {"cat", "cats", "dog", "fox"}
    merged = class_mismatch.settle(some, every, how="merge")
    assert [row.label for row in merged.rows if row.split == "test"] == ["cat", "cat", "dog", "dog"]
    assert (merged.names, merged.said) == ({"cat", "dog", "fox"}, ("'cats' of test is 'cat'",))
    assert "'fox' in test" in merged.problems[0], "a class that nothing is near to is not made up"
    skipped = class_mismatch.settle(some, every, how="skip")
    assert (names(skipped.rows), skipped.names, skipped.problems) == ({"dog"}, {"dog"}, ())
    assert "fox is left out, 2 pictures: none in test" in skipped.said
    anew = class_mismatch.settle(some, every, how="split")
    assert {row.split for row in anew.rows} == {"train"}
    assert (len(anew.rows), anew.said) == (10, ("4 pictures of validation and test: all are divided anew",))


def test_of_several_classes_a_picture_keeps_the_others():
    one = Row("a", "cat, fox", "train", None, 0, ("cat", "fox"))
    two = Row("b", "fox", "train", None, 0, ("fox",))
    three = Row("c", "cats", "test", None, 0, ("cats",))
    skipped = class_mismatch.settle([one, two, three], {"cat", "cats", "fox"}, how="merge")
    assert skipped.rows[2].labels == ("cat",)
    skipped = class_mismatch.settle(skipped.rows, skipped.names, how="skip")
    assert [(row.path, row.labels) for row in skipped.rows] == [("a", ("cat",)), ("c", ("cat",))]
