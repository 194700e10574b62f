"""Similarity on classes never seen: the frozen backbone beside the embedding of `kerastl run similarity`.

    python benchmarks/training/similarity.py [--seeds 0 1 2] [--epochs 4] [--loss triplet] [--image-size 96]

Each seed draws other halves of the groceries' 14 classes. Scored are all pictures of the seven unseen classes: each
searches among the others (recall@1, MAP@R), all pairs give the equal error rate. Beside it the harder question: the
published test pictures, taken in other shops, search among the published training pictures of the same unseen classes.
Nothing is chosen by these scores, and the trained embedding stands there whether validation would have kept it or not.
Asked: recall@1 of the trained embedding 5 points above that of the frozen backbone, on average over the seeds.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import keras
import numpy as np

import kerastl
from benchmarks.tools import results
from kerastl.recipes import similarity
from kerastl.types import Dataset

COLUMNS = ("recall@1", "MAP@R", "equal error rate", "recall@1 across shops")


def scores(model: keras.Model, data: Dataset, published: Dataset) -> tuple[float, ...]:
    """The four numbers, in percent."""
    target, test = data.task.target, data.test
    vectors = kerastl.training.predict(model, test.inputs, task=data.task)
    found = target.details(vectors, test.labels)
    unseen = np.unique(np.asarray(test.labels))
    shops = {}
    for name in ("train", "validation", "test"):
        split = getattr(published, name)
        there = split.subset(np.flatnonzero(np.isin(split.labels, unseen)))
        made = kerastl.training.predict(model, there.inputs, task=data.task) if len(there) else np.zeros((0, 1))
        shops[name] = made, there.labels
    known = np.concatenate([made for made, _ in (shops["train"], shops["validation"]) if len(made)])
    names = np.concatenate([labels for made, labels in (shops["train"], shops["validation"]) if len(made)])
    asked, right = shops["test"]
    across = float((names[(asked @ known.T).argmax(1)] == right).mean())
    recall = target.score(vectors, test.labels).value
    return tuple(100 * value for value in (recall, found["map_at_r"], found["equal_error_rate"], across))


def main() -> int:
    parser = results.parser(__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    own = similarity.Config()
    parser.add_argument("--epochs", type=int, default=own.schedule.epochs)
    parser.add_argument("--rate", type=float, default=own.schedule.peak_learning_rate)
    parser.add_argument("--loss", default=own.loss)
    parser.add_argument("--layer-decay", type=float, default=own.layer_decay)
    parser.add_argument("--backbone", default=own.backbone)
    parser.add_argument("--image-size", type=int, default=own.image_size)
    options = parser.parse_args()
    found: dict[str, list[tuple[float, ...]]] = {"frozen backbone": [], "trained": []}
    for seed in options.seeds:
        config = dataclasses.replace(
            own,
            seed=seed,
            loss=options.loss,
            backbone=options.backbone,
            image_size=options.image_size,
            layer_decay=options.layer_decay,
            schedule=dataclasses.replace(own.schedule, epochs=options.epochs, peak_learning_rate=options.rate),
        )
        data = similarity.load(config)
        published = kerastl.data.groceries.load(size=(options.image_size,) * 2, seed=seed)
        found["frozen backbone"].append(scores(similarity.built(config, data), data, published))
        found["trained"].append(scores(similarity.fine_tune(config, data, None).model, data, published))
        words = "  ".join(f"{name} " + " ".join(f"{value:.1f}" for value in rows[-1]) for name, rows in found.items())
        print(f"seed {seed}: {words}", flush=True)
        keras.backend.clear_session()
    table = results.Table(
        f"groceries, half of the classes unseen, {options.backbone} at {options.image_size} pixels, {options.loss}",
        {"embedding": "{}", **{f"{column} %": "{:.2f}" for column in COLUMNS}},
    )
    for name, rows in found.items():
        table.add(name, *np.mean(rows, 0))
    options.results.show(table, width=120)
    frozen, trained = (np.mean(rows, 0)[0] for rows in found.values())
    return options.results.verdict(
        {f"recall@1 {trained - frozen:+.2f} points above the frozen backbone, at least 5": bool(trained - frozen >= 5)}
    )


if __name__ == "__main__":
    raise SystemExit(main())
