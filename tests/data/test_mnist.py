"""The real thing: 70,000 digits."""

from __future__ import annotations

import time
from collections import Counter

import numpy as np
import pytest

from kerastl import types
from kerastl.data import archive, mnist, splits
from kerastl.inputs.image import Image
from kerastl.tasks.single_label import SingleLabel

# Published by LeCun et al., and in every description of the data set.
TRAIN_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
TEST_COUNTS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    return archive.read(mnist.SOURCE)


def test_it_is_the_published_data_set(arrays):
    assert arrays["train_inputs"].shape == (60_000, 28, 28, 1)
    assert arrays["test_inputs"].shape == (10_000, 28, 28, 1)
    assert {array.dtype.name for array in arrays.values()} == {"uint8", "int32"}
    assert np.bincount(arrays["train_labels"]).tolist() == TRAIN_COUNTS
    assert np.bincount(arrays["test_labels"]).tolist() == TEST_COUNTS
    assert arrays["train_labels"][:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    # The mean and deviation that every tutorial normalizes with.
    assert np.round(arrays["train_inputs"].mean(dtype=np.float64) / 255, 4) == 0.1307
    assert np.round(arrays["train_inputs"].std(dtype=np.float64) / 255, 4) == 0.3081
    assert archive.digest(arrays) == mnist.SOURCE.sha256


def test_splits_are_disjoint_complete_and_stratified(arrays):
    made = mnist.load()
    assert [len(split) for split in (made.train, made.validation, made.test)] == [55_000, 5_000, 10_000]

    def rows(inputs, labels):
        return Counter(zip((row.tobytes() for row in inputs), labels.tolist(), strict=True))

    parts = rows(made.train.inputs, made.train.labels) + rows(made.validation.inputs, made.validation.labels)
    assert parts == rows(arrays["train_inputs"], arrays["train_labels"])
    assert rows(made.test.inputs, made.test.labels) == rows(arrays["test_inputs"], arrays["test_labels"])
    exact = np.array(TRAIN_COUNTS) / 12
    assert np.abs(np.bincount(made.validation.labels) - exact).max() <= 1
    # Pinned: the same on every machine.
    assert made.digest == splits.digest(made.train, made.validation, made.test)
    assert made.digest == "e8839ee5e6fbb3a50bb377a672603c13b9bb9e3ad231d2ae7739265b2837f06c"


def test_second_load_takes_less_than_a_second():
    mnist.fetch()
    took = []
    for _ in range(3):
        began = time.monotonic()
        mnist.load()
        took.append(time.monotonic() - began)
    assert min(took) < 1.0


def test_hub_file_and_registry_file_decode_to_the_same_arrays(arrays, tmp_path):
    import pyarrow
    import pyarrow.parquet

    few = {name: array[:3] if name.startswith("test") else array for name, array in arrays.items()}
    pixels = np.concatenate([few["train_inputs"], few["test_inputs"]]).reshape(-1, 784)
    labels = np.concatenate([few["train_labels"], few["test_labels"]])
    columns = {str(pixel): pixels[:, pixel] for pixel in range(784)} | {"label": labels.astype(np.uint8)}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "mnist.parquet", compression="none")
    np.savez(
        tmp_path / "mnist.npz",
        x_train=few["train_inputs"][..., 0],
        y_train=few["train_labels"].astype(np.uint8),
        x_test=few["test_inputs"][..., 0],
        y_test=few["test_labels"].astype(np.uint8),
    )
    hub, package = mnist.SOURCE.ways
    for way in (hub, package):
        made = way.decode({path.name: path for path in tmp_path.iterdir()})
        assert archive.digest(made) == archive.digest(few)


def test_task():
    assert types.Task("mnist", Image((28, 28, 1)), SingleLabel(tuple("0123456789"))) == mnist.TASK
