from __future__ import annotations

import gzip

import numpy as np
import pytest

from kerastl.data import archive, fashion_mnist
from kerastl.system import downloads


def test_it_is_the_published_data_set():
    try:
        arrays = archive.read(fashion_mnist.SOURCE)
    except FileNotFoundError as error:  # its registry stands on Debian only
        pytest.skip(str(error))
    assert np.bincount(arrays["train_labels"]).tolist() == [6000] * 10
    assert np.bincount(arrays["test_labels"]).tolist() == [1000] * 10
    assert arrays["train_labels"][:5].tolist() == [9, 0, 0, 3, 0]
    # The mean and deviation the data set is normalized with everywhere.
    assert np.round(arrays["train_inputs"].mean(dtype=np.float64) / 255, 4) == 0.2860
    assert np.round(arrays["train_inputs"].std(dtype=np.float64) / 255, 4) == 0.3530
    assert arrays["train_inputs"].shape == (60_000, *fashion_mnist.TASK.inputs.shape)
    assert arrays["test_inputs"].shape == (10_000, *fashion_mnist.TASK.inputs.shape)
    assert archive.digest(arrays) == fashion_mnist.SOURCE.sha256


def test_both_ways_read_the_four_idx_files(tmp_path):
    pixels = np.arange(2 * 28 * 28, dtype=np.uint32).astype(np.uint8).reshape(2, 28, 28)
    for prefix, shift in (("train", 0), ("t10k", 1)):
        header = b"\0\0\x08\x03\0\0\0\x02\0\0\0\x1c\0\0\0\x1c"
        (tmp_path / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + (pixels + shift).tobytes()))
        (tmp_path / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(b"\0\0\x08\x01\0\0\0\x02\x03\x09"))
    files = {path.name: path for path in tmp_path.iterdir()}
    assert len(fashion_mnist.SOURCE.ways) == 2
    for way in fashion_mnist.SOURCE.ways:
        arrays = way.decode(files)
        assert (arrays["train_inputs"][..., 0] == pixels).all()
        assert (arrays["test_inputs"][..., 0] == pixels + 1).all()
        assert arrays["train_labels"].tolist() == arrays["test_labels"].tolist() == [3, 9]
        asked = way.files if isinstance(way, downloads.Hub) else way.members
        assert {address.rsplit("/", 1)[1] for address in asked} == set(files)
