"""The groceries against what their paper and their package say of them."""

from __future__ import annotations

import collections
import hashlib
import io

import numpy as np
import PIL.Image
import pyarrow.parquet
import pytest

from kerastl.data import groceries
from kerastl.inputs import pictures


@pytest.fixture(scope="module")
def rows():
    return pyarrow.parquet.read_table(groceries.fetch()).to_pylist()


@pytest.fixture(scope="module")
def dataset():
    return groceries.load(size=(32, 32))


def test_copies_are_left_out(rows, dataset):
    unique = {hashlib.sha256(row["image_data"]).digest() for row in rows}
    assert (len(rows), len(unique)) == (2054, 1393)
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [675, 57, 661]
    assert dataset.leakage["exact_duplicates"] == 0
    assert dataset.task.target.outputs == 14


def test_test_pictures_are_the_published_ones_under_their_names(rows, dataset, tmp_path):
    published = {row["image_data"]: row["finegrained_cat"] for row in rows if row["dataset"] == "test"}
    expected = collections.Counter(published.values())
    found = collections.Counter(dataset.task.target.names[label] for label in dataset.test.labels)
    assert found == expected
    by_pixels = {
        picture.tobytes(): label for picture, label in zip(dataset.test.inputs, dataset.test.labels, strict=True)
    }
    for content, name in list(published.items())[::100]:
        path = tmp_path / "picture.jpg"
        path.write_bytes(content)
        pixels = pictures.read(path, size=(32, 32)).pixels
        assert dataset.task.target.names[by_pixels[pixels.tobytes()]] == name


def test_validation_has_every_class_and_nothing_of_train(dataset):
    assert (np.bincount(dataset.validation.labels, minlength=14) > 0).all()
    train = {picture.tobytes() for picture in dataset.train.inputs}
    assert not train & {picture.tobytes() for picture in dataset.validation.inputs}


# ------------------------------------------------------------------------------------------------------- several tasks


@pytest.fixture(scope="module")
def turned():
    return groceries.load(size=(32, 32), tasks=True)


def test_three_tasks_of_the_same_pictures_under_their_names(rows, turned, dataset):
    parts = dict(turned.task.target.parts)
    assert parts["fruit"] == dataset.task.target
    pairs = {(row["finegrained_cat"], row["coarse_cat"]) for row in rows}
    for split in (turned.train, turned.validation, turned.test):
        fruit, family = ([parts[name].names[label] for label in split.labels[name]] for name in ("fruit", "family"))
        assert set(zip(fruit, family, strict=True)) <= pairs
    assert sorted(turned.test.labels["fruit"]) == sorted(dataset.test.labels)


def test_angles_are_drawn_evenly_whatever_the_seed(turned):
    angles = np.concatenate([turned.train.labels["tilt"], turned.validation.labels["tilt"]])
    target = dict(turned.task.target.parts)["tilt"]
    assert np.abs(angles).max() <= groceries.TILT
    assert angles.std() == pytest.approx(target.spread[0], rel=0.05)
    assert abs(angles.mean()) < 2
    other = groceries.load(size=(32, 32), tasks=True, seed=1)
    assert sorted(other.test.labels["tilt"]) == sorted(turned.test.labels["tilt"])


def test_a_label_is_the_angle_and_nothing_else_gives_it_away():
    """A stripe that is upright lies by that angle; white pictures stay white to the corners."""
    stripe = np.zeros((200, 200, 3), np.uint8)
    stripe[:, 97:103] = 255
    for angle in (-30.0, -12.0, 0.0, 25.0):
        pixels = groceries._read(encoded(stripe), size=(96, 96), angle=angle)[..., 0] > 127
        y, x = np.nonzero(pixels)
        slope = np.polyfit(y - 47.5, x - 47.5, 1)[0]
        assert np.degrees(np.arctan(slope)) == pytest.approx(angle, abs=1.0)
        white = groceries._read(encoded(np.full_like(stripe, 255)), size=(96, 64), angle=angle)
        assert white.shape == (96, 64, 3)
        assert white.min() >= 254


def encoded(pixels):
    with io.BytesIO() as file:
        PIL.Image.fromarray(pixels).save(file, "PNG")
        return file.getvalue()
