"""Sentences of many classes and few labels: what `text_classifier` ships, beside what needs no fine-tuning.

    python benchmarks/training/sentences.py --data FOLDER [--labels 10 20 all] [--seeds 1] [--lora 600]
        [--contrastive-pairs]

FOLDER holds ``train.csv`` and ``test.csv``, of the 77 intents of Banking77 (Casanueva et al. 2020, CC BY 4.0) for
example. For each number of labels a class and each seed the recipe runs as `kerastl run text_classifier --labels N`
does, to the verified file; its score is that of the file on all test texts. From the same run come TF-IDF with logistic
regression, fitted on the same texts, and logistic regression on the frozen encoder's features (scikit-learn's, C=10 on
features of length one: the usual C=1 is three points worse). "all" has validation texts to choose by. ``--lora N``
trains low-rank matrices of rank 8 on N texts. With ``--contrastive-pairs`` the encoder learns from pairs of texts,
which takes the place of fine-tuning where nothing chooses: to compare, run once with and once without. Nothing is
chosen by test.
Asked: 20 a class at least 0.87 and not below the frozen encoder; 10 a class at least 0.80; all at least 0.92; LoRA not
below its own linear probe; and the cached probe 20 times as fast as an epoch of fine-tuning.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

import kerastl
from benchmarks.tools import results
from kerastl.data.tables.table import Layout
from kerastl.recipes import text_classifier
from kerastl.runs import Acceptance, baselines, stage_files
from kerastl.types import Dataset, Score

BARS = {"10": 0.80, "20": 0.87, "all": 0.92}
ARMS = ("linear_probe", "fine_tuned", "contrastive_pairs")
"""What a run trains, as its stages are called."""
LIMIT = 20
"""How many times as fast as an epoch of fine-tuning the probe has to be."""


def config(options: Any, *, seed: int, labels: int | None = None, lora: int | None = None) -> text_classifier.Config:
    """The recipe's own settings; labels are drawn from nearly all of train, for there is no validation to choose by."""
    usual = text_classifier.Config()
    reading = dataclasses.replace(
        usual.reading,
        validation=0.01 if labels else usual.reading.validation,
        layout=Layout(test_file=str(options.data / "test.csv")),
        on_unreadable="skip",
        max_train_examples=lora,
    )
    return dataclasses.replace(
        usual,
        data=str(options.data / "train.csv"),
        reading=reading,
        labels=labels,
        lora_rank=8 if lora else None,
        contrastive_pairs=options.contrastive_pairs and not lora,
        seed=seed,
        precision=options.precision,
        accept=Acceptance(max_score_drop=0.01, max_quantization_drop=0.01, min_agreement=0.95),
    )


def ran(asked: text_classifier.Config, folder: Path) -> dict[str, Any]:
    """The report of a run, with what the frozen encoder gives, and seconds of probe and of an epoch of fine-tuning."""
    report = text_classifier.run(asked, folder)
    rows = {row["name"]: row for row in report["variants"]}
    seconds = {row["name"]: row["seconds"] for row in report["stages"]}
    arms = [one for one in ARMS if one in seconds]
    (taken,) = (one for one in arms if f"{one}_float32" not in rows)  # whose files have no name before them
    learnt = arms[1]
    tuned = kerastl.training.load(next((folder / "stages").glob(f"{learnt}-*")))
    epochs = len(next(iter(tuned.curves.values.values())))
    return {
        "chosen": rows[report["chosen"]],
        **dict.fromkeys(ARMS, float("nan")),
        **{one: rows["float32" if one == taken else f"{one}_float32"]["score"] for one in arms},
        "words": next(row["score"] for row in report["baselines"] if row["name"] == baselines.WORDS),
        "frozen": frozen(asked, folder),
        "seconds": (seconds["features"], seconds["linear_probe"], seconds[learnt] / epochs),
        "train": report["data"]["train"],
    }


def frozen(asked: text_classifier.Config, folder: Path) -> Score:
    """Logistic regression on the features of the run's own training texts, scored on test."""
    from sklearn.linear_model import LogisticRegression

    data = text_classifier.load(asked)
    splits: Any = stage_files.load(next((folder / "stages").glob("features-*")))
    model = LogisticRegression(C=10.0, max_iter=1000).fit(unit(splits[0].inputs), splits[0].labels)
    body = kerastl.training.transfer.feature_extractor(text_classifier.build(asked, data))
    test = kerastl.training.predict(body, data.test.inputs, task=data.task)
    return scored(model.predict_proba(unit(test)), data)


