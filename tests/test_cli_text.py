"""`predict` on a text's bundle, which may be anybody's; and recipes that are given a file of sentences."""

from __future__ import annotations

import json

import numpy as np
import pytest

from kerastl import cli
from kerastl.inputs import wordpiece


@pytest.fixture
def bundle(tiny_text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "run" / "mobile"
    folder.mkdir(parents=True)
    (folder / "model.tflite").write_bytes(tiny_text.float32)
    (folder / "labels.txt").write_text("schlecht\ngut\n")
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in tiny_text.vocabulary))
    (folder / "tokenizer.py").write_text("open('it-ran', 'w').write('')\n")
    return folder


def test_sentences_are_answered(bundle, tiny_text, capsys):
    assert cli.main(["predict", "run", "A GOOD film!", "the bad films", "--json"]) == 0
    good, bad = json.loads(capsys.readouterr().out)
    assert (good["input"], good["label"], bad["label"]) == ("A GOOD film!", "gut", "schlecht")
    ids = np.asarray([wordpiece.Tokenizer(tiny_text.vocabulary).encode("A GOOD film!", 8)], np.int32)
    logits = np.asarray(tiny_text.model(ids))[0].astype(np.float64)
    expected = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(list(good["probabilities"].values()), expected, atol=1e-5)
    np.save("ids.npy", ids)
    assert cli.main(["predict", "run", "ids.npy"]) == 0
    assert capsys.readouterr().out.startswith("ids.npy: gut ")


def test_a_strangers_tokenizer_is_never_run(bundle, tmp_path):
    assert cli.main(["predict", "run", "good"]) == 0
    assert not (tmp_path / "it-ran").exists()


@pytest.mark.parametrize("sentence", ["", "\x00\x07", "👍🏽 好 é", "good " * 100_000, "[SEP][CLS]", "\udcff"])
def test_any_sentence_is_answered(bundle, sentence, capsys):
    assert cli.main(["predict", "run", sentence, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)[0]
    assert len(answer["input"]) <= 300


def test_a_bundle_without_a_sound_vocabulary_is_refused(bundle, tmp_path, capsys):
    (bundle / "vocab.txt").write_text("good\nbad\n")
    assert cli.main(["predict", "run", "good"]) == 1
    assert "2 tokens without [PAD]" in capsys.readouterr().err
    (bundle / "vocab.txt").write_bytes(b"\xff\xfe\xfd")
    assert cli.main(["predict", "run", "good"]) == 1
    assert "codec can't decode" in capsys.readouterr().err
    (bundle / "vocab.txt").unlink()
    assert cli.main(["predict", "run", "good"]) == 1
    assert "holds no vocab.txt" in capsys.readouterr().err
    (tmp_path / "secret.txt").write_text("secret\n")
    (bundle / "vocab.txt").symlink_to(tmp_path / "secret.txt")
    assert cli.main(["predict", "run", "good"]) == 1
    assert "lies outside" in capsys.readouterr().err


def test_more_tokens_than_the_model_has_rows_is_an_error_in_words(bundle, tiny_text, capsys):
    tokens = [*tiny_text.vocabulary, *(f"filler{n}" for n in range(100_000)), "beyond"]
    (bundle / "vocab.txt").write_text("".join(f"{token}\n" for token in tokens))
    assert cli.main(["predict", "run", "beyond"]) == 1
    assert "cannot be run" in capsys.readouterr().err


@pytest.mark.parametrize(("lines", "count"), [("", 0), ("bad\n", 1), ("bad\ngood\nugly\n", 3)])
def test_labels_that_are_not_one_an_answer_are_an_error_in_words(bundle, capsys, lines, count):
    (bundle / "labels.txt").write_text(lines)
    assert cli.main(["predict", "run", "good"]) == 1
    assert f"labels.txt names {count} classes, and the model answers 2" in capsys.readouterr().err


def test_labels_cannot_write_to_the_terminal(bundle, capsys):
    (bundle / "labels.txt").write_text("bad\n\x1b[2Jgood\x07\n")
    assert cli.main(["predict", "run", "good"]) == 0
    line = capsys.readouterr().out.strip()
    assert line.isprintable()
    assert "[2Jgood" in line


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("text,label\nI like it,good\nI do not,bad\n", "Every class needs 3 different texts at least"),
        ("text,label\n" + "".join(f"text {n},good\n" for n in range(9)), "Wanted texts of two classes at least"),
        ("sentence,label\na,b\n", "has no column 'text'"),
        ("", "is empty"),
    ],
)
def test_a_recipe_says_what_is_wrong_with_a_file(tmp_path, content, words, capsys):
    (tmp_path / "a.csv").write_text(content)
    run = ["run", "text_classifier", "--smoke", "--data", str(tmp_path / "a.csv"), "--out", str(tmp_path / "run")]
    assert cli.main(run) == 1
    assert words in capsys.readouterr().err
