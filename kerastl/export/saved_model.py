"""A TensorFlow SavedModel: one signature, its inputs and outputs by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from kerastl.export import keras_graph, serving
from kerastl.export.keras_graph import KerasModel
from kerastl.system import atomic_files
from kerastl.types import Task


def write(model: KerasModel, folder: Path, task: Task | None = None) -> None:
    """Writes a model as a SavedModel with the signature ``serving_default``.

    With a task the signature takes the task's examples, of a picture ``image``, float32 ``(batch, *input_shape)`` of
    raw pixels 0..255 (a text's model takes int32 token ids under its input's own name), and returns what the task asks
    for under ``task.target.output_name``. Without a task it has the model's own inputs and outputs by name. A finished
    folder appears under its name at once or not at all; one that stands there already is replaced.

    Args:
        model: functional Keras 3 or tf_keras model; with a task one that ends in logits or answers.
        folder: the SavedModel's folder; the folder above it must exist.
        task: what goes in and what is asked, as in `serving.serve`.

    Raises:
        ValueError: if the folder above does not exist, or the folder holds something that is no SavedModel.
    """
    folder = Path(folder)
    if not folder.parent.is_dir():
        raise ValueError(f"Wanted a folder inside one that exists. Received: {folder}.")
    if folder.exists() and not (folder / "saved_model.pb").is_file():
        raise ValueError(f"Wanted a new folder or an old SavedModel to replace. Received: {folder}, which is neither.")
    model = keras_graph.functional(model)
    served = serving.serve(model, task)
    with atomic_files.atomic_replace(folder, needed_bytes=_size(model)) as temporary:
        tf.saved_model.save(served.holder, str(temporary), signatures={"serving_default": served.function})


def _size(model: KerasModel) -> int:
    """Bytes of the weights: the file is a little larger."""
    return sum(int(np.prod(weight.shape)) * 4 for weight in model.weights)
