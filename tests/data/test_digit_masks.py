"""Scenes of digits whose masks are those digits."""

import numpy as np
import pytest

from kerastl.data import digit_masks


@pytest.fixture(scope="module")
def scenes():
    return digit_masks.load(train=60, test=40)


def test_masks_lie_on_the_digits(scenes):
    for split in (scenes.train, scenes.validation, scenes.test):
        pictures, masks = split.inputs[..., 0], split.labels
        np.testing.assert_array_equal(masks > 0, pictures >= 100)
        assert set(np.unique(masks)) == set(range(11))
    assert sum(map(len, (scenes.train, scenes.validation, scenes.test))) == 100
    shares = np.bincount(scenes.train.labels.reshape(-1)) / scenes.train.labels.size
    assert shares[0] > 0.8


def test_the_same_seed_draws_the_same_scenes(scenes):
    assert digit_masks.load(**scenes.arguments).digest == scenes.digest
    assert digit_masks.load(**{**scenes.arguments, "seed": 1}).digest != scenes.digest
