"""Many train-export-verify cycles in one process: does memory grow, do files stay open, does litter gather?

    python benchmarks/runs/soak.py [--cycles 200] [--warm-up 20]

A cycle builds a tiny network, trains it for an epoch with checkpoints and logs, converts it, runs the file, and writes
variants, model, SavedModel, report and bundle. Prints resident memory after the warm-up and at the end, open files and
what is left in the folder for temporary files.
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import kerastl
from benchmarks.tools import results, tiny_run
from kerastl.types import Schedule


def resident() -> int:
    """Bytes of memory that the process has."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def open_files() -> list[str]:
    """What the process' handles point to."""
    found = []
    for entry in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the one that lists
            found.append(os.readlink(f"/proc/self/fd/{entry}"))
    return sorted(found)


def soak(cycles: int, warm_up: int) -> dict[str, object]:
    """Runs so many cycles after the warm-up; what was measured before and after them."""
    with tempfile.TemporaryDirectory() as root:
        litter = Path(root, "temporary")
        litter.mkdir()
        tempfile.tempdir = os.environ["TMPDIR"] = str(litter)
        settings = tiny_run.Config(schedule=Schedule(epochs=1, batch_size=32))
        curve: list[int] = []
        before: list[str] = []
        begun_with: set[str] = set()
        start = time.monotonic()
        for number in range(warm_up + cycles):
            if number == warm_up:
                before, start = open_files(), time.monotonic()
                begun_with = set(os.listdir(litter))  # TensorFlow keeps the code that it has generated until it ends
            if number >= warm_up and (number - warm_up) % max(cycles // 10, 1) == 0:
                curve.append(resident())
            folder = Path(root, "run")
            with contextlib.redirect_stdout(io.StringIO()):
                tiny_run.run(settings, folder)
            kerastl.system.atomic_files.remove(folder)
        curve.append(resident())
        after = open_files()
        return {
            "cycles": cycles,
            "seconds_a_cycle": (time.monotonic() - start) / cycles,
            "megabytes": [round(size / 1e6, 1) for size in curve],
            "growth": curve[-1] / curve[0] - 1,
            "left_open": sorted(set(after) - set(before)) if len(after) != len(before) else [],
            "litter": sorted(set(os.listdir(litter)) - begun_with),
        }


def main() -> int:
    parser = results.parser(__doc__)
    parser.add_argument("--cycles", type=int, default=200)
    parser.add_argument("--warm-up", type=int, default=20, help="cycles before the first measurement")
    options = parser.parse_args()
    found = soak(options.cycles, options.warm_up)
    options.results.keep("after the warm-up", [found])
    for name, value in found.items():
        print(f"{name}: {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
