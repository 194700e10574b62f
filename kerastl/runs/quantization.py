"""Quantization-aware training as a stage: through the bridge, trained as integers, converted."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from kerastl.compress import qat
from kerastl.compress.tf_keras import bridge
from kerastl.data import pipeline
from kerastl.distil import losses
from kerastl.export import tflite
from kerastl.training import batching, callbacks, fitting
from kerastl.types import BatchingSpec, Schedule, Split, Task, Workspace

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf

_PROBE = 16
"""Examples on which a model and its counterpart in tf_keras have to agree."""


def quantization_aware(
    student: keras.Model,
    batches: tf.data.Dataset,
    *,
    seed: int,
    workspace: Workspace,
    schedule: Schedule | None = None,
    validation: tf.data.Dataset | Split | None = None,
    teacher: keras.Model | None = None,
    loss: Callable | None = None,
    preserve_sparsity: bool = False,
) -> tflite.Converted:
    """Quantization-aware training of a float model in tf_keras, and the integer file that comes of it.

    Args:
        student: trained, emits logits ``(batch, classes)``; left as it is.
        batches: of ``data.pipeline``, with a teacher's stored logits or without. They know the task that the file is
            for, and on the first of their examples the model and its counterpart in tf_keras are compared beforehand.
        seed: of what is drawn.
        workspace: of the stage.
        schedule: epochs and learning rate; fine-tuning is short and slow. By default the one that
            ``data.pipeline.training_batches`` made the batches for.
        validation: batches or a split; scored after every epoch. By default the validation split of the data set that
            the batches were made of.
        teacher: answers every batch, in inference mode. The student itself keeps the file the model it was made from.
        loss: ``loss(labels, logits, teacher_logits)``; by default the divergence from the teacher's answers at
            temperature 1 where there is a teacher, else cross-entropy with the labels.
        preserve_sparsity: whether zeros stay zero.

    Raises:
        ValueError: the batches are not of ``data.pipeline``, are of several inputs, or there is no schedule; else as
            ``compress.qat.train`` and ``compress.tf_keras.bridge.to_tf_keras``.
    """
    task, probe = _known(batches)
    schedule = schedule or batching.schedule_of(batches)
    validation = batching.validation_of(batches) if validation is None else validation
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


def _known(batches: tf.data.Dataset) -> tuple[Task, np.ndarray]:
    """The task of batches, and the first examples that they are made of."""
    course: BatchingSpec | None = getattr(batches, "course", None)
    if course is None:
        raise ValueError(
            "Quantization-aware training needs to know what the model is asked: wanted batches of data.pipeline, which "
            "know their task and their examples. Received: batches that do not, of another origin or changed since."
        )
    if isinstance(course.inputs, Mapping):
        raise ValueError(
            "Quantization-aware training is for models of one input. Received: batches of the inputs "
            f"{', '.join(course.inputs)}."
        )
    return course.task, course.inputs[:_PROBE]
