"""Boxes against pycocotools, losses and suppression against NumPy written a second way, and what is refused."""

import contextlib
import io
import json

import keras
import numpy as np
import pytest
from keras import ops
from pycocotools import coco, cocoeval

from kerastl.tasks import detection_decoding, detection_scores, detection_training
from kerastl.tasks.detection import Detection
from kerastl.types import Target

NAMES = ("cat", "dog", "owl")
TARGET = Detection(NAMES, grid=(8, 8), detections=10, candidates=16, threshold=0.3)


def random_boxes(random, count, *, least=0.05):
    first = random.uniform(0, 0.7, (count, 2))
    return np.concatenate([first, np.minimum(first + random.uniform(least, 0.4, (count, 2)), 1)], -1)


def examples(seed=0, count=40, *, noise=0.03):
    """Labels, and answers that find most of them somewhat beside, some of another class, and invent others."""
    random = np.random.default_rng(seed)
    labels = np.full((count, 6, 5), -1, "float32")
    labels[..., :4] = 0
    answers = np.zeros((count, 10, 6), "float32")
    for row in range(count):
        there = random.integers(0, 7)
        labels[row, :there] = np.concatenate([random_boxes(random, there), random.integers(0, 3, (there, 1))], -1)
        found = labels[row, :there].copy()
        moved = np.clip(found[:, :4] + random.normal(0, noise, (there, 4)), 0, 1)
        # corners in their order: a box of less than no area is another matter for pycocotools, which passes it over
        found[:, :4] = np.sort(moved.reshape(-1, 2, 2), axis=1).reshape(-1, 4)
        found[random.random(there) < 0.1, 4] = 1
        invented = np.concatenate([random_boxes(random, 3), random.integers(0, 3, (3, 1))], -1)
        given = np.concatenate([found, invented])[random.permutation(there + 3)]
        scores = np.round(random.random(len(given)), 2)  # some are equal
        answers[row, : len(given)] = np.concatenate([given, scores[:, None]], -1)
    return answers, labels


def of_pycocotools(answers, labels):
    """Precision averaged over recalls, ``(thresholds, classes)``, by COCO's own code."""
    truth, found = [], []
    for row, (given, wanted) in enumerate(zip(answers, labels, strict=True)):
        for ymin, xmin, ymax, xmax, kind in wanted[wanted[:, 4] >= 0].astype(float):
            box = [xmin * 1000, ymin * 1000, (xmax - xmin) * 1000, (ymax - ymin) * 1000]
            one = {"image_id": row + 1, "category_id": int(kind) + 1, "bbox": box, "area": box[2] * box[3]}
            truth.append({**one, "id": len(truth) + 1, "iscrowd": 0})
        for ymin, xmin, ymax, xmax, kind, score in given[given[:, 5] > 0].astype(float):
            box = [xmin * 1000, ymin * 1000, (xmax - xmin) * 1000, (ymax - ymin) * 1000]
            found.append({"image_id": row + 1, "category_id": int(kind) + 1, "bbox": box, "score": score})
    with contextlib.redirect_stdout(io.StringIO()):
        data = coco.COCO()
        data.dataset = {
            "images": [{"id": row + 1} for row in range(len(labels))],
            "annotations": truth,
            "categories": [{"id": place + 1} for place in range(len(NAMES))],
        }
        data.createIndex()
        work = cocoeval.COCOeval(data, data.loadRes(found), "bbox")
        work.evaluate()
        work.accumulate()
    return work.eval["precision"][:, :, :, 0, 2].mean(1)


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_is_that_of_pycocotools(seed):
    answers, labels = examples(seed)
    own = detection_scores.by_class(answers, labels, classes=3)
    assert 0.05 < own.mean() < 0.95
    np.testing.assert_allclose(own, of_pycocotools(answers, labels), atol=1e-6)
    assert TARGET.score(answers, labels).value == pytest.approx(own[0].mean(), abs=1e-9)


def test_the_bootstrap_counts_examples_as_often_as_they_are_drawn():
    answers, labels = examples(7)
    draws = np.random.default_rng(1).multinomial(40, np.full(40, 1 / 40), size=3)
    drawn = detection_scores.by_class(answers, labels, classes=3, draws=draws)
    for counts, own in zip(draws, drawn, strict=True):
        rows = np.repeat(np.arange(40), counts)
        np.testing.assert_allclose(own, detection_scores.by_class(answers[rows], labels[rows], classes=3), atol=1e-9)


def test_a_threshold_has_the_precision_that_is_stated():
    answers, labels = examples(3, noise=0.005)
    ranked = detection_scores.ranked(answers)
    hits = detection_scores.found(ranked, labels, thresholds=(0.5,))[..., 0] >= 0
    low = np.median(answers[answers[..., 5] > 0][:, 5])
    for wanted in (hits[ranked[..., 5] >= low].mean(), 0.6):
        found = detection_scores.threshold_for(answers, labels, precision=wanted)
        assert hits[ranked[..., 5] >= found].mean() >= wanted
        for less in np.unique(ranked[..., 5][(ranked[..., 5] < found) & (ranked[..., 5] > 0)]):
            assert hits[ranked[..., 5] >= less].mean() < wanted
    with pytest.raises(ValueError, match="Received"):
        detection_scores.threshold_for(answers * [1, 1, 1, 1, 0, 1] + [0, 0, 0, 0, 9, 0], labels, precision=0.5)


