"""Locks between processes: one at a time, and nothing is left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time

import pytest

from kerastl.system import locks

FORK = multiprocessing.get_context("fork")


def add_one(path, rounds):
    for _ in range(rounds):
        with locks.held(path):
            number = int(path.read_text())
            time.sleep(0.001)  # long enough for another one to read the same
            path.write_text(str(number + 1))


def test_one_process_at_a_time_and_no_file_stays(tmp_path):
    path = tmp_path / "count"
    path.write_text("0")
    processes = [FORK.Process(target=add_one, args=(path, 40)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert path.read_text() == "160"
    assert [one.name for one in tmp_path.iterdir()] == ["count"]


def test_a_kill_leaves_nothing_that_others_wait_for(tmp_path):
    path, held = tmp_path / "place", FORK.Event()

    def hold():
        with locks.held(path):
            held.set()
            time.sleep(60)

    process = FORK.Process(target=hold)
    process.start()
    assert held.wait(30)
    os.kill(process.pid, signal.SIGKILL)
    process.join(30)
    with locks.held(path):
        assert [one.name for one in tmp_path.iterdir()] == [".place.lock"]
    assert list(tmp_path.iterdir()) == []


def test_a_link_in_its_place_is_not_followed_and_an_error_inside_is_the_callers(tmp_path):
    (tmp_path / "theirs").write_text("theirs")
    (tmp_path / ".place.lock").symlink_to(tmp_path / "theirs")
    with locks.held(tmp_path / "place"):
        pass
    assert (tmp_path / "theirs").read_text() == "theirs"
    with pytest.raises(ValueError, match="mine"), locks.held(tmp_path / "other"):
        raise ValueError("mine")
    assert not (tmp_path / ".other.lock").exists()
    with locks.held(tmp_path / "no such folder" / "place"):  # whoever makes something there says so
        pass


def test_who_does_not_wait_is_told_that_somebody_holds_it(tmp_path):
    first, second = locks.opened(tmp_path / "lock"), locks.opened(tmp_path / "lock")
    try:
        assert locks.take(first, wait=False)
        with pytest.raises(BlockingIOError):
            locks.take(second, wait=False)
    finally:
        os.close(first)
    assert locks.take(second, wait=False), "the lock went with its holder"
    os.close(second)
    (tmp_path / "link").symlink_to(tmp_path / "lock")
    with pytest.raises(OSError, match="symbolic links"):
        locks.opened(tmp_path / "link")
