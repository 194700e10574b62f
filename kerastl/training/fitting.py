"""Keras' `fit`, with guards: a warm-up cosine schedule, a finite-weights watch, seeds, curves, time left.

Models and data come in from the recipe, and with the data what is asked; what comes out is a `Trained`: the model and
its curves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from kerastl.system import atomic_files, layer_graph, memory
from kerastl.training import batching, fused_normalization, resume, weight_decay
from kerastl.training.callbacks import ProgressBar, TerminateOnNonFinite
from kerastl.types import History, LazyArray, Schedule, Split, Target, Task, Workspace, each


class Trained(NamedTuple):
    """A model and how it got there."""

    model: keras.Model
    curves: History


Loss = keras.losses.Loss | Mapping[str, keras.losses.Loss]
"""What outputs are trained to, of several outputs by each one's name."""
Arrays = tuple[np.ndarray | LazyArray | Mapping[str, np.ndarray], np.ndarray | Mapping[str, np.ndarray]]
"""Inputs and labels, one label an input; of several inputs or targets, mappings of their names."""


def fit(
    model: keras.Model,
    data: tf.data.Dataset | Split | Arrays,
    *,
    schedule: Schedule,
    task: Task | None = None,
    workspace: Workspace | None = None,
    validation: tf.data.Dataset | Split | Arrays | None = None,
    loss: Loss | None = None,
    metrics: Sequence[keras.metrics.Metric] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    optimizer: Callable[..., keras.optimizers.Optimizer] = keras.optimizers.AdamW,
    keep: str = "best",
    patience: int | None = None,
    class_weight: Mapping[int, float] | None = None,
    seed: int = 0,
    progress: bool = True,
) -> History:
    """Trains ``model`` in place with AdamW, or another optimizer, under a warm-up cosine schedule.

    With a workspace the training survives its process: the same call again goes on from the newest checkpoint and ends,
    on a CPU, with bitwise the weights that it would have had (see ``callbacks.Checkpoints``).

    Args:
        model: emits what the task's loss takes, for classes logits ``(batch, classes)``; a ``Distiller`` works too, and
            so does a model with an ``objective`` of its own (``pretraining.two_views.TwoViews``), which asks no label.
        data: a split; a pair of arrays ``(inputs, labels)`` with ``task``; or batches of both, of a known number. After
            an interruption splits, arrays and batches of ``data.pipeline`` go on in the same order, others do not.
        schedule: epochs, learning rate, weight decay, and the batch size of splits and arrays.
        task: what the model is asked. A split knows it, and so do the batches that ``data.pipeline`` made of one.
        workspace: keeps checkpoints, gives TensorBoard logs a place, and curves and progress bar their name.
        validation: as ``data``; scored after every epoch.
        loss, metrics: by default those of the task; ``keep="best"`` adds its score to metrics that lack it. Without a
            task a loss is required, and is the score as well, as the objective is of a model that brings one.
        callbacks: further Keras callbacks.
        optimizer: makes the optimizer from a learning-rate schedule and ``weight_decay``.
        keep: ``"best"`` ends with the weights of the epoch with the best validation score, ``"last"`` with the last.
        patience: epochs without a better validation score after which training stops; ``None`` never stops.
        class_weight: class index -> how much an example of it counts in the loss, see ``class_weights``. Whether the
            loss on validation knows of it is the target's to say (`types.Target.weighted_loss`).
        seed: of the orders of a split or of arrays.
        progress: whether to show a progress bar with the time left.

    Returns:
        Curves: one value an epoch of every metric.

    Raises:
        NonFiniteError: at the first step after which a weight or the loss is NaN or infinite, naming both.
        MemoryError: if a step does not fit into memory; the text suggests a smaller batch.
        ValueError: if there is neither a task nor a loss, the number of batches is unknown or zero, ``keep`` is neither
            of the two words, ``patience`` has nothing to wait for, or weights are not one a class, positive and finite,
            come without a task, or with a loss that does not know them; a loss, metrics or weights come beside an
            objective of the model's own.
    """
    _check_keep(keep, patience=patience, watched=validation is not None)
    task = task or batching.task_of(data)
    batches = _batches(data, task, schedule=schedule, shuffle=True, seed=seed)
    held = None if validation is None else _batches(validation, task, schedule=schedule, shuffle=False, seed=seed)
    rate = warmup_cosine(schedule, _steps(batches) * schedule.epochs)
    if hasattr(model, "objective"):
        _check_own_objective(model, loss=loss, metrics=metrics, class_weight=class_weight)
        task = weights = None
    else:
        loss, weights = _loss(task, loss, class_weight)
    if weights and batching.brings_answers(batches):  # Keras weighs labels that come alone
        batches, weights = batching.weighted(batches, weights), None
    score = task.target.training_metric() if task else None
    best = keep == "best" and held is not None
    model.compile(
        optimizer=weight_decay.ask_once(optimizer(rate, weight_decay=schedule.weight_decay)),
        loss=loss,
        metrics=_metrics(metrics, score, needed=best) or None,
        jit_compile=False,  # on a CPU XLA is two to eight times slower
    )
    watchers = [TerminateOnNonFinite(), *callbacks]
    if best:  # with patience beyond the last epoch it never stops, it only restores the best weights at the end
        watchers.append(_best_epoch(task, score, patience=schedule.epochs + 1 if patience is None else patience))
    stage = workspace.stage if workspace else "training"
    watchers += [keras.callbacks.TensorBoard(str(workspace.logs), write_graph=False)] if workspace else []
    watchers += [ProgressBar(stage, score=score.name if score else "loss")] if progress else []
    run = {"epochs": schedule.epochs, "validation": held, "watchers": watchers, "workspace": workspace}
    with memory.release_graphs(), fused_normalization.fused(model):
        history = resume.fit(model, batches, class_weight=weights, **run)
    return History(stage, {name: tuple(float(value) for value in values) for name, values in history.items()})


