"""One recipe over several seeds: the score of the chosen file each time, and the mean.

    python benchmarks/tools/seeds.py fashion_mobile --seeds 0 1 2 [--without-onednn] [FLAG VALUE ...]

Each seed is a run of its own in saved_models/RECIPE/seed-N, so the same command again reuses what is finished. Without
oneDNN's kernels, which round differently, a machine stands for another kind: these are without-onednn-seed-N.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.tools import results


def main() -> None:
    parser = results.parser(__doc__)
    parser.add_argument("recipe")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--without-onednn", action="store_true", help="TensorFlow's own kernels, as another CPU has")
    options, flags = parser.parse_known_args()
    columns = {"seed": "{}", "chosen": "{}", "parameters": "{:,}", "bytes": "{:,}", "float model": "{:.4f}"}
    columns |= {"file": "{:.4f}", "agreement": "{:.4f}", "minutes": "{:.1f}"}
    table = results.Table(f"{options.recipe}, full test split", columns)
    scores = []
    for seed in options.seeds:
        tag = f"without-onednn-seed-{seed}" if options.without_onednn else f"seed-{seed}"
        kernels = {"TF_ENABLE_ONEDNN_OPTS": "0"} if options.without_onednn else {}
        words = [sys.executable, "-c", "import sys; from kerastl.cli import main; sys.exit(main())"]
        command = [*words, "run", options.recipe, "--tag", tag, "--seed", str(seed), *flags]
        subprocess.run(command, check=True, env=os.environ | kernels)
        report = json.loads(Path("saved_models", options.recipe, tag, "report.json").read_text())
        row = next(row for row in report["variants"] if row["name"] == report["chosen"])
        scores.append(row["score"])
        numbers = (row[name] for name in ("parameters", "bytes", "float_score", "score", "agreement"))
        table.add(seed, row["name"], *numbers, sum(stage["seconds"] for stage in report["stages"]) / 60)
    spread = f" (standard deviation {statistics.stdev(scores):.4f})" if len(scores) > 1 else ""
    options.results.show(table, width=120)
    print(f"mean of {len(scores)} seeds: {statistics.mean(scores):.4f}{spread}")


if __name__ == "__main__":
    main()
