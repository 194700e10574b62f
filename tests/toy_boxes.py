"""Boxes for tests: labels, answers that find most of them, suppression written a second way."""

import numpy as np

from kerastl.tasks import detection_scores
from kerastl.tasks.detection import Detection

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


def greedy(boxes, kinds, overlap):
    """Non-maximum suppression as it is written everywhere."""
    stays = []
    for place in range(len(boxes)):
        others = [one for one in stays if kinds[one] == kinds[place]]
        shared = detection_scores.overlaps(boxes[place : place + 1], boxes[others])[0] if others else np.zeros(0)
        if not (shared > overlap).any():
            stays.append(place)
    return np.isin(np.arange(len(boxes)), stays)
