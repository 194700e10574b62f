"""Pretraining speed: two views under `fit` beside a bare compiled loop, and two views' pictures beside one's.

    python benchmarks/training/pretraining_speed.py [--rounds 7] [--steps 20] [--widths 32 64 128] [--batch 128]

The first table: `training.fit` of `pretraining.methods`' SimCLR, with the guard against collapse, beside what one would
write by hand: a `tf.data` pipeline, a compiled step with the loss written out, a loop. Encoder, projector, views,
batches and number of steps are the same, and the two take turns. Asked: 0.9 of the bare loop's speed.

The second: the time until pictures stand there, changed at random, once and twice. A picture is read once, whatever the
number of views: from JPEG files, brought to 64 by 64 pixels, and from an array of 32 by 32. Asked, of files of 500 by
375, ImageNet's mean: two views at 1.15 times the time of one. Smaller files are read faster, and of an array there is
nothing to read, so that views are all there is to pay for; the last row is what the second costs of a training step.

Ratios are taken within a round, by processor time, which other tenants of a machine disturb less; the clock stands
beside it.
"""

from __future__ import annotations

import gc
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import keras
import numpy as np
import tensorflow as tf
from PIL import Image as Pillow

import kerastl
from benchmarks.tools import results
from benchmarks.training.train_speed import SecondEpoch, Seconds
from kerastl.inputs.augmentation import Augmentation
from kerastl.inputs.image import Image
from kerastl.pretraining import methods
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Schedule, Split, Task

TASK = Task("cifar-shaped", Image((32, 32, 3)), SingleLabel(tuple("0123456789")))
VIEWS = Augmentation(
    crop=0.6, horizontal_flip=True, brightness=0.3, contrast=0.4, saturation=0.5, hue=0.1, grayscale=0.2
)
"""As in the recipe `pretrain_images`."""
RATE, SPEED, TWICE = 1e-3, 0.9, 1.15
WIDTH = 500
"""Pixels of a picture of mean size in ImageNet, which is 375 high."""


def pictures(count: int, *, side: int = 32) -> np.ndarray:
    """Smooth pictures: of noise a JPEG file has several times the bytes of a photograph's."""
    coarse = np.random.default_rng(0).uniform(0, 255, (count, 5, 5, 3)).astype("float32")
    return (
        np.asarray(keras.ops.image.resize(coarse, (side, side), interpolation="bicubic")).clip(0, 255).astype("uint8")
    )


def networks(widths: tuple[int, ...], steps: int) -> Any:
    """The model that kerastl trains; its parts are what the bare loop trains."""
    keras.utils.set_random_seed(0)
    encoder = kerastl.training.transfer.feature_extractor(kerastl.models.resnet.build(TASK, widths=widths))
    return methods.network("simclr", encoder, augment=VIEWS.build(0), steps=steps)


def ours(split: Split, widths: tuple[int, ...], batch: int) -> Callable[[], Seconds]:
    batches = kerastl.data.pipeline.batches(split, batch_size=batch, shuffle=True)
    schedule = Schedule(epochs=2, batch_size=batch, peak_learning_rate=RATE)
    model = networks(widths, schedule.steps(len(split)))
    watchers = methods.watchers(model, split)

    def run() -> Seconds:
        clock = SecondEpoch()
        options: dict[str, Any] = {"keep": "last", "progress": False, "callbacks": [*watchers, clock]}
        kerastl.training.fit(model, batches, schedule=schedule, **options)
        return clock.seconds

    return run


def bare(split: Split, widths: tuple[int, ...], batch: int) -> Callable[[], Seconds]:
    """What one would write by hand, of the same parts."""
    model = networks(widths, 1)
    encoder, projector, views = model.encoder, model.projector, VIEWS.build(0)
    assert views is not None
    variables = [*encoder.trainable_variables, *projector.trainable_variables]
    optimizer = keras.optimizers.AdamW(RATE)
    optimizer.build(variables)
    data = tf.data.Dataset.from_tensor_slices(np.asarray(split.inputs)).shuffle(len(split))
    data = data.batch(batch, drop_remainder=True).prefetch(2)

    @tf.function
    def step(inputs: tf.Tensor) -> tf.Tensor:
        inputs = tf.cast(inputs, tf.float32)
        one, other = views(inputs, training=True), views(inputs, training=True)
        with tf.GradientTape() as tape:
            said = [projector(encoder(view, training=True), training=True) for view in (one, other)]
            unit = tf.math.l2_normalize(tf.concat(said, 0), -1)
            alike = tf.linalg.set_diag(tf.matmul(unit, unit, transpose_b=True) / 0.5, tf.fill([2 * batch], -1e9))
            partner = tf.roll(tf.range(2 * batch), batch, 0)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=partner, logits=alike))
        optimizer.apply(tape.gradient(loss, [variable.value for variable in variables]), variables)
        return loss

    step(tf.constant(np.asarray(split.take(batch).inputs)))

    def run() -> Seconds:
        start, loss = Seconds.now(), None
        for inputs in data:
            loss = step(inputs)
        assert loss is not None
        float(loss)
        return start.until_now()

    return run


