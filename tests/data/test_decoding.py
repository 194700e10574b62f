from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kerastl.data import decoding, streamed
from kerastl.inputs import pictures

SIZE = (20, 16)
BYTES = 20 * 16 * 3


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERASTL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def plant(folder, count: int, *, seed: int = 0) -> list[str]:
    generator = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for index in range(count):
        pixels = generator.integers(0, 256, (30, 24, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:03d}.png")
    return [str(path) for path in sorted(folder.iterdir())]


def look(files, **changes) -> decoding.Decoded:
    return decoding.decode_all(files, **{"size": SIZE, "channels": 3, "in_memory": 0, **changes})


def counted(monkeypatch) -> list[str]:
    """The files that are decoded from now on."""
    seen: list[str] = []
    read = pictures.read

    def reading(path, **options):
        seen.append(Path(path).name)
        return read(path, **options)

    monkeypatch.setattr(pictures, "read", reading)
    return seen


def test_few_are_an_array_and_many_are_not(tmp_path, home):
    files = plant(tmp_path / "set", 50)
    few, many = look(files, in_memory=50 * BYTES), look(files, in_memory=50 * BYTES - 1)
    assert isinstance(few.inputs, np.ndarray)
    assert isinstance(many.inputs, streamed.Pictures)
    read = np.stack([pictures.read(Path(file), size=SIZE).pixels for file in files])
    np.testing.assert_array_equal(few.inputs, read)
    np.testing.assert_array_equal(many.inputs[:], read)
    digests = [hashlib.sha256(row.tobytes()).digest() for row in read]
    assert [row.tobytes() for row in few.digests] == [row.tobytes() for row in many.digests] == digests


def test_nothing_is_decoded_twice(tmp_path, monkeypatch):
    files = plant(tmp_path / "set", 50)
    seen = counted(monkeypatch)
    first = look(files)
    assert sorted(seen) == [Path(file).name for file in files]
    first.inputs[:]
    first.inputs.small(slice(None))
    again = look(files)
    np.testing.assert_array_equal(again.digests, first.digests)
    np.testing.assert_array_equal(again.inputs[::7], first.inputs[::7])
    assert len(seen) == 50
    unkept = look(files, cache_bytes=0)  # what is known of the files stays known, without their pixels
    assert len(seen) == 50
    np.testing.assert_array_equal(unkept.inputs.small(slice(None)), first.inputs.small(slice(None)))
    look(files, size=(8, 8))
    assert len(seen) == 100


def test_a_changed_file_is_looked_at_again(tmp_path, monkeypatch):
    files = plant(tmp_path / "set", 20)
    before = look(files)
    status = os.stat(files[4])
    shutil.copy(files[5], tmp_path / "other.png")
    content = bytearray(Path(files[5]).read_bytes()).ljust(status.st_size, b"\0")[: max(status.st_size, 1)]
    Path(files[4]).write_bytes(content)
    os.utime(files[4], ns=(status.st_atime_ns, status.st_mtime_ns))  # as long and, it says, as old as before
    seen = counted(monkeypatch)
    after = look(files)
    assert len(seen) == 20
    assert (after.digests[4] != before.digests[4]).any()
    assert (np.delete(after.digests, 4, 0) == np.delete(before.digests, 4, 0)).all()


def test_problems_are_found_and_asked_again(tmp_path, monkeypatch):
    files = plant(tmp_path / "set", 20)
    Path(files[3]).write_bytes(b"")
    files.insert(9, str(tmp_path / "nowhere.png"))
    for in_memory in (0, 1_000_000):
        found = look(files, in_memory=in_memory)
        assert found.problems == {3: "an empty file", 9: "there is no such file"}
        if in_memory:  # streamed pictures are read when they are asked for
            assert not found.inputs[3:4].any()
    seen = counted(monkeypatch)
    assert look(files).problems == found.problems
    assert seen == ["003.png", "nowhere.png"]


def test_a_file_that_a_disk_could_not_give_is_asked_for_again(tmp_path, monkeypatch):
    files = plant(tmp_path / "set", 20)
    with monkeypatch.context() as patched:
        read = pictures.read

        def failing(path, **options):
            if path.name == "007.png":
                raise pictures.PictureError("input/output error")
            return read(path, **options)

        patched.setattr(pictures, "read", failing)
        assert look(files).problems == look(files).problems == {7: "input/output error"}
    found = look(files)
    assert found.problems == {}
    np.testing.assert_array_equal(found.inputs[:], look(files, in_memory=10**9).inputs)


@pytest.mark.parametrize("damage", ["facts", "pixels", "small", "emptied"])
def test_a_damaged_cache_is_made_anew(damage, tmp_path, home, monkeypatch):
    files = plant(tmp_path / "set", 20)
    first = look(files)
    (folder,) = (home / "pictures").iterdir()
    if damage == "facts":
        (folder / "facts.npz").write_bytes(b"PK\3\4 nonsense")
    elif damage == "emptied":
        for path in folder.iterdir():
            path.unlink()
    else:
        path = folder / damage
        path.write_bytes(path.read_bytes()[:-1])
    seen = counted(monkeypatch)
    again = look(files)
    assert len(seen) == 20
    np.testing.assert_array_equal(again.inputs[:], first.inputs[:])
    look(files)
    assert len(seen) == 20


def test_the_longest_unused_goes_where_there_is_no_room(tmp_path, home, monkeypatch):
    sets = [plant(tmp_path / str(number), 20, seed=number) for number in range(3)]
    each = 20 * (BYTES + 4096) + 5000
    for files in sets[:2]:
        found = look(files, cache_bytes=2 * each)
        os.utime(found.inputs.album.cache, (time.time() - 100, time.time() - 100))
    used = look(sets[0], cache_bytes=2 * each)  # used again: now the other one is the longest unused
    look(sets[2], cache_bytes=2 * each)
    assert len(list((home / "pictures").iterdir())) == 2
    seen = counted(monkeypatch)
    look(sets[0], cache_bytes=2 * each)
    look(sets[2], cache_bytes=2 * each)
    assert seen == []
    used.inputs[:]
    lost = look(sets[1], cache_bytes=each)  # takes the place of both
    assert len(list((home / "pictures").iterdir())) == 1
    assert len(seen) == 20
    np.testing.assert_array_equal(used.inputs[:3], look(sets[0], in_memory=10**9).inputs[:3])  # decoded, then
    assert len(lost.inputs[:]) == 20


def test_without_a_cache_folder_pictures_are_decoded(tmp_path, home, capsys):
    files = plant(tmp_path / "set", 20)
    home.write_text("a file where the folder should be")
    found = look(files)
    assert found.inputs.album.cache is None
    assert "decoded each time" in capsys.readouterr().err
    np.testing.assert_array_equal(found.inputs[:], look(files, in_memory=10**9).inputs)


FULL = """
import json, resource, sys
from kerastl.data import decoding
files, limit = json.loads(sys.argv[1]), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))  # what a quota does
import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
found = decoding.decode_all(files, size=(20, 16), channels=3, in_memory=0)
print(json.dumps([found.digests.sum().item(), found.inputs[:].sum().item()]))
"""


def test_a_disk_that_fills_up_costs_the_cache_and_nothing_else(tmp_path, home):
    files = plant(tmp_path / "set", 60)
    whole = look(files, in_memory=10**9)
    command = [sys.executable, "-c", FULL, json.dumps(files), str(30 * BYTES)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [whole.digests.sum().item(), whole.inputs.sum().item()]
    assert "decoded each time" in done.stderr
    assert list((home / "pictures").iterdir()) == []


KILLED = """
import json, os, sys, threading
from kerastl.data import decoding
from kerastl.inputs import pictures
read, count, lock = pictures.read, 0, threading.Lock()
def reading(path, **options):
    global count
    with lock:
        count += 1
    if count == 90:
        os.kill(os.getpid(), 9)
    return read(path, **options)
pictures.read = reading
decoding.decode_all(json.loads(sys.argv[1]), size=(20, 16), channels=3, in_memory=0)
"""


def test_a_kill_leaves_nothing_that_is_taken_for_whole(tmp_path, home, monkeypatch):
    files = plant(tmp_path / "set", 120)
    done = subprocess.run([sys.executable, "-c", KILLED, json.dumps(files)], check=False)
    assert done.returncode == -9
    (left,) = (home / "pictures").iterdir()
    assert left.name.startswith(".")
    found = look(files)
    np.testing.assert_array_equal(found.inputs[:], look(files, in_memory=10**9).inputs)
    assert left.exists()  # it could be another process's, at work
    yesterday = time.time() - 90_000
    for path in (left, *left.iterdir()):
        os.utime(path, (yesterday, yesterday))
    look(files)
    assert not left.exists()


def test_an_error_in_a_thread_ends_the_pass(tmp_path, monkeypatch, home):
    files = plant(tmp_path / "set", 400)
    read, seen = pictures.read, []

    def failing(path, **options):
        seen.append(path)
        if path.name == "000.png":
            raise MemoryError("no more")
        time.sleep(0.01)
        return read(path, **options)

    monkeypatch.setattr(pictures, "read", failing)
    with pytest.raises(MemoryError, match="no more"):
        look(files)
    assert len(seen) < 200  # the other threads did not go on to the end
    assert list((home / "pictures").iterdir()) == []
