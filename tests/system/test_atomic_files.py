"""Files that appear whole or not at all, under faults."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from kerastl.system import atomic_files


def test_json_of_numpy_and_paths(tmp_path):
    path = tmp_path / "below" / "report.json"
    atomic_files.write_json(path, {"array": np.arange(2), "path": tmp_path, "number": np.float32(0.5), "set": {2, 1}})
    assert json.loads(path.read_text()) == {"array": [0, 1], "path": str(tmp_path), "number": 0.5, "set": [1, 2]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        atomic_files.write_json(path, {"value": float("nan")})
    with pytest.raises(ValueError, match="JSON takes numbers"):
        atomic_files.write_json(path, {"value": object()})


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_at_any_step_keeps_what_stood_there(tmp_path, monkeypatch, step):
    path = tmp_path / "file"
    atomic_files.write_bytes(path, b"before")

    def fail(*arguments):
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="broken"):
        atomic_files.write_bytes(path, b"after")
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def limited(bytes_: int, code: str, folder: Path) -> subprocess.CompletedProcess:
    """Runs code in a process that may write no file longer than so many bytes."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_, bytes_))

    script = "from pathlib import Path\nfrom kerastl.system import atomic_files\n" + textwrap.dedent(code)
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(atomic_files.__file__).parents[2]),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.run(
        [sys.executable, "-c", script], cwd=folder, env=environment, preexec_fn=limit, capture_output=True, text=True
    )


def test_a_full_disk_names_path_and_bytes_and_keeps_the_file(tmp_path):
    (tmp_path / "model.tflite").write_bytes(b"before")
    result = limited(1000, "atomic_files.write_bytes(Path('model.tflite'), bytes(5000))", tmp_path)
    assert result.returncode == 1
    assert "No room for model.tflite: it needs 5,000 bytes" in result.stderr
    assert (tmp_path / "model.tflite").read_bytes() == b"before"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_full_disk_keeps_the_folder(tmp_path):
    (tmp_path / "mobile").mkdir()
    (tmp_path / "mobile" / "model.tflite").write_bytes(b"before")
    code = """
    with atomic_files.atomic_replace(Path("mobile"), needed_bytes=5000) as temporary:
        temporary.mkdir()
        (temporary / "labels.txt").write_text("a")
        (temporary / "model.tflite").write_bytes(bytes(5000))
    """
    result = limited(1000, code, tmp_path)
    assert "No room for mobile: it needs 5,000 bytes" in result.stderr
    assert (tmp_path / "mobile" / "model.tflite").read_bytes() == b"before"
    assert [path.name for path in tmp_path.rglob("*")] == ["mobile", "model.tflite"]


def test_a_folder_is_replaced_whole(tmp_path):
    for content in ("old", "new"):
        with atomic_files.atomic_replace(tmp_path / "mobile") as temporary:
            temporary.mkdir()
            (temporary / content).write_text(content)
    assert [path.name for path in tmp_path.rglob("*")] == ["mobile", "new"]


@pytest.mark.parametrize("failing", [1, 2])
@pytest.mark.parametrize("error", [OSError(errno.EIO, "broken"), KeyboardInterrupt()])
def test_a_rename_that_fails_puts_the_old_folder_back(tmp_path, monkeypatch, failing, error):
    (tmp_path / "mobile").mkdir()
    (tmp_path / "mobile" / "old").write_text("old")
    real, calls = os.rename, []

    def rename(*arguments):
        calls.append(arguments)
        if len(calls) == failing:
            raise error
        real(*arguments)

    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(type(error)), atomic_files.atomic_replace(tmp_path / "mobile") as temporary:
        temporary.mkdir()
    assert [path.name for path in tmp_path.rglob("*")] == ["mobile", "old"]


def test_an_old_folder_that_cannot_go_is_no_error(tmp_path, monkeypatch):
    """The new one stands by then, and `clear_leftovers` sees to the rest."""
    (tmp_path / "mobile").mkdir()
    real = atomic_files.remove

    def remove(path):
        if path.exists():
            raise PermissionError("busy")

    monkeypatch.setattr(atomic_files, "remove", remove)
    with atomic_files.atomic_replace(tmp_path / "mobile") as temporary:
        temporary.mkdir()
        (temporary / "new").write_text("new")
    monkeypatch.setattr(atomic_files, "remove", real)
    assert [path.name for path in (tmp_path / "mobile").iterdir()] == ["new"]
    assert len(list(tmp_path.iterdir())) == 2
    atomic_files.clear_leftovers(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("error", "needed"),
    [
        (OSError(errno.ENOSPC, "full"), "needs 5,000 bytes"),
        (OSError(errno.EDQUOT, "quota"), "needs 5,000 bytes"),
        (RuntimeError("model/variables; No space left on device"), "needs 5,000 bytes"),  # as TensorFlow says it
    ],
)
def test_want_of_room_is_known_by_number_and_by_word(tmp_path, error, needed):
    with (
        pytest.raises(
            atomic_files.DiskFullError, match=rf"No room for .*model: it {needed}, and [\d,]+ bytes are free"
        ) as told,
        atomic_files.atomic_replace(tmp_path / "model", needed_bytes=5000),
    ):
        raise error
    assert told.value.needed_bytes == 5000


