"""Keras' `fit`, with guards: a warm-up cosine schedule, a finite-weights watch, seeds, curves, time left.

Models and data come in from the recipe; what comes out is a `Trained`: the model and its curves.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from kerastl import durable, memory, resume
from kerastl.callbacks import FiniteWatch, ProgressBar
from kerastl.types import THRESHOLD, Curves, Schedule, Streamed, Workspace, is_multi_label, is_text


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
    optimizer: Callable[..., keras.optimizers.Optimizer] = keras.optimizers.AdamW,
    keep: str = "best",
    patience: int | None = None,
    class_weight: Mapping[int, float] | None = None,
    progress: bool = True,
) -> Curves:
    """Trains ``model`` in place with AdamW, or another optimizer, under a warm-up cosine schedule.

    The compiled step is not handed to XLA: on a CPU that is two to eight times slower.

    With a workspace the training survives its process: it keeps a checkpoint after every epoch, now and then in the
    middle of a long one, and when it is asked to stop (Ctrl-C, SIGTERM); the same call again goes on from the newest
    one and ends, on a CPU, with bitwise the weights that it would have had (see ``callbacks.Checkpoints``).

    Args:
        model: emits logits ``(batch, classes)``; a ``Distiller`` works too.
        batches: yields ``(inputs, int32 labels)``, class indices ``(batch,)`` or, where an example may have none or
            several of the classes, 0 and 1 ``(batch, classes)``; must know its cardinality. Only those of
            ``data.pipeline`` go on in the same order after an interruption.
        schedule: epochs, learning rate, weight decay. Its batch size is the caller's to apply to ``batches``.
        workspace: keeps checkpoints, gives TensorBoard logs a place, and curves and progress bar their name.
        validation: as ``batches``; scored after every epoch.
        loss, metrics: by default those of `objective`.
        callbacks: further Keras callbacks.
        optimizer: makes the optimizer from a learning-rate schedule and ``weight_decay``, for example a
            ``functools.partial`` of ``transfer.LayerwiseAdamW``.
        keep: ``"best"`` ends with the weights of the epoch with the best validation accuracy (of several classes an
            example: exact match), ``"last"`` with the last.
        patience: epochs without a better validation accuracy after which training stops; ``None`` never stops. Needs
            ``keep="best"`` and ``validation``.
        class_weight: class index -> how much an example of it counts in the loss, as Keras takes it; see
            ``balanced_weights``. Metrics, and the loss on validation, do not know of it.
        progress: whether to show a progress bar with the time left.

    Returns:
        Curves: one value an epoch of every metric.

    Raises:
        NonFiniteError: at the first step after which a weight or the loss is NaN or infinite, naming both.
        MemoryError: if a step does not fit into memory; the text suggests a smaller batch.
        ValueError: if the number of batches is unknown, zero, ``keep`` is neither of the two words, ``patience`` has
            nothing to wait for, or there are weights of classes though an example may have several.
    """
    if patience is not None and (keep != "best" or validation is None or patience < 1):
        raise ValueError(
            "`patience` counts epochs, one or more, without a better validation accuracy: it needs `validation` and "
            f"keep='best'. Received: patience={patience}, keep={keep!r}, {'no ' * (validation is None)}validation."
        )
    if keep not in ("best", "last"):
        raise ValueError(f"`keep` must be 'best' or 'last'. Received: keep={keep!r}.")
    steps = int(batches.cardinality())
    if steps <= 0:
        raise ValueError(
            f"Training needs batches of a known, positive number. Received: {steps} "
            "(-1 is endless, -2 unknown; fewer examples than one batch give 0)."
        )
    spec = batches.element_spec
    multi_label = isinstance(spec, tuple) and len(spec) > 1 and is_multi_label(spec[1])
    if class_weight is not None and multi_label:
        raise ValueError(
            "Weights of classes are for examples of one class: Keras would weigh all of an example by the first that "
            "it has. Received: class_weight with labels (batch, classes)."
        )
    default_loss, metric = objective(multi_label=multi_label)
    model.compile(
        optimizer=optimizer(warmup_cosine(schedule, steps * schedule.epochs), weight_decay=schedule.weight_decay),
        loss=loss or default_loss,
        metrics=[metric] if metrics is None else list(metrics),
        jit_compile=False,
    )
    stage = workspace.stage if workspace else "training"
    watchers: list[keras.callbacks.Callback] = [FiniteWatch(), *callbacks]
    if keep == "best" and validation is not None:
        # with patience beyond the last epoch it never stops, it only restores the best weights at the end
        watchers.append(
            keras.callbacks.EarlyStopping(
                monitor=f"val_{metric.name}",
                mode="max",
                patience=schedule.epochs + 1 if patience is None else patience,
                restore_best_weights=True,
            )
        )
    if workspace:
        watchers.append(keras.callbacks.TensorBoard(str(workspace.logs), write_graph=False))
    if progress:
        watchers.append(ProgressBar(stage))
    with memory.released():
        history = resume.fit(
            model,
            batches,
            epochs=schedule.epochs,
            validation=validation,
            watchers=watchers,
            workspace=workspace,
            class_weight=None if class_weight is None else dict(class_weight),
        )
    return Curves(stage, {name: tuple(float(value) for value in values) for name, values in history.items()})


def objective(*, multi_label: bool) -> tuple[keras.losses.Loss, keras.metrics.Metric]:
    """What a classifier's logits are trained to, and the score that is watched.

    Returns:
        Cross-entropy and accuracy; or where an example may have none or several of the classes, the mean binary
        cross-entropy of all classes (each is a question of its own), and exact match.
    """
    if multi_label:
        return keras.losses.BinaryCrossentropy(from_logits=True), keras.metrics.MeanMetricWrapper(
            exact_match, name="exact_match"
        )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return loss, keras.metrics.SparseCategoricalAccuracy(name="accuracy")


def exact_match(labels: Any, logits: Any) -> Any:
    """1 for each example of which all classes are answered right, float32 ``(batch,)``; both ``(batch, classes)``."""
    there = ops.greater_equal(ops.sigmoid(logits), THRESHOLD)
    return ops.cast(ops.all(ops.equal(there, ops.cast(labels, "bool")), axis=-1), "float32")


def warmup_cosine(schedule: Schedule, total_steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """Linear warm-up to the peak, then cosine decay to zero at ``total_steps`` (Loshchilov & Hutter 2017, eq. 5)."""
    warmup = min(round(schedule.warmup_fraction * total_steps), total_steps - 1)
    if warmup == 0:
        return keras.optimizers.schedules.CosineDecay(schedule.peak_learning_rate, total_steps)
    return keras.optimizers.schedules.CosineDecay(
        0.0, total_steps - warmup, warmup_target=schedule.peak_learning_rate, warmup_steps=warmup
    )


def balanced_weights(labels: np.ndarray, *, classes: int) -> dict[int, float]:
    """A weight a class with which all classes count the same in the loss: examples / (classes * examples of it).

    The rule is that of scikit-learn's ``class_weight="balanced"`` (after King & Zeng 2001). The mean weight of an
    example is 1, so the learning rate keeps its meaning.

    Args:
        labels: class indices ``(examples,)`` of the training split.
        classes: how many there are.

    Returns:
        Class index -> weight, for ``fit(..., class_weight=...)``.

    Raises:
        ValueError: a class has no example, a label is none of the classes, or an example may have several.
    """
    if np.ndim(labels) != 1:
        raise ValueError(
            "Weights of classes are for examples of one class. Received: labels of shape "
            f"{np.shape(labels)}; where classes are rare beside each other, a loss of your own can weigh them."
        )
    counts = np.bincount(labels, minlength=classes)
    if len(counts) != classes or not counts.all():
        raise ValueError(
            f"Weights need examples of all {classes} classes and no others. Received: counts {counts.tolist()}."
        )
    return {label: len(labels) / (classes * int(count)) for label, count in enumerate(counts)}


def set_seed(seed: int) -> None:
    """Seeds Python, NumPy, TensorFlow and Keras; two runs with the same seed are then bitwise equal on a CPU."""
    keras.utils.set_random_seed(seed)


class _Batches(keras.utils.PyDataset):
    """Streamed inputs, a batch at a time: while the model works on one, the next is read."""

    def __init__(self, inputs: Streamed, batch_size: int) -> None:
        super().__init__(workers=1, max_queue_size=1)
        self._inputs, self._size = inputs, batch_size

    def __len__(self) -> int:
        return -(-len(self._inputs) // self._size)

    def __getitem__(self, index: int) -> tuple[np.ndarray]:
        return (self._inputs[index * self._size : (index + 1) * self._size],)


def predict(model: keras.Model, inputs: np.ndarray | Streamed, *, batch_size: int | None = None) -> np.ndarray:
    """Outputs ``(examples, classes)`` of ``model`` on ``inputs`` as a float32 array, in inference mode.

    Args:
        model: a Keras model.
        inputs: ``(examples, *input_shape)``; streamed ones are read a batch at a time.
        batch_size: examples at once; by default 500 pictures, or 50 texts, of which every token looks at every other.

    Raises:
        MemoryError: if a batch does not fit into memory; the text suggests a smaller one.
    """
    batch_size = batch_size or (50 if is_text(inputs) else 500)
    with memory.named("predicting"):
        if isinstance(inputs, Streamed):
            return np.asarray(model.predict(_Batches(inputs, batch_size), verbose=0), np.float32)
        return np.asarray(model.predict(inputs, batch_size=batch_size, verbose=0), np.float32)


def save_model(model: keras.Model, path: Path) -> None:
    """Writes a ``.keras`` file; what stood there before is replaced only by a finished one.

    Keras writes in place, so a full disk would leave half a file where a good one was.
    """
    with durable.replacing(path, needed_bytes=sum(weight.nbytes for weight in model.get_weights())) as temporary:
        model.save(temporary)


def load_model(path: Path) -> keras.Model:
    """Reads a ``.keras`` file of one's own, not compiled; those of strangers are for ``foreign.keras_file``."""
    return keras.saving.load_model(path, compile=False)


