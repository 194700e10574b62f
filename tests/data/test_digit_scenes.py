"""Scenes against the digits that they are made of: boxes hold the ink, digits of splits are apart."""

import numpy as np
import pytest

from kerastl.data import archive, digit_scenes, mnist

SMALL = {"scenes": 60, "validation": 40, "test": 40}


def test_every_box_holds_the_ink_of_its_digit_and_nothing_lies_outside():
    data = digit_scenes.load(**SMALL)
    counts = set()
    for split in (data.train, data.validation, data.test):
        for picture, boxes in zip(split.inputs[..., 0], split.labels, strict=True):
            there = boxes[boxes[:, 4] >= 0]
            counts.add(len(there))
            rest = picture.copy()
            for top, left, bottom, right in np.rint(there[:, :4] * 96).astype(int):
                part = picture[top:bottom, left:right]
                # the first and the last row and column of a box have ink
                assert all(edge.any() for edge in (part[0], part[-1], part[:, 0], part[:, -1]))
                rest[top:bottom, left:right] = 0
            assert not rest.any()
            sides = (there[:, 2:4] - there[:, :2]) * 96
            assert sides.max() <= 20 * 1.8 + 0.5
    assert counts == {1, 2, 3, 4, 5}


def test_scenes_are_bitwise_the_same_for_a_seed():
    first, again = (digit_scenes.load(**SMALL) for _ in range(2))
    assert first.digest == again.digest == "a0c397fb5570bedbd25b62534d703cc7ff30aadf9e471e47debeb838b7152002"
    assert digit_scenes.load(**SMALL, seed=1).digest != first.digest


def test_digits_of_train_validation_and_test_are_apart(monkeypatch):
    """A digit of its own brightness for each split: no scene has that of another."""
    digits = {name: values.copy() for name, values in archive.read(mnist.SOURCE).items()}
    for name, first, last, level in (
        ("train", 0, 50_000, 50),
        ("train", 50_000, 60_000, 100),
        ("test", 0, 10_000, 200),
    ):
        part = digits[f"{name}_inputs"][first:last]
        part[part > 0] = level
    monkeypatch.setattr(archive, "read", lambda source: digits)
    data = digit_scenes.load(**SMALL)
    assert [split.inputs.max() for split in (data.train, data.validation, data.test)] == [50, 100, 200]


def test_a_digit_of_scale_one_is_the_digit():
    digit = archive.read(mnist.SOURCE)["train_inputs"][7, ..., 0]
    np.testing.assert_array_equal(digit_scenes._scaled(digit, 1.0), digit[np.ix_(digit.any(1), digit.any(0))])


def test_numbers_of_scenes_are_whole():
    with pytest.raises(ValueError, match=r"Received: .*0\.5"):
        digit_scenes.load(scenes=30, validation=0.5)
