"""Clean copies: everything plain comes through a child as it was, and whatever else there is ends in words."""

from __future__ import annotations

import json
import os

import h5py
import numpy as np
import pytest

from kerastl.untrusted import hdf5, hdf5_copy, sandbox


def everything(path) -> dict[str, object]:
    """Groups, arrays and attributes of a file by name."""
    found: dict[str, object] = {}

    def take(name, item):
        found[name] = (item.dtype.str, item[()].tolist()) if isinstance(item, h5py.Dataset) else "group"
        found[f"{name} attributes"] = {key: np.asarray(item.attrs[key]).tolist() for key in item.attrs}

    with h5py.File(path) as file:
        take("/", file)
        file.visititems(take)
    return found


@pytest.fixture
def plain(tmp_path):
    path = tmp_path / "plain.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = '{"a": "é"}'
        file.attrs["layer_names"] = np.array([b"dense", b"conv"])
        file.attrs["words"] = ["one", "two"]
        file.attrs["bytes"] = np.bytes_(b"tensorflow")
        file.attrs["number"], file.attrs["truth"] = 3, True
        file.create_group("empty/inner")
        file.create_dataset("layers/dense/vars/0", data=np.arange(6, dtype="<f4").reshape(2, 3), compression="gzip")
        file["layers/dense/vars/1"] = np.float16(2)
        file["layers/none"] = np.zeros((0, 4), "i8")
        file["layers/raw"] = np.array([b"\x01\x02"], "V2")
        file["layers/dense"].attrs["name"] = "dense"
    return path


def test_everything_plain_comes_back(plain, tmp_path):
    hdf5_copy.inspect(plain)
    hdf5_copy.write(plain, tmp_path / "copy.h5")
    assert everything(tmp_path / "copy.h5") == everything(plain)


def test_what_is_not_plain_is_refused(plain, tmp_path):
    def refused(words):
        with pytest.raises(hdf5.Hdf5Error, match=words):
            hdf5_copy.inspect(plain)
        with pytest.raises(hdf5.Hdf5Error, match=words):
            hdf5_copy.write(plain, tmp_path / "copy.h5")
        (tmp_path / "copy.h5").unlink(missing_ok=True)

    with h5py.File(plain, "a") as file:
        file.attrs["reference"] = file["layers"].ref
    refused("neither numbers nor words")
    with h5py.File(plain, "a") as file:
        del file.attrs["reference"]
        file["link"] = h5py.ExternalLink("/etc/passwd", "/a")
    refused("is a link to")
    plain.write_bytes(os.urandom(1000))
    refused("it is no HDF5 file")


def test_a_file_that_ends_the_child_is_said_in_words(plain, tmp_path, monkeypatch):
    """Whatever the library does with a hostile file, it does it elsewhere."""
    work = "sandbox.serve(lambda *_: os.abort(), memory=memory)"
    (tmp_path / "dies.py").write_text(
        f"import os\nfrom kerastl.untrusted import sandbox\n\ndef main(memory):\n    {work}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    made = sandbox.Sandbox
    monkeypatch.setattr(sandbox, "Sandbox", lambda module, *, memory: made("dies", memory=memory))
    with pytest.raises(hdf5.Hdf5Error, match="SIGABRT"):
        hdf5_copy.inspect(plain)


def test_words_of_a_child_are_not_believed(plain, tmp_path, monkeypatch):
    item = {"name": "/a", "attributes": {}, "dtype": "<f4", "shape": [10]}
    for items, numbers, words in (
        (b"[]x", b"", "no items"),
        (b'[{"name": 1}]', b"", "no items"),
        (json.dumps([item]).encode(), b"short", "was read as 5"),
        (json.dumps([{**item, "dtype": "no"}]).encode(), b"", "no numbers"),
        (json.dumps([{**item, "shape": [-1]}]).encode(), b"", "no numbers"),
    ):
        answers = {"look": ({}, items), "read": ({}, numbers)}
        monkeypatch.setattr(sandbox.Sandbox, "ask", lambda _, asked, *__, a=answers, **___: a[asked["do"]])
        (tmp_path / "copy.h5").unlink(missing_ok=True)
        with pytest.raises(hdf5.Hdf5Error, match=words):
            hdf5_copy.write(plain, tmp_path / "copy.h5")
