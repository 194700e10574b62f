"""Sentences without labels: read, divided, and told from those with labels."""

import numpy as np
import pytest

from kerastl.data import loading, unlabelled_texts
from kerastl.data.reading import TextReading
from kerastl.data.tables.table import Layout
from kerastl.inputs import wordpiece
from kerastl.tasks.agreement import Agreement
from kerastl.tasks.single_label import SingleLabel

SENTENCES = [f"the film number {number} is long" for number in range(60)]
OPTIONS = {"sequence_length": 12, "vocabulary": None, "vocabulary_size": 200}


@pytest.fixture
def lines(tmp_path):
    path = tmp_path / "sentences.txt"
    path.write_text("\n\n".join([*SENTENCES, "The  FILM number 7 is long"]) + "\n", encoding="utf-8")
    return path


def test_a_text_a_line_and_a_column_of_texts_are_the_same_data(lines, tmp_path):
    table = tmp_path / "sentences.csv"
    table.write_text("n,text\n" + "".join(f"1,{one}\n" for one in SENTENCES))
    found, other = (unlabelled_texts.load(path, seed=3, **OPTIONS) for path in (lines, table))
    assert found.digest == other.digest
    assert (len(found.train), len(found.validation), len(found.test)) == (48, 6, 6)  # the copy is left out
    tokenizer = wordpiece.Tokenizer(found.task.inputs.vocabulary)
    for split in (found.train, found.validation, found.test):
        for ids, origin in zip(split.inputs, split.origins, strict=True):
            line = int(origin.rpartition(":")[2])
            np.testing.assert_array_equal(ids, tokenizer.encode(SENTENCES[line // 2], 12))
    assert isinstance(found.task.target, Agreement)
    # what is measured was not looked at for words
    assert found.task.inputs.vocabulary == unlabelled_texts.load(**found.arguments).task.inputs.vocabulary


def test_the_vocabulary_of_another_set_may_be_given(lines):
    first = unlabelled_texts.load(lines, **OPTIONS)
    tokens = first.task.inputs.vocabulary[:40]
    found = unlabelled_texts.load(lines, sequence_length=12, vocabulary=tokens)
    assert found.task.inputs.vocabulary == tokens
    again = unlabelled_texts.load(lines, sequence_length=12, vocabulary=first.task.inputs.described())
    assert again.task.inputs == first.task.inputs  # with the settings of a learnt vocabulary
    assert again.digest == first.digest == unlabelled_texts.load(**again.arguments).digest
    assert unlabelled_texts.load(**found.arguments).digest == found.digest


def test_what_cannot_be_used_is_said(tmp_path):
    table = tmp_path / "holes.csv"
    table.write_text("text,n\n" + "\n".join([*(f"{one},1" for one in SENTENCES[:40]), " ,1"]) + "\n")
    with pytest.raises(ValueError, match="line 42: empty text"):
        unlabelled_texts.load(table, **OPTIONS)
    assert len(unlabelled_texts.load(table, policy="skip", **OPTIONS).train) == 32
    few = tmp_path / "few.txt"
    few.write_text("\n".join(SENTENCES[:20]))
    with pytest.raises(ValueError, match=r"30 different texts or more.*Received: 20"):
        unlabelled_texts.load(few, **OPTIONS)
    few.write_bytes(b"\xef\xbb\xbfcaf\xe9\n")
    with pytest.raises(ValueError, match=r"UTF-8.*byte 6"):
        unlabelled_texts.load(few, **OPTIONS)
    with pytest.raises(ValueError, match=r"one file, which is divided.*--layout.test-file late.txt"):
        unlabelled_texts.load(few, layout=Layout(test_file="late.txt"), **OPTIONS)
    with pytest.raises(FileNotFoundError, match="no file of sentences"):
        unlabelled_texts.load(tmp_path / "gone.txt", **OPTIONS)


def test_the_front_door_tells_whether_there_are_labels(lines, tmp_path):
    table = tmp_path / "labelled.csv"
    table.write_text("text,label\n" + "".join(f"{one},{number % 2}\n" for number, one in enumerate(SENTENCES)))
    options = {"sequence_length": 12, "vocabulary": None}
    assert isinstance(loading.texts_of_any_kind(table, **options).task.target, SingleLabel)
    without = loading.texts_of_any_kind(table, reading=TextReading(label_column="kind"), **options)
    assert without.source == "unlabelled_texts"
    reading = TextReading(validation=10, test=12, max_train_examples=35)
    found = loading.texts_of_any_kind(lines, reading=reading, seed=2, **options)
    assert len(found.train) == 35
    assert found.arguments["seed"] == 2
    with pytest.raises(FileNotFoundError, match="there is nothing"):
        loading.texts_of_any_kind(tmp_path / "gone.csv", **options)


def test_an_encoding_is_guessed_and_said_or_named(tmp_path, capsys):
    lines, table = tmp_path / "sentences.txt", tmp_path / "sentences.csv"
    lines.write_text("\n".join(f"caf\xe9 {one}" for one in SENTENCES), encoding="cp1252")
    table.write_text("\n".join(["text", *(f"caf\xe9 {one}" for one in SENTENCES)]), encoding="cp1252")
    guessed = unlabelled_texts.load(lines, **OPTIONS)
    assert "sentences.txt is not UTF-8 and is read as cp1252" in capsys.readouterr().err
    for path in (lines, table):
        named = unlabelled_texts.load(path, layout=Layout(encoding="cp1252"), **OPTIONS)
        assert capsys.readouterr().err == ""
        assert named.digest == guessed.digest == unlabelled_texts.load(**named.arguments).digest
        assert unlabelled_texts.count(path, layout=Layout(encoding="cp1252")) == 60
