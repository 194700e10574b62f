"""Quantization-aware training as a stage: through the bridge, trained as integers, converted."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from kerastl.compress import qat
from kerastl.compress.tf_keras import bridge
from kerastl.data import pipeline
from kerastl.distil import losses
from kerastl.export import tflite
from kerastl.training import callbacks, fitting
from kerastl.types import LazyArray, Schedule, Split, Task, Workspace

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


def quantization_aware(
    student: keras.Model,
    batches: tf.data.Dataset,
    task: Task,
    *,
    schedule: Schedule,
    seed: int,
    workspace: Workspace,
    probe: np.ndarray | LazyArray,
    validation: tf.data.Dataset | Split | None = None,
    teacher: keras.Model | None = None,
    loss: Callable | None = None,
    preserve_sparsity: bool = False,
) -> tflite.Converted:
    """Quantization-aware training of a float model in tf_keras, and the integer file that comes of it.

    Args:
        student: trained, emits logits ``(batch, classes)``; left as it is.
        batches: of ``data.pipeline``, with a teacher's stored logits or without.
        task: what the model is for.
        schedule: epochs and learning rate; fine-tuning is short and slow.
        seed: of what is drawn.
        workspace: of the stage.
        probe: some examples on which the model and its counterpart in tf_keras are compared before the training.
        validation: batches or a split; scored after every epoch.
        teacher: answers every batch, in inference mode. The student itself keeps the file the model it was made from.
        loss: ``loss(labels, logits, teacher_logits)``; by default the divergence from the teacher's answers at
            temperature 1 where there is a teacher, else cross-entropy with the labels.
        preserve_sparsity: whether zeros stay zero.

    Raises:
        ValueError: as ``compress.qat.train`` and ``compress.tf_keras.bridge.to_tf_keras``.
    """
    fitting.set_seed(seed)
    if teacher is not None and loss is None:
        loss = losses.distillation_loss(temperature=1.0)
    if isinstance(validation, Split):
        validation = pipeline.batches(validation, batch_size=500)
    aware = qat.train(
        bridge.to_tf_keras(student, probe=probe),
        batches,
        epochs=schedule.epochs,
        learning_rate=schedule.peak_learning_rate,
        teacher=None if teacher is None else functools.partial(teacher, training=False),
        loss=loss,
        validation=validation,
        preserve_sparsity=preserve_sparsity,
        workspace=workspace,
        callbacks=[callbacks.ProgressBar(workspace.stage)],
    )
    content = tflite.convert(aware, task, integer=True)
    return tflite.Converted(content, qat.curves(aware, stage=workspace.stage))
