"""One recipe over several seeds: the score of the chosen file each time, and the mean.

    python benchmarks/tools/seeds.py fashion_mobile --seeds 0 1 2 [FLAG VALUE ...]

Each seed is a run of its own in saved_models/RECIPE/seed-N, so the same command again reuses what is finished.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options, flags = parser.parse_known_args()
    table = Table(title=f"{options.recipe}, full test split")
    for column in ("seed", "chosen", "parameters", "bytes", "float model", "file", "agreement", "minutes"):
        table.add_column(column, justify="right")
    scores = []
    for seed in options.seeds:
        tag = f"seed-{seed}"
        words = [sys.executable, "-c", "import sys; from kerastl.cli import main; sys.exit(main())"]
        subprocess.run([*words, "run", options.recipe, "--tag", tag, "--seed", str(seed), *flags], check=True)
        report = json.loads(Path("saved_models", options.recipe, tag, "report.json").read_text())
        row = next(row for row in report["variants"] if row["name"] == report["chosen"])
        scores.append(row["score"])
        table.add_row(
            str(seed),
            row["name"],
            f"{row['parameters']:,}",
            f"{row['bytes']:,}",
            f"{row['float_score']:.4f}",
            f"{row['score']:.4f}",
            f"{row['agreement']:.4f}",
            f"{sum(stage['seconds'] for stage in report['stages']) / 60:.1f}",
        )
    spread = f" (standard deviation {statistics.stdev(scores):.4f})" if len(scores) > 1 else ""
    Console(width=120).print(table)
    print(f"mean of {len(scores)} seeds: {statistics.mean(scores):.4f}{spread}")


if __name__ == "__main__":
    main()
