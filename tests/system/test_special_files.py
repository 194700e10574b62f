"""A pipe or a device in a file's place is refused before it is opened: each of these would wait for ever."""

import os
import socket
from pathlib import Path

import pytest

from kerastl.data import arrays, audit, facts, image_folder, loading, parquet_table
from kerastl.data.reading import PictureReading
from kerastl.inputs import pictures, wordpiece
from kerastl.system import special_files


def test_files_folders_and_nothing_pass(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    for name in (".", "file", "link", "nothing"):
        special_files.refuse(tmp_path / name)


def test_what_is_refused_is_named(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for path, kind in ((tmp_path / "pipe", "a pipe"), (tmp_path / "link", "a pipe"), (Path(os.devnull), "a device")):
        with pytest.raises(ValueError, match=f"Received: {path}, {kind}"):
            special_files.refuse(path)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        with pytest.raises(ValueError, match="a socket"):
            special_files.refuse(tmp_path / "socket")


@pytest.mark.parametrize("name", ["some", "some.csv", "some.npz", "some.npy", "some.zip", "some.parquet", "some.jsonl"])
def test_no_loader_opens_one(tmp_path, name):
    path = tmp_path / name
    os.mkfifo(path)
    for load in (
        lambda: audit.audit(path),
        lambda: facts.summarize(path),
        lambda: arrays.load(path),
        lambda: image_folder.load(path, size=(8, 8)),
        lambda: loading.pictures(str(path), size=(8, 8), reading=PictureReading()),
        lambda: wordpiece.Tokenizer.from_file(path),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=r"a pipe|There is no"):
            load()
    assert parquet_table.files(tmp_path) == []


def test_a_table_that_names_one_is_refused(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    (tmp_path / "table.csv").write_text("path,label\n" + "".join(f"a.png,x\nb{n}.png,y\n" for n in range(3)))
    with pytest.raises(pictures.PictureError, match="no file"):
        pictures.read(tmp_path / "a.png")
    facts.summarize(tmp_path / "table.csv")
    assert any("no file" in one.what for one in audit.audit(tmp_path / "table.csv"))
