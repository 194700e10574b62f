"""Archives of strangers."""

from __future__ import annotations

import contextlib
import gzip
import io
import multiprocessing
import os
import shutil
import stat
import tarfile
import time
import tracemalloc
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
    start = time.process_time()
    with pytest.raises(unpack.ArchiveError, match="times its size"):
        unpack.unpack(path, tmp_path / "out")
    assert time.process_time() - start < 2
    with pytest.raises(unpack.ArchiveError, match="more than 1,000,000 bytes"):
        unpack.unpack(path, tmp_path / "out", largest=1_000_000)
    assert not (tmp_path / "out").exists()


def header(name, size, kind=tarfile.REGTYPE):
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


END = header("good.png", 0) + bytes(1024)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    "content",
    [header("x", 1 << 40, tarfile.XHDTYPE) + END, header("L", 1 << 40, tarfile.GNUTYPE_LONGNAME) + END],
    ids=["attributes", "long name"],
)
def test_a_name_of_a_terabyte_is_refused_without_memory(tmp_path, content, packed):
    path = tmp_path / "archive"
    path.write_bytes(gzip.compress(content + bytes(20_000_000)) if packed else content)
    tracemalloc.start()
    with pytest.raises(unpack.ArchiveError, match="a name of megabytes" if packed else "no zip or tar file"):
        unpack.unpack(path, tmp_path / "out")
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()
    assert [entry.name for entry in tmp_path.iterdir()] == ["archive"]


def test_a_sparse_file_that_reaches_beyond_the_archive_is_refused(tmp_path):
    (tmp_path / "archive").write_bytes(header("s", 1 << 40, tarfile.GNUTYPE_SPARSE) + END)
    with pytest.raises(unpack.ArchiveError, match=r"unexpected end of data|more than"):
        unpack.unpack(tmp_path / "archive", tmp_path / "out")


def test_a_bomb_behind_the_end_of_an_archive_is_refused(tmp_path):
    """A compressed stream is read to its end, for there stands its check sum; tar's own end comes before."""
    path = tmp_path / "archive"
    path.write_bytes(gzip.compress(END + bytes(300_000_000), 9))
    start = time.process_time()
    with pytest.raises(unpack.ArchiveError, match="goes on long after its end"):
        unpack.unpack(path, tmp_path / "out")
    assert time.process_time() - start < 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["archive"]


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


def _load(archive, place, names, wrong):
    try:
        folder = unpack.cached(archive, place)
        for name in names:
            (folder / name).read_bytes()
    except Exception as error:
        wrong.put(repr(error))


def test_several_processes_at_once_unpack_once_and_all_of_them_read(tmp_path):
    names = [f"{number}.png" for number in range(300)]
    archive = make_zip(tmp_path / "set.zip", {name: bytes(200) for name in names})
    context = multiprocessing.get_context("fork")
    for round_ in range(3):
        place, wrong = tmp_path / f"cache{round_}", context.Queue()
        processes = [context.Process(target=_load, args=(archive, place, names, wrong)) for _ in range(5)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
            assert process.exitcode == 0
        assert wrong.empty(), wrong.get()
        assert len(list(place.iterdir())) == 2, "the folder, and the list of its files"


def test_what_was_unpacked_is_checked_whenever_it_is_asked_for(tmp_path, monkeypatch):
    archive = make_zip(tmp_path / "set.zip", FILES)
    folder = unpack.cached(archive, tmp_path / "cache")
    with monkeypatch.context() as patch:
        patch.setattr(unpack, "unpack", lambda *anything: pytest.fail("unpacked twice"))
        assert unpack.cached(archive, tmp_path / "cache") == folder
    for change in (
        lambda: (folder / "cats/1.png").write_bytes(b"other"),
        lambda: (folder / "cats/2.png").unlink(),
        lambda: (folder / "more.png").write_bytes(b"more"),
        lambda: folder.with_suffix(".json").write_text("[]"),
    ):
        change()
        assert contents(unpack.cached(archive, tmp_path / "cache")) == FILES


def test_the_disk_is_flushed_once_for_all_files(tmp_path, monkeypatch):
    """Each flush waits for the disk: 5,000 pictures took 19 s where 0.8 is enough."""
    archive, flushed = make_zip(tmp_path / "set.zip", {f"{number}.png": b"x" for number in range(500)}), []
    for name in ("fsync", "sync"):
        monkeypatch.setattr(os, name, lambda *anything, name=name: flushed.append(name))
    assert len(contents(unpack.unpack(archive, tmp_path / "out"))) == 500
    assert flushed.count("sync") == 1
    assert len(flushed) < 5


def nameless(path, *, kind="zip"):
    """A zip file with a member that has no name, as no archiver writes it."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x", b"content")
    data = path.read_bytes()
    local, central = data.index(b"PK\3\4"), data.index(b"PK\1\2")
    patched = bytearray(data)
    for place, at in ((local, 26), (central, 28)):
        patched[place + at : place + at + 2] = b"\0\0"
    path.write_bytes(bytes(patched))
    return path


def test_whatever_a_damaged_archive_provokes_is_said_in_words(tmp_path):
    """Each byte of the directory set to several values: `zipfile` raises what it likes."""
    path = make_zip(tmp_path / "whole.zip", FILES)
    data = path.read_bytes()
    start = data.index(b"PK\1\2")
    for place in range(start, len(data)):
        for value in (0, 1, 255):
            mutant = bytearray(data)
            mutant[place] = value
            path.write_bytes(bytes(mutant))
            with contextlib.suppress(unpack.ArchiveError):
                unpack.unpack(path, tmp_path / "out")
            shutil.rmtree(tmp_path / "out", ignore_errors=True)
    nameless(path)
    with pytest.raises(unpack.ArchiveError):
        unpack.unpack(path, tmp_path / "out")
