"""What the child says of an HDF5 file: names, shapes and words in JSON, numbers in bytes, or why it says nothing."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest

from kerastl.untrusted import hdf5, hdf5_child


@pytest.fixture
def path(tmp_path):
    with h5py.File(tmp_path / "file.h5", "w") as file:
        file["inner/numbers"] = np.arange(3, dtype="<f4")
        file["inner"].attrs["words"] = ["a", "b"]
        file["inner"].attrs["names"] = np.array([b"x"])
        file["again"] = file["inner"]  # a hard link
        file["inner/up"] = file["/"]
    return tmp_path / "file.h5"


def ask(path, do, **more):
    return hdf5_child.answer({"do": do, "path": str(path), **more}, b"")


def test_items_and_their_numbers(path):
    said, raw = ask(path, "look")
    assert said == {"findings": []}
    items = {item["name"]: item for item in json.loads(raw)}
    (numbers,) = (item for item in items.values() if "shape" in item)
    assert (numbers["dtype"], numbers["shape"]) == ("<f4", [3])
    group = items[numbers["name"].rpartition("/")[0]]
    assert group["attributes"] == {"words": {"texts": ["a", "b"]}, "names": {"dtype": "|S1", "shape": [1]}}
    _, raw = ask(path, "read", name=numbers["name"], attribute=None)
    np.testing.assert_array_equal(np.frombuffer(raw, "<f4"), [0, 1, 2])
    assert ask(path, "read", name=group["name"], attribute="names") == ({}, b"x")


def test_what_is_wrong_comes_in_the_items_place(path):
    with h5py.File(path, "a") as file:
        file["link"] = h5py.SoftLink("/inner")
    said, raw = ask(path, "look")
    assert len(said["findings"]) == 1
    assert raw == b""
    with h5py.File(path, "a") as file:
        del file["link"]
        file["inner"].attrs["pair"] = np.zeros(1, [("a", "i4"), ("b", "i4")])
    with pytest.raises(hdf5.Hdf5Error, match="neither numbers nor words"):
        ask(path, "look")