def shown(batches: tf.data.Dataset, *, views: int) -> Callable[[], Seconds]:
    """Goes once through pictures that are read and changed so many times; of none they are read alone."""
    change = VIEWS.build(0)
    assert change is not None

    @tf.function(reduce_retracing=True)
    def seen(inputs: tf.Tensor) -> tf.Tensor:
        inputs = tf.cast(inputs, tf.float32)
        return tf.add_n([tf.reduce_sum(change(inputs, training=True)) for _ in range(views)] or [tf.zeros(())])

    def run() -> Seconds:
        start = Seconds.now()
        for batch in batches:
            seen(batch[0] if isinstance(batch, tuple) else batch)
        return start.until_now()

    run()
    return run


def files(folder: Path, count: int, *, width: int) -> Split:
    """Pictures in files, three quarters as high as they are wide, read anew whenever they are asked for."""
    for number, one in enumerate(pictures(count, side=width)):
        place = folder / f"{width}" / f"{number % 2}"
        place.mkdir(parents=True, exist_ok=True)
        Pillow.fromarray(one[: 3 * width // 4]).save(place / f"{number}.jpg", quality=90)
    options: dict[str, Any] = {"size": (64, 64), "in_memory": 0, "cache_bytes": 0}
    return kerastl.data.image_folder.load(folder / f"{width}", seed=0, **options).train


def in_turns(runs: dict[str, Callable[[], Seconds]], rounds: int) -> dict[str, list[Seconds]]:
    taken: dict[str, list[Seconds]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            gc.collect()  # what the one leaves behind is not the other's to clear away
            taken[name].append(run())
    return taken


def ratio(taken: dict[str, list[Seconds]], above: str, below: str, *, processor: bool = True) -> results.Interval:
    which = int(processor)
    return results.quartiles(one[which] / other[which] for one, other in zip(taken[above], taken[below], strict=True))


def main() -> int:
    parser = results.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--widths", type=int, nargs="+", default=[32, 64, 128])
    parser.add_argument("--files", type=int, default=400, help="JPEG files that are read")
    options = parser.parse_args()
    count = options.steps * options.batch
    split = Split("train", pictures(count), np.zeros(count, np.int32), TASK)
    widths = tuple(options.widths)
    made = {name: make(split, widths, options.batch) for name, make in (("ours", ours), ("bare", bare))}
    taken = in_turns(made, options.rounds)
    table = results.Table(
        f"SimCLR, widths {widths}: {options.rounds} rounds of {options.steps} steps of {options.batch} pictures",
        {"measured by": "{}", "ours, ms a step": "{:,.0f}", "bare loop, ms a step": "{:,.0f}", "speed": "{:.3f}"},
    )
    for which, name in enumerate(Seconds._fields):
        each = [results.quartiles(1000 * one[which] / options.steps for one in taken[kind]) for kind in made]
        table.add(name, *(one.value for one in each), ratio(taken, "bare", "ours", processor=bool(which)))
    options.results.show(table)
    speed = ratio(taken, "bare", "ours").value
    step = float(np.median([one.processor for one in taken["ours"]])) / options.steps

    shares = results.Table(
        "pictures that are read and changed, processor time",
        {"pictures": "{}", "read alone, ms": "{:.3f}", "one view, ms": "{:.3f}", "two views / one": "{:.3f}"},
    )
    two: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        sources = {f"files of {width} by {3 * width // 4}": (Path(folder), width) for width in (WIDTH, 320)}
        for name, source in {**sources, "array": None}.items():
            some = split if source is None else files(source[0], options.files, width=source[1])
            batches = kerastl.data.pipeline.batches(some, batch_size=64)
            runs = {str(views): shown(batches, views=views) for views in (0, 1, 2)}
            each = in_turns(runs, options.rounds)
            read, one = (1000 * float(np.median([t.processor for t in each[key]])) / len(some) for key in ("0", "1"))
            found = ratio(each, "2", "1")
            two[name] = found.value
            shares.add(name, read, one, found)
            last = (one - read) * options.batch / 1000 / step  # of the array in the end
    asked = next(iter(two))
    shares.add("array, of a training step", None, None, 1 + last)
    options.results.show(shares)
    return options.results.verdict(
        {
            f"{speed:.3f} of the bare loop's speed, at least {SPEED}": speed >= SPEED,
            f"two views of {asked} at {two[asked]:.3f} of one's time, at most {TWICE}": two[asked] <= TWICE,
        }
    )


if __name__ == "__main__":
    raise SystemExit(main())
