"""Training speed: kerastl's `fit` beside a bare Keras `fit`, and beside a compiled step on a resident batch.

    python benchmarks/training/train_speed.py [--rounds 7] [--steps 120]

Same model, same batch size, same number of steps; the three take turns and the ratios are taken within a round, so that
a machine whose speed drifts does not decide. Only the second epoch of a `fit` is timed: the first one traces. Prints
the median ratio with its quartiles, once by the clock and once by the processor time of all threads, which other
tenants of the machine disturb less.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import keras
import numpy as np
import tensorflow as tf

import kerastl
from benchmarks.tools import results
from kerastl.inputs.image import Image
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Schedule, Split, Task

TASK = Task("mnist-shaped", Image((28, 28, 1)), SingleLabel(tuple("0123456789")))
BATCH = 128


def cross_entropy() -> keras.losses.Loss:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def main() -> None:
    parser = results.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=120)
    options = parser.parse_args()
    generator = np.random.default_rng(0)
    count = options.steps * BATCH
    split = Split(
        "train",
        generator.integers(0, 256, (count, *TASK.inputs.shape), dtype=np.uint8),
        generator.integers(0, 10, count).astype(np.int32),
        TASK,
    )
    table = results.Table(
        f"{options.rounds} rounds of {options.steps} steps of {BATCH} pictures",
        {
            "model": "{}",
            "pictures/s": "{:,.0f}",
            "measured by": "{}",
            "against bare fit": "{:.3f}",
            "against resident step": "{:.3f}",
            "precision": "{}",
        },
    )
    models = {
        "all_conv_net.tiny (student)": kerastl.models.all_conv_net.tiny,
        "all_conv_net.wide (teacher)": kerastl.models.all_conv_net.wide,
    }
    for name, build in models.items():
        for row in measure(lambda build=build: build(TASK), split, options.rounds):
            table.add(name, *row)
    options.results.show(table)


def measure(build, split: Split, rounds: int) -> list[list]:
    """A row by the clock and one by processor time."""
    batch = split.take(BATCH)
    inputs, labels = np.asarray(batch.inputs, "float32"), np.asarray(batch.labels)
    fastest = kerastl.training.precision.fastest_dtype_policy(build())
    with kerastl.training.precision.dtype_policy(
        fastest
    ):  # all three: what half precision saves is none of `fit`'s doing
        ours, bare = run_ours(build(), split), run_bare(build(), split)
        resident = run_resident(build(), inputs, labels, len(split) // BATCH)
    taken: dict[str, list[Seconds]] = {"ours": [], "bare": [], "resident": []}
    for _ in range(rounds):
        for kind, run in (("ours", ours), ("bare", bare), ("resident", resident)):
            taken[kind].append(run())

    def ratio(peer: str, which: int) -> results.Interval:
        pairs = zip(taken[peer], taken["ours"], strict=True)
        return results.quartiles(theirs[which] / own[which] for theirs, own in pairs)

    rows = []
    for which, name in enumerate(Seconds._fields):
        speed = len(split) / statistics.median(own[which] for own in taken["ours"])
        rows.append([speed, name, ratio("bare", which), ratio("resident", which), fastest])
    return rows


class Seconds(NamedTuple):
    """Of the clock, and of the processor over all threads."""

    clock: float
    processor: float

    @classmethod
    def now(cls) -> Seconds:
        return cls(time.perf_counter(), time.process_time())

    def until_now(self) -> Seconds:
        return Seconds(*(end - start for start, end in zip(self, Seconds.now(), strict=True)))


class SecondEpoch(keras.callbacks.Callback):
    """Seconds that the second epoch took."""

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.start = Seconds.now()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.seconds = self.start.until_now()


def run_ours(model: keras.Model, split: Split):
    batches = kerastl.data.pipeline.batches(split, batch_size=BATCH, shuffle=True)

    def run() -> Seconds:
        clock = SecondEpoch()
        schedule = Schedule(epochs=2, batch_size=BATCH)
        kerastl.training.fit(model, batches, schedule=schedule, progress=False, callbacks=[clock])
        return clock.seconds

    return run


def run_bare(model: keras.Model, split: Split):
    """What a Keras user writes, with XLA off as ours has it (on, it is slower on a CPU)."""
    inputs = split.inputs.astype("float32")

    def run() -> Seconds:
        clock = SecondEpoch()
        model.compile(keras.optimizers.AdamW(1e-3), cross_entropy(), metrics=["accuracy"], jit_compile=False)
        model.fit(inputs, split.labels, batch_size=BATCH, epochs=2, verbose=0, callbacks=[clock])
        return clock.seconds

    return run


def run_resident(model: keras.Model, inputs: np.ndarray, labels: np.ndarray, steps: int):
    """The upper bound: one batch that never leaves memory, no metrics, no callbacks."""
    optimizer, loss_function = keras.optimizers.AdamW(1e-3), cross_entropy()
    optimizer.build(model.trainable_variables)
    x, y = tf.constant(inputs), tf.constant(labels)

    @tf.function
    def step() -> None:
        with tf.GradientTape() as tape:
            loss = loss_function(y, model(x, training=True))
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)

    def run() -> Seconds:
        step()
        start = Seconds.now()
        for _ in range(steps):
            step()
        return start.until_now()

    return run


if __name__ == "__main__":
    main()
