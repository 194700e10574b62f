from __future__ import annotations

import gzip
import io
import json

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from kerastl.data import arrays


def made(count: int = 60, classes: int = 3, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Pictures whose first pixel is their label, so that a pair that was torn apart shows."""
    pictures = np.random.default_rng(seed).integers(0, 256, (count, 6, 5), np.uint8)
    labels = np.arange(count) % classes
    pictures[:, 0, 0] = labels
    return pictures, labels


def hold_together(dataset):
    """Every input stands beside its own label; how many examples each split has."""
    for split in (dataset.train, dataset.validation, dataset.test):
        np.testing.assert_array_equal(split.inputs[:, 0, 0, 0], split.labels)
    return [len(split) for split in (dataset.train, dataset.validation, dataset.test)]


def test_one_pair_is_split_in_three_and_loads_again(tmp_path):
    inputs, labels = made()
    np.savez(tmp_path / "set.npz", x=inputs, y=labels)
    dataset = arrays.load(tmp_path / "set.npz", validation=9, test=6)
    assert dataset.task.class_names == ("0", "1", "2")
    assert dataset.task.input_shape == (6, 5, 1)
    assert hold_together(dataset) == [45, 9, 6]
    assert arrays.load(**dataset.arguments).digest == dataset.digest
    assert arrays.load(tmp_path / "set.npz", validation=9, test=6, seed=1).digest != dataset.digest


def test_splits_by_name_stay_and_columns_of_labels_are_taken(tmp_path):
    inputs, labels = made()
    np.savez(
        tmp_path / "set.npz",
        x_train=inputs[:40],
        y_train=labels[:40, None],
        x_test=inputs[40:],
        y_test=labels[40:, None],
    )
    dataset = arrays.load(tmp_path / "set.npz", validation=10, class_names=["cat", "dog", "emu"])
    assert hold_together(dataset) == [30, 10, 20]
    assert dataset.task.class_names == ("cat", "dog", "emu")
    assert sorted(dataset.test.inputs.reshape(20, -1).tolist()) == sorted(inputs[40:].reshape(20, -1).tolist())


def test_npy_files_beside_each_other_and_idx(tmp_path):
    inputs, labels = made()
    for name, part in (("train", slice(0, 40)), ("val", slice(40, 50)), ("test", slice(50, 60))):
        np.save(tmp_path / f"{name}-images.npy", inputs[part].astype(np.float32) / 255)
        np.save(tmp_path / f"{name}-labels.npy", np.array(["cat", "dog", "emu"])[labels[part]])
    dataset = arrays.load(tmp_path / "train-images.npy")
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [40, 10, 10]
    assert dataset.task == arrays.load(tmp_path).task.__class__("train-images", ("cat", "dog", "emu"), (6, 5))
    (tmp_path / "idx").mkdir()
    for part, array, header in (("images-idx3", inputs, (60, 6, 5)), ("labels-idx1", labels, (60,))):
        content = bytes([0, 0, 8, len(header)]) + b"".join(size.to_bytes(4, "big") for size in header)
        (tmp_path / "idx" / f"train-{part}-ubyte.gz").write_bytes(
            gzip.compress(content + array.astype(np.uint8).tobytes())
        )
    assert hold_together(arrays.load(tmp_path / "idx", validation=9, test=6)) == [45, 9, 6]


def png(picture):
    memory = io.BytesIO()
    Image.fromarray(np.repeat(picture[..., None], 3, -1)).save(memory, "PNG")
    return memory.getvalue()


def test_parquet_as_the_hub_has_it(tmp_path):
    """Pictures as bytes, names of the classes in the metadata, a file a split; every pixel is that of the picture."""
    inputs, labels = made()
    hub = {"info": {"features": {"label": {"names": ["cat", "dog", "emu"], "_type": "ClassLabel"}}}}
    for name, part in (("train", slice(0, 40)), ("test", slice(40, 60))):
        images = [{"bytes": png(picture), "path": None} for picture in inputs[part]]
        table = pyarrow.table({"image": images, "label": labels[part]})
        table = table.replace_schema_metadata({"huggingface": json.dumps(hub)})
        pyarrow.parquet.write_table(table, tmp_path / f"{name}-00000-of-00001.parquet")
    dataset = arrays.load(tmp_path, validation=10)
    assert dataset.task.class_names == ("cat", "dog", "emu")
    assert dataset.task.input_shape == (6, 5, 3)
    assert hold_together(dataset) == [30, 10, 20]
    assert arrays.load(**dataset.arguments).digest == dataset.digest
    assert arrays.load(tmp_path, size=(12, 10), channels=1).task.input_shape == (12, 10, 1)


def test_parquet_of_numbers_and_words_with_a_column_of_splits(tmp_path):
    features = np.random.default_rng(0).normal(size=(30, 4))
    table = pyarrow.table(
        {
            "x": list(features),
            "kind": [f"class {index % 2 * 9 + 1}" for index in range(30)],
            "part": ["train"] * 20 + ["Test"] * 10,
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "set.parquet")
    dataset = arrays.load(
        tmp_path / "set.parquet", input_column="x", label_column="kind", split_column="part", validation=5
    )
    assert dataset.task.class_names == ("class 1", "class 10")
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [15, 5, 10]
    rows = {tuple(row): index % 2 for index, row in enumerate(features.tolist())}
    for split in (dataset.train, dataset.validation, dataset.test):
        assert [rows[tuple(row)] for row in split.inputs.tolist()] == split.labels.tolist()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"y": np.arange(60) % 3 + 0.5}, "class indices or words. Received: float64"),
        ({"y": np.arange(59) % 3}, "59 labels for 60 inputs"),
        ({"y": np.arange(60) % 3 - 1}, r"0\.\.1. Received: -1 in train of .*, row 0 \(20 such labels\)"),
        ({"y": np.where(np.arange(60) == 7, 4096, np.arange(60) % 3)}, "Labels reach 4096"),
        ({"y": np.eye(3)[np.arange(60) % 3]}, "class indices or words"),
        ({"x": np.array(["a"] * 60)}, "Wanted inputs"),
        ({"x": np.where(np.arange(300).reshape(60, 5) == 38, np.nan, 1.0)}, "row .*, column 3"),
        ({"x": np.array([{}] * 60, dtype=object)}, "Python objects"),
    ],
)
def test_what_no_training_should_begin_with_is_refused(tmp_path, changes, words):
    inputs, labels = made()
    np.savez(tmp_path / "set.npz", **({"x": inputs, "y": labels} | changes))
    with pytest.raises(ValueError, match=words):
        arrays.load(tmp_path / "set.npz")


def test_files_and_tables_that_hold_no_pairs(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file or folder"):
        arrays.load(tmp_path / "nowhere.npz")
    np.savez(tmp_path / "set.npz", weights=np.zeros(3))
    with pytest.raises(ValueError, match=r"as x_train and y_train. Received: weights"):
        arrays.load(tmp_path / "set.npz")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ValueError, match="or a folder of them"):
        arrays.load(tmp_path / "notes.txt")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and nothing")
    with pytest.raises(ValueError, match="cannot be read"):
        arrays.load(tmp_path / "bad.parquet")
    pyarrow.parquet.write_table(pyarrow.table({"image": [b"<html>"], "label": [0]}), tmp_path / "web.parquet")
    with pytest.raises(ValueError, match="row 0 cannot be read"):
        arrays.load(tmp_path / "web.parquet")
    with pytest.raises(ValueError, match=r"no column kind. Its columns: image, label"):
        arrays.load(tmp_path / "web.parquet", label_column="kind")
    ragged = pyarrow.table({"image": [[1, 2], [3]], "label": [0, 1]})
    pyarrow.parquet.write_table(ragged, tmp_path / "ragged.parquet")
    with pytest.raises(ValueError, match="inputs of one shape"):
        arrays.load(tmp_path / "ragged.parquet")


def test_a_table_larger_than_allowed_is_refused_by_its_header(tmp_path, monkeypatch):
    pyarrow.parquet.write_table(
        pyarrow.table({"image": [[0.0] * 1000] * 100, "label": [0, 1] * 50}), tmp_path / "big.parquet"
    )
    monkeypatch.setattr("kerastl.data.array_file.LARGEST", 200)
    with pytest.raises(ValueError, match="at most 200 bytes"):
        arrays.load(tmp_path / "big.parquet")
