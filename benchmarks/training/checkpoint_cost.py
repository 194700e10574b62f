"""What durable checkpoints cost, beside Keras' own: the time inside each callback as a share of its epoch.

    python benchmarks/training/checkpoint_cost.py [--rounds 3] [--epochs 4] [--limit EXAMPLES]

The plain CNN on MNIST (or made-up pictures of its size and number, where it is not in the cache), no validation; ours
and `keras.callbacks.BackupAndRestore`, which is neither crash-safe nor exact, take turns. Whole trainings with and
without checkpoints differ by less than two of the same kind on a busy machine, so what is timed is the callback itself,
within the epoch that it belongs to: from that epoch's begin to the next, the first of each training, which traces, left
out. Prints medians, the share with a 95 % interval (bootstrap over epochs), and what lies on the disk.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import keras
import numpy as np

import kerastl
from benchmarks.tools import results
from kerastl.inputs.image import Image
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Schedule, Split, Task

TASK = Task("mnist-shaped", Image((28, 28, 1)), SingleLabel(tuple("0123456789")))
BATCH = 128


class Clock:
    """Seconds inside one callback class, batch hooks included, and of the whole epochs, as pairs."""

    def __init__(self, watched: type[keras.callbacks.Callback]) -> None:
        self._watched, self._inside, self._begun = watched, 0.0, 0.0
        self.epochs: list[tuple[float, float]] = []

    @contextlib.contextmanager
    def patched(self) -> Iterator[None]:
        """Puts a stop-watch around the hooks, within a ``with``."""
        with contextlib.ExitStack() as stack:
            for name in ("on_train_batch_end", "on_epoch_end"):
                stack.enter_context(mock.patch.object(self._watched, name, self._timed(name)))
            yield

    def _timed(self, name: str) -> Callable[..., None]:
        hook = getattr(self._watched, name)

        def timed(callback: keras.callbacks.Callback, *arguments: Any, **options: Any) -> None:
            start = time.perf_counter()
            hook(callback, *arguments, **options)
            end = time.perf_counter()
            self._inside += end - start
            if name == "on_epoch_end":
                self.epochs.append((self._inside, end - self._begun))
                self._inside, self._begun = 0.0, end

        return timed


def pictures(limit: int | None) -> tuple[Split, str]:
    try:
        return kerastl.data.mnist.load().train.take(limit), "MNIST"
    except (OSError, ValueError) as error:
        print(f"no MNIST here ({error}): made-up pictures of its size")
    generator = np.random.default_rng(0)
    inputs = generator.integers(0, 256, (55_000, *TASK.inputs.shape), dtype=np.uint8)
    labels = generator.integers(0, 10, 55_000).astype(np.int32)
    return Split("train", inputs, labels, TASK).take(limit), "made up"


def one(split: Split, epochs: int, folder: Path, *, ours: bool) -> tuple[list[tuple[float, float]], float]:
    """Seconds inside the callback and of the epoch, of every epoch but the first; megabytes of what it left."""
    keras.utils.set_random_seed(0)
    model = kerastl.models.lenet_style.textbook(TASK)
    watched = kerastl.training.callbacks.Checkpoints if ours else keras.callbacks.BackupAndRestore
    clock, kept = Clock(watched), folder / "work"
    with clock.patched():
        kerastl.training.fit(
            model,
            kerastl.data.pipeline.batches(split, batch_size=BATCH, shuffle=True),
            schedule=Schedule(epochs=epochs, batch_size=BATCH),
            workspace=kerastl.runs.checkpoints.Workspace("cnn", folder=kept, logs=folder / "logs") if ours else None,
            callbacks=[] if ours else [keras.callbacks.BackupAndRestore(str(kept), delete_checkpoint=False)],
            progress=False,
        )
    return clock.epochs[1:], sum(path.stat().st_size for path in kept.rglob("*") if path.is_file()) / 1e6


def interval(values: list[float]) -> results.Interval:
    """The median with its 95 % bootstrap interval (Efron 1979)."""
    draws = np.random.default_rng(0).choice(values, (10_000, len(values)))
    low, high = np.percentile(np.median(draws, axis=1), [2.5, 97.5])
    return results.Interval(statistics.median(values), float(low), float(high))


def main() -> None:
    parser = results.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=4, help="two or more; the first is not counted")
    parser.add_argument("--limit", type=int, help="so many pictures only; shorter epochs make checkpoints dearer")
    options = parser.parse_args()
    if options.epochs < 2:
        parser.error("--epochs: the first one traces, so there have to be two")
    split, name = pictures(options.limit)
    times: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    megabytes = {}
    with tempfile.TemporaryDirectory(dir=".") as root:  # on the disk where runs are
        for turn in range(options.rounds):
            for ours in (True, False) if turn % 2 else (False, True):
                measured, megabytes[ours] = one(split, options.epochs, Path(root, f"{turn}-{ours}"), ours=ours)
                times[ours] += measured
    title = f"plain CNN, {len(split):,} pictures ({name}), {options.rounds} trainings each of {options.epochs} epochs"
    table = results.Table(
        title,
        {
            "checkpoints": "{}",
            "seconds an epoch": "{:.2f}",
            "ms in the callback": "{:.0f}",
            "% of the epoch (95 % interval)": "{:.2f}",
            "MB kept": "{:.1f}",
        },
    )
    for ours, label in ((True, "kerastl, durable and exact"), (False, "keras BackupAndRestore")):
        shares = [100 * inside / epoch for inside, epoch in times[ours]]
        epoch = statistics.median(epoch for _, epoch in times[ours])
        inside = statistics.median(inside for inside, _ in times[ours])
        table.add(label, epoch, 1000 * inside, interval(shares), megabytes[ours])
    options.results.show(table)


if __name__ == "__main__":
    main()
