"""A TensorFlow SavedModel: one signature, its input and output by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from kerastl.export import serving
from kerastl.system import atomic_files


def write(model: Any, folder: Path, *, multi_label: bool = False) -> None:
    """Writes a model as a SavedModel with the signature ``serving_default``.

    The signature takes ``image``, float32 ``(batch, *input_shape)`` of raw pixels 0..255 (a text's model takes int32
    token ids under its input's own name), and returns
    ``probabilities``, float32 ``(batch, classes)``. A finished folder appears under its name at once or not at all; one
    that stands there already is replaced.

    Args:
        model: functional Keras 3 or tf_keras model that ends in logits or probabilities.
        folder: the SavedModel's folder; the folder above it must exist.
        multi_label: as in `serving.with_probabilities`.

    Raises:
        ValueError: if the folder above does not exist, or the folder holds something that is no SavedModel.
    """
    folder = Path(folder)
    if not folder.parent.is_dir():
        raise ValueError(f"Wanted a folder inside one that exists. Received: {folder}.")
    if folder.exists() and not (folder / "saved_model.pb").is_file():
        raise ValueError(f"Wanted a new folder or an old SavedModel to replace. Received: {folder}, which is neither.")
    served = serving.serve(model, multi_label=multi_label)
    with atomic_files.atomic_replace(folder, needed_bytes=_size(model)) as temporary:
        tf.saved_model.save(served.holder, str(temporary), signatures={"serving_default": served.function})


def _size(model: Any) -> int:
    """Bytes of the weights: the file is a little larger."""
    return sum(int(np.prod(weight.shape)) * 4 for weight in model.weights)
