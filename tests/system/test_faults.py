"""The machine around a run: full disks, hostile names, no memory, signals, two processes; see the two benchmarks."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
OWN_MOUNTS = ["unshare", "--map-root-user", "--mount"]
POINTS = (
    "checkpoint",
    "logs/",
    "stage",
    "model.keras",
    "saved_model/",
    "conversion",
    "variants/",
    "report.json and report.html",
    "mobile/",
    "files.json",
    "config.json",
    "a whole run",
)
FAULTS = (
    "hostile names of folders and classes",
    "class names that are no line",
    "a folder whose name is no text",
    "a read-only folder",
    "a read-only folder inside the run",
    "a file in the way",
    "no memory for a batch",
    "Ctrl-C",
    "SIGTERM",
    "two processes in one folder, one killed",
)


@functools.cache
def found(benchmark: str) -> dict:
    """What a benchmark finds wrong, by point or fault; all of them in one process, which imports once."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "found.json")
        words = [sys.executable, str(ROOT / "benchmarks" / "runs" / benchmark), "--json", str(file)]
        if benchmark == "disk_full.py" and may_mount():
            words = [*OWN_MOUNTS, *words, "--small-disk"]
        result = subprocess.run(words, capture_output=True, text=True)
        assert file.exists(), result.stderr
        (table,) = json.loads(file.read_text())["tables"]
    wrong: dict[str, Any] = {}
    for row in table["rows"]:
        if "point" in row:
            wrong.setdefault(row["point"], {})[row["fault"]] = row["wrong"]
        else:
            wrong[row["fault"]] = row["wrong"]
    return wrong


@functools.cache
def may_mount() -> bool:
    if not shutil.which("unshare"):
        return False
    trial = [*OWN_MOUNTS, "mount", "-t", "tmpfs", "tmpfs", "/tmp"]
    return subprocess.run(trial, capture_output=True).returncode == 0


def test_every_point_and_fault_has_its_test():
    assert tuple(found("disk_full.py")) == POINTS
    assert tuple(found("faults.py")) == FAULTS


@pytest.mark.parametrize("point", POINTS)
def test_a_limit_on_files(point):
    assert found("disk_full.py")[point]["limit"] == []


@pytest.mark.parametrize("point", POINTS)
def test_a_small_disk(point):
    if not may_mount():
        pytest.skip("nobody may mount a disk of one's own here; the limit on files is tested all the same")
    assert found("disk_full.py")[point]["small disk"] == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_around_a_run(fault):
    assert found("faults.py")[fault] == []
