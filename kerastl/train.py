"""Keras' `fit`, with guards: a warm-up cosine schedule, a finite-weights watch, seeds, curves, time left.

Models and data come in from the recipe; what comes out is a `Trained`: the model and its curves.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from kerastl.types import Curves, Schedule, Workspace


class NonFiniteError(ValueError):
    """A loss or a weight stopped being a number during training."""


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

    Args:
        model: emits logits ``(batch, classes)``; a ``Distiller`` works too.
        batches: yields ``(inputs, int32 labels)``; must know its cardinality.
        schedule: epochs, learning rate, weight decay. Its batch size is the caller's to apply to ``batches``.
        workspace: gives the curves and the progress bar their name, and TensorBoard logs a place.
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
    watchers: list[keras.callbacks.Callback] = [FiniteWatch(), *callbacks]
    if keep == "best" and validation is not None:
        # patience beyond the last epoch: it never stops, it only restores the best weights at the end
        watchers.append(
            keras.callbacks.EarlyStopping(
                monitor="val_accuracy", mode="max", patience=schedule.epochs + 1, restore_best_weights=True
            )
        )
    stage = workspace.stage if workspace else "training"
    if workspace:
        watchers.append(keras.callbacks.TensorBoard(str(workspace.logs), write_graph=False))
    if progress:
        watchers.append(ProgressBar(stage))
    history = model.fit(
        batches, epochs=schedule.epochs, validation_data=validation, callbacks=watchers, shuffle=False, verbose=0
    )
    return Curves(stage, {name: tuple(float(value) for value in values) for name, values in history.history.items()})


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


def predict(model: keras.Model, inputs: np.ndarray, *, batch_size: int = 500) -> np.ndarray:
    """Outputs ``(examples, classes)`` of ``model`` on ``inputs`` as a float32 array, in inference mode."""
    return np.asarray(model.predict(inputs, batch_size=batch_size, verbose=0), np.float32)


def save_model(model: keras.Model, path: Path) -> None:
    """Writes a ``.keras`` file; what stood there before is replaced only by a finished one.

    Keras writes in place, so a full disk would leave half a file where a good one was.
    """
    temporary = path.with_name(f".{path.stem}.new.keras")
    try:
        model.save(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


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


class FiniteWatch(keras.callbacks.Callback):
    """Stops a run at the first step after which a weight, or the loss, is not finite.

    Keras' ``TerminateOnNaN`` looks at the loss alone, and a NaN weight behind a ReLU leaves the loss finite at
    ln(classes). The watch looks at every weight after every step without leaving the device; Python reads the
    result only every ``read_every`` steps and at the end of an epoch, and still names the exact step.

    Args:
        read_every: steps between two looks from Python.

    Raises:
        NonFiniteError: from inside ``fit``.
    """

    def __init__(self, *, read_every: int = 20) -> None:
        super().__init__()
        self.read_every = read_every

    def on_train_begin(self, logs: dict | None = None) -> None:
        variables = [v.value for v in self.model.variables if "float" in v.dtype]
        step = tf.Variable(tf.zeros((), tf.int64), trainable=False)
        self._first_bad_step = first_bad = tf.Variable(tf.zeros((), tf.int64), trainable=False)

        @tf.function(jit_compile=False)
        def watch() -> None:
            step.assign_add(1)
            # 0 * x is 0 for every number and NaN for NaN and infinity: one cheap sum a variable
            zero = tf.add_n([tf.reduce_sum(tf.cast(v, tf.float32) * 0.0) for v in variables])
            bad = tf.logical_and(tf.equal(first_bad, 0), tf.not_equal(zero, 0.0))
            first_bad.assign(tf.where(bad, step, first_bad))

        self._watch = watch
        self._steps_seen = 0

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self._watch()
        self._steps_seen += 1
        if self._steps_seen % self.read_every == 0:
            self._read(logs)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self._read(logs)

    def _read(self, logs: dict | None) -> None:
        bad_step = int(self._first_bad_step)
        if bad_step:
            names = [v.path for v in self.model.variables if not np.isfinite(np.asarray(v, np.float32)).all()]
            raise NonFiniteError(
                f"Training stopped: after step {bad_step} these weights are not finite: {', '.join(names[:5])}"
                f"{' ...' if len(names) > 5 else ''}. Look for NaN in the inputs, or lower the learning rate."
            )
        loss = (logs or {}).get("loss")
        if loss is not None and not np.isfinite(float(loss)):
            raise NonFiniteError(
                f"Training stopped: the loss is {float(loss)} at step {self._steps_seen}. "
                "Look for NaN in the inputs or labels, or lower the learning rate."
            )


class ProgressBar(keras.callbacks.Callback):
    """One bar over all epochs with loss, accuracy and the time left; one plain line an epoch without a terminal."""

    def __init__(self, stage: str) -> None:
        super().__init__()
        self._stage = stage

    def on_train_begin(self, logs: dict | None = None) -> None:
        self._epochs, self._done = self.params["epochs"], 0
        self._total = self._epochs * self.params["steps"]
        self._started = time.monotonic()
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%  {task.fields[numbers]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        self._task = self._bar.add_task(self._stage, total=self._total, numbers="")
        self._shown = self._bar.console.is_terminal
        if self._shown:
            self._bar.start()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self._done += 1
        if self._shown and self._done % 10 == 0:
            self._bar.update(self._task, completed=self._done)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        numbers = "  ".join(f"{name} {value:.4f}" for name, value in (logs or {}).items() if "accuracy" in name)
        self._bar.update(self._task, completed=self._done, numbers=numbers)
        if not self._shown:
            elapsed = time.monotonic() - self._started
            left = elapsed / self._done * (self._total - self._done)
            clock = f"{elapsed:.0f} s, {left:.0f} s left"
            print(f"{self._stage}: epoch {epoch + 1}/{self._epochs}  {numbers}  {clock}", flush=True)

    def on_train_end(self, logs: dict | None = None) -> None:
        if self._shown:
            self._bar.update(self._task, completed=self._total)
            self._bar.stop()
