"""Ten labels a class: a linear probe, fine-tuning alone, and the probe followed by fine-tuning (LP-FT), side by side.

    python benchmarks/training/few_labels.py [--splits 10] [--labels 10] [--image-size 96] [--epochs 20]

A pretrained backbone on the groceries. Each split draws other labelled pictures from those that are no test pictures;
all three ways get the same pictures, views and steps (the probe has its own, on cached features). Scores are on the
published test pictures, as they are and changed as a phone would change them: darker and brighter, blurred, and as a
JPEG of quality 15, averaged. Nothing is chosen by them. Asked (Kumar et al. 2022, https://arxiv.org/abs/2202.10054):
LP-FT at least as good as fine-tuning alone on both, and at least as good as the probe on pictures as they are.
"""

from __future__ import annotations

import functools
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import keras
import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

import kerastl
from benchmarks.tools import results
from kerastl.types import Schedule, Split, Task

VIEWS = {
    "rotation": 0.04,
    "translation": 0.1,
    "zoom": 0.2,
    "horizontal_flip": True,
    "brightness": 0.15,
    "contrast": 0.2,
}
RATE = 2e-4


def as_jpeg(picture: Image.Image) -> Image.Image:
    memory = io.BytesIO()
    picture.save(memory, "JPEG", quality=15)
    return Image.open(memory)


SHIFTS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "darker": lambda picture: ImageEnhance.Brightness(picture).enhance(0.5),
    "brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.6),
    "blurred": lambda picture: picture.filter(ImageFilter.GaussianBlur(picture.width / 100)),
    "JPEG": as_jpeg,
}


def labelled(pool: Split, *, labels: int, seed: int) -> Split:
    """So many pictures of each class."""
    draw = np.random.default_rng(seed)
    classes = [np.flatnonzero(pool.labels == label) for label in np.unique(pool.labels)]
    return pool.subset(draw.permutation(np.concatenate([draw.permutation(one)[:labels] for one in classes])))


def built(backbone: str, task: Task) -> keras.Model:
    keras.utils.set_random_seed(0)
    pretrained = kerastl.models.pretrained
    return pretrained.backbone.with_head(pretrained.load(backbone, image_size=task.inputs.shape[0]), task, dropout=0.3)


def probed(backbone: str, task: Task, train: Split) -> keras.Model:
    """The backbone as it came with a head that has learnt from its features."""
    transfer, batches = kerastl.training.transfer, kerastl.data.pipeline.batches
    model = built(backbone, task)
    plan = transfer.plan(examples=len(train), classes=task.target.outputs)
    changed = batches(
        train, batch_size=64, augment=kerastl.inputs.augmentation.image_augmentation(**VIEWS, fill="reflect", seed=0)
    )
    body = transfer.feature_extractor(model)
    kind = kerastl.inputs.numbers.Numbers(body.output_shape[1:])
    features = transfer.concatenate(
        transfer.extract_features(body, batches(train, batch_size=64), features_kind=kind),
        transfer.extract_features(body, changed, features_kind=kind, views=plan.views),
    )
    head = transfer.head(task, features.inputs.shape[1], dropout=0.3)
    kerastl.training.fit(
        head,
        batches(features, batch_size=plan.probe.batch_size, shuffle=True),
        schedule=plan.probe,
        keep="last",
        progress=False,
    )
    transfer.set_head_weights(model, head)
    return model


def fine_tuned(model: keras.Model, train: Split, epochs: int) -> keras.Model:
    """Everything learns, the early layers least; statistics stay."""
    transfer = kerastl.training.transfer
    transfer.freeze_batch_norm(model)
    groups = [[layer.name for layer in group.layers] for group in kerastl.models.pretrained.backbone.groups(model)]
    kerastl.training.fit(
        model,
        kerastl.data.pipeline.batches(
            train,
            batch_size=32,
            shuffle=True,
            augment=kerastl.inputs.augmentation.image_augmentation(**VIEWS, fill="reflect", seed=1),
        ),
        schedule=Schedule(epochs=epochs, batch_size=32, peak_learning_rate=RATE, weight_decay=1e-2),
        optimizer=functools.partial(transfer.LayerwiseAdamW, rates=transfer.layer_rates(groups, layer_decay=0.8)),
        keep="last",
        progress=False,
    )
    return model


def scores(model: keras.Model, tests: dict[str, np.ndarray], labels: np.ndarray) -> tuple[float, float]:
    """Accuracy on pictures as they are, and the mean over the shifted ones."""
    right = {
        name: float((kerastl.training.predict(model, inputs, batch_size=64).argmax(1) == labels).mean())
        for name, inputs in tests.items()
    }
    return right.pop("clean"), float(np.mean(list(right.values())))


def interval(values: np.ndarray) -> results.Interval:
    """The mean with its 95 % bootstrap interval (Efron 1979)."""
    draws = np.random.default_rng(0).choice(values, (10_000, len(values)))
    low, high = np.percentile(draws.mean(1), [2.5, 97.5])
    return results.Interval(float(values.mean()), float(low), float(high))


def main() -> int:
    parser = results.parser(__doc__)
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--labels", type=int, default=10, help="of each class")
    parser.add_argument("--image-size", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=20, help="of fine-tuning")
    parser.add_argument("--backbone", default="mobilenet_v2")
    options = parser.parse_args()
    dataset = kerastl.data.groceries.load(size=(options.image_size, options.image_size))
    pool = kerastl.training.transfer.concatenate(dataset.train, dataset.validation)
    tests = {"clean": dataset.test.inputs} | {
        name: np.stack([np.asarray(change(Image.fromarray(picture))) for picture in dataset.test.inputs])
        for name, change in SHIFTS.items()
    }
    found: dict[str, list[tuple[float, float]]] = {"linear probe": [], "fine-tuning alone": [], "LP-FT": []}
    for seed in range(options.splits):
        train = labelled(pool, labels=options.labels, seed=seed)
        probe = probed(options.backbone, dataset.task, train)
        found["linear probe"].append(scores(probe, tests, dataset.test.labels))
        tuned = fine_tuned(probe, train, options.epochs)
        found["LP-FT"].append(scores(tuned, tests, dataset.test.labels))
        alone = fine_tuned(built(options.backbone, dataset.task), train, options.epochs)
        found["fine-tuning alone"].append(scores(alone, tests, dataset.test.labels))
        words = "  ".join(f"{name} {rows[-1][0]:.3f}/{rows[-1][1]:.3f}" for name, rows in found.items())
        print(f"split {seed + 1}/{options.splits}: {words}", flush=True)
        keras.backend.clear_session()
    arrays = {name: np.array(rows) for name, rows in found.items()}
    table = results.Table(
        f"{options.backbone} at {options.image_size} pixels, {options.labels} labels a class",
        {"way": "{}", "clean % (95 % interval)": "{:.2f}", "shifted % (95 % interval)": "{:.2f}"},
    )
    for name, rows in arrays.items():
        table.add(name, *(interval(100 * column) for column in rows.T))
    options.results.show(table, width=120)
    probe, alone, both = (arrays[name].mean(0) for name in ("linear probe", "fine-tuning alone", "LP-FT"))
    asked = {
        f"LP-FT {100 * (one - other):+.2f} points above {words} pictures, at least 0": bool(one >= other)
        for one, other, words in (
            (both[0], alone[0], "fine-tuning alone on clean"),
            (both[1], alone[1], "fine-tuning alone on shifted"),
            (both[0], probe[0], "the probe on clean"),
        )
    }
    return options.results.verdict(asked)


if __name__ == "__main__":
    raise SystemExit(main())
