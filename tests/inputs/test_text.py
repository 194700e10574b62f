from __future__ import annotations

import json

import numpy as np
import pytest
import tensorflow as tf
from toy_pieces import sentencepiece_text

from kerastl import inputs
from kerastl.inputs import text, wordpiece
from kerastl.inputs.text import Text
from kerastl.types import Inputs, Word

VOCABULARY = (*wordpiece.SPECIAL, "good", "bad", "film", "##s")
KIND = Text(6, VOCABULARY)
IDS = np.array([[2, 5, 7, 8, 3, 0], [2, 6, 3, 0, 0, 0]], np.int32)


def test_it_is_a_kind_of_input():
    assert isinstance(KIND, Inputs)
    assert (KIND.shape, KIND.dtype, KIND.batch_dtype) == ((6,), "int32", "int32")
    assert (KIND.kind, KIND.predict_batch, KIND.augmentable) == ("text", 50, False)
    assert KIND.tensors == ("ids", "mask", "segment_ids")
    assert KIND.calibration_range() == (1.0, 0)
    assert VOCABULARY[text.PADDING] == "[PAD]"
    assert hash(Text(6, list(VOCABULARY))) == hash(KIND)
    assert "good" not in repr(Text(6, VOCABULARY)), "thirty thousand tokens are no message"


@pytest.mark.parametrize(
    ("length", "vocabulary"), [(0, VOCABULARY), (6, ()), (6, (*VOCABULARY, "a\nb")), (6, ("a ",)), (6, ("",))]
)
def test_tokens_are_lines_of_text_and_a_text_has_a_length(length, vocabulary):
    with pytest.raises(ValueError, match=r"tokens are one line of text each. Received: length"):
        Text(length, vocabulary)


@pytest.mark.parametrize("value", [-1, 9, 2**30])
def test_ids_outside_the_vocabulary_are_named_by_row_and_column(value):
    KIND.check(IDS, where="train")
    KIND.check(IDS[:0], where="train")
    broken = IDS.copy()
    broken[1, 4] = value
    with pytest.raises(ValueError, match=rf"in 0\.\.8. Received: {value} in train, row 1, column 4"):
        KIND.check(broken, where="train")


@pytest.mark.parametrize("examples", [IDS[:, :5], IDS[0], IDS.astype(np.float32), IDS.astype(np.int64)])
def test_other_shapes_and_types_are_refused(examples):
    with pytest.raises(ValueError, match=r"Wanted inputs \(examples, 6\), int32 token ids. Received: .* in test"):
        KIND.check(examples, where="test")


def test_a_file_is_fed_ids_mask_and_segments_of_which_the_graph_makes_the_ids():
    fed = KIND.fed(IDS)
    assert list(fed) == list(KIND.tensors)
    assert fed["ids"].tolist() == IDS.tolist()
    assert fed["mask"].tolist() == [[1, 1, 1, 1, 1, 0], [1, 1, 1, 0, 0, 0]]
    assert not fed["segment_ids"].any()
    assert {values.dtype for values in fed.values()} == {np.dtype(np.int32)}
    np.testing.assert_array_equal(KIND.in_graph({name: tf.constant(one) for name, one in fed.items()}), IDS)


def test_words_are_what_pieces_make():
    assert KIND.words(IDS[0]) == [Word(1, "good"), Word(2, "films")]
    lone = np.array([2, 8, 5, 3, 0, 0])  # a piece that goes on with nothing
    assert KIND.words(lone) == [Word(1, "##s"), Word(2, "good")]


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("Good  FILMS bad", [Word(1, "Good", ""), Word(2, "FILMS"), Word(4, "bad")]),
        ("Göod\u0301films", None),  # one word to the tokenizer, which is unknown
        ("GOOD bad film", None),  # another text
        ("", None),
    ],
)
def test_words_read_as_they_were_written_where_that_is_known(written, words):
    ids = np.array([2, 5, 7, 8, 6, 3])
    kept = [Word(1, "good"), Word(2, "films"), Word(4, "bad")]
    assert KIND.words(ids, written) == (words or kept)