def save(trained: Trained, folder: Path) -> None:
    """Writes ``model.keras`` and ``curves.json`` into ``folder``."""
    save_model(trained.model, folder / "model.keras")
    (folder / "curves.json").write_text(trained.curves.to_json())


def load(folder: Path) -> Trained:
    """Reads what ``save`` wrote; the model is not compiled."""
    return Trained(load_model(folder / "model.keras"), Curves.from_json((folder / "curves.json").read_text()))


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
    """A copy of ``model`` with the same weights that computes in float32 as files do, and so do models inside of it."""
    copy = model.__class__.from_config(_in_float32(model.get_config()))
    copy.set_weights(model.get_weights())
    for layer in copy._flatten_layers():
        if isinstance(layer, keras.layers.Normalization):  # it computes with what it made of its weights
            layer.finalize_state()
    return copy


_HALF = {"float16", "bfloat16", "mixed_float16", "mixed_bfloat16"}


def _in_float32(config: Any) -> Any:
    """A configuration in which every type of half precision is float32: of a layer, or of an operation that casts."""
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy":
            return "float32"
        return {
            key: "float32" if key == "dtype" and isinstance(value, str) and value in _HALF else _in_float32(value)
            for key, value in config.items()
        }
    return [_in_float32(value) for value in config] if isinstance(config, list | tuple) else config
