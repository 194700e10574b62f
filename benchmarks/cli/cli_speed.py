"""How fast `kerastl list`, `show` and `--help` answer, against importing TensorFlow and Keras.

    python benchmarks/cli/cli_speed.py [--rounds 5]

Prints one table: medians of interleaved runs, so that a busy machine slows both sides alike, and their ratio: at most
0.1 is asked.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.tools import results

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = "import tensorflow, keras"
MOST = 0.1  # of the reference
COMMAND = "import sys; from kerastl.cli import main; sys.exit(main())"  # what the installed script does


def seconds(arguments: list[str]) -> float:
    """Wall time of one process."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}
    start = time.perf_counter()
    subprocess.run(arguments, check=True, capture_output=True, env=environment)
    return time.perf_counter() - start


def measure(*, rounds: int, recipe: str) -> dict[str, float]:
    """Median seconds of the reference and of each command; one round beforehand warms the file cache."""
    runs = {
        f'python -c "{REFERENCE}"': [sys.executable, "-c", REFERENCE],
        'python -c "import kerastl"': [sys.executable, "-c", "import kerastl"],
        "kerastl --help": [sys.executable, "-c", COMMAND, "--help"],
        "kerastl list": [sys.executable, "-c", COMMAND, "list"],
        f"kerastl show {recipe}": [sys.executable, "-c", COMMAND, "show", recipe],
        f"kerastl run {recipe} --help": [sys.executable, "-c", COMMAND, "run", recipe, "--help"],
        f"(Tab behind) kerastl run {recipe} --": [
            sys.executable,
            "-c",
            COMMAND,
            "completion",
            "words",
            "--",
            "run",
            recipe,
            "--",
        ],
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, arguments in runs.items():
            taken = seconds(arguments)
            if number:
                times[name].append(taken)
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> int:
    parser = results.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--recipe", default="mnist_mobile")
    options = parser.parse_args()
    medians = measure(rounds=options.rounds, recipe=options.recipe)
    reference = next(iter(medians.values()))
    table = results.Table(
        f"medians of {options.rounds} processes each",
        {"command": "{}", "seconds": "{:.3f}", "of the imports": "{:.3f}"},
    )
    for name, value in medians.items():
        table.add(name, value, value / reference)
    options.results.show(table)
    slowest = max(list(medians.values())[1:]) / reference
    return options.results.verdict({f"the slowest takes {slowest:.3f} of the imports, at most {MOST}": slowest <= MOST})


if __name__ == "__main__":
    raise SystemExit(main())
