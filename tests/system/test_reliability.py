"""`benchmarks/runs/reliability.py` in short: a run that is killed again and again ends as if it had not been."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def reliability(*words: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "benchmarks" / "runs" / "reliability.py"), *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_killed_at_random_instants():
    result = reliability("kills", "--count", "5", "--seed", "1")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "5 kills at random instants" in result.stdout
    assert ": every restart ended bitwise equal" in result.stdout


@pytest.mark.slow
def test_quantization_aware_training_killed_at_random_instants():
    """What goes on from where is tested in one process in `compress/test_qat.py`; here processes die."""
    result = reliability("kills", "--job", "quantize", "--count", "10", "--seed", "2")
    assert result.returncode == 0, result.stdout + result.stderr
    assert ": every restart ended bitwise equal" in result.stdout


@pytest.mark.slow
def test_killed_at_a_hundred_random_instants():
    result = reliability("kills", "--count", "100")
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.slow
def test_where_keras_loses_kerastl_holds():
    result = reliability("compare")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "FAILS" in result.stdout  # plain Keras does, or the table has no point
