"""Callbacks of Keras in a training that survives its process: what goes on, and what cannot."""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Sequence
from pathlib import Path

import keras


def check(callbacks: Sequence[keras.callbacks.Callback]) -> None:
    """Raises `ValueError` for what would make another training of one that was interrupted.

    ``BackupAndRestore`` counts epochs that a checkpoint counts as well, and ``SwapEMAWeights`` remembers in a field,
    which nobody keeps, whether the averages or the weights are in the model.
    """
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.BackupAndRestore):
            raise ValueError(
                "A workspace keeps checkpoints and goes on from them, within an epoch too: leave BackupAndRestore out. "
                "Received: both."
            )
        if isinstance(callback, keras.callbacks.SwapEMAWeights) and callback.swap_on_epoch:
            raise ValueError(
                "SwapEMAWeights(swap_on_epoch=True) leaves the averages in the model between two epochs, where a "
                "training may be stopped and would go on from them: beside a workspace leave it out, an optimizer with "
                "use_ema=True ends with the averages by itself. Received: both."
            )


def go_on(callbacks: Sequence[keras.callbacks.Callback], *, epochs: int) -> None:
    """Lets the logs of Keras go on where a checkpoint does: a ``CSVLogger`` keeps the rows of the finished epochs.

    Args:
        callbacks: before they are told that the training begins.
        epochs: that are finished, as the checkpoint has them.
    """
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.CSVLogger):
            with contextlib.suppress(OSError):
                _keep_rows(Path(callback.filename), callback.sep, epochs)
            callback.append = True


def _keep_rows(path: Path, separator: str, epochs: int) -> None:
    """Takes away rows of epochs that are trained once more: the log may be ahead of the checkpoint."""
    with path.open(newline="") as file:
        header, *rows = list(csv.reader(file, delimiter=separator)) or [[]]
    if "epoch" not in header:
        return
    place = header.index("epoch")
    kept = [row for row in rows if row[place].isdigit() and int(row[place]) < epochs]
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=separator, lineterminator="\n").writerows([header, *kept])
