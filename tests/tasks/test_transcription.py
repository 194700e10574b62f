"""Error rates of what is said, agreement, and what is refused."""

import numpy as np
import pytest
import tensorflow as tf

from kerastl import tasks
from kerastl.tasks.decoding import PADDING
from kerastl.tasks.transcription import BLANK, Transcription

RANDOM = np.random.default_rng(0)
TARGET = Transcription(("one", "two"))
FRAMES = 5
LOGITS = RANDOM.normal(size=(6, FRAMES, 3))
ANSWERS = (np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)).astype("float64")
LABELS = np.array([[1, 2, -1], [1, 1, -1], [2, -1, -1], [-1, -1, -1], [1, 2, 1], [2, 2, 2]], "int32")


def distance(one, other):
    """Levenshtein's distance by its definition."""
    if not one or not other:
        return len(one) + len(other)
    if one[-1] == other[-1]:
        return distance(one[:-1], other[:-1])
    return 1 + min(distance(one[:-1], other), distance(one, other[:-1]), distance(one[:-1], other[:-1]))


def told(*sequences, frames=9):
    """Answers that say these sequences surely: a frame a symbol, a blank behind each."""
    found = np.full((len(sequences), frames), 0)
    for row, one in zip(found, sequences, strict=True):
        row[: 2 * len(one) : 2] = one
    return np.eye(3, dtype="float32")[found]


def test_the_score_is_the_word_error_rate():
    given = told((1, 2), (1,), (2, 2, 1), (), (1, 2, 1), (1, 2, 2))
    # one deletion, two insertions, one substitution, of 2 + 2 + 1 + 0 + 3 + 3 words
    score = TARGET.score(given, LABELS)
    assert score.value == pytest.approx(4 / 11)
    assert score.low < score.value < score.high
    assert TARGET.score(given, LABELS) == score
    np.testing.assert_allclose(TARGET.confidence(given, LABELS), [0, 0.5, 2, 0, 0, 1 / 3])
    details = TARGET.details(given, LABELS)
    assert (details["substitutions"], details["insertions"], details["deletions"]) == (1, 2, 1)
    assert details["word_error_rate"] == score.value
    assert details["beam_word_error_rate"] == score.value, "sure answers are read alike"
    assert details["exact"] == 3 / 6
    characters = [distance("one one", "one"), len("two one") + 1, distance("two two two", "one two two")]
    spelled = sum(len(TARGET.text(row)) for row in LABELS)
    assert details["character_error_rate"] == pytest.approx(sum(characters) / spelled)
    assert "4 left" not in TARGET.summary(details)
    with pytest.raises(ValueError, match="a sequence each"):
        TARGET.score(given[:, :, :2], LABELS)


def test_agreement_is_of_what_is_said_and_not_of_when():
    one, other = told((1, 2)), told((1, 2))
    other[0, 1] = other[0, 0]  # the first symbol lasts longer
    assert TARGET.agree(one, other).all()
    assert TARGET.difference(one, other)[0] == pytest.approx(1 / 9)
    assert not TARGET.agree(told((1, 2)), told((2, 1))).any()


def test_a_symbol_that_a_file_never_says_is_lost():
    asked = told(*[(1, 2)] * 5)
    assert TARGET.lost(asked, asked, LABELS) is None
    check, _, got = TARGET.lost(told(*[(1,)] * 5), asked, LABELS)
    assert check == "predictions of every class"
    assert "'two'" in got
    assert TARGET.refuse(ANSWERS, integer=False) is None
    assert TARGET.refuse(ANSWERS * 0.9, integer=False)[0] == "probabilities"


def test_texts_become_labels_and_come_back():
    letters = Transcription.of_characters(["a bad cab", "bead"])
    assert letters.symbols == (" ", "a", "b", "c", "d", "e")
    assert letters.names[:2] == (BLANK, "<space>")
    labels = letters.labels(["a bad cab", "bead"])
    assert [letters.text(row) for row in labels] == ["a bad cab", "bead"]
    assert TARGET.text(TARGET.labels([("two", "one")])[0]) == "two one"
    assert TARGET.said(told((2, 1))[0])["words"] == "two one"
    assert TARGET.said(told(())[0])["words"] == "(nothing)"
    assert tasks.restored(letters.described()) == letters
    with pytest.raises(ValueError, match="'three'"):
        TARGET.labels([("one", "three")])


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (LABELS.astype("float32"), "of float32 in train"),
        (LABELS[0], "in train"),
        (np.where(LABELS == 1, 3, LABELS), "3 in train, row 0, column 0"),
        (np.where(LABELS == 2, 0, LABELS), "0 in train, row 0, column 1"),
        (LABELS[:, ::-1], "2 in train, row 0, column 1"),  # a symbol behind the padding
    ],
)
def test_labels_are_refused_by_row_and_column(labels, words):
    TARGET.check(LABELS, where="train", rows=6)
    with pytest.raises(ValueError, match=words):
        TARGET.check(labels, where="train", rows=len(labels))


def test_symbols_and_splits_that_are_none_are_refused():
    for symbols in (("a", "a"), ("",), (), (BLANK,)):
        if symbols:
            with pytest.raises(ValueError, match="one line of text each"):
                Transcription(symbols)
    with pytest.raises(ValueError, match="empty ones in test"):
        TARGET.check_split(np.full((3, 2), PADDING), where="test")
    with pytest.raises(ValueError, match="not weighed"):
        TARGET.class_weights(LABELS)


def test_distillation_is_the_mean_divergence_of_frames():
    student = RANDOM.normal(size=LOGITS.shape)
    softened = [tf.nn.softmax(one / 2.0).numpy() for one in (LOGITS, student)]
    wanted = 4 * (softened[0] * np.log(softened[0] / softened[1])).sum(-1).mean(-1)
    found = TARGET.distillation(tf.constant(LOGITS), tf.constant(student), temperature=2.0)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_the_snippet_of_the_page_says_what_predict_says():
    _, lines = TARGET.phone_answer()
    printed = []

    class Opened:
        def read(self):
            return "\n".join(TARGET.names)

    exec(lines, {"open": lambda *_, **__: Opened(), "print": printed.append, "probabilities": told((2, 2, 1))})
    assert printed == ["two two one"]
