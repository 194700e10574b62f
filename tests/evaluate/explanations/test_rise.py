"""RISE finds the part that an answer comes from, and agrees with occlusion."""

from __future__ import annotations

import numpy as np

from kerastl.evaluate.explanations import occlusion, rise, sanity


def middle(pictures: np.ndarray) -> np.ndarray:
    """Answers with the brightness of a square off the middle."""
    return pictures[:, 6:12, 14:20].astype(float).mean((1, 2, 3))[:, None] / 255


def test_the_square_that_is_looked_at_is_found_as_by_occlusion():
    picture = np.random.default_rng(0).integers(0, 40, (28, 28, 1)).astype(np.uint8)
    picture[6:12, 14:20] = 240
    found = rise.picture(middle, picture, 0)
    inside = np.zeros((28, 28), bool)
    inside[6:12, 14:20] = True
    assert found[inside].min() > np.quantile(found[~inside], 0.9)
    assert sanity.correlation(found, occlusion.picture(middle, picture, 0)) > 0.7
    np.testing.assert_array_equal(found, rise.picture(middle, picture, 0))


def test_masks_show_as_much_as_is_stated():
    random = np.random.default_rng(0)
    masks = np.stack([rise._mask(random, (20, 30), 7, 0.3) for _ in range(500)])
    assert masks.min() >= 0
    assert masks.max() <= 1
    assert abs(masks.mean() - 0.3) < 0.01
    assert np.abs(masks.mean(0) - 0.3).max() < 0.08, "every place as often as any other"
