"""Archives of strangers."""

from __future__ import annotations

import io
import stat
import tarfile
import time
import zipfile

import pytest

from kerastl.data import unpack

FILES = {"cats/1.png": b"one", "cats/2.png": b"two", "dogs/a b.png": b"three", "dogs/\u00e4.png": b""}


def make_zip(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items() if isinstance(files, dict) else files:
            archive.writestr(name, content)
    return path


def make_tar(path, files, mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for name, content in files.items() if isinstance(files, dict) else files:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


MAKERS = [make_zip, make_tar]


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("mode", ["zip", "w", "w:gz", "w:bz2", "w:xz"])
def test_whole_archives_land(tmp_path, mode):
    path = tmp_path / "archive"  # told by its contents
    make_zip(path, FILES) if mode == "zip" else make_tar(path, FILES, mode)
    for _ in range(2):  # the second time over the first
        assert contents(unpack.unpack(path, tmp_path / "out")) == FILES
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["archive", "out"]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    "name", ["../outside", "a/../../outside", "/outside", "C:outside", "\\outside", "a\\..\\..\\outside", "a//b"]
)
def test_nothing_leaves_the_folder(tmp_path, make, name):
    path = make(tmp_path / "archive", {"good.png": b"good", name: b"bad"})
    with pytest.raises(unpack.ArchiveError, match="leads out"):
        unpack.unpack(path, tmp_path / "out")
    assert [entry.name for entry in tmp_path.iterdir()] == ["archive"]  # all or nothing


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    "names", [("a.png", "a.png"), ("A.png", "a.png"), ("a/b", "a\\b"), ("\u00e9", "e\u0301"), ("./a", "a")]
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_one_name_comes_once(tmp_path, make, names):
    path = make(tmp_path / "archive", [(name, b"x") for name in names])
    with pytest.raises(unpack.ArchiveError, match="one file on some systems"):
        unpack.unpack(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.BLKTYPE])
def test_links_and_devices_in_tar(tmp_path, kind):
    info = tarfile.TarInfo("thing")
    info.type, info.linkname = kind, "/etc/passwd"
    path = make_tar(tmp_path / "archive", [("good", b"good"), (info, b"")])
    with pytest.raises(unpack.ArchiveError, match=r"holds a (link|device), 'thing'"):
        unpack.unpack(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_links_in_zip(tmp_path):
    info = zipfile.ZipInfo("thing")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = make_zip(tmp_path / "archive", [(info, "/etc/passwd")])
    with pytest.raises(unpack.ArchiveError, match="holds a link"):
        unpack.unpack(path, tmp_path / "out")


@pytest.mark.parametrize("make", MAKERS)
def test_bombs_are_refused_at_once(tmp_path, make):
    path = make(tmp_path / "archive", {"zeros": bytes(300_000_000)})
    assert path.stat().st_size < 500_000
    start = time.perf_counter()
    with pytest.raises(unpack.ArchiveError, match="times its size"):
        unpack.unpack(path, tmp_path / "out")
    assert time.perf_counter() - start < 2
    with pytest.raises(unpack.ArchiveError, match="more than 1,000,000 bytes"):
        unpack.unpack(path, tmp_path / "out", largest=1_000_000)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("make", MAKERS)
def test_archives_inside_are_refused(tmp_path, make):
    path = make(tmp_path / "archive", {"inner.zip": b"PK"})
    with pytest.raises(unpack.ArchiveError, match="holds an archive"):
        unpack.unpack(path, tmp_path / "out")


@pytest.mark.parametrize("make", MAKERS)
def test_damaged_archives(tmp_path, make):
    path = make(tmp_path / "archive", {"a": bytes(range(256)) * 4000})
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"<html>"):
        path.write_bytes(content)
        with pytest.raises(unpack.ArchiveError, match=r"cannot be unpacked|is no zip or tar"):
            unpack.unpack(path, tmp_path / "out")
        assert not (tmp_path / "out").exists()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    path.write_bytes(flipped)
    with pytest.raises(unpack.ArchiveError):
        unpack.unpack(path, tmp_path / "out")
    assert [entry.name for entry in tmp_path.iterdir()] == ["archive"]


def test_a_missing_archive_is_an_ordinary_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        unpack.unpack(tmp_path / "nowhere", tmp_path / "out")
