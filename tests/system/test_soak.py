"""Many train-export cycles in one process leave nothing behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def soak(file: Path, *words: str) -> dict:
    command = [sys.executable, str(ROOT / "benchmarks" / "runs" / "soak.py"), *words, "--json", str(file)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    (table,) = json.loads(file.read_text())["tables"]
    (found,) = table["rows"]
    return found


def test_a_few_cycles_leave_nothing_behind(tmp_path):
    found = soak(tmp_path / "found.json", "--cycles", "6", "--warm-up", "2")
    assert found["left_open"] == []
    assert found["litter"] == []
    assert found["growth"] < 0.10, found  # caches are still filling up


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_two_hundred_cycles_leave_nothing_behind(tmp_path):
    found = soak(tmp_path / "found.json", "--cycles", "200", "--warm-up", "20")
    print(found)
    assert found["left_open"] == []
    assert found["litter"] == []
    assert found["growth"] < 0.05, found
