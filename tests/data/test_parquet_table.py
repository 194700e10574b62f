"""Labels of several classes in parquet files; what these hold otherwise is in test_arrays.py."""

from __future__ import annotations

import json

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from kerastl.data import arrays, audit, facts, parquet_table
from kerastl.tasks.multi_label import MultiLabel

NAMES = ("class 2", "class 10", "zebra")


def sets(count: int = 48) -> np.ndarray:
    return ((np.arange(count)[:, None] >> np.arange(3)) & 1).astype(np.uint8)


def written(path, *, names=(), **columns):
    made = pyarrow.table(columns)
    if names:
        feature = {"names": list(names), "_type": "ClassLabel"}
        hub = {"info": {"features": {"label": {"feature": feature, "_type": "List"}}}}
        made = made.replace_schema_metadata({"huggingface": json.dumps(hub)})
    pyarrow.parquet.write_table(made, path)
    return path


def every_way(folder):
    """The same sets, written down in every way: path, arguments, and the names that come out."""
    labels = sets()
    rows = [[float(number), *map(float, row)] for number, row in enumerate(labels.tolist())]
    words = [[NAMES[index] for index in np.flatnonzero(row)[::-1]] for row in labels]
    indices = [np.flatnonzero(row).tolist() for row in labels]
    columns = {name: labels[:, index] for index, name in enumerate(NAMES)}
    flags = {name: column.astype(bool) for name, column in columns.items()}
    return [
        (written(folder / "words.parquet", image=rows, label=words), {}, NAMES),
        (written(folder / "hub.parquet", image=rows, label=indices, names=NAMES), {}, NAMES),
        (written(folder / "indices.parquet", image=rows, label=indices), {}, ("0", "1", "2")),
        (written(folder / "named.parquet", image=rows, label=indices), {"class_names": NAMES}, NAMES),
        (written(folder / "columns.parquet", image=rows, **columns), {"label_columns": NAMES[::-1]}, NAMES),
        (written(folder / "flags.parquet", image=rows, **flags), {"label_columns": NAMES}, NAMES),
    ]


def test_lists_and_columns_say_which_classes_are_there(tmp_path):
    digests = set()
    for path, how, names in every_way(tmp_path):
        dataset = arrays.load(path, validation=8, test=8, **how)
        assert isinstance(dataset.task.target, MultiLabel)
        assert dataset.task.target.names == names, path
        for split, count in ((dataset.train, 32), (dataset.validation, 8), (dataset.test, 8)):
            assert len(split) == count
            np.testing.assert_array_equal(split.inputs[:, 1:], split.labels)
        assert arrays.load(**json.loads(json.dumps(dict(dataset.arguments)))).digest == dataset.digest
        digests.add(dataset.digest)
    assert len(digests) == 1
    path, _, _ = every_way(tmp_path)[0]
    dataset = arrays.load(path, class_names=NAMES[::-1])
    np.testing.assert_array_equal(dataset.train.inputs[:, 1:], dataset.train.labels[:, ::-1])
    with pytest.raises(ValueError, match="lacking"):
        arrays.load(path, class_names=("class 2", "class 10", "horse"))


