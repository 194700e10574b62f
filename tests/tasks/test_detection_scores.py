"""Average precision against pycocotools, the bootstrap, and the threshold of a stated precision."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools import coco, cocoeval
from toy_boxes import NAMES, TARGET, examples

from kerastl.tasks import detection_scores


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