def greedy(boxes, kinds, overlap):
    """Non-maximum suppression as it is written everywhere."""
    stays = []
    for place in range(len(boxes)):
        others = [one for one in stays if kinds[one] == kinds[place]]
        shared = detection_scores.overlaps(boxes[place : place + 1], boxes[others])[0] if others else np.zeros(0)
        if not (shared > overlap).any():
            stays.append(place)
    return np.isin(np.arange(len(boxes)), stays)


def test_suppression_is_that_of_numpy_in_a_thousand_cases():
    random = np.random.default_rng(0)
    centres = random.uniform(0.2, 0.8, (1000, 1, 2))
    first = centres + random.normal(0, random.uniform(0.02, 0.3, (1000, 1, 1)), (1000, 32, 2))
    boxes = np.concatenate([first, first + random.uniform(0.05, 0.3, (1000, 32, 2))], -1).astype("float32")
    kinds = random.integers(0, 2, (1000, 32, 1)).astype("float32")
    kept = np.asarray(detection_decoding.suppressed(ops.convert_to_tensor(boxes), kinds, overlap=0.4)) > 0.5
    wanted = np.stack([greedy(one, kind[:, 0], 0.4) for one, kind in zip(boxes, kinds, strict=True)])
    assert 0.1 < wanted.mean() < 0.9
    np.testing.assert_array_equal(kept, wanted)


def test_what_a_file_answers_is_that_of_numpy():
    random = np.random.default_rng(4)
    outputs = random.normal(0, 1.5, (20, 64, 7)).astype("float32")
    served = np.asarray(TARGET.served(ops.convert_to_tensor(outputs)))
    scores = 1 / (1 + np.exp(-outputs[..., 4:].astype(np.float64)))
    rows, columns = np.divmod(np.arange(64), 8)
    for row, found in enumerate(served):
        order = np.argsort(-scores[row].max(-1), kind="stable")[:16]
        reach = np.where(outputs[row, :, :4] > 0, outputs[row, :, :4] + 1, np.exp(outputs[row, :, :4])) / 12
        y, x = (rows + 0.5) / 8, (columns + 0.5) / 8
        boxes = np.stack([y - reach[:, 0], x - reach[:, 1], y + reach[:, 2], x + reach[:, 3]], -1)[order]
        kinds = scores[row].argmax(-1)[order]
        stays = np.flatnonzero(greedy(boxes, kinds, 0.5))[:10]
        count = len(stays)
        np.testing.assert_allclose(found[:count, :4], np.clip(boxes[stays], 0, 1), atol=1e-5)
        np.testing.assert_array_equal(found[:count, 4], kinds[stays])
        np.testing.assert_allclose(found[:count, 5], scores[row].max(-1)[order][stays], atol=1e-6)
        assert not found[count:, 5].any()


def test_the_losses_are_their_formulas():
    random = np.random.default_rng(2)
    logits, wanted = random.normal(size=(5, 9)), np.where(random.random((5, 9)) < 0.2, 1.0, random.random((5, 9)))
    p = 1 / (1 + np.exp(-logits))
    twin = np.where(wanted == 1, -((1 - p) ** 2) * np.log(p), -((1 - wanted) ** 4) * p**2 * np.log(1 - p))
    np.testing.assert_allclose(detection_training.focal(logits, wanted), twin, rtol=1e-5)
    one, other = random_boxes(random, 200), random_boxes(random, 200)
    shared = np.diagonal(detection_scores.overlaps(one, other))
    hull = np.prod(np.maximum(one[:, 2:], other[:, 2:]) - np.minimum(one[:, :2], other[:, :2]), -1)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], -1) for boxes in (one, other)]
    union = (areas[0] + areas[1]) / (1 + shared)
    np.testing.assert_allclose(
        detection_training.giou_loss(one, other), 1 - shared + (hull - union) / hull, rtol=1e-4, atol=1e-6
    )


def test_each_cell_learns_the_box_that_it_lies_in():
    """A box's centre cell has 1 and the box; a second box's own; far cells have nothing."""
    labels = np.full((1, 3, 5), -1, "float32")
    labels[0, 0], labels[0, 1] = [0.1, 0.1, 0.3, 0.4, 2], [0.5, 0.5, 0.9, 0.9, 0]
    values, kinds, boxes = (np.asarray(one) for one in detection_training.targets(labels, grid=(8, 8)))
    for box, cell in ((labels[0, 0], 1 * 8 + 2), (labels[0, 1], 5 * 8 + 5)):
        assert values[0, cell] == 1
        assert kinds[0, cell] == box[4]
        np.testing.assert_allclose(boxes[0, cell], box[:4])
    assert (values == 1).sum() == 2
    assert values[0, 7] < 1e-3
    loss = detection_training.DetectionLoss((8, 8), unit=1 / 8)
    perfect = np.full((1, 64, 7), -12.0, "float32")
    for box, cell in ((labels[0, 0], 10), (labels[0, 1], 45)):
        y, x = (cell // 8 + 0.5) / 8, (cell % 8 + 0.5) / 8
        perfect[0, cell, :4] = np.array([y - box[0], x - box[1], box[2] - y, box[3] - x]) * 8 - 1
        perfect[0, cell, 4 + int(box[4])] = 12
    none = np.full((1, 64, 7), -12.0, "float32")
    assert float(loss(labels, perfect)) < float(loss(labels, none)) / 2
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert float(again(labels, none)) == float(loss(labels, none))


def test_promises_of_a_target():
    answers, labels = examples(1, noise=0.002)
    assert isinstance(TARGET, Target)
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
