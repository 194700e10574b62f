from __future__ import annotations

from typing import Any

import pytest

from kerastl.data import audit, class_mismatch, facts, text_csv
from kerastl.data.picture_table import Row
from kerastl.data.tables.table import Layout


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


PARTS = {"train": "ham spam news", "validation": "ham spam", "test": "ham Spam spams spam eggs"}


@pytest.fixture
def sentences(tmp_path):
    """A table with splits of its own, in which classes are missing, or called otherwise."""
    lines = [
        f"a sentence {number} of kind {place} in {split},{name},{split}"
        for split, names in PARTS.items()
        for place, name in enumerate(names.split())
        for number in range(4)
    ]
    path = tmp_path / "set.csv"
    path.write_text("\n".join(["text,label,split", *lines]))
    return path


def loaded(path, how: Any):
    options: dict[str, Any] = {"sequence_length": 8, "vocabulary": None, "vocabulary_size": 60}
    return text_csv.load(path, layout=Layout(class_mismatch=how, class_case="keep"), **options)


def test_texts_of_classes_that_a_split_lacks_are_asked_about_by_all_readers(sentences):
    wanted = (
        r"Every class needs texts .*'Spam' in train .*--class-mismatch merge says that 'Spam'.*skip.*all texts anew"
    )
    with pytest.raises(ValueError, match=wanted):
        loaded(sentences, "ask")
    layout = Layout(class_case="keep")
    with pytest.raises(ValueError, match=wanted):
        facts.summarize(sentences, layout=layout)
    errors = [one.what for one in audit.audit(sentences, layout=layout) if one.severity == "error"]
    assert [what for what in errors if "--class-mismatch skip" in what]


def test_texts_are_merged_left_out_or_divided_anew(sentences, capsys):
    merged = Layout(class_mismatch="merge", class_case="keep")
    with pytest.raises(ValueError, match=r"none of 'eggs' in train and validation, 'news' in validation and test\."):
        text_csv.load(sentences, sequence_length=8, vocabulary=None, layout=merged)
    skipped = loaded(sentences, "skip")
    assert skipped.task.target.names == ("ham", "spam")
    assert [len(part) for part in (skipped.train, skipped.validation, skipped.test)] == [8, 8, 8]
    assert "eggs is left out, 4 texts: none in train and validation" in capsys.readouterr().err
    anew = loaded(sentences, "split")
    assert anew.task.target.names == ("Spam", "eggs", "ham", "news", "spam", "spams")
    assert sum(map(len, (anew.train, anew.validation, anew.test))) == 40
    again = text_csv.load(**{**anew.arguments, "seed": 0})
    assert again.digest == anew.digest, "it is loaded again by what it says of itself"


def test_numbers_that_are_no_classes_have_no_mismatch(tmp_path):
    rows = [f"sentence number {n},{n / 7},{'test' if n % 4 == 0 else 'train'}" for n in range(40)]
    (tmp_path / "stars.csv").write_text("\n".join(["text,label,split", *rows]))
    with pytest.raises(ValueError, match="--task regression estimates them"):
        text_csv.load(tmp_path / "stars.csv", sequence_length=8, vocabulary=None)
    data = text_csv.load(tmp_path / "stars.csv", sequence_length=8, vocabulary=None, task="regression")
    assert len(data.test) == 10
    assert facts.summarize(tmp_path / "stars.csv").numeric