def test_want_of_room_inside_a_folder_counts_what_was_written_and_what_was_to_be(tmp_path):
    def write():
        with atomic_files.atomic_replace(tmp_path / "stage") as folder:
            folder.mkdir()
            (folder / "first").write_bytes(bytes(300))
            with atomic_files.atomic_replace(folder / "model.keras", needed_bytes=7000) as path:
                path.write_bytes(bytes(100))
                raise OSError(errno.ENOSPC, "full")

    with pytest.raises(atomic_files.DiskFullError) as told:
        write()
    assert f"No room for {tmp_path / 'stage'}: it needs more than 7,300 bytes" in str(told.value)
    assert list(tmp_path.iterdir()) == []


def test_a_library_that_writes_by_itself_is_told_in_words(tmp_path):
    (tmp_path / "events").write_bytes(bytes(1200))
    with (
        pytest.raises(atomic_files.DiskFullError, match=rf"No room for {tmp_path}: it needs more than 1,200 bytes"),
        atomic_files.explain_disk_full(tmp_path),
    ):
        raise RuntimeError("events; No space left on device")
    with pytest.raises(RuntimeError, match="other"), atomic_files.explain_disk_full(tmp_path):
        raise RuntimeError("other")
    named = atomic_files.DiskFullError(errno.ENOSPC, "No room for a checkpoint")
    with pytest.raises(atomic_files.DiskFullError, match="a checkpoint"), atomic_files.explain_disk_full(tmp_path):
        raise named


def test_another_error_stays_what_it_is(tmp_path):
    with pytest.raises(RuntimeError, match="no space") as told, atomic_files.atomic_replace(tmp_path / "model"):
        raise RuntimeError("no space for doubt")
    assert told.type is RuntimeError


@pytest.mark.parametrize("ending", ["", ".keras"])
@pytest.mark.parametrize("renames", [0, 1, 2])
def test_killed_while_replacing_a_folder_one_of_the_two_is_there_and_no_litter(tmp_path, renames, ending):
    """Killed before the first rename, between the two, and after them."""
    name = f"mobile{ending}"
    (tmp_path / name).mkdir()
    (tmp_path / name / "old").write_text("old")
    code = f"""
    import os, signal
    real, left = os.rename, [{renames}]
    def rename(*arguments):
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        real(*arguments)
    os.rename = rename
    with atomic_files.atomic_replace(Path({name!r})) as temporary:
        temporary.mkdir()
        (temporary / "new").write_text("new")
    os.kill(os.getpid(), signal.SIGKILL)
    """
    assert limited(10**9, code, tmp_path).returncode == -signal.SIGKILL
    atomic_files.clear_leftovers(tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == [name, "new" if renames == 2 else "old"]


def test_leftovers_are_found_at_any_depth_and_nothing_else_is_touched(tmp_path):
    kept = [tmp_path / "a" / ".hidden", tmp_path / "a" / "file", tmp_path / "unfinished-1"]
    gone = [tmp_path / "a" / "b" / ".report.json.unfinished-123.json", tmp_path / ".x.unfinished-9"]
    for path in kept + gone:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    atomic_files.clear_leftovers(tmp_path)
    assert [path.exists() for path in kept + gone] == [True] * 3 + [False] * 2


@pytest.mark.parametrize("name", ["with space", "n\u00e4me-\u65e5\u672c", "percent%20s", "new\nline", "quote'\""])
def test_any_name_works(tmp_path, name):
    path = tmp_path / name / name
    atomic_files.write_bytes(path, b"content")
    atomic_files.write_bytes(path, b"again")
    atomic_files.clear_leftovers(tmp_path)
    assert path.read_bytes() == b"again"
    assert len(list(tmp_path.rglob("*"))) == 2


def test_leftovers_of_who_may_still_be_writing_stay(tmp_path):
    (tmp_path / ".a.unfinished-1").mkdir()
    young = tmp_path / ".a.unfinished-1" / "pixels"
    young.write_text("half")
    os.utime(young.parent, (0, 0))
    atomic_files.clear_leftovers(tmp_path, older_than=60)
    assert young.exists()
    os.utime(young, (0, 0))
    atomic_files.clear_leftovers(tmp_path, older_than=60)
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_flushed_stands_as_whole(tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr(os, "fsync", lambda handle: flushed.append(handle))
    for flush in (False, True):
        with atomic_files.atomic_replace(tmp_path / "cache", flush=flush) as temporary:
            temporary.mkdir()
            (temporary / "rows").write_text(f"{flush}")
        assert (tmp_path / "cache" / "rows").read_text() == f"{flush}"
        assert (len(flushed) > 1) == flush
        flushed.clear()


def test_a_folder_takes_the_place_of_a_link(tmp_path):
    """As of a bundle that somebody has linked to another project."""
    other, link = tmp_path / "other", tmp_path / "mobile"
    other.mkdir()
    (other / "kept").touch()
    link.symlink_to(other)
    with atomic_files.atomic_replace(link) as temporary:
        temporary.mkdir()
        (temporary / "model").touch()
    assert [path.name for path in link.iterdir()] == ["model"]
    assert [path.name for path in other.iterdir()] == ["kept"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mobile", "other"]
