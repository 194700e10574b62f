"""The groceries against what their paper and their package say of them."""

from __future__ import annotations

import collections
import hashlib

import numpy as np
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
    assert dataset.task.num_classes == 14


def test_test_pictures_are_the_published_ones_under_their_names(rows, dataset, tmp_path):
    published = {row["image_data"]: row["finegrained_cat"] for row in rows if row["dataset"] == "test"}
    expected = collections.Counter(published.values())
    found = collections.Counter(dataset.task.class_names[label] for label in dataset.test.labels)
    assert found == expected
    by_pixels = {
        picture.tobytes(): label for picture, label in zip(dataset.test.inputs, dataset.test.labels, strict=True)
    }
    for content, name in list(published.items())[::100]:
        path = tmp_path / "picture.jpg"
        path.write_bytes(content)
        pixels = pictures.read(path, size=(32, 32)).pixels
        assert dataset.task.class_names[by_pixels[pixels.tobytes()]] == name


def test_validation_has_every_class_and_nothing_of_train(dataset):
    assert (np.bincount(dataset.validation.labels, minlength=14) > 0).all()
    train = {picture.tobytes() for picture in dataset.train.inputs}
    assert not train & {picture.tobytes() for picture in dataset.validation.inputs}
