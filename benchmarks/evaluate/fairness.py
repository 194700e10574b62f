"""Fairness: figures beside fairlearn's, and what each remedy gives on the adult census.

    python benchmarks/evaluate/fairness.py [--seeds 3] [--epochs 12] [--group-column sex]

Random answers of many shapes, and those of a network to the census, are measured here and by fairlearn, which is
installed into a folder of its own. Then the network learns from rows as they are, reweighted, and drawn by group; each
float file and its int8 file are measured on test, and thresholds of each group that validation chose.

Asked: every figure equal to fairlearn's to 1e-9.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

import kerastl
from benchmarks.tools import results
from kerastl.data import group_columns
from kerastl.evaluate import groups
from kerastl.types import Dataset, Schedule

FAIRLEARN, PANDAS = "0.15.0", "3.1.1"
GAPS = (
    "demographic_parity_difference",
    "demographic_parity_ratio",
    "equalized_odds_difference",
    "equalized_odds_ratio",
)
THEIRS = """
import json, sys
import numpy as np
from fairlearn import metrics
found = []
for selected, labels, groups in json.load(sys.stdin):
    asked = np.array(labels), np.array(selected)
    gaps = {name: float(getattr(metrics, name)(*asked, sensitive_features=groups)) for name in %r}
    rates = {"selection": metrics.selection_rate, "true_positive": metrics.true_positive_rate,
             "false_positive": metrics.false_positive_rate}
    frame = metrics.MetricFrame(metrics=rates, y_true=asked[0], y_pred=asked[1], sensitive_features=groups)
    found.append([gaps, {str(name): dict(row) for name, row in frame.by_group.iterrows()}])
json.dump(found, sys.stdout)
"""


def theirs(questions: list[tuple]) -> list[Any]:
    """What fairlearn says, in a child that finds it in a folder of its own."""
    home = kerastl.system.downloads.home() / f"fairlearn-{FAIRLEARN}"
    if not (home / "fairlearn").is_dir():
        print(f"installing fairlearn {FAIRLEARN} into {home}", file=sys.stderr)
        wanted = [f"fairlearn=={FAIRLEARN}", f"pandas=={PANDAS}"]
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(home), *wanted]
        subprocess.run(command, check=True)
    asked = json.dumps([[one.tolist() for one in question] for question in questions])
    environment = {**os.environ, "PYTHONPATH": str(home)}
    command = [sys.executable, "-c", THEIRS % (GAPS,)]
    return json.loads(
        subprocess.run(command, input=asked, env=environment, capture_output=True, text=True, check=True).stdout
    )


def furthest(questions: list[tuple]) -> float:
    """The greatest difference of a figure from fairlearn's."""
    away = [0.0]
    for question, (gaps, rates) in zip(questions, theirs(questions), strict=True):
        ours = groups.gaps(*question)
        away += [abs(ours[name] - value) for name, value in gaps.items() if not np.isnan(value)]
        for one in groups.by_group(*question):
            away += [abs((getattr(one, key) or 0.0) - value) for key, value in rates[one.name].items()]
    return max(away)


def made_up(seed: int) -> tuple:
    random = np.random.default_rng(seed)
    count, kinds = int(random.integers(20, 3000)), int(random.integers(2, 9))
    answers, labels = random.integers(0, 2, (2, count))
    return answers, labels, random.integers(0, kinds, count).astype(str)


def trained(data: Dataset, *, seed: int, epochs: int) -> Any:
    kerastl.training.set_seed(seed)
    model = kerastl.models.multilayer_perceptron.build(data.task, widths=(64, 64))
    schedule = Schedule(epochs=epochs, batch_size=128, peak_learning_rate=2e-3, weight_decay=1e-4)
    options = {"schedule": schedule, "seed": seed, "validation": data.validation, "progress": False}
    kerastl.training.fit(model, data.train, **options)
    return model


def main() -> int:
    parser = results.parser(__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--group-column", default="sex")
    options = parser.parse_args()
    questions = [made_up(seed) for seed in range(30)]
    columns = {"remedy": "{}", "seed": "{}", "file": "{}", "accuracy": "{:.4f}"}
    table = results.Table("Adult census, test", columns | dict.fromkeys(GAPS, "{:.3f}"))
    for seed in range(options.seeds):
        whole = kerastl.data.adult_census.load(seed=seed)
        held, new = (
            group_columns.of_split(whole, one, column=options.group_column) for one in (whole.validation, whole.test)
        )
        labels = whole.test.labels == 1
        for remedy in ("no", "reweighted", "group", "cell"):
            data = kerastl.runs.balanced_by_group(whole, column=options.group_column, by=remedy, seed=seed)
            model = trained(data, seed=seed, epochs=options.epochs)
            made = kerastl.runs.post_training(model, data.task, techniques=("float32", "dynamic_int8"))
            for one in made:
                answers = kerastl.verify.predict_tflite(one.tflite, whole.test.inputs)[:, 1]
                selected = [("", answers >= 0.5)]
                if one.name == "float32" and remedy == "no":
                    fitted = kerastl.verify.predict_tflite(one.tflite, whole.validation.inputs)[:, 1]
                    for aim in ("demographic_parity", "equalized_odds"):
                        chosen = groups.thresholds(fitted, whole.validation.labels == 1, held, wanted=aim)
                        selected.append((f", thresholds: {aim}", groups.apply_thresholds(answers, new, chosen)))
                for words, picked in selected:
                    found = groups.gaps(picked, labels, new)
                    accuracy = float((picked == labels).mean())
                    table.add(f"{remedy}{words}", str(seed), one.name, accuracy, *(found[name] for name in GAPS))
                    questions.append((picked.astype(int), labels.astype(int), new))
    options.results.show(table, width=180)
    away = furthest(questions)
    return options.results.verdict(
        {f"{len(questions)} sets of answers: at most {away:.1e} from fairlearn {FAIRLEARN}, 1e-9 asked": away <= 1e-9}
    )


if __name__ == "__main__":
    raise SystemExit(main())