def class_weights(labels: np.ndarray, target: Target) -> dict[int, float]:
    """A weight a class for the loss, with which rare classes count as much as frequent ones.

    Args:
        labels: of the training split, as ``target`` says.
        target: what is asked; the rule is its own, see `types.Target.class_weights`.

    Returns:
        Class index -> weight, for ``fit(..., class_weight=...)``.

    Raises:
        ValueError: a class has no example, a label is none of the classes, or what is asked has no classes.
    """
    return target.class_weights(labels)


def _check_keep(keep: str, *, patience: int | None, watched: bool) -> None:
    if patience is not None and (keep != "best" or not watched or patience < 1):
        raise ValueError(
            "`patience` counts epochs, one or more, without a better validation score: it needs `validation` and "
            f"keep='best'. Received: patience={patience}, keep={keep!r}, {'no ' * (not watched)}validation."
        )
    if keep not in ("best", "last"):
        raise ValueError(f"`keep` must be 'best' or 'last'. Received: keep={keep!r}.")


def _check_own_objective(model: keras.Model, **given: object) -> None:
    if unwanted := [f"{name}=" for name, value in given.items() if value is not None]:
        raise ValueError(
            f"The model {model.name!r} is trained to an objective of its own: wanted none of loss=, metrics= and "
            f"class_weight= beside it. Received: {', '.join(unwanted)}."
        )


def _batches(
    data: tf.data.Dataset | Split | Arrays, task: Task | None, *, schedule: Schedule, shuffle: bool, seed: int
) -> tf.data.Dataset:
    """Batches as they came, or made of a split or of arrays."""
    if isinstance(data, tf.data.Dataset):
        return data
    if not isinstance(data, Split):
        if task is None:
            raise ValueError(
                "Arrays do not say what they are for: wanted task=, a kerastl.types.Task(name, inputs, target), beside "
                "them. Received: no task."
            )
        inputs, labels = data
        data = Split("arrays", inputs, labels, task)
    return batching.batches(data, batch_size=schedule.batch_size, shuffle=shuffle, seed=seed)


def _steps(batches: tf.data.Dataset) -> int:
    steps = int(batches.cardinality())
    if steps <= 0:
        raise ValueError(
            f"Training needs batches of a known, positive number. Received: {steps} "
            "(-1 is endless, -2 unknown; fewer examples than one batch give 0)."
        )
    return steps


def _metrics(
    metrics: Sequence[keras.metrics.Metric] | None, score: keras.metrics.Metric | None, *, needed: bool
) -> list[keras.metrics.Metric]:
    """Those that were asked for, and the task's score where nobody asked or something waits for it."""
    names = [one if isinstance(one, str) else one.name for one in metrics or ()]
    lacking = score is not None and (metrics is None or (needed and score.name not in names))
    return [*(metrics or ()), *([score] if lacking else [])]


def _best_epoch(
    task: Task | None, score: keras.metrics.Metric | None, *, patience: int
) -> keras.callbacks.EarlyStopping:
    return keras.callbacks.EarlyStopping(
        monitor=f"val_{score.name if score else 'loss'}",
        mode="max" if task and score and task.target.higher_is_better else "min",
        patience=patience,
        restore_best_weights=True,
    )


