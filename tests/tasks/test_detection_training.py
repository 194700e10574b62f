"""The losses of detection against their formulas, and what each cell of a map learns."""

import keras
import numpy as np
from toy_boxes import random_boxes

from kerastl.tasks import detection_scores, detection_training


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
