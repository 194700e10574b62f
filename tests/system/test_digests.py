"""Digests: the same for the same, in every process; another for anything else."""

from __future__ import annotations

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


def test_folders(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "file").write_bytes(b"x")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "file").write_bytes(b"y")
    assert digests.of_folder(tmp_path, leave_out=("logs",)) == {
        "inner/file": digests.of_file(tmp_path / "inner" / "file")
    }
    assert set(digests.of_folder(tmp_path)) == {"inner/file", "logs/file"}
