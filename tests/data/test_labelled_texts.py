from __future__ import annotations

import csv
import json

import pytest

from kerastl.data import column_roles, labelled_texts

TOPICS = ("goal", "storm", "vote")


def written(path, rows, names=("text", "label")):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([names, *rows])
    return path


def rows_of(path, **asked):
    found = labelled_texts.read(path, column_roles.Asked(**asked))
    return found.examples, found.problems


def test_rows_are_examples_or_problems(tmp_path):
    rows = [("one", "a", "train"), (" ", "a", ""), ("three", " ", ""), ("four", "b", "TEST"), ("five", "b", "tset")]
    path = written(tmp_path / "a.csv", rows, ("text", "label", "split"))
    examples, problems = rows_of(path)
    assert [(one.text, one.names, one.split, one.where) for one in examples] == [
        ("one", ("a",), "train", "line 2"),
        ("four", ("b",), "test", "line 5"),
    ]
    assert problems == [
        "line 3: empty text",
        "line 4: no label",
        "line 6: split 'tset', which is none of train, validation, test",
    ]


def test_lists_separators_and_columns(tmp_path):
    lines = [{"text": f"text {n}", "label": [TOPICS[n % 3]]} for n in range(30)]
    lines += [{"text": "a", "label": ["goal", None]}, {"text": "b", "label": [["goal"]]}, {"text": "c"}]
    lines += [{"text": "d", "label": ["go\nal"]}, {"text": "e", "label": "goal|vote"}, {"text": "f", "label": ""}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    examples, problems = rows_of(tmp_path / "a.jsonl")
    odd = "a list of labels with something in it that is no name"
    assert problems[:3] == [f"line 31: {odd}", f"line 32: {odd}", "line 33: no label"]
    assert problems[3:] == ["line 34: the label 'go\\nal', which is not one line of text", "line 36: no label"]
    assert examples[-1].names == ("goal|vote",), "of a list no separator was said"
    examples, _ = rows_of(tmp_path / "a.jsonl", label_separator="|")
    assert examples[-2].names == TOPICS[::2]
    flags = [("a", "1", "0"), ("b", "2", ""), ("c", "yes"), ("d", "false", "true")]
    path = written(tmp_path / "b.csv", flags, ("text", "x", "y"))
    examples, problems = rows_of(path, label_columns=("x", "y"))
    assert [example.names for example in examples] == [("x",), ("y",)]
    assert problems == [
        "line 3: '2' under x, where 0 or 1 is wanted",
        "line 4: 'yes' under x, nothing under y, where 0 or 1 is wanted",
    ]


def test_a_separator_that_stands_nowhere_is_said(tmp_path):
    path = written(tmp_path / "a.csv", [("one", "a"), ("two", "b")])
    with pytest.raises(ValueError, match="in no field; the first is 'a'"):
        rows_of(path, label_separator="|")


def test_two_texts_are_one_where_case_and_white_space_alone_differ():
    assert labelled_texts.normalize(" A\tSTRASSE ") == labelled_texts.normalize("a straße")
    assert labelled_texts.normalize("a b") != labelled_texts.normalize("ab")
