"""What durable checkpoints cost: the same training with a workspace and without one, taking turns.

    python benchmarks/checkpoint_cost.py [--rounds 9] [--epochs 2] [--limit EXAMPLES]

The plain CNN on MNIST (or made-up pictures of its size and number, where it is not in the cache), no validation. An
epoch's time is taken from its first step to the beginning of the next epoch or the end of `fit`, so that the
checkpoint after it counts; the first epoch, which traces, is left out. A workspace also brings TensorBoard's logs,
which are no checkpoint: they are written in both. Prints the median ratio of neighbours with a 95 % interval
(bootstrap), and how long one checkpoint takes by itself.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

import kerastl
from kerastl.types import Schedule, Split, Task

TASK = Task("mnist-shaped", tuple("0123456789"), (28, 28, 1))
BATCH = 128


class Clock(keras.callbacks.Callback):
    """Seconds of every epoch but the first, its checkpoint included: from the end of one to the end of the next."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.begun.append(time.perf_counter())

    def seconds(self, end: float) -> float:
        """Median of the epochs after the first."""
        ends = [*self.begun[2:], end]
        return statistics.median(stop - start for start, stop in zip(self.begun[1:], ends, strict=True))


def pictures(limit: int | None) -> tuple[Split, str]:
    try:
        return kerastl.data.mnist.load().train.head(limit), "MNIST"
    except (OSError, ValueError) as error:
        print(f"no MNIST here ({error}): made-up pictures of its size")
    generator = np.random.default_rng(0)
    inputs = generator.integers(0, 256, (55_000, *TASK.input_shape), dtype=np.uint8)
    return Split("train", inputs, generator.integers(0, 10, 55_000).astype(np.int32)).head(limit), "made up"


def one(split: Split, epochs: int, folder: Path, *, durable: bool) -> float:
    """Seconds an epoch of a training from scratch."""
    keras.utils.set_random_seed(0)
    model, clock = kerastl.build.plain_cnn.textbook(TASK), Clock()
    workspace = kerastl.checkpoints.Workspace("cnn", folder=folder / "work", logs=folder / "logs") if durable else None
    logs = [] if durable else [keras.callbacks.TensorBoard(str(folder / "logs"), write_graph=False)]
    kerastl.train.fit(
        model,
        kerastl.data.pipeline.batches(split, batch_size=BATCH, shuffle=True),
        schedule=Schedule(epochs=epochs, batch_size=BATCH),
        workspace=workspace,
        callbacks=[clock, *logs],
        progress=False,
    )
    return clock.seconds(time.perf_counter())


def alone(folder: Path, repeats: int = 5) -> tuple[float, float]:
    """Seconds and megabytes of one checkpoint of the model and its optimizer."""
    model = kerastl.build.plain_cnn.textbook(TASK)
    optimizer = keras.optimizers.AdamW()
    optimizer.build(model.trainable_variables)
    variables = [*model.variables, *optimizer.variables]
    arrays = {f"model/{index:05d}": np.asarray(variable) for index, variable in enumerate(variables)}
    workspace = kerastl.checkpoints.Workspace("cnn", folder=folder, logs=folder)
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        path = workspace.keep(arrays, {})
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), path.stat().st_size / 1e6


def interval(ratios: list[float]) -> tuple[float, float]:
    """95 % bootstrap interval of the median (Efron 1979)."""
    draws = np.random.default_rng(0).choice(ratios, (10_000, len(ratios)))
    low, high = np.percentile(np.median(draws, axis=1), [2.5, 97.5])
    return float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--epochs", type=int, default=2, help="two or more; the first is not counted")
    parser.add_argument("--limit", type=int, help="so many pictures only; shorter epochs make checkpoints dearer")
    options = parser.parse_args()
    if options.epochs < 2:
        parser.error("--epochs: the first one traces, so there have to be two")
    split, name = pictures(options.limit)
    seconds: dict[bool, list[float]] = {True: [], False: []}
    with tempfile.TemporaryDirectory(dir=".") as root:  # on the disk where runs are
        for turn in range(options.rounds):
            for durable in (True, False) if turn % 2 else (False, True):
                folder = Path(root, f"{turn}-{durable}")
                seconds[durable].append(one(split, options.epochs, folder, durable=durable))
        by_itself, megabytes = alone(Path(root, "alone"))
    ratios = [with_ / without for with_, without in zip(seconds[True], seconds[False], strict=True)]
    low, high = interval(ratios)
    epoch = statistics.median(seconds[False])
    table = Table(title=f"plain CNN, {len(split):,} pictures ({name}), {options.rounds} pairs of trainings")
    for column in ("seconds an epoch without", "with", "cost %", "95 % interval", "one checkpoint by itself"):
        table.add_column(column)
    table.add_row(
        f"{epoch:.2f}",
        f"{statistics.median(seconds[True]):.2f}",
        f"{100 * (statistics.median(ratios) - 1):+.2f}",
        f"{100 * (low - 1):+.2f} to {100 * (high - 1):+.2f}",
        f"{1000 * by_itself:.0f} ms, {megabytes:.1f} MB, {100 * by_itself / epoch:.2f} %",
    )
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
