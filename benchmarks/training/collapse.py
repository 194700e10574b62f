"""Collapse: runs that are made to say the same of all pictures are stopped, and runs that learn never are.

    python benchmarks/training/collapse.py [--seeds 10] [--steps 300] [--only "no centre" byol]

CIFAR-10's pictures, a small residual CNN, the recipe's views, and `pretraining.methods.guard` as a run has it. Made to
collapse: views that attract one another and nothing else (SimCLR without the other examples), VICReg without its
variance, DINO without its centre, Barlow Twins whose embeddings are copies of one number. Sound: every method of
pictures as it is. Each with every seed, of weights, order and views.

Asked: all of the one stopped within 300 steps, none of the other. Features can only be looked at after a hundred steps,
see `pretraining.collapse.CollapseGuard`, so that nothing is stopped before step 160.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import keras
import numpy as np

import kerastl
from benchmarks.tools import results
from kerastl.inputs.augmentation import Augmentation
from kerastl.pretraining import byol, collapse, methods, vicreg
from kerastl.pretraining.two_views import TwoViews
from kerastl.types import Schedule, Split

VIEWS = Augmentation(
    crop=0.6, horizontal_flip=True, brightness=0.3, contrast=0.4, saturation=0.5, hue=0.1, grayscale=0.2
)
"""As in the recipe `pretrain_images`."""
RATE, BATCH, WITHIN = 3e-3, 64, 300


def network(name: str, pictures: Split, *, seed: int, steps: int) -> TwoViews:
    keras.utils.set_random_seed(seed)
    net = kerastl.models.resnet.build(pictures.task, widths=(8, 16), stem_pool=2)
    encoder = kerastl.training.transfer.feature_extractor(net)
    return methods.network(name, encoder, augment=VIEWS.build(100 + seed), steps=steps, width=64, hidden=128)


def attracted(pictures: Split, **options: Any) -> TwoViews:
    """Views that are to be alike, and nothing that holds them apart."""
    model = network("simclr", pictures, **options)
    model.objective = byol.loss
    return model


def without_variance(pictures: Split, **options: Any) -> TwoViews:
    model = network("vicreg", pictures, **options)
    model.objective = functools.partial(vicreg.loss, variance_weight=0.0)
    return model


def without_centre(pictures: Split, **options: Any) -> TwoViews:
    """The centre stays where it began, at zeros."""
    model = network("dino", pictures, **options)
    model._momentum = None
    return model


def of_one_number(pictures: Split, **options: Any) -> TwoViews:
    """What every feature of an embedding is a copy of is learnt; each correlates with itself, as is asked."""
    model = network("barlow_twins", pictures, **options)
    first, hidden = model.projector.inputs[0], model.projector.get_layer("relu").output
    one = keras.layers.Dense(1, name="one")(hidden)
    model.projector = keras.Model(first, keras.layers.Concatenate(name="copies")([one] * 64), name="projector")
    return model


MADE: dict[str, Callable[..., TwoViews]] = {
    "attraction alone": attracted,
    "no variance": without_variance,
    "no centre": without_centre,
    "copies of one number": of_one_number,
}
SOUND = ("simclr", "barlow_twins", "vicreg", "byol", "dino")


def stopped(model: TwoViews, pictures: Split, *, seed: int, steps: int, knows_scale: bool) -> tuple[int, str, float]:
    """The step after which the guard stopped a run, 0 for never, its words, and the last spread that it saw."""
    limits = collapse.Limits(deviation=0.1) if knows_scale else None
    guard = methods.guard(model, np.asarray(pictures.take(256).inputs), limits=limits)
    batches = kerastl.data.pipeline.batches(pictures, batch_size=BATCH, shuffle=True, seed=seed, drop_remainder=True)
    epochs = -(-steps // int(batches.cardinality()))
    schedule = Schedule(epochs=epochs, batch_size=BATCH, peak_learning_rate=RATE)
    try:
        kerastl.training.fit(model, batches, schedule=schedule, keep="last", progress=False, callbacks=[guard])
    except collapse.CollapseError as error:
        return guard.get_state()["steps"], str(error).partition(": ")[2].partition(":")[0], guard.spread or 0.0
    return 0, "", guard.spread or 0.0


def main() -> int:
    parser = results.parser(__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=WITHIN)
    parser.add_argument("--only", nargs="+", default=[*MADE, *SOUND], choices=[*MADE, *SOUND])
    options = parser.parse_args()
    pictures = kerastl.data.cifar10.load().train.take(BATCH * min(options.steps, 100))
    table = results.Table(
        f"{options.seeds} seeds, up to {options.steps} steps of {BATCH} pictures",
        {"run": "{}", "stopped": "{}", "after steps": "{:.0f}", "as": "{}", "last spread": "{:.2f}"},
    )
    bars: dict[str, bool] = {}
    for name in options.only:
        found = []
        for seed in range(options.seeds):
            keras.backend.clear_session()
            sizes = {"seed": seed, "steps": options.steps}
            model = MADE[name](pictures, **sizes) if name in MADE else network(name, pictures, **sizes)
            scale = name in ("no variance", "vicreg")
            found.append(stopped(model, pictures, knows_scale=scale, **sizes))
            options.results.keep(f"{name}, seed {seed}", [dict(zip(("step", "as", "spread"), found[-1], strict=True))])
        steps = [step for step, _, _ in found if step]
        words = ", ".join(sorted({words for _, words, _ in found if words}))
        spread = results.quartiles(spread for _, _, spread in found)
        span = results.Interval(float(np.median(steps)), min(steps), max(steps)) if steps else None
        table.add(name, f"{len(steps)} of {len(found)}", span, words or None, spread)
        wanted = len(found) if name in MADE else 0
        right = len(steps) == wanted and max(steps, default=0) <= WITHIN
        bars[f"{name}: {len(steps)} of {len(found)} stopped within {WITHIN} steps, asked {wanted}"] = right
    options.results.show(table)
    return options.results.verdict(bars)


if __name__ == "__main__":
    raise SystemExit(main())
