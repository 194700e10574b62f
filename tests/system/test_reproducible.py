"""The same recipe and seed in two fresh processes that have nothing else in common: bitwise the same files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOOSE = ("--min-agreement", "0", "--max-score-drop", "1", "--max-quantization-drop", "1")
TINY = {
    "mnist_mobile": (
        "--max-train-examples", "300", "--validation", "100", "--teacher.epochs", "1", "--student.epochs", "1",
        "--prune.epochs", "1", "--quantize.epochs", "1",
    ),
    # its vocabulary is learnt by counting words
    "text_classifier": ("--max-train-examples", "100", "--schedule.epochs", "1"),
}  # fmt: skip
PLACES = (
    {"PYTHONHASHSEED": "0", "LC_ALL": "C", "TZ": "UTC", "folder": "one"},
    {"PYTHONHASHSEED": "4242", "LC_ALL": "C.UTF-8", "TZ": "Asia/Kathmandu", "folder": "another folder/ünd/deeper"},
)


@pytest.mark.parametrize(("recipe", "least"), [("mnist_mobile", 8), ("text_classifier", 4)])
def test_two_processes_make_the_same_files(tmp_path, recipe, least):
    processes, made = [], []
    for place in PLACES:
        folder = tmp_path / place["folder"]
        folder.mkdir(parents=True)
        environment = {**os.environ, **{k: v for k, v in place.items() if k != "folder"}, "PYTHONPATH": str(ROOT)}
        command = "import sys; from kerastl.cli import main; sys.exit(main())"
        words = [sys.executable, "-c", command, "run", recipe, "--smoke", *TINY[recipe], *LOOSE]
        words += ["--out", str(folder / "run")]
        processes.append(
            subprocess.Popen(words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        )
    for place, process in zip(PLACES, processes, strict=True):
        output, _ = process.communicate(timeout=600)
        assert process.returncode == 0, output.decode()[-2000:]
        run = tmp_path / place["folder"] / "run"
        made.append({path.relative_to(run).as_posix(): path.read_bytes() for path in run.rglob("*.tflite")})
    assert made[0].keys() == made[1].keys()
    assert len(made[0]) >= least
    assert [name for name in made[0] if made[0][name] != made[1][name]] == []
