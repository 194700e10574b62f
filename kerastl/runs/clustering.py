"""Weight clustering as a stage: through the bridge, clustered and trained, and home again."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from kerastl.compress import cluster
from kerastl.compress.tf_keras import bridge
from kerastl.data import pipeline
from kerastl.distil import losses
from kerastl.training import callbacks, fitting
from kerastl.types import BatchingSpec, Schedule, Split, Workspace

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

_PROBED = 16  # examples on which the model and its counterpart in tf_keras are compared


def clustered(
    student: keras.Model,
    batches: tf.data.Dataset,
    *,
    number_of_clusters: int,
    schedule: Schedule,
    seed: int,
    workspace: Workspace,
    validation: tf.data.Dataset | Split | None = None,
    teacher: keras.Model | None = None,
    loss: Callable | None = None,
) -> fitting.Trained:
    """Clusters the weights of a float model in tf_keras, trains the values, and brings them home.

    Args:
        student: trained, emits logits ``(batch, classes)``; left as it is.
        batches: of ``data.pipeline``, with a teacher's stored logits or without.
        number_of_clusters: most distinct values of a kernel.
        schedule: epochs and learning rate; fine-tuning is short and slow.
        seed: of what is drawn.
        workspace: of the stage.
        validation: batches or a split; scored after every epoch.
        teacher: answers every batch, in inference mode.
        loss: ``loss(labels, outputs)``, under a teacher ``loss(labels, logits, teacher_logits)``; by default the
            divergence from the teacher's answers at temperature 1 where there is a teacher, else cross-entropy.

    Raises:
        ValueError: as ``compress.cluster.train`` and ``compress.tf_keras.bridge.to_tf_keras``.
    """
    fitting.set_seed(seed)
    if teacher is not None and loss is None:
        loss = losses.distillation_loss(temperature=1.0)
    if isinstance(validation, Split):
        validation = pipeline.batches(validation, batch_size=500)
    network = cluster.train(
        bridge.to_tf_keras(student, probe=_first(batches)),
        batches,
        number_of_clusters=number_of_clusters,
        epochs=schedule.epochs,
        learning_rate=schedule.peak_learning_rate,
        teacher=None if teacher is None else functools.partial(teacher, training=False),
        loss=loss,
        validation=validation,
        workspace=workspace,
        callbacks=[callbacks.ProgressBar(workspace.stage)],
    )
    return fitting.Trained(bridge.to_keras(network, like=student), cluster.curves(network, stage=workspace.stage))


def _first(batches: tf.data.Dataset) -> Any:
    """Some examples of what batches are made of."""
    course: BatchingSpec = getattr(batches, "course")  # noqa: B009  tf.data knows no such attribute
    if isinstance(course.inputs, Mapping):
        return {name: part[:_PROBED] for name, part in course.inputs.items()}
    return course.inputs[:_PROBED]
