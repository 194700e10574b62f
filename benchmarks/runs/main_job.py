"""What the recipes are asked to reach, beside what their reports hold.

    python benchmarks/runs/main_job.py

Reads report.json of saved_models/mnist_cnn/default, mnist_mobile/default (and quick beside it), and the runs of
`benchmarks/tools/seeds.py` of mnist_mobile, with and without oneDNN, and of fashion_mobile. `kerastl verify DIR`
measures its numbers again from the files. Exit status 1 if a bar is missed or a report is missing.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.tools import results

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    options = results.parser(__doc__).parse_args()
    rows: list[tuple[str, str, str, bool]] = []
    if cnn := read("mnist_cnn", rows):
        best = chosen(cnn)["float_score"]
        rows.append(("mnist_cnn: test accuracy of the model", ">= 0.990", f"{best:.4f}", best >= 0.990))
        rows.append(minutes(cnn, 3))
    if first := read("mnist_mobile", rows):
        others = sorted(ROOT.glob("saved_models/mnist_mobile/*seed-*/report.json"))
        digits = [first, *(json.loads(path.read_text()) for path in others)]
        scores = [chosen(one)["score"] for one in digits]
        found = f"{min(scores):.4f} of {len(scores)}, mean {statistics.mean(scores):.4f}"
        most = max(chosen(one)["bytes"] for one in digits)
        rows.append(("mnist_mobile: accuracy of the worst file", ">= 0.9945", found, min(scores) >= 0.9945))
        rows.append(("mnist_mobile: bytes of the largest", "<= 20,000", f"{most:,}", most <= 20_000))
        rows += [minutes(first, 10), *fidelity(first, 0.99)]
    if mobile := read("mnist_mobile", rows, tag="quick"):
        score = chosen(mobile)["score"]
        rows += [("mnist_mobile --quick: accuracy of the file", ">= 0.985", f"{score:.4f}", score >= 0.985)]
        rows += [minutes(mobile, 2)]
    seeds = [
        json.loads(path.read_text()) for path in sorted(ROOT.glob("saved_models/fashion_mobile/seed-*/report.json"))
    ]
    if len(seeds) < 3:
        command = "python benchmarks/tools/seeds.py fashion_mobile --seeds 0 1 2"
        rows.append(("fashion_mobile: three seeds", command, f"{len(seeds)} reports", False))
    if seeds:
        most = max(chosen(seed)["bytes"] for seed in seeds)
        mean = statistics.mean(chosen(seed)["score"] for seed in seeds)
        rows.append(("fashion_mobile: bytes of the largest", "<= 50,000", f"{most:,}", most <= 50_000))
        rows.append((f"fashion_mobile: mean accuracy of {len(seeds)} seeds", ">= 0.940", f"{mean:.4f}", mean >= 0.940))
    for seed in seeds:
        rows += fidelity(seed, 0.98)
    names = ("what", "asked", "measured", "reached")
    options.results.keep("bars of the main job", [dict(zip(names, row, strict=True)) for row in rows])
    return options.results.verdict({f"{what}: {found}, asked {asked}": reached for what, asked, found, reached in rows})


def read(recipe: str, rows: list, *, tag: str = "default") -> dict[str, Any] | None:
    path = ROOT / "saved_models" / recipe / tag / "report.json"
    if not path.is_file():
        words = "" if tag == "default" else f" --{tag} --tag {tag}"
        rows.append((recipe, f"kerastl run {recipe}{words}", "no report", False))
        return None
    return json.loads(path.read_text())


def chosen(report: dict[str, Any]) -> dict[str, Any]:
    return next(row for row in report["variants"] if row["name"] == report["chosen"])


def minutes(report: dict[str, Any], most: float) -> tuple[str, str, str, bool]:
    spent = sum(stage["seconds"] for stage in report["stages"]) / 60
    return f"{report['recipe']}: minutes of its stages", f"<= {most}", f"{spent:.1f}", spent <= most


def fidelity(report: dict[str, Any], agreement: float) -> list[tuple[str, str, str, bool]]:
    """Every integer file against its own float model."""
    rows = []
    for row in report["variants"]:
        if row["ops"]["float"] == 0:
            name, lost = f"{report['recipe']}/{report['tag']}/{row['name']}", row["float_score"] - row["score"]
            rows.append((f"{name}: lost against its model", "<= 0.003", f"{lost:.4f}", lost <= 0.003))
            measured = row["agreement"]
            rows.append((f"{name}: agreement", f">= {agreement}", f"{measured:.4f}", measured >= agreement))
    return rows


if __name__ == "__main__":
    raise SystemExit(main())
