"""A frozen backbone: computing its features once, against the standard loop that runs it in every epoch.

    python benchmarks/training/cached_features.py [--epochs 20] [--rounds 3] [--image-size 128] [--limit EXAMPLES]

MobileNetV2 with ImageNet's weights on the groceries, no augmentation: both ways see the same pictures in the same order
under the same schedule, and differ in where the features come from. The two take turns. Prints seconds (of everything
behind the loading of data and weights: features and training) and accuracy on validation and test of each, the median
ratio of neighbours with its range, and the difference of the scores. Asked: at least 5 times faster, scores within 0.2
points.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import keras

import kerastl
from benchmarks.tools import results
from kerastl.types import Dataset, Schedule, Split


def classifier(dataset: Dataset, size: int) -> keras.Model:
    """The frozen backbone with a head; the same head for the same seed."""
    pretrained = kerastl.models.pretrained
    keras.utils.set_random_seed(0)
    backbone = pretrained.load("mobilenet_v2", image_size=size)
    backbone.model.trainable = False
    return pretrained.backbone.with_head(backbone, dataset.task, dropout=0.0)


def standard(model: keras.Model, dataset: Dataset, schedule: Schedule) -> None:
    """Every epoch runs the backbone over every picture, of train and of validation."""
    batches = kerastl.data.pipeline.batches
    kerastl.training.fit(
        model,
        batches(dataset.train, batch_size=schedule.batch_size, shuffle=True),
        schedule=schedule,
        validation=batches(dataset.validation, batch_size=64),
        keep="last",
        progress=False,
    )


def cached(model: keras.Model, dataset: Dataset, schedule: Schedule) -> None:
    """The backbone runs once a picture; the head learns from what came out."""
    batches, transfer = kerastl.data.pipeline.batches, kerastl.training.transfer
    body = transfer.feature_extractor(model)
    train, validation = (
        transfer.extract_features(body, batches(split, batch_size=64), name=split.name)
        for split in (dataset.train, dataset.validation)
    )
    head = transfer.head(dataset.task, train.inputs.shape[1])
    head.get_layer("logits").set_weights(model.get_layer("logits").get_weights())  # both ways begin alike
    kerastl.training.fit(
        head,
        batches(train, batch_size=schedule.batch_size, shuffle=True),
        schedule=schedule,
        validation=batches(validation, batch_size=500),
        keep="last",
        progress=False,
    )
    transfer.set_head_weights(model, head)


def score(model: keras.Model, split: Split) -> float:
    answers = kerastl.training.predict(model, split.inputs, batch_size=64)
    return kerastl.verify.score(answers, split.labels).value


def main() -> int:
    parser = results.parser(__doc__)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--limit", type=int, help="so many training pictures only")
    options = parser.parse_args()
    size = options.image_size
    dataset = kerastl.data.groceries.load(size=(size, size), limit=options.limit)
    schedule = Schedule(epochs=options.epochs, batch_size=32, peak_learning_rate=3e-3)
    ways = {"standard loop": standard, "cached features": cached}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    scores: dict[str, tuple[float, float]] = {}
    for turn in range(options.rounds):
        for name in list(ways)[:: -1 if turn % 2 else 1]:
            model = classifier(dataset, size)
            start = time.perf_counter()
            ways[name](model, dataset, schedule)
            seconds[name].append(time.perf_counter() - start)
            if turn == 0:
                scores[name] = (score(model, dataset.validation), score(model, dataset.test))
    table = results.Table(
        f"MobileNetV2 at {size} pixels, {len(dataset.train)} groceries, {options.epochs} epochs",
        {"way": "{}", "seconds": "{:.1f}", "validation": "{:.2%}", "test": "{:.2%}"},
    )
    for name in ways:
        table.add(name, statistics.median(seconds[name]), *scores[name])
    options.results.show(table, width=120)
    ratios = [slow / fast for slow, fast in zip(*seconds.values(), strict=True)]
    apart = max(abs(one - other) for one, other in zip(*scores.values(), strict=True))
    ratio = statistics.median(ratios)
    asked = {
        f"{ratio:.1f} times faster ({min(ratios):.1f} to {max(ratios):.1f}), at least 5": ratio >= 5,
        f"scores {100 * apart:.2f} points apart, at most 0.20": apart <= 0.002,
    }
    return options.results.verdict(asked)


if __name__ == "__main__":
    raise SystemExit(main())
