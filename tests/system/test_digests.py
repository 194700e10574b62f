"""Digests: the same for the same, in every process; another for anything else."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kerastl import types
from kerastl.system import digests

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}  # the tree that is tested, also in a child


def test_digests_tell_values_apart_and_agree_between_processes(tmp_path):
    (tmp_path / "file").write_text("x")
    values = [
        None, True, 1, 1.0, "1", b"1", [1], [[1]], [1, 1], {"a": 1}, {"a": 2}, {"a"}, [], {}, "", ["ab", "c"],
        ["a", "bc"], np.zeros(2), np.zeros((2, 1)), np.zeros(2, np.float32), types.Schedule(epochs=1),
        types.Schedule(epochs=2), tmp_path / "file",
    ]  # fmt: skip
    seen = [digests.sha256_of(value) for value in values]
    assert len(set(seen)) == len(values)
    assert digests.sha256_of({"a": 1, "b": 2}) == digests.sha256_of({"b": 2, "a": 1})
    assert digests.sha256_of((1, 2)) == digests.sha256_of([1, 2])
    code = "from kerastl.system import digests; print(digests.sha256_of([{'x', 'y', 'z'}, {'b': 1.5, 'a': None}]))"
    found = {
        subprocess.run(
            [sys.executable, "-c", code], env={**ENVIRONMENT, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert found == {digests.sha256_of([{"x", "y", "z"}, {"b": 1.5, "a": None}]).encode()}
    for wrong in (object(), lambda: 1, Path("/nowhere/at/all"), np.array([object()])):
        with pytest.raises(ValueError, match="Received"):
            digests.sha256_of(wrong)


def module(source: str) -> dict:
    space: dict = {"__name__": "recipe"}
    exec(source, space)
    return space


PIECE = """
RATE = 0.1

def make(config):
    return [train(part) for part in config]

def train(part):
    return part * RATE, other(part)

def other(part, count=3, *, least=0.5, kind=print):
    return make if part in {"a", "b", "c"} else None

def unrelated():
    return 1
"""


def test_a_functions_digest_follows_its_own_module():
    start = digests.of_function(module(PIECE)["make"])
    same = ["\n\n" + PIECE, PIECE.replace("return 1", "return 2"), PIECE.replace("):\n", "):  # said\n")]
    other = [
        PIECE.replace("0.1", "0.2"),
        PIECE.replace("part * RATE", "part + RATE"),
        PIECE.replace('"c"', '"d"'),
        PIECE.replace("count=3", "count=4"),
        PIECE.replace("least=0.5", "least=0.6"),
        PIECE.replace("for part in config", "for part in config if part"),
    ]
    assert [digests.of_function(module(text)["make"]) for text in same] == [start] * len(same)
    assert len({start, *(digests.of_function(module(text)["make"]) for text in other)}) == len(other) + 1
    assert digests.of_function(functools.partial(module(PIECE)["make"], 3)) == start
    assert digests.of_function(print) == digests.sha256_of([])


def test_folders(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "file").write_bytes(b"x")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "file").write_bytes(b"y")
    assert digests.of_folder(tmp_path, leave_out=("logs",)) == {
        "inner/file": digests.of_file(tmp_path / "inner" / "file")
    }
    assert set(digests.of_folder(tmp_path)) == {"inner/file", "logs/file"}
