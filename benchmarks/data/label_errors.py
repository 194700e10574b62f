"""Wrong labels planted in real MNIST: how many of them an audit finds after a first model.

    python benchmarks/data/label_errors.py [--share 0.05] [--limit 20000] [--epochs 2]

The plain CNN learns from the very labels that it is to doubt afterwards, as a first model does. Printed beside it is
the plain way: doubting every example that the model answers otherwise. Recall is the share of the planted labels
that are flagged, precision the share of flagged ones that were planted. Asked: a recall of 60 % at a precision of 50 %.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

import kerastl
from benchmarks.tools import results
from kerastl.types import Schedule


def main() -> int:
    parser = results.parser(__doc__)
    parser.add_argument("--share", type=float, default=0.05, help="of the labels that are made wrong")
    parser.add_argument("--limit", type=int, default=20_000, help="pictures")
    parser.add_argument("--epochs", type=int, default=2)
    options = parser.parse_args()
    data = kerastl.data.mnist.load(limit=options.limit)
    generator = np.random.default_rng(0)
    labels = np.array(data.train.labels)
    planted = generator.choice(len(labels), round(options.share * len(labels)), replace=False)
    labels[planted] = (labels[planted] + generator.integers(1, 10, len(planted))) % 10
    kerastl.training.set_seed(0)
    model = kerastl.models.lenet_style.textbook(data.task)
    batches = kerastl.data.pipeline.batches(
        dataclasses.replace(data.train, labels=labels), batch_size=128, shuffle=True
    )
    kerastl.training.fit(model, batches, schedule=Schedule(epochs=options.epochs, batch_size=128))
    probabilities = kerastl.training.predict(kerastl.export.serving.with_answers(model, data.task), data.train.inputs)
    ways = {
        "kerastl (confident learning)": kerastl.data.label_errors.find(labels, probabilities),
        "every disagreement": np.flatnonzero(probabilities.argmax(-1) != labels),
    }
    shares = {}
    table = results.Table(
        f"{len(planted):,} of {len(labels):,} labels made wrong",
        {"way": "{}", "flagged": "{:,}", "recall": "{:.1%}", "precision": "{:.1%}"},
    )
    for way, flagged in ways.items():
        hits = len(np.intersect1d(flagged, planted))
        recall, precision = shares[way] = hits / len(planted), hits / max(len(flagged), 1)
        table.add(way, len(flagged), recall, precision)
    options.results.show(table, width=100)
    (recall, precision), _ = shares.values()
    asked = {
        f"{recall:.1%} of the planted labels found, at least 60 %": recall >= 0.6,
        f"{precision:.1%} of those flagged were planted, at least 50 %": precision >= 0.5,
    }
    return options.results.verdict(asked)


if __name__ == "__main__":
    raise SystemExit(main())
