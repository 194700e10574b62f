"""The student of `kerastl run cifar_mobile` beside MLPerf Tiny's reference topology: bytes, accuracy, latency.

    python benchmarks/distil/cifar_mobile.py [--tag default] [--untrained]

The reference is ResNet-8 (Banbury et al. 2021, "MLPerf Tiny Benchmark", https://arxiv.org/abs/2106.07597): 98,496 bytes
in 8-bit integers, of which 0.85 is asked on CIFAR-10. Here it is `resnet.small`, the same convolutions, by the
same converter; its weights are random, which its latency does not depend on. Both files hold integers throughout and
run on one thread in the runtime that phones use, in turns; the ratio is taken within a round, and its median and
quartiles are shown. Accuracy is that of the finished run's report, of all test pictures. ``--untrained`` compares bytes
and latency of the student's topology before anything is trained. Asked: at least 0.88 within 98,496 bytes, and faster.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import keras
import numpy as np

import kerastl
from benchmarks.tools import results
from kerastl.compress import channels
from kerastl.recipes import distil_logits
from kerastl.types import Dataset

MOST_BYTES, LEAST_ACCURACY = 98_496, 0.88


def integers(model: keras.Model, data: Dataset) -> bytes:
    """A file of integers throughout."""
    return kerastl.export.tflite.convert(model, data.task, integer=True, calibration=data.train.take(100).inputs)


def finished(folder: Path) -> tuple[bytes, float]:
    """The chosen file of a run, and its accuracy on test."""
    report = json.loads((folder / "report.json").read_text())
    chosen = next(one for one in report["variants"] if one["name"] == report["chosen"])
    return (folder / chosen["file"]).read_bytes(), chosen["score"]


def main() -> int:
    parser = results.parser(__doc__)
    parser.add_argument("--tag", default="default", help="of the finished run")
    parser.add_argument("--untrained", action="store_true", help="only bytes and latency, of random weights")
    parser.add_argument("--rounds", type=int, default=15, help="of 300 inferences of each")
    options = parser.parse_args()
    data = kerastl.data.cifar10.load(validation=100, limit=320)
    config, accuracy = distil_logits.CifarMobile(), None
    student = kerastl.models.resnet.build(data.task, widths=config.widths, blocks=config.blocks)
    reference = kerastl.models.resnet.small(data.task)
    if options.untrained:
        ours = integers(student, data)
    else:
        ours, accuracy = finished(Path("saved_models", "cifar_mobile", options.tag))
    files = {"reference, ResNet-8": integers(reference, data), "cifar_mobile": ours}
    times = kerastl.verify.benchmark.interleaved_latency(files, rounds=options.rounds, runs=300)
    slow, fast = (np.array(rows) for rows in times.values())
    faster = results.quartiles(slow / fast)
    table = results.Table(
        "CIFAR-10, integers throughout, one thread",
        {
            "network": "{}",
            "bytes": "{:,}",
            "multiply-adds": "{:,}",
            "us": "{:.0f}",
            "times faster": "{:.2f}",
            "test accuracy": "{:.4f}",
        },
    )
    for (name, file), model in zip(files.items(), (reference, student), strict=True):
        cells = (faster, accuracy) if model is student else (1.0, "untrained")
        table.add(name, len(file), channels.multiply_adds(model), 1000 * statistics.median(times[name]), *cells)
    options.results.show(table)
    asked = {
        f"{len(ours):,} bytes, at most {MOST_BYTES:,}": len(ours) <= MOST_BYTES,
        f"{faster.value:.2f} times as fast as the reference, above 1": faster.value > 1,
    }
    if accuracy is not None:
        asked[f"{accuracy:.4f} on test, at least {LEAST_ACCURACY}"] = accuracy >= LEAST_ACCURACY
    return options.results.verdict(asked)


if __name__ == "__main__":
    raise SystemExit(main())