def scored(answers: np.ndarray, data: Dataset) -> Score:
    return data.task.target.score(answers, data.test.labels)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def interval(scores: list[float], count: int) -> results.Interval:
    """The mean over seeds; around it the 95 % interval of that share of so many test texts (Wilson 1927)."""
    if np.isnan(scores).any():  # was not trained
        return results.Interval(float("nan"), float("nan"), float("nan"))
    right = np.zeros(count)
    right[: round(float(np.mean(scores)) * count)] = 1
    score = kerastl.tasks.classes.wilson(right)
    return results.Interval(float(np.mean(scores)), score.low, score.high)


def main() -> int:
    parser = results.parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with train.csv and test.csv")
    parser.add_argument("--labels", nargs="+", default=["10", "20", "all"], help="of each class; or all")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument(
        "--lora", type=int, default=0, help="texts that low-rank matrices learn from; 0 leaves them out"
    )
    parser.add_argument("--contrastive-pairs", action="store_true", help="the encoder learns from pairs of texts too")
    parser.add_argument("--precision", default="float32", choices=["float32", "mixed_bfloat16"], help="of training")
    parser.add_argument("--keep", type=Path, help="where the runs are kept, so that they go on")
    options = parser.parse_args()
    table = results.Table(
        "Accuracy on test",
        {"texts a class": "{}", "trained on": "{:,}"}
        | dict.fromkeys(("file", "fine-tuned", "pairs", "linear probe", "frozen + LR", "TF-IDF + LR"), "{:.4f}")
        | {"probe s": "{:.1f}", "epoch s": "{:.1f}"},
    )
    asked: dict[str, bool] = {}
    with tempfile.TemporaryDirectory() as temporary:
        place = options.keep or Path(temporary)
        for labels in options.labels:
            number = None if labels == "all" else int(labels)
            found = [
                ran(config(options, seed=seed, labels=number), place / f"labels_{labels}_{seed}")
                for seed in range(options.seeds)
            ]
            means = add(table, labels, found)
            file, other = means["file"], means["frozen + LR"]
            if labels in BARS:
                asked[f"{labels} a class: {file:.4f}, at least {BARS[labels]:.2f}"] = file >= BARS[labels]
            asked[f"{labels} a class: {file:.4f}, the frozen encoder {other:.4f}"] = file >= other
            ratio = means["epoch s"] / means["probe s"]
            words = f"{labels} a class: the cached probe {ratio:.0f} times as fast as an epoch, at least {LIMIT}"
            asked[words] = ratio >= LIMIT
        if options.lora:
            found = [ran(config(options, seed=0, lora=options.lora), place / "lora")]
            means = add(table, f"LoRA, {options.lora} texts", found)
            tuned, probe = means["fine-tuned"], means["linear probe"]
            asked[f"LoRA {tuned:.4f}, its linear probe {probe:.4f}"] = tuned >= probe
    options.results.show(table, width=180)
    return options.results.verdict(asked)


def add(table: results.Table, name: str, found: list[dict[str, Any]]) -> dict[str, float]:
    """A row of the means over seeds; these, by the heads of their columns."""
    count = found[0]["frozen"].count
    columns = {
        "file": [one["chosen"]["score"] for one in found],
        "fine-tuned": [one["fine_tuned"] for one in found],
        "pairs": [one["contrastive_pairs"] for one in found],
        "linear probe": [one["linear_probe"] for one in found],
        "frozen + LR": [one["frozen"].value for one in found],
        "TF-IDF + LR": [one["words"] for one in found],
    }
    _, probe, epoch = (float(np.mean(each)) for each in zip(*(one["seconds"] for one in found), strict=True))
    table.add(name, found[0]["train"], *(interval(scores, count) for scores in columns.values()), probe, epoch)
    print(f"{name}: " + ", ".join(f"{head} {np.round(scores, 4)}" for head, scores in columns.items()), flush=True)
    return {head: float(np.mean(scores)) for head, scores in columns.items()} | {"probe s": probe, "epoch s": epoch}


if __name__ == "__main__":
    raise SystemExit(main())
