"""A model of one's own, or a stranger's, in a Keras file: its features as a foundation to build on."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import keras
from keras import layers

from kerastl.build.pretrained import graph
from kerastl.build.pretrained.backbone import Backbone
from kerastl.build.pretrained.weights import account
from kerastl.foreign import keras_file

_HEADS = (layers.Dense, layers.Dropout, layers.Softmax, layers.Activation)


def load(path: str | Path, *, image_size: int | None = None) -> Backbone:
    """The features of a classifier in a `.keras` or `.h5` file, or in the folder of a finished run.

    What stands behind the last average, maximum or flattening is its head, and left out; so is nothing where there is
    none. The graph must make its own range from pixels 0..255, in a ``Rescaling`` or ``Normalization``, as every model
    of kerastl does: a file does not say otherwise which range it wants.

    Args:
        path: a file, or a folder with a ``model.keras`` in it.
        image_size: side of the square pictures in pixels; ``None`` for the model's own.

    Raises:
        FileNotFoundError: no such file or folder.
        ValueError: the file is not opened (see `foreign.keras_file.load`); it takes no pictures of three channels, says
            no range, or cannot take pictures of this size.
    """
    path = Path(path)
    file = path / "model.keras" if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(f"There is no file {file}.")
    model = keras_file.load(file)
    shape = tuple(model.input_shape[1:]) if isinstance(model.input_shape, tuple) else ()
    if len(shape) != 3 or shape[-1] != 3:
        raise ValueError(f"Wanted a model of colour pictures. Received: {file}, which takes {model.input_shape}.")
    size = image_size or shape[0]
    if not size:
        raise ValueError(f"Wanted image_size, for {file} takes pictures of any. Received: image_size={image_size}.")
    image = keras.Input((size, size, 3), name="image")
    body = keras.Model(model.inputs, _features(model))
    try:
        flat = keras.Model(image, graph.laid_flat(body, image), name=model.name)
    except Exception as error:  # a layer that was made for one size raises whatever another size provokes in it
        raise ValueError(f"{file} cannot be laid out for pictures of {size} pixels: {error}") from error
    if not _makes_its_range(flat):
        raise ValueError(
            f"Wanted a graph that scales pixels 0..255 itself. Received: {file}, without a Rescaling or Normalization "
            "in front of its first weights. Put one in front of it, with the range that it was trained for, and save."
        )
    left_out = tuple(weight.path for layer in _head(model) for weight in layer.weights)
    accounting = dataclasses.replace(account(flat, source=f"file {file}"), left_out=left_out)
    return Backbone(str(path), flat, size, accounting)


def _head(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers at the end that make answers of features: dense ones, and what stands between and behind them."""
    found = []
    for layer in reversed(model.layers):
        if not isinstance(layer, _HEADS):
            break
        found.append(layer)
    return found[::-1] if any(isinstance(layer, layers.Dense) for layer in found) else []


def _features(model: keras.Model) -> keras.KerasTensor:
    head = _head(model)
    return head[0].input if head else model.output


def _makes_its_range(model: keras.Model) -> bool:
    for layer in model.layers[1:]:
        if isinstance(layer, layers.Rescaling | layers.Normalization):
            return True
        if layer.weights:
            return False
    return False
