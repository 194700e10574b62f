"""Texts with a tag a word: files of CoNLL, the words that pieces stand for, what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from kerastl.data import tagged_texts, vocabularies
from kerastl.inputs import wordpiece

FIRST = """-DOCSTART- -X- O O

Ada NNP I-NP I-PER
Lovelace NNP I-NP I-PER
met VBD I-VP O

# a comment
London\tNNP\tI-NP\tI-LOC
"""


def written(path, count=40, kinds=("PER", "LOC")):
    """Texts of three words, of which the second is a span of one of the kinds."""
    lines = [f"number O\nname{n} B-{kinds[n % len(kinds)]}\n{n} O\n" for n in range(count)]
    path.write_text("\n".join(lines))
    return path


def load(path, **options):
    return tagged_texts.load(path, **{"sequence_length": 10, "vocabulary": None, **options})


def test_a_file_of_conll_is_read(tmp_path):
    path = tmp_path / "eng.txt"
    path.write_text(FIRST)
    one, other = tagged_texts.read(path)
    assert (one.words, one.tags, one.where) == (("Ada", "Lovelace", "met"), ("B-PER", "I-PER", "O"), "eng.txt:3")
    assert (other.words, other.tags) == (("London",), ("B-LOC",))
    path.write_text("word O\nanother PER\n\nalone\n")
    with pytest.raises(ValueError, match=r"line 2: 'another PER'; line 4: 'alone' \(2 such lines\)"):
        list(tagged_texts.read(path))


def test_a_folder_has_its_splits(tmp_path):
    for name, count in (("train", 20), ("dev", 6), ("test", 8)):
        written(tmp_path / f"{name}.conll", count)
    made = load(tmp_path)
    assert [len(part) for part in (made.train, made.validation, made.test)] == [20, 6, 8]
    assert {origin.partition(":")[0] for origin in made.test.origins} == {"test.conll"}
    (tmp_path / "train_2.conll").write_text("word O\n")
    with pytest.raises(ValueError, match=r"train\.conll train_2\.conll"):
        load(tmp_path)
    with pytest.raises(FileNotFoundError, match="no file"):
        load(tmp_path / "nowhere.conll")


def test_tags_stand_at_the_first_piece_of_each_word(tmp_path):
    path = written(tmp_path / "all.conll")
    made = load(path)
    tokenizer, names = wordpiece.Tokenizer(made.task.inputs.vocabulary), made.task.target.names
    assert names == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    assert sum(map(len, (made.train, made.validation, made.test))) == 40
    lines = path.read_text().splitlines()
    for split in (made.train, made.validation, made.test):
        for ids, labels, origin in zip(split.inputs, split.labels, split.origins, strict=True):
            begin = int(origin.partition(":")[2]) - 1
            words = [line.split() for line in lines[begin : begin + 3]]
            assert ids.tolist() == tokenizer.encode(" ".join(word for word, _ in words), 10)
            places = np.cumsum([1, *(len(tokenizer.pieces(word)) for word, _ in words)])[:3]
            kept = [(place, tag) for place, (_, tag) in zip(places, words, strict=True) if place < 9]
            assert np.flatnonzero(labels != -1).tolist() == [place for place, _ in kept]
            assert [names[labels[place]] for place, _ in kept] == [tag for _, tag in kept]
    again = tagged_texts.load(**json.loads(json.dumps(dict(made.arguments))))
    assert (again.digest, again.task) == (made.digest, made.task)
    few = load(path, limit=20)
    assert len(few.train) == 20


def test_what_does_not_fit_is_said(tmp_path, capsys):
    path = written(tmp_path / "all.conll")
    vocabulary = vocabularies.learn_vocabulary(["number name"], size=60)
    made = load(path, sequence_length=4, vocabulary=vocabulary)
    assert (made.train.labels[:, 3] == -1).all()
    assert "40 of 40 texts are cut off: --sequence-length" in capsys.readouterr().err


def test_texts_without_spans_and_kinds_in_one_split_alone_are_refused(tmp_path):
    bare = tmp_path / "bare.conll"
    bare.write_text("a O\n\nb O\n")
    with pytest.raises(ValueError, match="all of whose tags are O"):
        load(bare)
    for name, kinds in (("train", ("PER",)), ("dev", ("PER",)), ("test", ("PER", "LOC"))):
        written(tmp_path / f"{name}.iob", 8, kinds)
    bare.unlink()
    with pytest.raises(ValueError, match="none of LOC in train"):
        load(tmp_path)


def test_names_are_told_by_their_capitals():
    words = ["A", "film", "by", "Tim", "Burton", ".", "He", "IS", "great", ",", "and", "Johnny", "Depp", "is"]
    found = [word for word, tag in zip(words, tagged_texts.named(words), strict=True) if tag != "O"]
    assert found == ["Tim", "Burton", "Johnny", "Depp"]
    assert tagged_texts.named(words)[3:5] == ["B-NAME", "I-NAME"]
