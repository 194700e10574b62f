"""Temporary folders go with their process, or with the next one."""

import contextlib
import os
import subprocess
import sys
import time

from kerastl.system import scratch


def old(path):
    path.mkdir(exist_ok=True)
    (path / "file").write_text("x")
    os.utime(path, (time.time() - 60,) * 2)
    return path


def test_a_folder_goes_with_its_block(tmp_path):
    with contextlib.suppress(KeyError), scratch.folder("made-", where=tmp_path) as found:
        (found / "file").write_text("x")
        raise KeyError
    assert not list(tmp_path.iterdir())


def test_an_abandoned_one_goes_with_the_next_and_no_other(tmp_path):
    abandoned, other = old(tmp_path / "made-1"), old(tmp_path / "kept-1")
    (tmp_path / "made-link").symlink_to(other)
    (tmp_path / "made-young").mkdir()
    with scratch.folder("made-", where=tmp_path) as first:
        old(first)
        with scratch.folder("made-", where=tmp_path) as second:
            assert first.is_dir()
            assert second.is_dir()
    assert not abandoned.exists()
    assert {path.name for path in tmp_path.iterdir()} == {"kept-1", "made-link", "made-young"}
    assert (other / "file").exists()


def test_what_a_killed_process_leaves_goes_with_the_next(tmp_path):
    code = (
        "import pathlib, sys, time\n"
        "from kerastl.system import scratch\n"
        "with scratch.folder('made-', where=pathlib.Path(sys.argv[1])) as found:\n"
        "    (found / 'file').touch()\n"
        "    print(found, flush=True)\n"
        "    time.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        left = process.stdout.readline().strip()
        os.utime(left, (time.time() - 60,) * 2)
        with scratch.folder("made-", where=tmp_path):
            assert os.path.isdir(left), "its process is alive"
        process.kill()
    assert os.path.isdir(left)
    with scratch.folder("made-", where=tmp_path):
        assert not os.path.exists(left)
