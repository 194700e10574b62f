"""The same recipe and seed in two processes that have nothing else in common: bitwise the same files.

One is fresh and elsewhere; the other is this one, in which whatever tests came before have left their traces.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import kerastl

ROOT = Path(__file__).resolve().parents[2]
LOOSE = {"min_agreement": 0.0, "max_score_drop": 1.0, "max_quantization_drop": 1.0}
TINY = {
    "mnist_mobile": {
        "max_train_examples": 300,
        "validation": 100,
        **dict.fromkeys(("teacher.epochs", "student.epochs", "prune.epochs", "quantize.epochs"), 1),
    },
    # its vocabulary is learnt by counting words
    "text_classifier": {"max_train_examples": 100, "schedule.epochs": 1},
}
ELSEWHERE = {"PYTHONHASHSEED": "4242", "LC_ALL": "C.UTF-8", "TZ": "Asia/Kathmandu"}


@pytest.mark.parametrize(("recipe", "least"), [("mnist_mobile", 8), ("text_classifier", 4)])
def test_two_processes_make_the_same_files(tmp_path, recipe, least):
    folder, settings = tmp_path / "another folder/ünd/deeper", TINY[recipe] | LOOSE
    folder.mkdir(parents=True)
    command = "import sys; from kerastl.cli import main; from kerastl.verify import benchmark; "
    command += "benchmark.LEAST_SECONDS = 0.05; sys.exit(main())"
    words = [sys.executable, "-c", command, "run", recipe, "--smoke", "--out", str(folder / "run")]
    for name, value in settings.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    process = subprocess.Popen(
        words,
        cwd=folder,
        env={**os.environ, **ELSEWHERE, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    kerastl.run(recipe, smoke=True, out=tmp_path / "run", **settings)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output.decode()[-2000:]
    made = [
        {path.relative_to(run).as_posix(): path.read_bytes() for path in run.rglob("*.tflite")}
        for run in (tmp_path / "run", folder / "run")
    ]
    assert made[0].keys() == made[1].keys()
    assert len(made[0]) >= least
    assert [name for name in made[0] if made[0][name] != made[1][name]] == []
