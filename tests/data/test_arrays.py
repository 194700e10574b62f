from __future__ import annotations

import gzip
import io
import json
import math
import time
import tracemalloc

import numpy as np
import PIL.Image
import pyarrow
import pyarrow.parquet
import pytest

from kerastl.data import arrays, audit, facts
from kerastl.inputs.image import Image
from kerastl.inputs.numbers import Numbers
from kerastl.tasks.multi_label import MultiLabel
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Task


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
    assert dataset.task.target.names == ("0", "1", "2")
    assert dataset.task.inputs.shape == (6, 5, 1)
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
    assert dataset.task.target.names == ("cat", "dog", "emu")
    assert sorted(dataset.test.inputs.reshape(20, -1).tolist()) == sorted(inputs[40:].reshape(20, -1).tolist())


def test_npy_files_beside_each_other_and_idx(tmp_path):
    inputs, labels = made()
    for name, part in (("train", slice(0, 40)), ("val", slice(40, 50)), ("test", slice(50, 60))):
        np.save(tmp_path / f"{name}-images.npy", inputs[part].astype(np.float32) / 255)
        np.save(tmp_path / f"{name}-labels.npy", np.array(["cat", "dog", "emu"])[labels[part]])
    dataset = arrays.load(tmp_path / "train-images.npy")
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [40, 10, 10]
    assert dataset.task == Task("train-images", Numbers((6, 5)), SingleLabel(("cat", "dog", "emu")))
    (tmp_path / "idx").mkdir()
    for part, array, header in (("images-idx3", inputs, (60, 6, 5)), ("labels-idx1", labels, (60,))):
        content = bytes([0, 0, 8, len(header)]) + b"".join(size.to_bytes(4, "big") for size in header)
        (tmp_path / "idx" / f"train-{part}-ubyte.gz").write_bytes(
            gzip.compress(content + array.astype(np.uint8).tobytes())
        )
    assert hold_together(arrays.load(tmp_path / "idx", validation=9, test=6)) == [45, 9, 6]


def png(picture):
    memory = io.BytesIO()
    PIL.Image.fromarray(np.repeat(picture[..., None], 3, -1)).save(memory, "PNG")
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
    assert dataset.task.target.names == ("cat", "dog", "emu")
    assert dataset.task.inputs.shape == (6, 5, 3)
    assert hold_together(dataset) == [30, 10, 20]
    assert arrays.load(**dataset.arguments).digest == dataset.digest
    assert arrays.load(tmp_path, size=(12, 10), channels=1).task.inputs.shape == (12, 10, 1)


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
    assert dataset.task.target.names == ("class 1", "class 10")
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [15, 5, 10]
    rows = {tuple(row): index % 2 for index, row in enumerate(features.tolist())}
    for split in (dataset.train, dataset.validation, dataset.test):
        assert [rows[tuple(row)] for row in split.inputs.tolist()] == split.labels.tolist()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"y": np.arange(60) % 3 + 0.5}, r"class indices or words. Received: float64 .*, 0.5 in row 0 of train"),
        ({"y": np.where(np.arange(60) == 7, np.nan, 1.0)}, r"row 7 of train: no label$"),
        ({"y": np.where(np.arange(60) == 7, np.inf, 1.0)}, r"row 7 of train: the label inf$"),
        ({"x": np.zeros((0, 5)), "y": np.zeros(0, int)}, "Wanted examples to train on. Received: none"),
        ({"y": np.arange(59) % 3}, "59 labels for 60 inputs"),
        (
            {"y": np.arange(60) % 3 - 1},
            r"20 parts of .* cannot be used; policy='skip' leaves .*\n  row 0 of train: the label -1\n",
        ),
        ({"y": np.where(np.arange(60) == 7, 4096, np.arange(60) % 3)}, "Labels reach 4096"),
        ({"y": np.eye(3)[np.arange(60) % 3]}, "class indices or words"),
        ({"x": np.array(["a"] * 60)}, "Wanted inputs"),
        (
            {"x": np.where(np.arange(300).reshape(60, 5) == 38, np.nan, 1.0)},
            r"1 part of .*\n  row 7 of train: nan in column 3$",
        ),
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
    with pytest.raises(ValueError, match=r"web\.parquet, row 0: unreadable picture"):
        arrays.load(tmp_path / "web.parquet")
    with pytest.raises(ValueError, match=r"no column kind. Its columns: image, label"):
        arrays.load(tmp_path / "web.parquet", label_column="kind")
    ragged = pyarrow.table({"image": [[1, 2], [3]], "label": [0, 1]})
    pyarrow.parquet.write_table(ragged, tmp_path / "ragged.parquet")
    with pytest.raises(ValueError, match=r"row 1: inputs of one shape are wanted, \(2,\) as before; received \(1,\)"):
        arrays.load(tmp_path / "ragged.parquet")


