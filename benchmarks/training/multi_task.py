"""Several tasks in one file beside a file a task, under every rule that balances them, over seeds.

    python benchmarks/training/multi_task.py [--recipe multi_task_images] [--seeds 0 1 2] [--rules fixed dwa] [--smoke]

Each seed and rule is a run of its own in saved_models/RECIPE/RULE-seed-N, so the same command again reuses what is
finished; the single-task models are trained once a seed, beside the first rule. A gain is what a task's score on test
is above that of its single-task model, in points: of classes of accuracy, of numbers hundredths of a standard
deviation. The cosine is the mean, over epochs and pairs of tasks, of that of their gradients in the shared weights.

Asked of the first rule: the mean over tasks at least the single-task models' less 0.3 points, at 0.6 of the bytes and
of the time of all their files or less, and one task better beyond its interval over seeds.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from scipy import stats

import kerastl
from benchmarks.tools import results
from kerastl.training import balancing_rules

Gains = dict[str, list[float]]
"""Of each task what a file of all gained on its single-task model, in points, a seed a value."""


def interval(values: list[float]) -> results.Interval | float:
    """The mean over seeds with its 95 % interval (Student's t); of one seed the value alone."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean
    half = float(stats.t.ppf(0.975, len(values) - 1)) * float(np.std(values, ddof=1)) / len(values) ** 0.5
    return results.Interval(mean, mean - half, mean + half)


def gains(run: Any, alone: dict[str, float]) -> dict[str, float]:
    """What each task's score on test is above its single-task model's."""
    parts = dict(run.task.target.parts)
    scores = {row["name"]: row["value"] for row in run.report["by_task"]}
    return {name: 100 * parts[name].drop(alone[name], scores[name]) for name in parts}


def conflict(run: Any) -> float:
    """The mean cosine of two tasks' gradients over the whole training."""
    (stage,) = list((run.folder / "stages").glob("all_tasks-*"))[-1:]
    curves = json.loads((stage / "curves.json").read_text())["values"]
    return float(np.mean([values for name, values in curves.items() if name.endswith("_cosine")]))


def main() -> int:
    parser = results.parser(__doc__)
    parser.add_argument("--recipe", default="multi_task_images", choices=["multi_task_images", "multi_task_text"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rules", nargs="+", default=["fixed", "uncertainty", "gradnorm", "dwa", "pcgrad", "famo"])
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, to see that everything works")
    options = parser.parse_args()
    for name in options.rules:
        if name not in balancing_rules.names():
            parser.error(f"there is no rule {name!r}; available: {', '.join(balancing_rules.names())}")
    found: dict[str, Gains] = {rule: {} for rule in options.rules}
    cosines: dict[str, list[float]] = {rule: [] for rule in options.rules}
    shares: list[tuple[float, float]] = []
    small = "smoke-" if options.smoke else ""
    for seed in options.seeds:
        alone: dict[str, float] = {}
        for rule in options.rules:
            settings: dict[str, Any] = {"rule": rule, "seed": seed, "control": rule == options.rules[0]}
            run = kerastl.run(options.recipe, tag=f"{small}{rule}-seed-{seed}", smoke=options.smoke, **settings)
            if settings["control"]:
                beside = run.report["single_tasks"]
                alone = {row["name"]: row["alone_score"] for row in beside["rows"]}
                ratios = (beside[key] / beside[f"sum_{key}"] for key in ("bytes", "latency_ms"))
                shares.append((next(ratios), next(ratios)))
            gained = gains(run, alone)
            for name, gain in gained.items():
                found[rule].setdefault(name, []).append(gain)
            cosines[rule].append(conflict(run))
            options.results.keep(f"{rule}, seed {seed}", [{**gained, "cosine": cosines[rule][-1]}])
    tasks = list(next(iter(found.values())))
    columns = {"rule": "{}", **{f"{name}, points gained": "{:+.2f}" for name in tasks}}
    table = results.Table(
        f"{options.recipe}, {len(options.seeds)} seeds: one file of all tasks beside a file a task",
        {**columns, "mean": "{:+.2f}", "cosine": "{:+.3f}"},
    )
    means = {rule: np.mean(list(of_tasks.values()), axis=0).tolist() for rule, of_tasks in found.items()}
    for rule, of_tasks in found.items():
        each = [interval(of_tasks[name]) for name in tasks]
        table.add(rule, *each, interval(means[rule]), float(np.mean(cosines[rule])))
    options.results.show(table, width=160)
    first = options.rules[0]
    size, time = np.mean(shares, axis=0)
    better = [
        one for name in tasks if isinstance(one := interval(found[first][name]), results.Interval) and one.low > 0
    ]
    return options.results.verdict(
        {
            f"{first}: mean over tasks {np.mean(means[first]):+.2f} points, at least -0.3": np.mean(means[first])
            >= -0.3,
            f"{size:.2f} of the files' bytes, at most 0.6": bool(size <= 0.6),
            f"{time:.2f} of the files' time, at most 0.6": bool(time <= 0.6),
            f"{len(better)} tasks better beyond their interval, at least 1": bool(better),
        }
    )


if __name__ == "__main__":
    raise SystemExit(main())
