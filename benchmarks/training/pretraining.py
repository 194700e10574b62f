"""Pretrained, then fine-tuned on few labels, beside the same net fine-tuned alone: what pretraining gives, over seeds.

    python benchmarks/training/pretraining.py [pretrain_images | pretrain_text] [--seeds 0 1 2] [FLAG VALUE ...]

Each seed is a run of the recipe in saved_models/RECIPE/seed-N, with any flags of it, so the same command again reuses
what is finished. Of either way the learning rate and the epoch are those that validation chose, steps and batches are
the same; scores are of the float32 files on test, and differences have Student's interval over seeds. Asked: on
pictures +6 points fine-tuned and +12 for the linear probe, on texts +1.5 points and a perplexity a quarter lower.
`--smoke --few.control` are flags of the recipe that show in minutes that all of this works.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from scipy import stats

from benchmarks.tools import results

ARMS = ("probe_alone", "probe", "fine_tuned_alone", "fine_tuned")
ASKED = {
    "pretrain_images": {"fine-tuned": 6.0, "linear probe": 12.0},
    "pretrain_text": {"fine-tuned": 1.5},
}
"""Points that pretraining has to give, on the mean of the seeds."""
FALL = 0.25
"""Share by which the perplexity of hidden words has to fall."""


def scores_of(report: dict[str, Any]) -> dict[str, float]:
    """The test score of each way's float32 file; the one that was taken has no name before it."""
    taken = report["model_choice"].removesuffix(" is taken.").rpartition(" ")[2]
    names = {arm: "float32" if arm == taken else f"{arm}_float32" for arm in ARMS}
    rows = {row["name"]: row["score"] for row in report["variants"]}
    return {arm: rows[name] for arm, name in names.items()}


def difference(with_it: Sequence[float], without: Sequence[float]) -> results.Interval:
    """The mean difference in points, with its 95 % interval over seeds; of one seed that number."""
    gains = 100 * (np.asarray(with_it) - np.asarray(without))
    mean, half = float(gains.mean()), 0.0
    if len(gains) > 1:
        half = float(stats.t.ppf(0.975, len(gains) - 1) * gains.std(ddof=1) / np.sqrt(len(gains)))
    return results.Interval(mean, mean - half, mean + half)


def ran(recipe: str, seed: int, flags: Sequence[str]) -> Path:
    """The folder of the finished run of a seed."""
    folder = Path("saved_models", recipe, f"seed-{seed}")
    words = [sys.executable, "-c", "import sys; from kerastl.cli import main; sys.exit(main())", "run", recipe]
    subprocess.run([*words, "--out", str(folder), "--seed", str(seed), *flags], check=True)
    return folder


def main() -> int:
    parser = results.parser(__doc__)
    parser.add_argument("recipe", nargs="?", choices=sorted(ASKED), default="pretrain_images")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options, flags = parser.parse_known_args()
    columns = {"seed": "{}", **dict.fromkeys(ARMS, "{:.2f}"), "neighbours": "{:.2f}", "perplexity": "{:.1f}"}
    table = results.Table(f"{options.recipe}: test score, %", {**columns, "minutes": "{:.1f}"})
    found: dict[str, list[float]] = {arm: [] for arm in ARMS}
    falls = []
    for seed in options.seeds:
        folder = ran(options.recipe, seed, flags)
        report = json.loads((folder / "report.json").read_text())
        curves = (folder / "stages").glob("pretrained-*/curves.json")  # those of other settings stay beside
        values = json.loads(max(curves, key=lambda path: path.stat().st_mtime).read_text())["values"]
        scores, perplexity = scores_of(report), values.get("perplexity")
        for arm in ARMS:
            found[arm].append(scores[arm])
        falls += [1 - perplexity[1] / perplexity[0]] if perplexity else []
        neighbours = [100 * values[name][-1] for name in ("knn_accuracy",) if name in values]
        minutes = sum(stage["seconds"] for stage in report["stages"]) / 60
        cells = [100 * scores[arm] for arm in ARMS]
        table.add(seed, *cells, neighbours[0] if neighbours else None, perplexity, minutes)
    options.results.show(table)
    gains = {
        "linear probe": difference(found["probe"], found["probe_alone"]),
        "fine-tuned": difference(found["fine_tuned"], found["fine_tuned_alone"]),
    }
    shown = results.Table("what pretraining gives", {"way": "{}", "points (95 % interval over seeds)": "{:+.2f}"})
    for name, gain in gains.items():
        shown.add(name, gain)
    options.results.show(shown, width=100)
    asked = {
        f"{name}: {gains[name].value:+.2f} points, at least {least:+g}": gains[name].value >= least
        for name, least in ASKED[options.recipe].items()
    }
    if falls:
        asked[f"perplexity of held-out hidden words {-100 * min(falls):+.0f} %, at most {-100 * FALL:+.0f} %"] = (
            min(falls) >= FALL
        )
    return options.results.verdict(asked)


if __name__ == "__main__":
    raise SystemExit(main())
