"""Tags against chunks cut by the rules of conlleval, written out a second way; scores, and what is refused."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from kerastl import tasks
from kerastl.tasks import tagging
from kerastl.tasks.tagging import IGNORED, Tagging
from kerastl.types import Word

RANDOM = np.random.default_rng(0)
TARGET = Tagging.of(("LOC", "PER"))
LABELS = RANDOM.choice([-1, 0, 0, 1, 2, 3, 4], size=(60, 12)).astype("int32")
LOGITS = RANDOM.normal(size=(60, 12, 5)) + 2 * np.eye(5)[np.maximum(LABELS, 0)]
ANSWERS = (np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)).astype("float32")
SCHEMES = {
    "BIO": ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"],
    "BIOES": ["O", *(f"{first}-{kind}" for first in "BIES" for kind in ("LOC", "PER"))],
}


def chunks(tags):
    """As conlleval.pl has it: whether a chunk has ended before a tag, and whether one begins with it, asked of each
    pair of tags in a row.
    """
    found, begun = set(), None
    pairs = [tag.partition("-")[::2] for tag in ["O", *tags, "O"]]
    for place, ((before, old), (now, kind)) in enumerate(itertools.pairwise(pairs)):
        ended = before in ("E", "S") or (before in ("B", "I") and now in ("B", "S", "O"))
        ended |= before != "O" and old != kind
        begins = now in ("B", "S") or (before in ("E", "S", "O") and now in ("E", "I"))
        begins |= now != "O" and old != kind
        if ended and begun is not None:
            found.add((begun, place, old))
            begun = None
        if begins:
            begun = place
    return found


@pytest.mark.parametrize("scheme", SCHEMES)
def test_spans_of_random_tags_are_those_of_conlleval(scheme):
    for _ in range(1000):
        tags = RANDOM.choice(SCHEMES[scheme], RANDOM.integers(0, 12)).tolist()
        found = tagging.spans(tags)
        assert set(found) == chunks(tags), tags
        assert found == sorted(found)
        assert set(tagging.spans(tagging.in_bio(tags))) == set(found)


@pytest.mark.parametrize(
    ("tags", "bio"),
    [
        ("I-PER I-PER B-PER O I-LOC", "B-PER I-PER B-PER O B-LOC"),  # IOB1
        ("B-PER E-PER S-PER O S-LOC", "B-PER I-PER B-PER O B-LOC"),  # BIOES
        ("B-PER L-PER U-PER O U-LOC", "B-PER I-PER B-PER O B-LOC"),  # BILOU
        ("B-PER I-LOC I-PER", "B-PER B-LOC B-PER"),
    ],
)
def test_every_scheme_becomes_bio(tags, bio):
    assert tagging.in_bio(tags.split()) == bio.split()


def counted(answers, labels):
    """Right, given and wanted spans of each text."""
    found = []
    for row, label in zip(answers.argmax(-1), labels, strict=True):
        asked = label != -1
        given, wanted = (chunks([TARGET.names[index] for index in some[asked]]) for some in (row, label))
        found.append([len(given & wanted), len(given), len(wanted)])
    return np.array(found)


def test_the_score_is_the_micro_average_of_spans():
    counts = counted(ANSWERS, LABELS)
    right, given, wanted = counts.sum(0)
    precision, recall = right / given, right / wanted
    assert 0.2 < precision < 0.95
    score = TARGET.score(ANSWERS, LABELS)
    assert score.value == pytest.approx(2 * precision * recall / (precision + recall), abs=1e-12)
    assert score.low < score.value < score.high
    assert TARGET.score(ANSWERS, LABELS) == score
    assert (
        (TARGET.confidence(ANSWERS, LABELS) == 0) == ((counts[:, 0] == counts[:, 1]) & (counts[:, 0] == counts[:, 2]))
    ).all()
    rows = TARGET.details(ANSWERS, LABELS)["by_kind"]
    assert sum(row["spans"] for row in rows) == wanted
    by_hand = 2 * right / (given + wanted)
    assert min(row["f1"] for row in rows) <= by_hand <= max(row["f1"] for row in rows)
    other = ANSWERS.copy()
    other[LABELS == IGNORED] = 1 / 5  # where nothing is asked
    assert TARGET.score(other, LABELS) == score
    with pytest.raises(ValueError, match="a label a token"):
        TARGET.score(ANSWERS[:, :5], LABELS)


def test_agreement_is_of_every_token():
    moved = ANSWERS.copy()
    moved[7, 3] = np.roll(moved[7, 3], 1)
    assert np.flatnonzero(~TARGET.agree(moved, ANSWERS)).tolist() == [7]
    assert TARGET.difference(moved, ANSWERS)[7] == pytest.approx(np.abs(moved - ANSWERS)[7, 3].max() / 12, rel=1e-5)


def test_a_file_that_never_finds_a_kind_has_lost_it():
    never = ANSWERS.copy()
    never[..., 3:] = 0
    check, _, got = TARGET.lost(never, ANSWERS, LABELS)
    assert check == "predictions of every class"
    assert "'PER'" in got
    assert TARGET.lost(ANSWERS, ANSWERS, LABELS) is None
    assert TARGET.refuse(ANSWERS, integer=False) is None
    assert TARGET.refuse(ANSWERS * 0.9, integer=False)[0] == "probabilities"


def test_the_loss_is_that_of_the_tokens_asked_for():
    logs = -np.log(ANSWERS.astype("float64"))
    asked = LABELS != IGNORED
    wanted = np.take_along_axis(logs, np.maximum(LABELS, 0)[..., None], -1)[..., 0][asked].mean()
    assert float(TARGET.loss()(LABELS, LOGITS)) == pytest.approx(wanted, rel=1e-5)


def test_distillation_is_the_mean_divergence_of_tokens():
    student = RANDOM.normal(size=LOGITS.shape)
    softened = [tf.nn.softmax(one / 2.0).numpy() for one in (LOGITS, student)]
    wanted = 4 * (softened[0] * np.log(softened[0] / softened[1])).sum(-1).mean(-1)
    found = TARGET.distillation(tf.constant(LOGITS), tf.constant(student), temperature=2.0)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (LABELS.astype("float32"), "of float32 in train"),
        (LABELS[0], "in train"),
        (np.where(np.arange(12) == 4, 5, LABELS), "5 in train, row 0, column 4"),
        (np.where(np.arange(12) == 4, -2, LABELS), "-2 in train, row 0, column 4"),
    ],
)
def test_labels_are_refused_by_row_and_column(labels, words):
    TARGET.check(LABELS, where="train", rows=60)
    with pytest.raises(ValueError, match=words):
        TARGET.check(labels, where="train", rows=60)


def test_names_and_splits_that_are_none_are_refused():
    assert TARGET.names == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    for names in (("B-PER", "I-PER"), ("O", "S-PER"), ("O", "PER"), ("O", "B-")):
        with pytest.raises(ValueError, match=r"tags of BIO|one line of text"):
            Tagging(names)
    with pytest.raises(ValueError, match="none of PER in test"):
        TARGET.check_split(np.where(LABELS > 2, 0, LABELS), where="test")
    for ask in (lambda: TARGET.class_weights(LABELS), lambda: TARGET.weighted_loss({})):
        with pytest.raises(ValueError, match="not weighed"):
            ask()


def test_strata_are_the_rarest_kind_of_a_text():
    labels = np.array([[1, 2, 0], [0, 0, -1], [3, 0, 1], [1, 0, 0]])
    assert TARGET.strata(labels).tolist() == [1, 0, 2, 1]


def test_what_is_said():
    tags = np.eye(5)[[0, 3, 0, 4, 0, 1]]
    words = [Word(1, "ada"), Word(3, "lovelace"), Word(4, "in"), Word(5, "london")]
    said = TARGET.spans_of(tags, words)
    assert said["spans"] == [{"kind": "PER", "text": "ada lovelace"}, {"kind": "LOC", "text": "london"}]
    assert said["words"] == "ada lovelace (PER), london (LOC)"
    assert TARGET.spans_of(tags[:1], [Word(0, "in")])["words"] == "no span"
    words[1] = Word(3, "Lovelace", before="-")
    assert TARGET.spans_of(tags, words)["spans"][0]["text"] == "ada-Lovelace"
    assert TARGET.label_words(np.array([-1, 3, -1, 4])) == "B-PER I-PER"
    assert tasks.restored(TARGET.described()) == TARGET