def test_what_is_wrong_with_a_label_is_said_by_row(tmp_path):
    path = written(tmp_path / "a.parquet", image=[[0.0]] * 5, label=[[0, 1], [1, 0, 0], [-1], None, []])
    _, labels, _, problems, _ = parquet_table.read([path])
    assert labels["train"].tolist() == [[1, 1], [0, 0]]
    twice = "a class more than once under label: a list names the classes that are there"
    assert [problem.split(": ", 1)[1] for problem in problems] == [
        twice,
        "a list under label of neither words nor class indices: [-1]",
        "nothing under label",
    ]
    hub = written(tmp_path / "hub.parquet", image=[[0.0]] * 2, label=[[0, 1], [2]], names=("a", "b"))
    assert "row 1: a list under label of neither" in parquet_table.read([hub])[3][0]
    path = written(tmp_path / "b.parquet", image=[[0.0]] * 3, a=[0, 2, 1], b=[1, 1, None])
    _, labels, names, problems, _ = parquet_table.read([path], label_columns=["b", "a"])
    assert (labels["train"].tolist(), names) == ([[0, 1]], ("a", "b"))
    assert [problem.split(": ", 1)[1] for problem in problems] == [
        "2 under a, where 0 or 1 is wanted",
        "None under b, where 0 or 1 is wanted",
    ]
    for name, label, words in (
        ("slip", [[0], [1], [4096]], "highest index is 4096"),
        ("one", [["a"], [], ["a"]], "two classes at least.*one class only, .a.*in lists"),
        ("none", [pyarrow.scalar([], pyarrow.list_(pyarrow.string()))] * 2, "Received: no class, in lists"),
    ):
        path = written(tmp_path / f"{name}.parquet", image=[[0.0]] * len(label), label=pyarrow.array(label))
        with pytest.raises(ValueError, match=words):
            parquet_table.read([path])
    (tmp_path / "both").mkdir()
    written(tmp_path / "both" / "test-0.parquet", image=[[0.0]], label=["a"])
    written(tmp_path / "both" / "train-0.parquet", image=[[0.0]] * 2, label=[["a"], ["b"]])
    with pytest.raises(ValueError, match="labels of one kind are wanted, no lists as before"):
        arrays.load(tmp_path / "both")
    written(tmp_path / "both" / "test-0.parquet", image=[[0.0]], label=[[0]])
    with pytest.raises(ValueError, match=r"lists of words or of class indices. Received: both"):
        arrays.load(tmp_path / "both")
    with pytest.raises(ValueError, match="has no column c"):
        arrays.load(tmp_path / "b.parquet", label_columns=["a", "c"])


def test_sets_are_audited_and_counted(tmp_path):
    labels = sets()
    pictures = np.random.default_rng(0).integers(0, 256, (48, 20, 20), np.uint8)
    np.savez(tmp_path / "set.npz", x_train=pictures[:32], y_train=labels[:32], x_test=pictures[32:], y_test=labels[32:])
    assert audit.audit(tmp_path / "set.npz", near=False) == []
    found = facts.summarize(tmp_path / "set.npz")[:5]
    assert found == ("pictures", {"0": 24, "1": 24, "2": 24}, 20, True, 48)
    pictures[40], labels[33:, 2] = pictures[1], 0
    labels[32] = [0, 1, 0]
    np.savez(tmp_path / "set.npz", x_train=pictures[:32], y_train=labels[:32], x_test=pictures[32:], y_test=labels[32:])
    said = {(one.severity, one.where, one.what) for one in audit.audit(tmp_path / "set.npz", near=False)}
    assert ("error", "y_test", "no example of class 2") in said
    assert any(where == "labels" and "((1, 0, 0))" in what and "((0, 0, 0))" in what for _, where, what in said)
    labels[3, 1] = 7
    np.savez(tmp_path / "set.npz", x=pictures, y=labels)
    said = [one.what for one in audit.audit(tmp_path / "set.npz", near=False)]
    assert "1 number other than 0 and 1 where each class is there or not, first in row 3" in said
    for path, how, _ in every_way(tmp_path):
        columns = {"label_columns": how["label_columns"]} if "label_columns" in how else {}
        assert audit.audit(path, **columns) == []
    rare = written(tmp_path / "rare.parquet", image=[[0.0], [1.0]], a=[0, 1], b=[1, 0], c=[0, 0])
    found = audit.audit(rare, label_columns=["a", "b", "c"])
    assert [(one.where, one.what) for one in found] == [("train_labels", "no example of class c")]
    with pytest.raises(ValueError, match=r"parquet files. Received: {'label_columns': "):
        audit.audit(tmp_path / "set.npz", label_columns=["a", "b"])
