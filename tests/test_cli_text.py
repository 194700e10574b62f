"""`predict` on a text's bundle, which may be anybody's; and recipes that are given a file of sentences."""

from __future__ import annotations

import dataclasses
import json

import pytest

from kerastl import cli
from kerastl.export import metadata
from kerastl.tasks.single_label import SingleLabel


@pytest.fixture
def bundle(tiny_text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "run" / "mobile"
    folder.mkdir(parents=True)
    task = dataclasses.replace(tiny_text.task, target=SingleLabel(("schlecht", "gut")))
    (folder / "model.tflite").write_bytes(metadata.add(tiny_text.float32, task, description="toy"))
    return folder


def test_sentences_are_answered(bundle, capsys):
    assert cli.main(["predict", "run", "A GOOD film!", "the bad films", "--json"]) == 0
    good, bad = json.loads(capsys.readouterr().out)
    assert (good["input"], good["label"], bad["label"]) == ("A GOOD film!", "gut", "schlecht")
    assert set(good) == {"input", "label", "probability", "probabilities"}
    assert cli.main(["predict", "run", "good"]) == 0
    assert capsys.readouterr().out.startswith("good: gut ")


def test_an_empty_text_is_a_row_with_its_error(bundle, capsys):
    assert cli.main(["predict", "run", "", "good", "--json"]) == 1
    empty, answered = json.loads(capsys.readouterr().out)
    assert empty == {"input": "", "error": "Wanted a sentence. Received: an empty text."}
    assert answered["input"] == "good"


@pytest.mark.parametrize("sentence", ["\x00\x07", "good " * 100_000, "\udcff"])
def test_any_sentence_is_answered(bundle, sentence, capsys):
    assert cli.main(["predict", "run", sentence, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)[0]["input"]) <= 300


def test_labels_cannot_write_to_the_terminal(bundle, tiny_text, capsys):
    task = dataclasses.replace(tiny_text.task, target=SingleLabel(("bad", "\x1b[2Jgood\x07")))
    (bundle / "model.tflite").write_bytes(metadata.add(tiny_text.float32, task, description="toy"))
    assert cli.main(["predict", "run", "good"]) == 0
    line = capsys.readouterr().out.strip()
    assert line.isprintable()
    assert "[2Jgood" in line


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("text,label\nI like it,good\nI do not,bad\n", "Every class needs 3 different texts at least"),
        ("text,label\n" + "".join(f"text {n},good\n" for n in range(9)), "Wanted labels of two classes at least"),
        ("amount,label\n1,b\n2,c\n", "has no column 'text'"),
        ("", "is empty"),
    ],
)
def test_a_recipe_says_what_is_wrong_with_a_file(tmp_path, content, words, capsys):
    (tmp_path / "a.csv").write_text(content)
    run = ["run", "text_classifier", "--smoke", "--data", str(tmp_path / "a.csv"), "--out", str(tmp_path / "run")]
    assert cli.main(run) == 1
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("recipe", "flag"), [("text_classifier", "--sequence-length"), ("text_mobile", "--teacher-length")]
)
def test_more_tokens_than_an_encoder_reads_are_refused_before_anything_is_fetched(recipe, flag, tmp_path, capsys):
    assert cli.main(["run", recipe, flag, "1000", "--out", str(tmp_path / "run")]) == 1
    assert f"{flag} is a whole number of 3 to 512. Received: 1000." in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
