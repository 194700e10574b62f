"""Tables of sentences: everything wrong with them is found in one pass, by line."""

from __future__ import annotations

import json

import pytest

from kerastl import cli
from kerastl.data import audit, text_csv
from kerastl.data.tables.table import Layout

SOUND = [
    (f"{word} number {index}", label) for index in range(3) for word, label in (("pear", "fruit"), ("leek", "veg"))
]


def written(path, rows, header="text,label"):
    lines = [header, *(",".join(row) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def findings(path, **options):
    return [(one.severity, one.where, one.what) for one in audit.audit(path, **options) if one.severity != "note"]


def test_sound_texts_have_no_finding(tmp_path):
    assert findings(written(tmp_path / "set.csv", SOUND)) == []
    lines = [json.dumps({"review": text, "stars": 1 + index % 2}) for index, (text, _) in enumerate(SOUND)]
    (tmp_path / "set.jsonl").write_text("\n".join(lines))
    assert findings(tmp_path / "set.jsonl", text_column="review", label_column="stars") == []


def test_every_row_that_is_wrong_is_named(tmp_path):
    rows = [*SOUND, ("", "veg"), ("nothing said", ""), ("PEAR  number 0", "fruit"), ("leek number 1", "fruit")]
    found = findings(written(tmp_path / "set.csv", rows))
    assert found[:3] == [
        ("error", "labels", "1 example carries different labels: line 5 (veg) = line 11 (fruit)"),
        ("error", "line 8", "empty text"),
        ("error", "line 9", "no label"),
    ]
    assert [one[:2] for one in found[3:]] == [("warning", "all")]
    assert "2 exact duplicates: line 10 = line 2, line 11 = line 5" in found[3][2]


def test_splits_of_a_column(tmp_path):
    parts = ["train", "train", "test", "dev", "Test", "train"]
    rows = [(*row, part) for row, part in zip(SOUND, parts, strict=True)]
    rows += [("pear number 0", "fruit", "test"), ("a leek", "veg", "holdout")]
    found = findings(written(tmp_path / "set.csv", rows, header="text,label,split"))
    assert ("error", "test and train", "1 example stands in both: line 2 = line 8") in found
    lacking = [what for severity, where, what in found if (severity, where) == ("error", "set.csv")]
    assert any("none of 'fruit' in validation" in what and "--class-mismatch skip" in what for what in lacking)
    assert any(where == "line 9" and "split 'holdout'" in what for _, where, what in found)


def test_classes_that_nothing_can_be_learnt_from(tmp_path):
    assert findings(written(tmp_path / "one.csv", [row for row in SOUND if row[1] == "veg"])) == [
        ("error", "all", "one class only, veg: there is nothing to tell apart")
    ]
    assert findings(written(tmp_path / "few.csv", [*SOUND, ("an egg", "other")])) == [
        ("error", "few.csv", "1 class of fewer than 3 texts: 'other' (1)")
    ]


def test_a_table_that_cannot_be_read(tmp_path):
    ((severity, where, what),) = findings(written(tmp_path / "set.csv", SOUND), label_column="lable")
    assert (severity, where) == ("error", "set.csv")
    assert "no column 'lable'. Did you mean label?" in what
    (tmp_path / "latin.csv").write_bytes("text,label\ncafé,a\n".encode("latin-1"))
    assert any("is not UTF-8 and is read as cp1252" in one.what for one in audit.audit(tmp_path / "latin.csv"))
    assert "is not ASCII: line 2" in findings(tmp_path / "latin.csv", layout=Layout(encoding="ascii"))[0][2]
    for content in ("", "5", "null", "[" * 100_000):
        (tmp_path / "no.jsonl").write_text(content)
        ((severity, where, _),) = findings(tmp_path / "no.jsonl")
        assert (severity, where) == ("error", "no.jsonl")
    (tmp_path / "bare.csv").write_text("text,label\n")
    assert findings(tmp_path / "bare.csv") == [("error", "bare.csv", "no row that can be used")]


@pytest.mark.parametrize("length", [100_000, 100_001])
def test_very_long_texts_are_a_warning(tmp_path, length):
    found = findings(written(tmp_path / "set.csv", [*SOUND, ("x" * length, "veg")]))
    assert found == ([("warning", "line 8", "100,001 characters: most are not read")] if length > 100_000 else [])


def test_what_no_file_could_hold_is_named_with_its_line(tmp_path):
    """Ids of half a character and a class name of two lines would fail when a trained model's files are written."""
    lines = [json.dumps({"text": text, "label": label}) for text, label in SOUND]
    lines += [r'{"text": "half \ud83d of it", "label": "veg"}', r'{"text": "more", "label": "v\udc00"}']
    lines += [r'{"text": "other", "label": "ve\ng"}', '{"text": "whole \\ud83d\\ude00", "label": "veg"}']
    (tmp_path / "set.jsonl").write_text("\n".join(lines))
    half = "half a character (a lone surrogate), which no file can hold"
    wrong = [("line 7", half), ("line 8", half), ("line 9", r"the label 've\ng', which is not one line of text")]
    assert findings(tmp_path / "set.jsonl") == [("error", *one) for one in wrong]
    with pytest.raises(ValueError, match="3 texts cannot be used"):
        text_csv.load(tmp_path / "set.jsonl", vocabulary=None)


def test_texts_of_several_classes(tmp_path, capsys):
    sets = ["red|round", "", "round", "red", "red|round", "round"]
    rows = [(f"text {n}", names, str(int("red" in names)), str(int("round" in names))) for n, names in enumerate(sets)]
    path = written(tmp_path / "set.csv", rows, header="text,label,red,round")
    columns = ["red", "round"]
    for how in ({"label_separator": "|"}, {"label_columns": columns}):
        assert findings(path, **how) == []
    lines = [json.dumps({"text": text, "label": names.split("|") if names else []}) for text, names, *_ in rows]
    (tmp_path / "set.jsonl").write_text("\n".join(lines))
    assert findings(tmp_path / "set.jsonl") == []
    path = written(
        tmp_path / "set.csv", [*rows, ("TEXT 0", "red", "1", "0"), ("x", "", "no", "0")], "text,label,red,round"
    )
    found = findings(path, label_separator="|")
    assert ("error", "labels", "1 example carries different labels: line 2 (red|round) = line 8 (red)") in found
    assert findings(path, label_columns=columns)[-2][:2] == ("error", "line 9")
    assert findings(path, label_separator=";")[0][:2] == ("error", "set.csv")
    path = written(tmp_path / "few.csv", [(f"text {n}", str(n % 2), "1", "0") for n in range(9)], "text,a,b,c")
    assert findings(path, label_columns=["a", "b", "c"]) == [
        ("error", "all", "no example of class c"),
        ("error", "few.csv", "1 class of fewer than 3 texts: 'c' (0)"),
    ]
    assert cli.main(["audit", str(path), "--label-columns", "a", "b", "c"]) == 1
    assert "2 finding(s)" in capsys.readouterr().out
