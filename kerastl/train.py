"""Keras' `fit`, with guards: a warm-up cosine schedule, a finite-weights watch, seeds, curves, time left.

Models and data come in from the recipe; what comes out is a `Trained`: the model and its curves.
"""

from __future__ import annotations

import contextlib
import re
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from kerastl import durable, memory
from kerastl.callbacks import AsOne, Checkpoints, FiniteWatch, ProgressBar
from kerastl.types import Curves, Schedule, Workspace, is_text


class Trained(NamedTuple):
    """A model and how it got there."""

    model: keras.Model
    curves: Curves


def fit(
    model: keras.Model,
    batches: tf.data.Dataset,
    *,
    schedule: Schedule,
    workspace: Workspace | None = None,
    validation: tf.data.Dataset | None = None,
    loss: keras.losses.Loss | None = None,
    metrics: Sequence[keras.metrics.Metric] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    keep: str = "best",
    progress: bool = True,
) -> Curves:
    """Trains ``model`` in place with AdamW under a warm-up cosine schedule.

    The compiled step is not handed to XLA: on a CPU that is two to eight times slower.

    With a workspace the training survives its process: it keeps a checkpoint after every epoch, now and then in the
    middle of a long one, and when it is asked to stop (Ctrl-C, SIGTERM); the same call again goes on from the newest
    one and ends, on a CPU, with bitwise the weights that it would have had (see ``callbacks.Checkpoints``).

    Args:
        model: emits logits ``(batch, classes)``; a ``Distiller`` works too.
        batches: yields ``(inputs, int32 labels)``; must know its cardinality. Only those of ``data.pipeline`` go on in
            the same order after an interruption.
        schedule: epochs, learning rate, weight decay. Its batch size is the caller's to apply to ``batches``.
        workspace: keeps checkpoints, gives TensorBoard logs a place, and curves and progress bar their name.
        validation: as ``batches``; scored after every epoch.
        loss: default cross-entropy from logits.
        metrics: default accuracy.
        callbacks: further Keras callbacks.
        keep: ``"best"`` ends with the weights of the epoch with the best validation accuracy, ``"last"`` with the last.
        progress: whether to show a progress bar with the time left.

    Returns:
        Curves: one value an epoch of every metric.

    Raises:
        NonFiniteError: at the first step after which a weight or the loss is NaN or infinite, naming both.
        MemoryError: if a step does not fit into memory; the text suggests a smaller batch.
        ValueError: if the number of batches is unknown, zero, or ``keep`` is neither of the two words.
    """
    if keep not in ("best", "last"):
        raise ValueError(f"`keep` must be 'best' or 'last'. Received: keep={keep!r}.")
    steps = int(batches.cardinality())
    if steps <= 0:
        raise ValueError(
            f"Training needs batches of a known, positive number. Received: {steps} "
            "(-1 is endless, -2 unknown; fewer examples than one batch give 0)."
        )
    model.compile(
        optimizer=keras.optimizers.AdamW(
            warmup_cosine(schedule, steps * schedule.epochs), weight_decay=schedule.weight_decay
        ),
        loss=loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=list(metrics) if metrics is not None else [keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        jit_compile=False,
    )
    stage = workspace.stage if workspace else "training"
    watchers: list[keras.callbacks.Callback] = [FiniteWatch(), *callbacks]
    if keep == "best" and validation is not None:
        # patience beyond the last epoch: it never stops, it only restores the best weights at the end
        watchers.append(
            keras.callbacks.EarlyStopping(
                monitor="val_accuracy", mode="max", patience=schedule.epochs + 1, restore_best_weights=True
            )
        )
    if workspace:
        watchers.append(keras.callbacks.TensorBoard(str(workspace.logs), write_graph=False))
    if progress:
        watchers.append(ProgressBar(stage))
    with memory.released():
        history = _run(
            model, batches, epochs=schedule.epochs, validation=validation, watchers=watchers, workspace=workspace
        )
    return Curves(stage, {name: tuple(float(value) for value in values) for name, values in history.items()})


def _run(
    model: keras.Model,
    batches: tf.data.Dataset,
    *,
    epochs: int,
    validation: tf.data.Dataset | None,
    watchers: Sequence[keras.callbacks.Callback],
    workspace: Workspace | None,
) -> dict[str, list[float]]:
    """Keras' ``fit``, from the newest checkpoint on; the rest of an epoch that was begun is a ``fit`` of its own.

    Returns:
        One value an epoch of every metric.
    """
    model.optimizer.build(model.trainable_variables)
    history = keras.callbacks.History()
    watchers = [history, *watchers]
    checkpoints = Checkpoints(workspace, batches, others=watchers) if workspace else None
    everyone = AsOne(
        [*watchers, *([checkpoints] if checkpoints else [])],
        model=model,
        epochs=epochs,
        steps=int(batches.cardinality()),
    )

    def fit(part: tf.data.Dataset, *, begin: int, end: int) -> None:
        model.fit(
            part,
            initial_epoch=begin,
            epochs=end,
            validation_data=validation,
            callbacks=everyone,
            shuffle=False,
            verbose=0,
        )

    epoch, step, stopped = checkpoints.place if checkpoints else (0, 0, False)
    if step:  # a compiled model's metrics have no variables to put numbers back into before they are used
        model.evaluate(batches.take(1), verbose=0)
    logs = durable.told(workspace.logs) if workspace else contextlib.nullcontext()
    with _within_memory("training"), logs, checkpoints or contextlib.nullcontext():
        everyone.begin()
        if step:
            fit(batches.skip(step), begin=epoch, end=epoch + 1)
            epoch, stopped = epoch + 1, model.stop_training
        if epoch < epochs and not stopped:
            fit(batches, begin=epoch, end=epochs)
        everyone.end()
    return history.history


@contextlib.contextmanager
def _within_memory(doing: str) -> Iterator[None]:
    """Says in words what to do where memory runs out, on whichever device."""
    try:
        yield
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        asked = re.search(r"(shape ?[\[(][\d, ]+[\])].*?)( by|$)", str(error), re.MULTILINE)
        wanted = f" Received: a request for {asked[1]}." if asked else ""
        raise MemoryError(f"Out of memory while {doing}: a smaller batch needs less.{wanted}") from error


def warmup_cosine(schedule: Schedule, total_steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """Linear warm-up to the peak, then cosine decay to zero at ``total_steps`` (Loshchilov & Hutter 2017, eq. 5)."""
    warmup = min(round(schedule.warmup_fraction * total_steps), total_steps - 1)
    if warmup == 0:
        return keras.optimizers.schedules.CosineDecay(schedule.peak_learning_rate, total_steps)
    return keras.optimizers.schedules.CosineDecay(
        0.0, total_steps - warmup, warmup_target=schedule.peak_learning_rate, warmup_steps=warmup
    )


def set_seed(seed: int) -> None:
    """Seeds Python, NumPy, TensorFlow and Keras; two runs with the same seed are then bitwise equal on a CPU."""
    keras.utils.set_random_seed(seed)


def predict(model: keras.Model, inputs: np.ndarray, *, batch_size: int | None = None) -> np.ndarray:
    """Outputs ``(examples, classes)`` of ``model`` on ``inputs`` as a float32 array, in inference mode.

    Args:
        model: a Keras model.
        inputs: ``(examples, *input_shape)``.
        batch_size: examples at once; by default 500 pictures, or 50 texts, of which every token looks at every other.

    Raises:
        MemoryError: if a batch does not fit into memory; the text suggests a smaller one.
    """
    batch_size = batch_size or (50 if is_text(inputs) else 500)
    with _within_memory("predicting"):
        return np.asarray(model.predict(inputs, batch_size=batch_size, verbose=0), np.float32)


def save_model(model: keras.Model, path: Path) -> None:
    """Writes a ``.keras`` file; what stood there before is replaced only by a finished one.

    Keras writes in place, so a full disk would leave half a file where a good one was.
    """
    with durable.replacing(path, needed_bytes=sum(weight.nbytes for weight in model.get_weights())) as temporary:
        model.save(temporary)


def save(trained: Trained, folder: Path) -> None:
    """Writes ``model.keras`` and ``curves.json`` into ``folder``."""
    save_model(trained.model, folder / "model.keras")
    (folder / "curves.json").write_text(trained.curves.to_json())


def load(folder: Path) -> Trained:
    """Reads what ``save`` wrote; the model is not compiled."""
    model = keras.saving.load_model(folder / "model.keras", compile=False)
    return Trained(model, Curves.from_json((folder / "curves.json").read_text()))


@contextlib.contextmanager
def precision(policy: str) -> Iterator[None]:
    """Layers made inside compute in ``policy`` ("float32", "mixed_bfloat16"); the old policy comes back afterwards."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def fastest_precision(
    build: Callable[[], keras.Model],
    inputs: np.ndarray,
    labels: np.ndarray,
    *,
    steps: int = 5,
    rounds: int = 3,
    required_gain: float = 1.1,
) -> str:
    """Times a few training steps of ``build()`` in both precisions and returns the policy to train in.

    bfloat16 pays on processors with matrix units for it (AMX, GPUs) and only on wide layers, so it is measured.

    Args:
        build: makes the model anew; called once a precision.
        inputs, labels: one typical batch.
        steps: timed steps a round.
        rounds: interleaved rounds; the medians are compared.
        required_gain: how many times faster bfloat16 has to be to be chosen.

    Returns:
        ``"float32"`` or ``"mixed_bfloat16"``.
    """
    seconds: dict[str, list[float]] = {"float32": [], "mixed_bfloat16": []}
    models = {}
    for policy in seconds:
        with precision(policy):
            models[policy] = build()
        models[policy].compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
        models[policy].train_on_batch(inputs, labels)  # traces
    gain = 1.0
    for count in (1, *[steps] * rounds):
        for policy, model in models.items():
            start = time.perf_counter()
            for _ in range(count):
                model.train_on_batch(inputs, labels)
            seconds[policy].append((time.perf_counter() - start) / count)
        gain = statistics.median(seconds["float32"]) / statistics.median(seconds["mixed_bfloat16"])
        if gain < 0.5:  # without units for it bfloat16 is emulated, many times slower: no need to sit through that
            break
    return "mixed_bfloat16" if gain >= required_gain else "float32"


def as_float32(model: keras.Model) -> keras.Model:
    """A copy of ``model`` with the same weights that computes in float32, as exported files do."""

    def in_float32(layer: keras.Layer) -> keras.Layer:
        return layer.__class__.from_config({**layer.get_config(), "dtype": "float32"})

    copy = keras.models.clone_model(model, clone_function=in_float32)
    copy.set_weights(model.get_weights())
    return copy
