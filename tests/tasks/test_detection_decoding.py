"""Suppression and decoding in the graph against NumPy."""

import numpy as np
from keras import ops
from toy_boxes import TARGET, greedy

from kerastl.tasks import detection_decoding, detection_scores


def test_suppression_is_that_of_numpy_in_a_thousand_cases():
    random = np.random.default_rng(0)
    centres = random.uniform(0.2, 0.8, (1010, 1, 2))
    first = centres + random.normal(0, random.uniform(0.02, 0.3, (1010, 1, 1)), (1010, 32, 2))
    boxes = np.concatenate([first, first + random.uniform(0.05, 0.3, (1010, 32, 2))], -1).astype("float32")
    kinds = random.integers(0, 2, (1010, 32)).astype("float32")
    shared = detection_scores.overlaps(boxes, boxes)
    shared = np.where(kinds[:, :, None] == kinds[:, None], shared, 0)
    near = (np.abs(shared - 0.4) < 1e-6).any((1, 2))  # which side of the bound such are is float32's rounding
    assert near.sum() < 10
    kept = detection_decoding.suppressed(ops.convert_to_tensor(boxes), ops.convert_to_tensor(kinds), overlap=0.4)
    kept = np.asarray(kept) > 0.5
    wanted = np.stack([greedy(one, kind, 0.4) for one, kind in zip(boxes, kinds, strict=True)])
    assert 0.1 < wanted.mean() < 0.9
    np.testing.assert_array_equal(kept[~near], wanted[~near])


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
