"""The student of `recipes/cifar_mobile` beside MLPerf Tiny's reference topology: bytes, accuracy, latency.

    python benchmarks/distil/cifar_mobile.py [--tag default] [--untrained]

The reference is ResNet-8 (Banbury et al. 2021, "MLPerf Tiny Benchmark", https://arxiv.org/abs/2106.07597): 98,496 bytes
in 8-bit integers, of which 0.85 is asked on CIFAR-10. Here it is `resnet.small`, the same convolutions, by the
same converter; its weights are random, which its latency does not depend on. Both files hold integers throughout and
run on one thread in the runtime that phones use, in turns; the ratio is taken within a round, and its median and
quartiles are shown. Accuracy is that of the finished run's report, of all test pictures. ``--untrained`` compares bytes
and latency of the student's topology before anything is trained. Asked: at least 0.88 within 98,496 bytes, and faster.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

import kerastl
from benchmarks.tools import bars
from kerastl.compress import channels
from kerastl.recipes import cifar_mobile
from kerastl.types import Dataset

MOST_BYTES, LEAST_ACCURACY = 98_496, 0.88


def integers(model: keras.Model, data: Dataset) -> bytes:
    """A file of integers throughout."""
    return kerastl.export.tflite.convert(model, integer=True, calibration=data.train.inputs[:100])


def finished(folder: Path) -> tuple[bytes, float]:
    """The chosen file of a run, and its accuracy on test."""
    report = json.loads((folder / "report.json").read_text())
    chosen = next(one for one in report["variants"] if one["name"] == report["chosen"])
    return (folder / chosen["file"]).read_bytes(), chosen["score"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tag", default="default", help="of the finished run")
    parser.add_argument("--untrained", action="store_true", help="only bytes and latency, of random weights")
    parser.add_argument("--rounds", type=int, default=15, help="of 300 inferences of each")
    options = parser.parse_args()
    data = kerastl.data.cifar10.load(validation=100, limit=320)
    config, accuracy = cifar_mobile.Config(), float("nan")
    student = kerastl.models.resnet.build(data.task, widths=config.widths, blocks=config.blocks)
    reference = kerastl.models.resnet.small(data.task)
    if options.untrained:
        ours = integers(student, data)
    else:
        ours, accuracy = finished(Path("saved_models", "cifar_mobile", options.tag))
    files = {"reference, ResNet-8": integers(reference, data), "cifar_mobile": ours}
    times = kerastl.verify.benchmark.interleaved_latency(files, rounds=options.rounds, runs=300)
    slow, fast = (np.array(rows) for rows in times.values())
    low, ratio, high = statistics.quantiles((slow / fast).tolist(), n=4, method="inclusive")
    table = Table(title="CIFAR-10, integers throughout, one thread")
    for column in ("", "bytes", "multiply-adds", "us", "times faster", "test accuracy"):
        table.add_column(column, justify="right" if column else "left")
    for (name, file), model in zip(files.items(), (reference, student), strict=True):
        cells = ("1.00", "untrained")
        if model is student:
            cells = (f"{ratio:.2f} ({low:.2f} to {high:.2f})", "" if options.untrained else f"{accuracy:.4f}")
        median = 1000 * statistics.median(times[name])
        table.add_row(name, f"{len(file):,}", f"{channels.multiply_adds(model):,}", f"{median:.0f}", *cells)
    Console(width=140).print(table)
    asked = {
        f"{len(ours):,} bytes, at most {MOST_BYTES:,}": len(ours) <= MOST_BYTES,
        f"{ratio:.2f} times as fast as the reference, above 1": ratio > 1,
    }
    if not options.untrained:
        asked[f"{accuracy:.4f} on test, at least {LEAST_ACCURACY}"] = accuracy >= LEAST_ACCURACY
    return bars.verdict(asked)


if __name__ == "__main__":
    raise SystemExit(main())
