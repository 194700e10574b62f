"""Quantization-aware training as a stage: through the bridge, trained as integers, converted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from kerastl.compress import qat
from kerastl.compress.tf_keras import bridge
from kerastl.export import tflite
from kerastl.runs import tf_keras_training
from kerastl.training import fitting
from kerastl.types import Schedule, Split, Workspace

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


def quantization_aware(
    student: keras.Model,
    batches: tf.data.Dataset,
    *,
    seed: int,
    workspace: Workspace | None = None,
    schedule: Schedule | None = None,
    validation: tf.data.Dataset | Split | None = None,
    teacher: keras.Model | None = None,
    loss: Callable | None = None,
    preserve_sparsity: bool = False,
) -> tflite.Converted:
    """Quantization-aware training of a float model in tf_keras, and the integer file that comes of it.

    Args:
        student: trained, emits logits ``(batch, classes)`` or what the task asks for; left as it is.
        batches: of ``data.pipeline``, with a teacher's stored logits or without. They know the task that the file is
            for, and on the first of their examples the model and its counterpart in tf_keras are compared beforehand.
        seed: of what is drawn.
        workspace: of the stage; ``None`` outside of a run, where nothing is kept to go on from.
        schedule: epochs and learning rate; fine-tuning is short and slow. By default the one that
            ``data.pipeline.training_batches`` made the batches for.
        validation: batches or a split; scored after every epoch. By default the validation split of the data set that
            the batches were made of.
        teacher: answers every batch, in inference mode. The student itself keeps the file the model it was made from.
        loss: ``loss(labels, logits, teacher_logits)``; by default the divergence from the teacher's answers at
            temperature 1 where there is a teacher, else cross-entropy with the labels; of labels that are no classes
            the task's own losses.
        preserve_sparsity: whether zeros stay zero.

    Raises:
        ValueError: the batches are not of ``data.pipeline``, are of several inputs, or there is no schedule; else as
            ``compress.qat.train`` and ``compress.tf_keras.bridge.to_tf_keras``.
    """
    task, probe = tf_keras_training.known(batches, purpose="Quantization-aware training")
    if isinstance(probe, Mapping):
        raise ValueError(
            f"Quantization-aware training is for models of one input. Received: batches of the inputs "
            f"{', '.join(probe)}; compress.ptq.static_int8 makes the integer file of a model of several."
        )
    options = {"validation": validation, "teacher": teacher, "loss": loss, "workspace": workspace}
    options = tf_keras_training.settings(batches, schedule=schedule, **options)
    fitting.set_seed(seed)
    network = bridge.to_tf_keras(student, probe=probe)
    aware = qat.train(network, batches, preserve_sparsity=preserve_sparsity, **options)
    content = tflite.convert(aware, task, integer=True)
    return tflite.Converted(content, qat.curves(aware, stage=workspace.stage if workspace else "qat"))
