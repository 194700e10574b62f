"""Pairs of texts: ids and segments against Hugging Face's tokenizers, what is read, what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tensorflow as tf
import tokenizers

from kerastl import inputs
from kerastl.inputs import text_pair, wordpiece
from kerastl.inputs.text import Text
from kerastl.inputs.text_pair import TextPair
from kerastl.types import Inputs

WORDS = ("good", "bad", "film", "##s", "a", "##n", "the", ".", "##ly", "slow")
VOCABULARY = (*wordpiece.SPECIAL, *WORDS)
KIND = TextPair(9, VOCABULARY, columns=("question", "answer"))


def reference(length: int) -> tokenizers.BertWordPieceTokenizer:
    found = tokenizers.BertWordPieceTokenizer({token: number for number, token in enumerate(VOCABULARY)})
    found.enable_truncation(length, strategy="longest_first")
    found.enable_padding(length=length)
    return found


@pytest.mark.parametrize("length", [5, 6, 9, 16, 33])
def test_ids_and_segments_are_those_of_hugging_face(length):
    draw, wanted = np.random.default_rng(length), reference(length)
    tokenizer = wordpiece.Tokenizer(VOCABULARY)
    words = ["good", "films", "slowly", "a", "unheard", "the", "bad.", "an"]
    whole = 0
    for _ in range(300):
        pair = [" ".join(draw.choice(words, draw.integers(1, 14))) for _ in range(2)]
        encoding = wanted.encode(*pair)
        ids = tokenizer.encode_pair(*pair, length)
        assert ids == encoding.ids, pair
        assert text_pair.segments(np.array([ids]), end=3).tolist() == [encoding.type_ids]
        whole += 0 in ids
    assert length < 9 or 0 < whole < 300, "some are cut off and some are not"


def joined(tokenizer: wordpiece.Tokenizer, first: str, second: str, length: int) -> list[int]:
    """As the bundle's Kotlin and Swift join the ids of each text alone, line by line."""
    a, b = ([one for one in tokenizer.encode(each, 18 * len(each) + 3) if one != 0] for each in (first, second))
    room = length - 3
    less = min(len(a) - 2, len(b) - 2, room // 2)
    kept, others = (less, room - less) if len(a) <= len(b) else (room - less, less)
    ids = [*a[:-1][: 1 + kept], a[-1], *b[1:-1][:others], b[-1]]
    return ids + [0] * (length - len(ids))


def test_what_the_phone_joins_is_the_same():
    tokenizer, draw = wordpiece.Tokenizer(VOCABULARY), np.random.default_rng(0)
    words = ["good", "films", "slowly", "a", "unheard", "\ufdfa", "the", "bad.", "ﬁlm"]
    for _ in range(500):
        pair = [" ".join(draw.choice(words, draw.integers(1, 14))) for _ in range(2)]
        length = int(draw.integers(5, 40))
        assert joined(tokenizer, *pair, length) == tokenizer.encode_pair(*pair, length)


def test_it_is_a_kind_of_input():
    assert isinstance(KIND, Inputs)
    assert isinstance(KIND, Text)
    described = json.loads(json.dumps(KIND.described()))
    assert described["texts"] == ["question", "answer"]
    assert inputs.restored(described) == KIND
    alone = Text(9, VOCABULARY)
    assert inputs.restored(json.loads(json.dumps(alone.described()))) == alone
    assert alone != KIND
    for length, columns in ((4, ("a", "b")), (9, ("a", "a")), (9, ("a",))):
        with pytest.raises(ValueError, match="5 tokens or more, and stand in two columns"):
            TextPair(length, VOCABULARY, columns=columns)
    with pytest.raises(ValueError, match="5 ids at least"):
        wordpiece.Tokenizer(VOCABULARY).encode_pair("a", "a", 4)


def test_a_pair_is_read_and_fed():
    ids = KIND.read("a good film\tbad")
    assert ids.tolist() == [[2, 9, 5, 7, 3, 6, 3, 0, 0]]
    fed = KIND.fed(ids)
    assert fed["mask"].tolist() == [[1, 1, 1, 1, 1, 1, 1, 0, 0]]
    assert fed["segment_ids"].tolist() == [[0, 0, 0, 0, 0, 1, 1, 0, 0]]
    np.testing.assert_array_equal(KIND.in_graph({name: tf.constant(one) for name, one in fed.items()}), ids)
    assert KIND.shown(ids[0]) == {"text": "a good film | bad"}
    assert KIND.columns_in(["id", "answer", "question"], []) == ("question", "answer")
    row = {"answer": "bad", "question": "a good film"}
    np.testing.assert_array_equal(KIND.of_row(row), ids)


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda: KIND.read("one sentence"), "two texts with a tab between them"),
        (lambda: KIND.read("one\ttwo\tthree"), "Received: 3"),
        (lambda: KIND.read("one\t "), "an empty one under answer"),
        (lambda: KIND.columns_in(["question", "label"], []), "without answer"),
    ],
)
def test_what_is_no_pair_is_refused(ask, words):
    with pytest.raises(ValueError, match=words):
        ask()


def test_the_name_of_a_file_is_no_pair(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pairs.csv").write_text("question,answer\na,good\n")
    with pytest.raises(ValueError, match="two sentences with a tab between them, or an array"):
        KIND.read("pairs.csv")
    np.save(tmp_path / "ids.npy", KIND.read("a\tgood"))
    np.testing.assert_array_equal(KIND.read("ids.npy"), KIND.read("a\tgood"))