def test_a_table_larger_than_allowed_is_refused_by_its_header(tmp_path, monkeypatch):
    pyarrow.parquet.write_table(
        pyarrow.table({"image": [[0.0] * 1000] * 100, "label": [0, 1] * 50}), tmp_path / "big.parquet"
    )
    monkeypatch.setattr("kerastl.inputs.array_file.LARGEST", 200)
    with pytest.raises(ValueError, match="at most 200 bytes"):
        arrays.load(tmp_path / "big.parquet")


def table(path, **columns):
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    return path


def test_everything_wrong_with_a_table_is_said_at_once_by_row_and_column(tmp_path):
    inputs = [[float(number), 1.0] for number in range(30)]
    inputs[3], inputs[5], inputs[7], inputs[9] = [3.0, math.nan], [5.0, None], [7.0], None
    labels = [str(number % 2) for number in range(30)]
    labels[11] = None
    parts = ["dev" if number == 13 else "train" for number in range(29)] + ["tomorrow"]
    path = table(tmp_path / "set.parquet", image=inputs, label=labels, split=parts)
    wrong = (
        "row 3: nan under image, column 1",
        "row 5: no list of numbers under image but object of shape (2,)",
        "row 7: inputs of one shape are wanted, (2,) as before; received (1,)",
        "row 9: nothing under image",
        "row 11: nothing under label",
        "row 29: the split 'tomorrow' under split, which is none of train, validation, test",
    )
    with pytest.raises(ValueError, match=r"6 parts of .* cannot be used") as caught:
        arrays.load(path)
    assert [line.strip() for line in str(caught.value).splitlines()[1:]] == [f"set.parquet, {words}" for words in wrong]
    found = audit.audit(path)
    assert {f"{one.where}: {one.what}" for one in found} >= {f"set.parquet, {words}" for words in wrong}
    floats = table(tmp_path / "floats.parquet", image=[[0.0, 1.0]] * 2, label=[0.0, 1.0])
    with pytest.raises(
        ValueError, match=r"row 0: the label 0\.0 under label, which is neither a class index nor a word"
    ):
        arrays.load(floats)


def test_a_table_is_audited_as_other_arrays_are(tmp_path):
    inputs, labels = made()
    images, words = [png(picture) for picture in inputs], np.array(["cat", "dog", "emu"])[labels]
    parts = ["train"] * 40 + ["test"] * 20
    assert audit.audit(table(tmp_path / "set.parquet", image=images, label=words, split=parts)) == []
    leak = table(tmp_path / "leak.parquet", image=[*images[:-1], images[0]], label=words, split=parts)
    assert any("train" in one.what and one.severity == "error" for one in audit.audit(leak))
    (found,) = audit.audit(table(tmp_path / "other.parquet", picture=images, label=words))
    assert "has no column image" in found.what


