"""Whole classes for each split."""

import numpy as np
import pytest

from kerastl.data import splits, unseen_classes
from kerastl.inputs.image import Image
from kerastl.tasks.multi_label import MultiLabel
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Task


def dataset(classes=14, each=9):
    labels = np.tile(np.arange(classes, dtype="int32"), each)
    inputs = np.arange(len(labels) * 12, dtype="uint32").reshape(len(labels), 2, 2, 3).astype("uint8")
    inputs[:, 0, 0, 0], inputs[:, 0, 0, 1] = np.arange(len(labels)) % 256, np.arange(len(labels)) // 256
    task = Task("some", Image((2, 2, 3)), SingleLabel(tuple(f"class {number}" for number in range(classes))))
    cut = len(labels) * 3 // 4
    arrays = {"train_inputs": inputs[:cut], "train_labels": labels[:cut]}
    arrays |= {"test_inputs": inputs[cut:], "test_labels": labels[cut:]}
    return splits.dataset(task, arrays, seed=0, validation=14, limit=None, source="mine")


@pytest.mark.parametrize(
    ("classes", "unseen", "wanted"), [(14, 0.5, (5, 2, 7)), (6, 0.5, (2, 2, 2)), (6, 0.9, (2, 2, 2))]
)
def test_no_class_stands_in_two_splits_and_no_example_is_lost(classes, unseen, wanted):
    whole = dataset(classes)
    found = unseen_classes.divide(whole, unseen=unseen, seed=3)
    parts = (found.train, found.validation, found.test)
    assert tuple(len(np.unique(part.labels)) for part in parts) == wanted
    assert len(np.unique(np.concatenate([np.unique(part.labels) for part in parts]))) == classes
    assert sum(map(len, parts)) == classes * 9
    before = {
        (bytes(row), int(label))
        for part in (whole.train, whole.validation, whole.test)
        for row, label in zip(part.inputs, part.labels, strict=True)
    }
    assert {
        (bytes(row), int(label)) for part in parts for row, label in zip(part.inputs, part.labels, strict=True)
    } == before
    assert found.digest == whole.digest
    again = unseen_classes.divide(whole, unseen=unseen, seed=3)
    np.testing.assert_array_equal(again.test.labels, found.test.labels)
    other = unseen_classes.divide(whole, unseen=unseen, seed=4)
    assert set(other.test.labels) != set(found.test.labels)


def test_what_cannot_be_divided_is_refused():
    with pytest.raises(ValueError, match="6 classes"):
        unseen_classes.divide(dataset(5), unseen=0.5, seed=0)
    for share in (0, 1, -0.5):
        with pytest.raises(ValueError, match="--unseen"):
            unseen_classes.divide(dataset(), unseen=share, seed=0)
    import dataclasses

    several = dataset()
    task = dataclasses.replace(several.task, target=MultiLabel(("a", "b")))
    with pytest.raises(ValueError, match="one class each"):
        unseen_classes.divide(dataclasses.replace(several, task=task), unseen=0.5, seed=0)
