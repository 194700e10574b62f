"""Keras' `fit`, with guards: a warm-up cosine schedule, a finite-weights watch, seeds, curves, time left.

Models and data come in from the recipe; what comes out is a `Trained`: the model and its curves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from kerastl.system import atomic_files, memory
from kerastl.training import resume
from kerastl.training.callbacks import ProgressBar, TerminateOnNonFinite
from kerastl.types import (
    THRESHOLD,
    History,
    LazyArray,
    Schedule,
    Workspace,
    is_multi_label,
    is_text,
    labels_and_teacher_logits,
)


class Trained(NamedTuple):
    """A model and how it got there."""

    model: keras.Model
    curves: History


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
) -> History:
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
        loss, metrics: by default those of `default_loss_and_metric`; ``keep="best"`` adds its score to metrics that
        lack it.
        callbacks: further Keras callbacks.
        optimizer: makes the optimizer from a learning-rate schedule and ``weight_decay``, for example a
            ``functools.partial`` of ``transfer.LayerwiseAdamW``.
        keep: ``"best"`` ends with the weights of the epoch with the best validation accuracy (of several classes an
            example: exact match), ``"last"`` with the last.
        patience: epochs without a better validation accuracy after which training stops; ``None`` never stops. Needs
            ``keep="best"`` and ``validation``.
        class_weight: class index -> how much an example of it counts in the loss, see ``class_weights``. Of examples
            of one class as Keras takes it: metrics, and the loss on validation, do not know of it. Where an example may
            have several, each class is one of the indices, and the loss is `WeightedBinaryCrossentropy`, on validation
            too.
        progress: whether to show a progress bar with the time left.

    Returns:
        Curves: one value an epoch of every metric.

    Raises:
        NonFiniteError: at the first step after which a weight or the loss is NaN or infinite, naming both.
        MemoryError: if a step does not fit into memory; the text suggests a smaller batch.
        ValueError: if the number of batches is unknown, zero, ``keep`` is neither of the two words, ``patience`` has
            nothing to wait for, or, where an example may have several classes, weights are not one a class or come with
            a loss that does not know them.
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
    labels: Any = spec[1] if isinstance(spec, tuple) and len(spec) > 1 else None
    labels, _ = labels_and_teacher_logits(labels)
    multi_label = is_multi_label(labels)
    default_loss, metric = default_loss_and_metric(multi_label=multi_label)
    if class_weight is not None and multi_label:
        if loss is not None or sorted(class_weight) != list(range(labels.shape[1])):
            raise ValueError(
                "Where an example may have several classes, each has a weight, and the loss is the one that knows them "
                f"all. Received: weights of {sorted(class_weight)} with labels (batch, {labels.shape[1]}) and "
                f"{'no' if loss is None else 'a'} loss of your own."
            )
        # not left to Keras, which would weigh all of an example by the first class that it has
        default_loss = WeightedBinaryCrossentropy([class_weight[index] for index in sorted(class_weight)])
        class_weight = None
    best = keep == "best" and validation is not None
    watched = [metric] if metrics is None else list(metrics)
    if best and metric.name not in [one if isinstance(one, str) else one.name for one in watched]:
        watched.append(metric)
    model.compile(
        optimizer=optimizer(warmup_cosine(schedule, steps * schedule.epochs), weight_decay=schedule.weight_decay),
        loss=loss or default_loss,
        metrics=watched,
        jit_compile=False,
    )
    stage = workspace.stage if workspace else "training"
    watchers: list[keras.callbacks.Callback] = [TerminateOnNonFinite(), *callbacks]
    if best:
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
    with memory.release_graphs():
        history = resume.fit(
            model,
            batches,
            epochs=schedule.epochs,
            validation=validation,
            watchers=watchers,
            workspace=workspace,
            class_weight=None if class_weight is None else dict(class_weight),
        )
    return History(stage, {name: tuple(float(value) for value in values) for name, values in history.items()})


def default_loss_and_metric(*, multi_label: bool) -> tuple[keras.losses.Loss, keras.metrics.Metric]:
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


@keras.saving.register_keras_serializable(package="kerastl")
class WeightedBinaryCrossentropy(keras.losses.Loss):
    """Mean binary cross-entropy of all classes in which those that an example has count their weight.

    With ``p = sigmoid(logit)`` a class costs ``-(weight * y * log(p) + (1 - y) * log(1 - p))``. Where the weight is
    negatives / positives, those that have a class count as much as those that do not (Rajpurkar et al. 2017, "CheXNet",
    section 2.1, up to a factor; https://arxiv.org/abs/1711.05225).

    Args:
        weights: of each class, positive.
        reduction, name, dtype: as for every loss of Keras.

    Raises:
        ValueError: a weight is not a positive number.
    """

    def __init__(
        self,
        weights: Sequence[float],
        *,
        reduction: str = "sum_over_batch_size",
        name: str = "positive_weights",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.weights = [float(weight) for weight in weights]
        if not all(0 < weight < float("inf") for weight in self.weights):
            raise ValueError(f"Weights of classes are positive numbers. Received: {self.weights}.")

    def call(self, y_true: Any, y_pred: Any) -> Any:
        there = ops.cast(y_true, y_pred.dtype)
        weights = ops.convert_to_tensor(self.weights, y_pred.dtype)
        entropy = ops.binary_crossentropy(there, y_pred, from_logits=True)
        return ops.mean(entropy * (1 + (weights - 1) * there), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "weights": self.weights}


@keras.saving.register_keras_serializable(package="kerastl")
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


def class_weights(labels: np.ndarray, *, classes: int, most: float = 10.0) -> dict[int, float]:
    """A weight a class for the loss, with which rare classes count as much as frequent ones.

    Of examples of one class it is examples / (classes * examples of it), the rule of scikit-learn's
    ``class_weight="balanced"`` (after King & Zeng 2001): all classes count the same, and the mean weight of an example
    is 1, so the learning rate keeps its meaning. Where an example may have several, it is the weight of those that have
    a class, its negatives / positives: see `WeightedBinaryCrossentropy`. What many such weights do to one step is
    bounded.

    Args:
        labels: class indices ``(examples,)`` of the training split; or 0 and 1, ``(examples, classes)``.
        classes: how many there are.
        most: largest weight of several classes an example, and one over it the smallest. Ten is a choice: a class that
            one in a thousand has would else make of its few examples the only ones that matter.

    Returns:
        Class index -> weight, for ``fit(..., class_weight=...)``.

    Raises:
        ValueError: a class has no example, a label is none of the classes, or ``most`` is below 1.
    """
    several = is_multi_label(labels)
    if (several and not np.isin(labels, (0, 1)).all()) or (np.ndim(labels) != 1 and not several):
        raise ValueError(
            "Labels are class indices (examples,), or 0 and 1 (examples, classes). Received: shape "
            f"{np.shape(labels)}, type {np.asarray(labels).dtype}."
        )
    counts = labels.sum(0, dtype=np.int64) if several else np.bincount(labels, minlength=classes)
    if len(counts) != classes or not counts.all():
        raise ValueError(
            f"Weights need examples of all {classes} classes and no others. Received: counts {counts.tolist()}."
        )
    if not several:
        return {label: len(labels) / (classes * int(count)) for label, count in enumerate(counts)}
    if not most >= 1:
        raise ValueError(f"The largest weight is 1 or more. Received: most={most}.")
    ratios = np.clip((len(labels) - counts) / counts, 1 / most, most)
    return dict(enumerate(ratios.tolist()))


def set_seed(seed: int) -> None:
    """Seeds Python, NumPy, TensorFlow and Keras; two runs with the same seed are then bitwise equal on a CPU."""
    keras.utils.set_random_seed(seed)


class _Batches(keras.utils.PyDataset):
    """Streamed inputs, a batch at a time: while the model works on one, the next is read."""

    def __init__(self, inputs: LazyArray, batch_size: int) -> None:
        super().__init__(workers=1, max_queue_size=1)
        self._inputs, self._size = inputs, batch_size

    def __len__(self) -> int:
        return -(-len(self._inputs) // self._size)

    def __getitem__(self, index: int) -> tuple[np.ndarray]:
        return (self._inputs[index * self._size : (index + 1) * self._size],)


def predict(model: keras.Model, inputs: np.ndarray | LazyArray, *, batch_size: int | None = None) -> np.ndarray:
    """Outputs ``(examples, classes)`` of ``model`` on ``inputs`` as a float32 array, in inference mode.

    Args:
        model: a Keras model.
        inputs: ``(examples, *input_shape)``; streamed ones are read a batch at a time.
        batch_size: examples at once; by default 500 pictures, or 50 texts, of which every token looks at every other.

    Raises:
        MemoryError: if a batch does not fit into memory; the text suggests a smaller one.
    """
    batch_size = batch_size or (50 if is_text(inputs) else 500)
    with memory.explain_out_of_memory("predicting"):
        if isinstance(inputs, LazyArray):
            return np.asarray(model.predict(_Batches(inputs, batch_size), verbose=0), np.float32)
        return np.asarray(model.predict(inputs, batch_size=batch_size, verbose=0), np.float32)


def save_model(model: keras.Model, path: Path) -> None:
    """Writes a ``.keras`` file; what stood there before is replaced only by a finished one.

    Keras writes in place, so a full disk would leave half a file where a good one was.
    """
    with atomic_files.atomic_replace(
        path, needed_bytes=sum(weight.nbytes for weight in model.get_weights())
    ) as temporary:
        model.save(temporary)


def load_model(path: Path) -> keras.Model:
    """Reads a ``.keras`` file of one's own, not compiled; those of strangers are for ``untrusted.keras_file``."""
    return keras.saving.load_model(path, compile=False)


def save(trained: Trained, folder: Path) -> None:
    """Writes ``model.keras`` and ``curves.json`` into ``folder``."""
    save_model(trained.model, folder / "model.keras")
    (folder / "curves.json").write_text(trained.curves.to_json())


def load(folder: Path) -> Trained:
    """Reads what ``save`` wrote; the model is not compiled."""
    return Trained(load_model(folder / "model.keras"), History.from_json((folder / "curves.json").read_text()))
