"""Latencies of files on a machine that has other work: do they move, and does the order of the files stay?

    python benchmarks/verify/busy_machine.py [FILE ...] [--work arithmetic|memory] [--repeats 1]

The files (by default those of one network in every technique) are timed while the machine is left alone, beside a
process for each core that never rests, and left alone again. Beside that stands what a stopwatch around each run would
have said, one file after the other.

Asked: beside the work no median moves by more than a quarter, and of two files that are more than a tenth apart the
faster one stays the faster one.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

import kerastl
from benchmarks.tools import results
from kerastl.inputs.image import Image
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Latency, Task
from kerastl.verify import benchmark, selection

MOVES = 0.25
WORK = {
    "arithmetic": "while True: pass",
    "memory": "import numpy as np\nnumbers = np.zeros(40_000_000)\nwhile True: numbers += 1",
}


def main() -> int:
    parser = results.parser(__doc__)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--work", choices=WORK, default="arithmetic", help="what the other processes do")
    parser.add_argument("--repeats", type=int, default=1, help="how often all is measured")
    options = parser.parse_args()
    files = {path.stem: path.read_bytes() for path in options.files} or networks()
    columns = {"round": "{}", "file": "{}", "left alone, ms": "{:.4f}", "busy, ms": "{:.4f}", "busy / alone": "{:.2f}"}
    columns |= {"alone again / alone": "{:.2f}", "spread alone": "{:.0%}", "spread busy": "{:.0%}"}
    columns |= {"a stopwatch: busy / alone": "{:.2f}"}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    table = results.Table(f"one thread, beside {cores} processes of {options.work}", columns)
    moved, swapped = 0.0, []
    for turn in range(options.repeats):
        alone, watched = benchmark.latencies(files), stopwatch(files)
        with working(WORK[options.work], processes=cores):
            busy, watched_busy = benchmark.latencies(files), stopwatch(files)
        again = benchmark.latencies(files)
        for name in files:
            ratio = busy[name].median / alone[name].median
            moved = max(moved, ratio - 1, 1 / ratio - 1)
            cells = [alone[name].median, busy[name].median, ratio, again[name].median / alone[name].median]
            cells += [alone[name].spread, busy[name].spread, watched_busy[name] / watched[name]]
            table.add(str(turn), name, *cells)
        swapped += turned(alone, busy)
    options.results.show(table, width=150)
    return options.results.verdict(
        {
            f"a median moves by {moved:.0%} at most, asked {MOVES:.0%}": moved <= MOVES,
            f"files that changed places: {', '.join(swapped) or 'none'}, asked none": not swapped,
        }
    )


def networks() -> dict[str, bytes]:
    """A small convolutional network in every technique, its weights as they begin."""
    task = Task("toy", Image((64, 64, 3)), SingleLabel(tuple("abcdefghij")))
    model = kerastl.models.mobile_cnn.build(task)
    pictures = np.random.default_rng(0).integers(0, 256, (20, *task.inputs.shape)).astype(np.uint8)
    techniques = ("float32", "float16", "dynamic_int8", "static_int8", "int4_weights")
    made = kerastl.runs.post_training(model, task, techniques=techniques, calibration=pictures)
    return {one.name: one.tflite for one in made}


@contextlib.contextmanager
def working(code: str, *, processes: int) -> Iterator[None]:
    """So many processes that never rest."""
    single = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    found = [subprocess.Popen([sys.executable, "-c", code], env={**os.environ, **single}) for _ in range(processes)]
    try:
        time.sleep(2)  # until they have begun
        yield
    finally:
        for process in found:
            process.kill()
        for process in found:
            process.wait()


def stopwatch(files: Mapping[str, bytes]) -> dict[str, float]:
    """The median of 200 runs by the clock on the wall, one file after the other."""
    found = {}
    for name, content in files.items():
        interpreter = benchmark._ready(content, threads=1)
        benchmark._warm(interpreter, 10)
        times = benchmark._timed(interpreter, 200, share=1, clock=time.perf_counter_ns)
        found[name] = float(np.median(times)) / 1e6
    return found


def turned(alone: Mapping[str, Latency], busy: Mapping[str, Latency]) -> list[str]:
    """Pairs of files of which the other one was faster beside the work, though they are clearly apart."""
    return [
        f"{slow} before {fast}"
        for fast, slow in itertools.permutations(alone, 2)
        if alone[slow].median > (1 + selection.NOISE) * alone[fast].median and busy[slow].median < busy[fast].median
    ]


if __name__ == "__main__":
    raise SystemExit(main())