def test_words_of_accents_signs_and_a_text_that_is_cut_off():
    vocabulary = (*wordpiece.SPECIAL, "jose", "o", "'", "brien", ".", "sang")
    kind, text = Text(7, vocabulary), "\u00a0JOSE\u0301 O'Brien. Sang"
    ids = kind.read(text)[0]
    words = kind.words(ids, text)
    assert [word.text for word in words] == ["JOSE\u0301", "O", "'", "Brien", "."]  # sang is beyond the length
    assert "".join(word.before + word.text for word in words[1:4]) == " O'Brien"
    assert kind.tokenizer.places(text)[-1] == (16, 20)


def test_words_of_pieces_read_as_they_were_written():
    kind = sentencepiece_text(16)
    text = "ＦＩＬＭ  très bon"
    words = kind.words(kind.read(text)[0], text)
    assert [word.text for word in words] == ["ＦＩＬＭ", "très", "bon"]


def test_what_the_mask_covers_the_model_does_not_see():
    """MediaPipe fills the ids with whatever it likes there."""
    fed = KIND.fed(np.full((2, 6), 5, np.int32)) | {
        "mask": np.array([[1, 1, 0, 0, 0, 0], [1, 0, 1, 0, 0, 1]], np.int32)
    }
    ids = np.where(fed["mask"] != 0, fed["ids"], 0)
    np.testing.assert_array_equal(KIND.in_graph({name: tf.constant(one) for name, one in fed.items()}), ids)


def test_noise_is_of_tokens_that_every_vocabulary_has():
    noise = KIND.noise(200, seed=1)
    assert noise.shape == (200, 6)
    assert noise.dtype == np.int32
    assert set(np.unique(noise)) == set(range(5))
    np.testing.assert_array_equal(noise, KIND.noise(200, seed=1))
    assert not np.array_equal(noise, KIND.noise(200, seed=2))
    Text(6, wordpiece.SPECIAL).check(noise, where="noise")


def test_a_sentence_is_read_by_the_tokenizer(tmp_path, monkeypatch):
    assert KIND.read("Good films").tolist() == [[2, 5, 7, 8, 3, 0]]
    assert KIND.read("bad").tolist() == [[2, 6, 3, 0, 0, 0]]
    assert KIND.read("bad").dtype == np.int32
    np.save(tmp_path / "ids.npy", IDS.astype(np.int64))
    np.testing.assert_array_equal(KIND.read(str(tmp_path / "ids.npy")), IDS)
    monkeypatch.chdir(tmp_path)
    assert KIND.read("a file called gone.npy").shape == (1, 6), "no file of that name: a sentence"


def test_a_file_of_text_is_no_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert KIND.read("films.txt").shape == (1, 6)
    for name in ("films.txt", "films.csv"):
        (tmp_path / name).write_text("Good films\n")
        with pytest.raises(ValueError, match=rf"Wanted a sentence, .*Received: the name of a .*{name}"):
            KIND.read(name)
    np.savez(tmp_path / "ids.npz", ids=IDS)
    np.testing.assert_array_equal(KIND.read("ids.npz"), IDS)
    np.save(tmp_path / "ids.npy", IDS + 100)
    with pytest.raises(ValueError, match=r"Token ids have to lie in 0\.\..* in ids\.npy, row 0"):
        KIND.read("ids.npy")


def test_a_text_is_shown_as_the_model_read_it():
    assert KIND.shown(IDS[0]) == {"text": "good films"}


def test_a_description_is_json_and_restores_it():
    described = json.loads(json.dumps(KIND.described()))
    assert described == {"vocabulary": list(VOCABULARY), "length": 6}
    assert text.restored(described) == inputs.restored(described) == KIND
    assert text.restored({"image": [1, 1, 1]}) is None
