"""What the stages that train in tf_keras have in common: examples for the bridge, and the settings of a training."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from kerastl.data import pipeline
from kerastl.distil import losses
from kerastl.training import batching, callbacks
from kerastl.types import BatchingSpec, Schedule, Split, Task, Workspace, labels_and_teacher_logits

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

_PROBE = 16
"""Examples on which a model and its counterpart in tf_keras have to agree."""


def known(batches: tf.data.Dataset, *, purpose: str) -> tuple[Task, Any]:
    """The task of batches, and the first examples that they are made of.

    Args:
        batches: of ``data.pipeline``.
        purpose: what errors call the training, for example ``"Clustering"``.

    Raises:
        ValueError: the batches are not of ``data.pipeline``, or were changed since.
    """
    course: BatchingSpec | None = getattr(batches, "course", None)
    if course is None:
        raise ValueError(
            f"{purpose} needs to know what the model is asked: wanted batches of data.pipeline, which know their task "
            "and their examples. Received: batches that do not, of another origin or changed since."
        )
    if isinstance(course.inputs, Mapping):
        return course.task, {name: part[:_PROBE] for name, part in course.inputs.items()}
    return course.task, course.inputs[:_PROBE]


def settings(
    batches: tf.data.Dataset,
    *,
    schedule: Schedule | None,
    validation: tf.data.Dataset | Split | None,
    teacher: keras.Model | None,
    loss: Callable | None,
    workspace: Workspace | None,
) -> dict[str, Any]:
    """What ``compress.qat.train`` and ``compress.cluster.train`` take alike.

    Args:
        batches: of ``data.pipeline``, with a teacher's stored logits or without.
        schedule: epochs and learning rate; by default the one that the batches were made for.
        validation: batches or a split; by default the split of the data set that the batches were made of.
        teacher: answers every batch, in inference mode.
        loss: as these functions take it; by default under a teacher, of one class an example, the divergence from its
            answers at temperature 1, and else the task's own.
        workspace: of the stage; ``None`` outside of a run, where nothing is kept to go on from.

    Raises:
        ValueError: there is no schedule.
    """
    schedule = schedule or batching.schedule_of(batches)
    validation = batching.validation_of(batches) if validation is None else validation
    spec: Any = batches.element_spec
    labels, _ = labels_and_teacher_logits(spec[1])
    if teacher is not None and loss is None and not isinstance(labels, Mapping):
        loss = losses.distillation_loss(temperature=1.0) if labels.dtype.is_integer and len(labels.shape) == 1 else None
    return {
        "epochs": schedule.epochs,
        "learning_rate": schedule.peak_learning_rate,
        "teacher": None if teacher is None else functools.partial(teacher, training=False),
        "loss": loss,
        "validation": pipeline.batches(validation, batch_size=500) if isinstance(validation, Split) else validation,
        "workspace": workspace,
        "callbacks": [callbacks.ProgressBar(workspace.stage if workspace else "training")],
    }
