"""A `fit` of either Keras that survives its process: it goes on from the newest checkpoint, within an epoch too.

Who trains brings a compiled model and its callbacks; the watch over signals, memory, logs and checkpoints is one code.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import keras
import tensorflow as tf

from kerastl.system import atomic_files, memory
from kerastl.training import outside_callbacks
from kerastl.training.callbacks import CallbackList, Checkpoints
from kerastl.types import Workspace


class Fitted(Protocol):
    """A compiled model of either Keras: what a training that goes on asks of it."""

    optimizer: Any
    stop_training: bool

    @property
    def trainable_variables(self) -> Sequence[Any]: ...

    @property
    def fit(self) -> Callable[..., object]: ...

    @property
    def evaluate(self) -> Callable[..., object]: ...


def fit(
    model: Fitted,
    batches: tf.data.Dataset,
    *,
    epochs: int,
    validation: tf.data.Dataset | None,
    watchers: Sequence[keras.callbacks.Callback],
    workspace: Workspace | None,
    class_weight: dict[int, float] | None = None,
    adapt: Callable[[CallbackList], object] = lambda everyone: everyone,
) -> dict[str, list[float]]:
    """Trains a compiled model; the rest of an epoch that was begun is a ``fit`` of its own.

    Args:
        model: of Keras 3, or of tf_keras with the ``variables``, ``trainable_variables`` and ``metrics_variables`` that
            a model of Keras 3 has: a checkpoint holds them and the optimizer's.
        batches: as for ``fitting.fit``. Their ``epochs_begun``, if there is one, is a variable that counts the epochs
            (``data.pipeline.batches`` has it) and makes the order and the views go on as they would have.
        epochs: in all, those before an interruption included.
        validation: scored after every epoch.
        watchers: callbacks, in the order in which they are told.
        workspace: keeps checkpoints; without one nothing is kept.
        class_weight: class index -> weight in the loss, as Keras takes it.
        adapt: makes of all callbacks together what the ``fit`` of this model takes.

    Returns:
        One value an epoch of every metric.

    Raises:
        KeyboardInterrupt, SystemExit: with a workspace, after the checkpoint that Ctrl-C or SIGTERM asked for.
        MemoryError: a step does not fit into memory.
        ValueError: a callback of Keras that cannot go on, see `outside_callbacks.check`.
    """
    if workspace:
        outside_callbacks.check(watchers)
    model.optimizer.build(model.trainable_variables)
    history = keras.callbacks.History()
    watchers = [*watchers, history]  # the last, so that curves have what others add to the logs
    checkpoints = Checkpoints(workspace, others=watchers) if workspace else None
    counter: tf.Variable | None = getattr(batches, "epochs_begun", None)
    everyone = CallbackList(
        [*watchers, *([checkpoints] if checkpoints else [])],
        model=model,
        epochs=epochs,
        steps=int(batches.cardinality()),
    )

    def part(some: tf.data.Dataset, *, begin: int, end: int) -> None:
        if workspace is not None and counter is not None:
            # whatever looked at the data before, to calibrate or to count; under a strategy every fit does so itself
            counter.assign(begin)
        model.fit(
            some,
            initial_epoch=begin,
            epochs=end,
            validation_data=validation,
            class_weight=class_weight,
            callbacks=adapt(everyone),
            shuffle=False,
            verbose=0,
        )

    epoch, step, stopped = checkpoints.place if checkpoints else (0, 0, False)
    if epoch or step:
        outside_callbacks.go_on(watchers, epochs=epoch)
    if step:  # a compiled model's metrics have no variables to put numbers back into before they are used
        model.evaluate(batches.take(1), verbose=0)
    logs = atomic_files.explain_disk_full(workspace.logs) if workspace else contextlib.nullcontext()
    with memory.explain_out_of_memory("training"), logs, checkpoints or contextlib.nullcontext(), _closed(watchers):
        everyone.begin()
        with _averages_taken_once(model):
            if step:
                part(batches.skip(step), begin=epoch, end=epoch + 1)
                epoch, stopped = epoch + 1, model.stop_training
            if epoch < epochs and not stopped:
                part(batches, begin=epoch, end=epochs)
        everyone.end()
    return history.history


@contextlib.contextmanager
def _averages_taken_once(model: Fitted) -> Iterator[None]:
    """An optimizer with ``use_ema`` puts averages in the weights' place at the end of every ``fit``: here of all."""
    optimizer = model.optimizer
    finalize = optimizer.finalize_variable_values
    optimizer.finalize_variable_values = lambda variables: None
    try:
        yield
    finally:
        del optimizer.finalize_variable_values
    finalize(model.trainable_variables)


@contextlib.contextmanager
def _closed(watchers: Sequence[object]) -> Iterator[None]:
    """A training that fails or is stopped has no end that callbacks are told of: those that can are closed."""
    try:
        yield
    except BaseException:
        for watcher in watchers:
            close: Callable[[], None] | None = getattr(watcher, "close", None)
            if close is not None:
                close()
        raise
