from __future__ import annotations

import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from kerastl.data import archive, cifar10


def test_it_is_the_published_data_set():
    try:
        arrays = archive.read(cifar10.SOURCE)
    except FileNotFoundError as error:  # its registry needs npm
        pytest.skip(str(error))
    assert np.bincount(arrays["train_labels"]).tolist() == [5000] * 10
    assert np.bincount(arrays["test_labels"]).tolist() == [1000] * 10
    assert arrays["train_labels"][:10].tolist() == [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]  # a frog, two trucks ...
    # The means and deviations of red, green and blue the data set is normalized with everywhere.
    planes = arrays["train_inputs"].reshape(-1, 3)
    assert np.round(planes.mean(0, dtype=np.float64) / 255, 4).tolist() == [0.4914, 0.4822, 0.4465]
    deviation = [planes[:, channel].std(dtype=np.float64) / 255 for channel in range(3)]
    assert np.round(deviation, 4).tolist() == [0.2470, 0.2435, 0.2616]
    assert arrays["train_inputs"].shape == (50_000, *cifar10.TASK.inputs.shape)
    assert arrays["test_inputs"].shape == (10_000, *cifar10.TASK.inputs.shape)
    assert archive.digest(arrays) == cifar10.SOURCE.sha256


def test_records_and_sheets_decode_to_the_same_arrays(tmp_path):
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (6, 2, 32, 32, 3), np.uint8)
    labels = draw.integers(0, 10, (6, 2))
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    with tarfile.open(tmp_path / "cifar-10-binary.tar.gz", "w:gz") as tar:
        for name, batch, answers in zip(names, pixels, labels, strict=True):
            records = [
                bytes([answer]) + one.transpose(2, 0, 1).tobytes() for one, answer in zip(batch, answers, strict=True)
            ]
            data = b"".join(records)
            entry = tarfile.TarInfo(f"cifar-10-batches-bin/{name}.bin")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
            Image.fromarray(batch.reshape(2, 1024, 3)).save(tmp_path / f"{name}.png")
    (tmp_path / "train_lables.json").write_text(json.dumps(labels[:5].ravel().tolist()))
    (tmp_path / "test_lables.json").write_text(json.dumps(labels[5].tolist()))
    files = {path.name: path for path in tmp_path.iterdir()}
    hub, package = (way.decode(files) for way in cifar10.SOURCE.ways)
    assert archive.digest(hub) == archive.digest(package)
    assert (hub["train_inputs"] == pixels[:5].reshape(10, 32, 32, 3)).all()
    assert hub["test_labels"].tolist() == labels[5].tolist()
