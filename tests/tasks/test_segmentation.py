"""Masks: intersection over union, Dice and boundaries against loops; what is no mask is refused."""

import numpy as np
import pytest
import tensorflow as tf

from kerastl.tasks import segmentation
from kerastl.tasks.segmentation import IGNORED, Segmentation

RANDOM = np.random.default_rng(0)
TARGET = Segmentation(("background", "cat", "dog"))
LABELS = np.repeat(np.repeat(RANDOM.integers(0, 3, (12, 3, 4)), 3, 1), 3, 2).astype("uint8")
LABELS[:, 4, 5:8] = IGNORED
ANSWERS = RANDOM.dirichlet([0.4] * 3, (12, 9, 12)).astype("float32")
ANSWERS[np.arange(12)[:, None, None], np.arange(9)[:, None], np.arange(12), np.minimum(LABELS, 2)] += 0.4
ANSWERS /= ANSWERS.sum(-1, keepdims=True)


def overlaps(rows):
    found = []
    for place in range(3):
        both = either = 0
        for said, true in zip(ANSWERS[rows].argmax(-1).reshape(-1), LABELS[rows].reshape(-1), strict=True):
            if true != IGNORED:
                both += said == place == true
                either += place in (said, true)
        found.append((both, either))
    return found


def test_the_score_is_mean_intersection_over_union():
    every = overlaps(np.arange(12))
    score = TARGET.score(ANSWERS, LABELS)
    assert score.value == pytest.approx(np.mean([both / either for both, either in every]))
    draw = np.random.default_rng(5)
    drawn = [np.mean([b / e for b, e in overlaps(draw.integers(0, 12, 12))]) for _ in range(100)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    assert score.low == pytest.approx(low, abs=0.03)
    assert score.high == pytest.approx(high, abs=0.03)
    assert score.count == 12


def test_details_are_those_of_each_class():
    details = TARGET.details(ANSWERS, LABELS)
    for row, (both, either) in zip(details["by_class"], overlaps(np.arange(12)), strict=True):
        assert row["iou"] == pytest.approx(both / either)
        assert row["dice"] == pytest.approx(2 * both / (both + either))
    asked = LABELS != IGNORED
    assert details["pixel_accuracy"] == pytest.approx((ANSWERS.argmax(-1) == LABELS)[asked].mean())
    assert sum(cell[2] for cell in details["confusions"][0]["cells"]) == asked.sum()
    one_class = np.zeros_like(LABELS)
    alone = TARGET.details(np.eye(3, dtype="float32")[one_class], one_class)
    assert [row["iou"] for row in alone["by_class"]] == [1.0, None, None]
    assert alone["boundary_f1"] == 1


def test_boundaries_may_lie_two_pixels_beside():
    true = np.zeros((1, 20, 20), "uint8")
    true[0, :, 10:] = 1
    for shift, wanted in ((0, 1.0), (1, 1.0), (2, 1.0), (3, 0.0), (-2, 1.0), (-3, 0.0)):
        said = np.zeros_like(true)
        said[0, :, 10 + shift :] = 1
        assert segmentation.boundary_f1(said, true) == wanted
    assert segmentation.boundary_f1(np.zeros_like(true), true) == 0
    hidden = true.copy()
    hidden[0, :, 8:12] = IGNORED
    assert segmentation.boundary_f1(np.zeros_like(true), hidden) == 1  # nothing is asked at the border


def test_the_loss_passes_over_what_is_not_asked():
    logits = RANDOM.normal(size=(2, 9, 12, 3)).astype("float32")
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    asked = LABELS[:2] != IGNORED
    wanted = -np.log(np.take_along_axis(shares, np.minimum(LABELS[:2], 2)[..., None].astype(int), -1)[..., 0])[asked]
    assert float(TARGET.loss()(LABELS[:2], logits)) == pytest.approx(wanted.mean(), rel=1e-5)
    np.testing.assert_allclose(TARGET.served(tf.constant(logits)), shares, atol=1e-6)


def test_a_students_pixels_are_to_be_its_teachers():
    teacher, student = RANDOM.normal(size=(2, 2, 9, 12, 3))
    shares = [np.exp(one / 2) / np.exp(one / 2).sum(-1, keepdims=True) for one in (teacher, student)]
    wanted = 4 * (shares[0] * np.log(shares[0] / shares[1])).sum(-1).mean((-2, -1))
    found = TARGET.distillation(tf.constant(teacher), tf.constant(student), temperature=2.0)
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (LABELS.astype("float32"), "of float32 in train"),
        (LABELS[..., None], r"shape \(12, 9, 12, 1\)"),
        (np.where(np.arange(12)[:, None, None] == 4, 3, LABELS), r"3 in train, row 4, at \(0, 0\)"),
    ],
)
def test_masks_are_refused_by_pixel(labels, words):
    TARGET.check(LABELS, where="train", rows=12)
    with pytest.raises(ValueError, match=words):
        TARGET.check(labels, where="train", rows=12)


def test_a_class_without_pixels_is_refused_and_one_that_is_lost_is_said():
    with pytest.raises(ValueError, match="none of dog in train"):
        TARGET.check_split(np.where(LABELS == 2, 0, LABELS), where="train")
    lost = ANSWERS.copy()
    lost[..., 2] = 0
    assert TARGET.lost(lost, ANSWERS, LABELS) is not None
    assert TARGET.lost(ANSWERS, ANSWERS, LABELS) is None
    assert TARGET.refuse(ANSWERS, integer=False) is None
    assert TARGET.refuse(ANSWERS * 1.1, integer=False) is not None
    assert TARGET.said(np.eye(3)[np.zeros((2, 2), int)])["words"] == "background 100.0%"
    with pytest.raises(ValueError, match="mask a row"):
        TARGET.score(ANSWERS[:3], LABELS)
    with pytest.raises(ValueError, match="255 classes"):
        Segmentation(tuple(map(str, range(256))))
