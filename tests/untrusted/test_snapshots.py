from __future__ import annotations

import os

import pytest

from kerastl.untrusted import snapshots


def test_a_copy_is_there_for_the_block_and_does_not_follow_the_original(tmp_path):
    folder = tmp_path / "model"
    (folder / "inside").mkdir(parents=True)
    (folder / "inside" / "file").write_text("before")
    for path, inner in ((folder, "inside/file"), (folder / "inside" / "file", "")):
        (folder / "inside" / "file").write_text("before")
        with snapshots.of(path) as copy:
            (folder / "inside" / "file").write_text("after")
            assert copy.name == path.name
            assert (copy / inner if inner else copy).read_text() == "before"
        assert not copy.exists()
    with pytest.raises(FileNotFoundError), snapshots.of(tmp_path / "none"):
        pass


def test_links_and_devices_are_not_copied(tmp_path):
    (tmp_path / "secret").write_text("x")
    for name, make in (("link", lambda path: path.symlink_to(tmp_path / "secret")), ("pipe", os.mkfifo)):
        folder = tmp_path / f"with {name}"
        folder.mkdir()
        make(folder / name)
        with pytest.raises(snapshots.SnapshotError, match=f"{name} is a link or a device"), snapshots.of(folder):
            pass


def test_a_link_to_a_device_is_not_copied(tmp_path):
    (tmp_path / "model.keras").symlink_to("/dev/null")
    with (
        pytest.raises(snapshots.SnapshotError, match="neither a file nor a folder"),
        snapshots.of(tmp_path / "model.keras"),
    ):
        pass
