"""`benchmarks/untrusted/hostile_files.py`: the plain stack falls for some of the files, kerastl for none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_where_the_plain_stack_falls_for_it_kerastl_does_not():
    command = [sys.executable, str(ROOT / "benchmarks" / "untrusted" / "hostile_files.py")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("FAILS") >= 3
