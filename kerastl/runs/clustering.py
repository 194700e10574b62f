"""Weight clustering as a stage: through the bridge, clustered and trained, and home again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kerastl.compress import cluster
from kerastl.compress.tf_keras import bridge
from kerastl.runs import tf_keras_training
from kerastl.training import fitting
from kerastl.types import Schedule, Split, Workspace

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


def clustered(
    student: keras.Model,
    batches: tf.data.Dataset,
    *,
    number_of_clusters: int,
    seed: int,
    workspace: Workspace | None = None,
    schedule: Schedule | None = None,
    validation: tf.data.Dataset | Split | None = None,
    teacher: keras.Model | None = None,
    loss: Callable | None = None,
) -> fitting.Trained:
    """Clusters the weights of a float model in tf_keras, trains the values, and brings them home.

    Args:
        student: trained, emits logits ``(batch, classes)`` or what the task asks for; left as it is.
        batches: of ``data.pipeline``, with a teacher's stored logits or without.
        number_of_clusters: most distinct values of a kernel.
        seed: of what is drawn.
        workspace: of the stage; ``None`` outside of a run, where nothing is kept to go on from.
        schedule, validation, teacher, loss: as in `quantization.quantization_aware`.

    Raises:
        ValueError: the batches are not of ``data.pipeline``, or there is no schedule; else as
            ``compress.cluster.train`` and ``compress.tf_keras.bridge.to_tf_keras``.
    """
    _, probe = tf_keras_training.known(batches, purpose="Clustering")
    options = {"validation": validation, "teacher": teacher, "loss": loss, "workspace": workspace}
    options = tf_keras_training.settings(batches, schedule=schedule, **options)
    fitting.set_seed(seed)
    network = bridge.to_tf_keras(student, probe=probe)
    network = cluster.train(network, batches, number_of_clusters=number_of_clusters, **options)
    curves = cluster.curves(network, stage=workspace.stage if workspace else "cluster")
    return fitting.Trained(bridge.to_keras(network, like=student), curves)
