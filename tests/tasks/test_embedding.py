"""Embeddings against a search written out: recall, margins, intervals, what is refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastl import tasks
from kerastl.tasks import embedding
from kerastl.tasks.embedding import AT, Embedding

RANDOM = np.random.default_rng(0)
NAMES = tuple(f"group {number}" for number in range(12))
LABELS = np.concatenate([RANDOM.integers(0, 11, 149), [11]]).astype("int32")  # the last one is alone in its group
CENTRES = RANDOM.normal(size=(12, 8))
ANSWERS = (CENTRES[LABELS] + RANDOM.normal(size=(150, 8))).astype("float32")
TARGET = Embedding(NAMES)


def searched(vectors, labels):
    """Whether each example that may finds one of its group among so many neighbours, one pair after the other."""
    found = {count: [] for count in AT}
    for index, (vector, label) in enumerate(zip(vectors, labels, strict=True)):
        others = [other for other in range(len(vectors)) if other != index]
        if not any(labels[other] == label for other in others):
            continue
        cosines = [
            float(np.dot(vector, vectors[other]) / np.linalg.norm(vector) / np.linalg.norm(vectors[other]))
            for other in others
        ]
        nearest = [others[place] for place in np.argsort(cosines)[::-1]]
        for count in AT:
            found[count].append(any(labels[other] == label for other in nearest[:count]))
    return found


def test_recall_is_that_of_a_brute_force_search():
    wanted = searched(ANSWERS.astype("float64"), LABELS)
    found = TARGET.details(ANSWERS, LABELS)
    assert len(wanted[1]) == 149
    assert 0.2 < np.mean(wanted[1]) < 0.9 < np.mean(wanted[10])
    for row in found["recall_at"]:
        hits = wanted[row["neighbours"]]
        assert row["recall"] == pytest.approx(np.mean(hits), abs=1e-12)
        draw = np.random.default_rng(1)
        means = [np.mean(draw.choice(hits, len(hits))) for _ in range(2000)]
        np.testing.assert_allclose([row["low"], row["high"]], np.percentile(means, [2.5, 97.5]), atol=0.012)
    score = TARGET.score(ANSWERS, LABELS)
    assert (score.value, score.count) == (pytest.approx(np.mean(wanted[1]), abs=1e-12), 149)
    assert TARGET.score(ANSWERS, LABELS) == score  # seeded
    assert TARGET.score(3 * ANSWERS, LABELS) == score  # lengths do not matter
    errors = TARGET.confidence(ANSWERS, LABELS)
    assert len(errors) == 150
    assert errors[-1] == 0
    assert ((errors[:-1] == 0) == np.asarray(wanted[1])).all()
    assert sum(row["examples"] for row in found["by_group"]) == 149
    assert "group 11" not in {row["name"] for row in found["by_group"]}


def test_a_search_in_parts_finds_the_same(monkeypatch):
    whole = TARGET._search(ANSWERS, LABELS)
    monkeypatch.setattr(embedding, "_AT_ONCE", 7 * len(LABELS))
    for one, other in zip(TARGET._search(ANSWERS, LABELS), whole, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_vectors_that_are_all_the_same_find_nothing():
    alike = np.ones((150, 8), "float32")
    assert TARGET.score(alike, LABELS).value == 0
    check, wanted, got = TARGET.lost(alike, ANSWERS, LABELS)
    assert (check, got) == ("recall above chance", 0)
    counts = np.bincount(LABELS)
    chance = np.mean([(counts[label] - 1) / 149 for label in LABELS if counts[label] > 1])
    assert wanted == f"> {chance:.4f}"
    assert TARGET.lost(ANSWERS, ANSWERS, LABELS) is None
    assert TARGET.lost(alike, alike, LABELS) is None  # the model has nothing to lose


def test_agreement_is_by_how_far_the_models_vectors_lie_apart():
    cone = np.concatenate([np.full((150, 1), 30.0), ANSWERS], -1)  # cosines of any two are 0.99
    assert TARGET.agree(cone, cone).all()
    mixed = cone[::-1]
    assert TARGET.difference(mixed, cone).mean() < 0.02
    assert TARGET.agree(mixed, cone).mean() < 0.1
    moved = ANSWERS.copy()
    moved[3] = -moved[3]
    assert np.flatnonzero(~TARGET.agree(moved, ANSWERS)).tolist() == [3]
    assert TARGET.difference(moved, ANSWERS)[3] == pytest.approx(2)
    assert TARGET.difference(2 * ANSWERS, ANSWERS).max() < 1e-12
    angles = np.einsum("ij,ij->i", ANSWERS, mixed[:, 1:]) / np.linalg.norm(ANSWERS, axis=1) / np.linalg.norm(
        mixed[:, 1:], axis=1
    )  # fmt: skip
    np.testing.assert_allclose(TARGET.difference(ANSWERS, mixed[:, 1:]), 1 - angles, atol=1e-6)
    with pytest.raises(ValueError, match="shape"):
        TARGET.difference(ANSWERS[:, :3], ANSWERS)


def test_vectors_have_length_one():
    units = ANSWERS / np.linalg.norm(ANSWERS, axis=1, keepdims=True)
    assert TARGET.refuse(units, integer=False) is None
    coarse = np.rint(units * 128) / 128
    assert TARGET.refuse(coarse, integer=True) is None
    assert TARGET.refuse(coarse, integer=False) is not None
    units[5] *= 1.1
    check, _, got = TARGET.refuse(units, integer=False)
    assert check == "vectors of length 1"
    assert "1.1000" in got


def test_a_model_ends_in_vectors_of_length_one_whatever_its_features_are():
    features = keras.Input((8,))
    model = keras.Model(features, TARGET.finish(features))
    found = model.predict(np.concatenate([ANSWERS, np.zeros((1, 8))]), verbose=0)
    np.testing.assert_allclose(found[:-1], ANSWERS / np.linalg.norm(ANSWERS, axis=1, keepdims=True), atol=1e-5)
    np.testing.assert_allclose(found[-1], np.full(8, 8**-0.5), rtol=1e-4)


def test_a_student_is_to_have_its_teachers_vectors():
    student = RANDOM.normal(size=(150, 8)).astype("float32")
    unit = [one / np.linalg.norm(one, axis=1, keepdims=True) for one in (ANSWERS, student)]
    wanted = np.square(unit[0] - unit[1]).sum(-1) / 2
    found = TARGET.distillation(tf.constant(ANSWERS), tf.constant(student), temperature=2.0)
    np.testing.assert_allclose(found, wanted, rtol=1e-4)
    np.testing.assert_allclose(found, TARGET.difference(student, ANSWERS), rtol=1e-4)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (LABELS.astype("float32"), "of float32 in train"),
        (LABELS[:, None], r"shape \(150, 1\)"),
        (np.where(np.arange(150) == 4, 12, LABELS), "12 in train, row 4"),
        (np.where(np.arange(150) == 4, -1, LABELS), "-1 in train, row 4"),
    ],
)
def test_labels_are_refused_by_row(labels, words):
    TARGET.check(LABELS, where="train", rows=150)
    with pytest.raises(ValueError, match=words):
        TARGET.check(labels, where="train", rows=150)


def test_a_split_has_something_to_find():
    TARGET.check_split(np.array([0, 0, 1]), where="test")
    for labels in ([0, 1, 2], [3, 3, 3]):
        with pytest.raises(ValueError, match="in test"):
            TARGET.check_split(np.array(labels), where="test")
    with pytest.raises(ValueError, match="each of its own group"):
        TARGET.score(ANSWERS[:3], np.array([0, 1, 2]))
    with pytest.raises(ValueError, match="one group a row"):
        TARGET.score(ANSWERS[:5], LABELS)


def test_what_is_said():
    said = TARGET.said(ANSWERS[0])
    np.testing.assert_allclose(said["vector"], ANSWERS[0], atol=1e-6)
    assert said["words"].endswith("... (8 numbers)")
    assert TARGET.label_words(LABELS[0]) == NAMES[LABELS[0]]
    assert tasks.restored(TARGET.described()) == TARGET
    for ask in (lambda: TARGET.class_weights(LABELS), lambda: TARGET.weighted_loss({})):
        with pytest.raises(ValueError, match="no classes to weigh"):
            ask()