def _loss(
    task: Task | None, loss: Loss | None, class_weight: Mapping[int, float] | None
) -> tuple[Loss, dict[int, float] | None]:
    """What is trained to, and the weights of classes that are left to Keras."""
    if task is None:
        if loss is None or class_weight is not None:
            raise ValueError(
                "Training needs to know what the model is asked: task= (a split, or batches of data.pipeline, bring it "
                "along), or a loss= where classes have no weights. Received: no task, "
                f"{'no' if loss is None else 'a'} loss, class_weight={class_weight}."
            )
        return loss, None
    if class_weight is None:
        return loss or task.target.loss(), None
    weighted, left = task.target.weighted_loss(class_weight)
    if left is None and loss is not None:
        name = getattr(loss, "name", loss)
        raise ValueError(
            f"Weights of classes in {task.target.kind} are in its own loss, the only one that knows them all: wanted "
            f"class_weight= without loss=. Received: weights of {sorted(class_weight)} and the loss {name!r}."
        )
    return loss or weighted, left


def loss_of(task: Task, class_weight: Mapping[int, float] | None = None) -> tuple[Loss, dict[int, float] | None]:
    """The loss of a task, and the weights of classes that it does not know of and Keras is to multiply it by.

    Raises:
        ValueError: weights are not one a class, positive and finite.
    """
    return _loss(task, None, class_weight)


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


class _Batches(keras.utils.PyDataset):
    """Streamed inputs, a batch at a time: while the model works on one, the next is read."""

    def __init__(self, inputs: LazyArray, batch_size: int) -> None:
        super().__init__(workers=1, max_queue_size=1)
        self._inputs, self._size = inputs, batch_size

    def __len__(self) -> int:
        return -(-len(self._inputs) // self._size)

    def __getitem__(self, index: int) -> tuple[np.ndarray]:
        return (self._inputs[index * self._size : (index + 1) * self._size],)


def predict(
    model: keras.Model,
    inputs: np.ndarray | LazyArray | Mapping[str, np.ndarray],
    *,
    batch_size: int | None = None,
    task: Task | None = None,
) -> Any:
    """Outputs ``(examples, outputs)`` of ``model`` on ``inputs`` as a float32 array, in inference mode.

    Of a model of several outputs such an array by each one's name: the task's names where there is a task.

    Args:
        model: a Keras model.
        inputs: ``(examples, *input_shape)``, streamed ones are read a batch at a time; of a model of several inputs a
            mapping of their names.
        batch_size: examples at once; by default as many as the task's kind of input says, 500 without a task.
        task: what the model is asked.

    Raises:
        MemoryError: if a batch does not fit into memory; the text suggests a smaller one.
    """
    batch_size = batch_size or (task.inputs.predict_batch if task else 500)
    with memory.explain_out_of_memory("predicting"):
        if isinstance(inputs, LazyArray):
            answers = model.predict(_Batches(inputs, batch_size), verbose=0)
        else:
            answers = _predicted(model, each(np.asarray, inputs), batch_size)
    named = task.target.output_names if task else ()
    if isinstance(answers, list | tuple) and named and sorted(named) != sorted(model.output_names):
        answers = dict(zip(named, answers, strict=True))
    answers = layer_graph.outputs_by_name(model, answers)
    if isinstance(answers, Mapping):
        return {name: np.asarray(values, np.float32) for name, values in answers.items()}
    return np.asarray(answers, np.float32)


def _predicted(model: keras.Model, inputs: Any, batch_size: int) -> Any:
    """As `keras.Model.predict` of arrays, which makes a data set of them and traces the model anew where the last batch
    is smaller: for a few hundred examples that takes most of the time.
    """
    parts = keras.tree.flatten(inputs)
    starts = range(0, max(map(len, parts), default=0), batch_size)
    if {len(part) for part in parts} != {len(parts[0])} or not starts:
        shapes = [part.shape for part in parts]
        raise ValueError(f"Wanted as many examples for every input, and one at least. Received: {shapes}.")
    inputs = each(lambda part: part.astype(keras.config.floatx()) if part.dtype == np.float64 else part, inputs)
    if not model.run_eagerly:  # for batches of every size
        sizes = each(lambda part: tf.TensorSpec((None, *part.shape[1:]), part.dtype), inputs)
        model.make_predict_function()
        model.predict_function.get_concrete_function([(sizes,)])
    batches = [each(lambda part, at=at: part[at : at + batch_size], inputs) for at in starts]
    found = [model.predict_on_batch(batch) for batch in batches]
    return keras.tree.map_structure(lambda *batches: np.concatenate(batches), *found)


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
