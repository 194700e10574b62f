"""Fashion-MNIST: 70,000 pictures of clothes, 28x28 grey, ten kinds (Xiao, Rasul & Vollgraf 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from kerastl import types
from kerastl.data import archive, splits
from kerastl.inputs import array_file
from kerastl.inputs.image import Image
from kerastl.system import downloads
from kerastl.tasks.single_label import SingleLabel

TASK = types.Task(
    "fashion_mnist",
    Image((28, 28, 1)),
    SingleLabel(
        ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
    ),
)


def _from_idx(files: Mapping[str, Path]) -> dict[str, np.ndarray]:
    arrays = {}
    for split, prefix in (("train", "train"), ("test", "t10k")):
        arrays[f"{split}_inputs"] = array_file.read_idx(files[f"{prefix}-images-idx3-ubyte.gz"])[..., None]
        arrays[f"{split}_labels"] = array_file.read_idx(files[f"{prefix}-labels-idx1-ubyte.gz"]).astype(np.int32)
    return arrays


_HUB = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
_FOLDER = "usr/share/datasets/fashion-mnist/"

SOURCE = archive.Source(
    name="fashion_mnist",
    ways=(
        downloads.Hub(
            {
                # The files of keras.datasets.fashion_mnist, with the digests published for them by their makers.
                _HUB + "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                _HUB + "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                _HUB + "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                _HUB + "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            },
            decode=_from_idx,
        ),
        downloads.Package(
            registry="debian",
            name="dataset-fashion-mnist",
            version="0.0~git20200523.55506a9-1",
            sha256="39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
            members={
                # The same pictures, compressed anew by the packager: other digests.
                _FOLDER
                + "t10k-images-idx3-ubyte.gz": "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
                _FOLDER
                + "t10k-labels-idx1-ubyte.gz": "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
                _FOLDER
                + "train-images-idx3-ubyte.gz": "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
                _FOLDER
                + "train-labels-idx1-ubyte.gz": "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
            },
            decode=_from_idx,
        ),
    ),
    sha256="c16f8364d1a74b459aee8bb9b82edc634006270654d61d3cc8490130351c6b0d",
)


def fetch() -> Path:
    """Gets Fashion-MNIST into the cache; the path of its one file. Raises as `archive.fetch`."""
    return archive.fetch(SOURCE)


def load(*, seed: int = 0, validation: int | float = 5000, limit: int | None = None) -> types.Dataset:
    """Fashion-MNIST in three splits: 55,000 train, 5,000 validation and the published 10,000 test examples.

    Args:
        seed: decides which examples validate, and the order.
        validation: how many (int), or what share (float), of the 60,000 training examples validate.
        limit: keeps so many training examples, and the other splits in proportion, for a smoke run.

    Returns:
        Inputs uint8 ``(examples, 28, 28, 1)``, 0 background; labels int32.

    Raises:
        FileNotFoundError: not cached and no source could be reached.
        ValueError: no such split can be made.
    """
    arrays = archive.read(SOURCE)
    return splits.dataset(TASK, arrays, seed=seed, validation=validation, limit=limit, source="fashion_mnist")