def test_tables_that_unpack_to_far_more_than_they_hold_are_refused(tmp_path):
    """A value stands in the file once and in a hundred thousand rows; so does a row of nothing at all."""
    rows = np.zeros(20_000, np.int32)
    value = pyarrow.DictionaryArray.from_arrays(
        pyarrow.array(rows), pyarrow.array([bytes(1_000_000)], pyarrow.binary())
    )
    bomb = table(tmp_path / "value.parquet", image=value, label=rows)
    tracemalloc.start()
    start = time.process_time()
    with pytest.raises(ValueError, match="unpacks to more than 200 times as many"):
        arrays.load(bomb)
    with pytest.raises(ValueError, match="declares 5,000,000 rows"):
        arrays.load(table(tmp_path / "rows.parquet", image=np.zeros(5_000_000, int), label=np.zeros(5_000_000, int)))
    assert time.process_time() - start < 2
    assert tracemalloc.get_traced_memory()[1] < 200_000_000
    tracemalloc.stop()
    assert "unpacks to more" in audit.audit(bomb)[0].what


def of_sets(count: int = 60, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Pictures whose first pixels are their classes, 0 and 1 for each of three; some have none, some all."""
    pictures = np.random.default_rng(seed).integers(0, 256, (count, 6, 5), np.uint8)
    labels = (np.arange(count)[:, None] >> np.arange(3)) & 1
    pictures[:, 0, :3] = labels
    return pictures, labels


def sets_hold_together(dataset):
    assert isinstance(dataset.task.target, MultiLabel)
    for split in (dataset.train, dataset.validation, dataset.test):
        assert split.labels.dtype == np.uint8
        np.testing.assert_array_equal(split.inputs[:, 0, :3, 0], split.labels)
        assert (split.labels.sum(0) > 0).all()
    return [len(split) for split in (dataset.train, dataset.validation, dataset.test)]


def test_an_array_of_0_and_1_says_which_of_several_classes_are_there(tmp_path):
    inputs, labels = of_sets()
    digests = set()
    for kind in (np.int64, np.uint8, bool):
        np.savez(tmp_path / "set.npz", x=inputs, y=labels.astype(kind))
        dataset = arrays.load(tmp_path / "set.npz", validation=9, test=6, class_names=["a", "b", "c"])
        assert sets_hold_together(dataset) == [45, 9, 6]
        assert dataset.task.target.names == ("a", "b", "c")
        assert arrays.load(**json.loads(json.dumps(dict(dataset.arguments)))).digest == dataset.digest
        digests.add(dataset.digest)
    assert len(digests) == 1
    assert arrays.load(tmp_path / "set.npz").task.target.names == ("0", "1", "2")
    assert sets_hold_together(arrays.load(tmp_path / "set.npz", limit=20))[0] == 20
    parts = {"x_train": inputs[:40], "y_train": labels[:40], "x_test": inputs[40:], "y_test": labels[40:]}
    np.savez(tmp_path / "parts.npz", **parts)
    assert sets_hold_together(arrays.load(tmp_path / "parts.npz", validation=10)) == [30, 10, 20]


def test_three_examples_of_each_of_several_classes_are_enough(tmp_path):
    """So many stay of the first that is taken out that the second has one as well."""
    inputs, labels = of_sets(27)
    labels = np.concatenate([labels, np.zeros((27, 1), int)], 1)
    labels[24:] = [0, 0, 0, 1]
    np.savez(tmp_path / "set.npz", x=inputs, y=labels)
    for seed in range(4):
        dataset = arrays.load(tmp_path / "set.npz", test=0.6, validation=5, seed=seed)
        assert [split.labels[:, 3].sum() for split in (dataset.train, dataset.validation, dataset.test)] == [1, 1, 1]


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (lambda y: np.eye(3, dtype=int)[y.sum(1) % 3], {}, r"one 1 in every row of .*labels\.argmax\(1\)"),
        (
            lambda y: y + (np.arange(60)[:, None] == 7),
            {},
            r"1 part of .*\n  row 7 of train: 2 for class 0, where 0 or 1",
        ),
        (lambda y: y, {"class_names": ["a", "b"]}, "the same classes in all splits.* and 2 names of them"),
        (lambda y: y, {"label_columns": ["a", "b"]}, "Columns of classes are those of a parquet file"),
        (lambda y: y * [1, 1, 0], {}, "Every class|too few examples"),
    ],
)
def test_sets_of_classes_that_are_none(tmp_path, change, options, words):
    inputs, labels = of_sets()
    np.savez(tmp_path / "set.npz", x=inputs, y=change(labels))
    with pytest.raises(ValueError, match=words):
        arrays.load(tmp_path / "set.npz", **options)


def test_rows_that_cannot_be_used_are_skipped_where_that_is_asked_for(tmp_path, capsys):
    inputs, labels = made()
    numbers = np.stack([inputs[:, 0, 0], np.arange(60)], 1).astype(float)  # each row tells its label and its place
    numbers[7, 1] = np.nan
    numbers[9, 1] = -np.inf
    broken = np.where(np.arange(60) == 11, np.nan, labels.astype(float))
    words = np.where(np.arange(60) == 11, " ", np.array(["cat", "dog", "emu"])[labels])
    negative = np.where(np.arange(60) == 11, -1, labels)
    said = {"nan": (broken, "no label"), "word": (words, "no label"), "negative": (negative, "the label -1")}
    for name, (given, what) in said.items():
        np.savez(tmp_path / f"{name}.npz", x=numbers, y=given)
        listed = ["row 7 of train: nan in column 1", "row 9 of train: -inf in column 1", f"row 11 of train: {what}"]
        with pytest.raises(ValueError, match=r"3 parts of .* cannot be used; policy='skip' leaves them out") as caught:
            arrays.load(tmp_path / f"{name}.npz")
        assert sorted(line.strip() for line in str(caught.value).splitlines()[1:]) == sorted(listed)
        dataset = arrays.load(tmp_path / f"{name}.npz", policy="skip", validation=9, test=6)
        printed = capsys.readouterr().err
        assert printed.startswith("kerastl: 3 parts of")
        assert all(f"\n  {line}" in printed for line in listed)
        kept = np.concatenate([split.inputs for split in (dataset.train, dataset.validation, dataset.test)])
        assert sorted(kept[:, 1].astype(int)) == [row for row in range(60) if row not in (7, 9, 11)]
        assert (
            kept[:, 0] == np.concatenate([s.labels for s in (dataset.train, dataset.validation, dataset.test)])
        ).all()
        assert arrays.load(**json.loads(json.dumps(dict(dataset.arguments)))).digest == dataset.digest
    sets = of_sets()[1].astype(float)
    sets[3, 1] = np.nan
    np.savez(tmp_path / "sets.npz", x=inputs, y=sets)
    dataset = arrays.load(tmp_path / "sets.npz", policy="skip")
    assert isinstance(dataset.task.target, MultiLabel)
    assert sum(len(split) for split in (dataset.train, dataset.validation, dataset.test)) == 59
    with pytest.raises(ValueError, match="policy is 'fail' or 'skip'"):
        arrays.load(tmp_path / "sets.npz", policy="ignore")


def test_rows_of_a_table_are_skipped_as_well(tmp_path, capsys):
    inputs = [[float(number % 2), float(number)] for number in range(40)]
    inputs[3], labels = [math.nan, 3.0], [str(number % 2) for number in range(40)]
    labels[5] = " "
    path = table(tmp_path / "set.parquet", image=inputs, label=labels)
    with pytest.raises(ValueError, match=r"2 parts of .*; policy='skip' leaves them out"):
        arrays.load(path)
    dataset = arrays.load(path, policy="skip")
    assert "2 parts of" in (printed := capsys.readouterr().err)
    assert "set.parquet, row 3: nan under image, column 0" in printed
    assert "set.parquet, row 5: nothing under label" in printed
    for split in (dataset.train, dataset.validation, dataset.test):
        np.testing.assert_array_equal(split.inputs[:, 0], split.labels)
        assert not {3.0, 5.0} & set(split.inputs[:, 1].tolist())


def idx(path, array):
    header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


def test_the_four_files_of_mnist_keep_their_test_set(tmp_path):
    inputs, labels = made()
    for name, part in (("train", slice(0, 40)), ("t10k", slice(40, 60))):
        idx(tmp_path / f"{name}-images-idx3-ubyte", inputs[part])
        idx(tmp_path / f"{name}-labels-idx1-ubyte", labels[part])
    dataset = arrays.load(tmp_path, validation=10)
    assert hold_together(dataset) == [30, 10, 20]
    assert {row.tobytes() for row in dataset.test.inputs} == {row.tobytes() for row in inputs[40:]}


def test_sets_that_are_no_split_or_a_second_one_are_named(tmp_path, capsys):
    inputs, labels = made()
    sets = {f"x_{name}": inputs[:20] for name in ("train", "extra", "training")} | {"image_size": np.array(6)}
    sets |= {f"y_{name}": labels[:20] for name in ("train", "extra", "training")}
    np.savez(tmp_path / "set.npz", **sets)
    with pytest.raises(ValueError, match=r"2 parts of .*\n  x_extra and y_extra: 'extra', which is no split") as caught:
        arrays.load(tmp_path / "set.npz")
    assert "'training', of which there is one for train already" in str(caught.value)
    assert sum(hold_together(arrays.load(tmp_path / "set.npz", policy="skip"))) == 20
    assert "x_extra and y_extra" in capsys.readouterr().err


def test_a_test_split_whose_labels_are_held_back_is_no_split(tmp_path, capsys):
    """-1 throughout, as in test sets on the hub: one is made."""
    inputs, labels = made()
    hub = {"info": {"features": {"label": {"names": ["cat", "dog", "emu"], "_type": "ClassLabel"}}}}
    for name, part, given in (("train", slice(0, 40), labels[:40]), ("test", slice(40, 60), np.full(20, -1))):
        table = pyarrow.table({"image": [png(picture) for picture in inputs[part]], "label": given})
        table = table.replace_schema_metadata({"huggingface": json.dumps(hub)})
        pyarrow.parquet.write_table(table, tmp_path / f"{name}-00000-of-00001.parquet")
    dataset = arrays.load(tmp_path, policy="skip", validation=6, test=6)
    assert hold_together(dataset) == [28, 6, 6]
    assert "20 parts of" in capsys.readouterr().err
    assert facts.summarize(tmp_path).counts == {"cat": 14, "dog": 13, "emu": 13}


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train-00000-of-00001", "train"),
        ("mnist_test", "test"),
        ("testset", "test"),
        ("valdata-1", "validation"),
        ("validation_matched-0", "validation"),
        ("values", "train"),
        ("testimonials", "train"),
        ("part-0000", "train"),
    ],
)
def test_the_split_is_a_word_of_the_file_s_name(tmp_path, name, split):
    inputs, labels = made(6)
    table = pyarrow.table({"image": [png(picture) for picture in inputs], "label": labels})
    for file in (name, "train-of-another"):
        pyarrow.parquet.write_table(table, tmp_path / f"{file}.parquet")
    found, *_ = arrays.read(tmp_path)
    assert set(found) == {split, "train"}
    assert len(found[split]) == (12 if split == "train" else 6)


def test_a_single_file_is_no_split_by_a_word_within_its_name(tmp_path):
    """A crash test is what pictures are of; a file that begins with a split is one all the same."""
    inputs, labels = made(6)
    table = pyarrow.table({"image": [png(picture) for picture in inputs], "label": labels})
    for name, split in (("crash_test", "train"), ("test-0", "test")):
        pyarrow.parquet.write_table(table, tmp_path / f"{name}.parquet")
        assert list(arrays.read(tmp_path / f"{name}.parquet")[0]) == [split]


def test_of_a_folder_of_npz_files_one_is_to_be_named(tmp_path):
    inputs, labels = made()
    np.savez(tmp_path / "set.npz", x=inputs, y=labels)
    with pytest.raises(ValueError, match="one has to be named"):
        arrays.load(tmp_path)


def test_each_example_knows_its_row(tmp_path):
    inputs, labels = made()
    np.savez(tmp_path / "set.npz", x_train=inputs, y_train=np.where(np.arange(60) == 7, -1, labels))
    dataset = arrays.load(tmp_path / "set.npz", policy="skip")
    table = pyarrow.table({"image": [png(picture) for picture in inputs], "label": [None, *labels[1:].tolist()]})
    pyarrow.parquet.write_table(table, tmp_path / "set.parquet")
    read = arrays.load(tmp_path / "set.parquet", policy="skip", channels=1)
    for found, name, lost in ((dataset, "x_train", 7), (read, "set.parquet", 0)):
        seen = set()
        for split in (found.train, found.validation, found.test):
            for origin, pixels in zip(split.origins, split.inputs, strict=True):
                assert origin.startswith(f"{name}[")
                row = int(origin[len(name) + 1 : -1])
                np.testing.assert_array_equal(pixels[..., 0], inputs[row])
                seen.add(row)
        assert seen == set(range(60)) - {lost}


@pytest.mark.parametrize(
    ("inputs", "kind"),
    [
        (np.zeros((60, 6, 5), np.uint8), Image((6, 5, 1))),
        (np.zeros((60, 6, 5, 4), np.uint8), Image((6, 5, 4))),
        (np.full((60, 6, 5, 3), 255.0, np.float32), Image((6, 5, 3))),
        (np.full((60, 6, 5, 3), 0.5, np.float32), Numbers((6, 5, 3))),
        (np.full((60, 6, 5, 3), -1, np.int16), Numbers((6, 5, 3))),
        (np.full((60, 6, 5, 3), 256, np.int16), Numbers((6, 5, 3))),
        (np.zeros((60, 6, 5), np.float32), Numbers((6, 5))),
        (np.zeros((60, 7), np.uint8), Numbers((7,))),
        (np.indices((60, 6, 5, 3))[0] % 2, Numbers((6, 5, 3))),  # masks, or of the range 0..1: black as bytes
        ((np.indices((60, 6, 5, 3))[0] % 2).astype(np.uint8), Numbers((6, 5, 3))),
        (np.indices((60, 6, 5, 3))[0] % 2 == 0, Numbers((6, 5, 3))),
        (np.indices((60, 6, 5, 3))[0] % 3, Image((6, 5, 3))),
    ],
)
def test_whole_numbers_of_a_byte_in_three_axes_are_pictures_and_others_numbers(tmp_path, inputs, kind):
    np.savez(tmp_path / "set.npz", x=inputs, y=np.arange(60) % 2)
    assert arrays.load(tmp_path / "set.npz").task.inputs == kind


def test_two_arrays_of_one_part_are_named_and_none_is_left_out_in_silence(tmp_path):
    inputs, labels = made()
    for more, words in (
        ({"images": inputs[::-1]}, "one array of inputs. Received: x and images"),
        ({"target": labels}, "one array of labels. Received: y and target"),
    ):
        np.savez(tmp_path / "set.npz", x=inputs, y=labels, **more)
        with pytest.raises(ValueError, match=words):
            arrays.load(tmp_path / "set.npz")
        (found,) = [one for one in audit.audit(tmp_path / "set.npz") if one.severity == "error"]
        assert words.split(". ")[0] in found.what
    np.savez(tmp_path / "set.npz", x=inputs, y=labels, y_names=np.array(["a", "b"]))
    path = (tmp_path / "set.npz").rename(tmp_path / "SET.NPZ")
    assert len(arrays.load(path).train) < 60
