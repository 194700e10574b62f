"""What boxes mean: promises of the target, agreement, and what is refused."""

import json

import numpy as np
import pytest
from toy_boxes import NAMES, TARGET, examples

from kerastl.tasks.detection import Detection
from kerastl.types import DecodedTarget, Target


def test_promises_of_a_target():
    answers, labels = examples(1, noise=0.002)
    assert isinstance(TARGET, Target)
    assert isinstance(TARGET, DecodedTarget)
    TARGET.check(labels, where="test", rows=40)
    TARGET.check_split(labels, where="test")
    assert TARGET.strata(labels).shape == (40, 3)
    perfect = np.concatenate([labels, (labels[..., 4:] >= 0).astype("float32")], -1)
    perfect[..., 4] = np.maximum(perfect[..., 4], 0)
    best, worse = TARGET.score(perfect, labels), TARGET.score(perfect[::-1], labels)
    assert best.value == 1
    assert TARGET.drop(worse.value, best.value) > 0.3
    assert TARGET.agree(answers, answers).all()
    assert TARGET.difference(answers, answers).max() == 0
    assert not TARGET.confidence(perfect, labels).any()
    assert TARGET.refuse(perfect, integer=False) is None
    assert TARGET.refuse(perfect * 2, integer=False)
    assert TARGET.lost(perfect, perfect, labels) is None
    details = json.loads(json.dumps(TARGET.details(answers, labels), allow_nan=False))
    kinds = details["boxes"]
    assert kinds["found"] + kinds["missed"] == (labels[..., 4] >= 0).sum()
    said = (answers[..., 5] >= TARGET.threshold).sum()
    assert kinds["found"] + kinds["misplaced"] + kinds["misnamed"] + kinds["invented"] == said
    assert TARGET.summary(details)
    assert TARGET.said(answers[0])["words"]
    json.dumps(TARGET.said(answers[0]))
    assert TARGET.label_words(labels[0]) == ", ".join(NAMES[int(kind)] for kind in labels[0, :, 4] if kind >= 0)
    assert TARGET.label_words(np.full((2, 5), -1)) == "nothing"


def test_another_box_does_not_agree():
    answers, _ = examples(2)
    moved = answers.copy()
    strongest = answers[..., 5].argmax(-1)
    moved[np.arange(40), strongest, 4] = (moved[np.arange(40), strongest, 4] + 1) % 3
    sure = answers[..., 5].max(-1) >= TARGET.threshold
    assert not TARGET.agree(moved, answers)[sure].any()
    assert TARGET.agree(moved, answers)[~sure].all()
    beside = answers.copy()
    beside[..., 5] *= 0.9
    gap = TARGET.difference(beside, answers)
    assert gap.max() == pytest.approx(answers[..., 5].max() * 0.1, abs=1e-6)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda labels: labels * 96, "pixels, as it looks"),
        (lambda labels: labels[..., [2, 1, 0, 3, 4]], "ymin < ymax"),
        (lambda labels: np.add(labels, [0, 0, 0, 0, 3]), "a class 0..2"),
        (lambda labels: labels[..., :4], "ymin, xmin, ymax, xmax, class"),
        (lambda labels: labels * np.nan, "a class 0..2"),
    ],
)
def test_bad_boxes_are_refused(change, match):
    _, labels = examples(0)
    if "pixels" in match:
        wrong = labels.copy()
        wrong[..., :4] *= 96
    else:
        wrong = change(labels)
    with pytest.raises(ValueError, match=match) as error:
        TARGET.check(wrong, where="somewhere", rows=40)
    assert "somewhere" in str(error.value)


def test_a_split_without_boxes_or_without_a_class_is_refused():
    _, labels = examples(0)
    with pytest.raises(ValueError, match="none at all in somewhere"):
        TARGET.check_split(np.full_like(labels, -1), where="somewhere")
    with pytest.raises(ValueError, match="none of owl in somewhere"):
        TARGET.check_split(np.where(labels[..., 4:] == 2, -1, labels), where="somewhere")
    with pytest.raises(ValueError, match="no more detections"):
        Detection(NAMES, detections=100)
