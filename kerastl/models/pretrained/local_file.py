"""A model of one's own, or a stranger's, in a Keras file: whole, or its features as a foundation to build on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import keras
from keras import layers

from kerastl.models.pretrained import graph
from kerastl.models.pretrained.backbone import Backbone
from kerastl.models.pretrained.weights import account
from kerastl.untrusted import keras_file

RANGES = {"0..255": (1.0, 0.0), "0..1": (1 / 255, 0.0), "-1..1": (1 / 127.5, -1.0)}
"""Ranges of pixels that models were trained for -> scale and offset that make them of 0..255."""
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
        ValueError: the file is not opened (see `untrusted.keras_file.load`); it takes no pictures of three channels,
            says no range, or cannot take pictures of this size.
    """
    file, model = _opened(path)
    shape = tuple(model.input_shape[1:]) if isinstance(model.input_shape, tuple) else ()
    if len(shape) != 3 or shape[-1] != 3:
        raise ValueError(f"Wanted a model of colour pictures. Received: {file}, which takes {model.input_shape}.")
    size = image_size or shape[0]
    if not size:
        raise ValueError(f"Wanted image_size, for {file} takes pictures of any. Received: image_size={image_size}.")
    features = keras.Model(model.inputs, _features(model))
    # as the layers of a head are called; one that pools the features is such a layer
    names = {name: f"inner_{name}" for name in ("pool", "dropout", "logits")}
    if features.output._keras_history.operation.name == "pool":
        del names["pool"]
    flat = _laid_out(features, file, shape=(size, size, 3), name=model.name, names=names)
    if not _makes_its_range(flat):
        raise ValueError(
            f"Wanted a graph that scales pixels 0..255 itself. Received: {file}, without a Rescaling or Normalization "
            "in front of its first weights. Put one in front of it, with the range that it was trained for, and save."
        )
    left_out = tuple(weight.path for layer in _head(model) for weight in layer.weights)
    accounting = dataclasses.replace(account(flat, source=f"file {file}"), left_out=left_out)
    return Backbone(str(path), flat, size, accounting)


def classifier(path: str | Path, *, pixels: str = "0..255", image_size: int | None = None) -> keras.Model:
    """The whole classifier in a `.keras` or `.h5` file, or in the folder of a finished run, as one flat graph.

    Args:
        path: a file, or a folder with a ``model.keras`` in it.
        pixels: range that the model itself takes, a key of `RANGES`; the graph takes 0..255 and makes it of them. A
            model that scales its pixels itself takes 0..255.
        image_size: side of the square pictures, for a model that takes pictures of any size.

    Returns:
        A float32 input ``image`` of ``(batch, height, width, channels)`` to the logits of the classes,
        ``(batch, classes)``, with copies of its weights: a softmax behind them is left out.

    Raises:
        FileNotFoundError: no such file or folder.
        ValueError: the file is not opened (see `untrusted.keras_file.load`), its model is not functional, takes no
            pictures, or gives no vector, or one that is neither logits nor comes out of a softmax; another range.
    """
    if pixels not in RANGES:
        raise ValueError(f"Wanted a range of pixels, one of {', '.join(RANGES)}. Received: {pixels!r}.")
    file, model = _opened(path)
    shape = tuple(model.input_shape[1:]) if isinstance(model.input_shape, tuple) else ()
    answers = model.output_shape if isinstance(model.output_shape, tuple) else ()
    if len(shape) != 3 or shape[-1] not in (1, 3) or len(answers) != 2 or not answers[-1]:
        raise ValueError(
            "Wanted a classifier of pictures, from (height, width, 1 or 3) to one vector. Received: "
            f"{file}, from {model.input_shape} to {model.output_shape}."
        )
    height, width = (side or image_size for side in shape[:2])
    if not height or not width:
        raise ValueError(f"Wanted image_size, for {file} takes pictures of any. Received: image_size={image_size}.")
    scale, offset = RANGES[pixels]
    front = None if pixels == "0..255" else layers.Rescaling(scale, offset=offset, name="from_bytes")
    flat = _laid_out(model, file, shape=(height, width, shape[-1]), name=model.name, front=front)
    return keras.Model(flat.input, _logits(flat, file), name=flat.name)


def _logits(model: keras.Model, file: Path) -> keras.KerasTensor:
    history = model.output._keras_history
    last = history.operation  # a layer, or an operation of `keras.ops`, which the graph shares with the file's
    before = last._inbound_nodes[history.node_index].input_tensors[0]
    softmax = "softmax" if type(last).__name__ == "Softmax" else ""
    name = getattr(getattr(last, "activation", None), "__name__", softmax)
    if name == "softmax" and not isinstance(last, layers.Dense):
        return before
    if name == "softmax":
        config = last.get_config() | {"activation": "linear"}
        dense = layers.Dense.from_config(config)
        logits = dense(before)
        dense.set_weights(last.get_weights())
        return logits
    if name not in ("", "linear"):
        raise ValueError(
            "Wanted a classifier that gives logits, or a softmax of them. Received: "
            f"{file}, whose last layer {last.name!r} ends in {name}."
        )
    return model.output


def _opened(path: str | Path) -> tuple[Path, keras.Model]:
    path = Path(path)
    file = path / "model.keras" if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(f"There is no file {file}.")
    return file, keras_file.load(file)


def _laid_out(
    model: keras.Model,
    file: Path,
    *,
    shape: tuple[int, int, int],
    name: str,
    front: keras.layers.Layer | None = None,
    names: Mapping[str, str] = MappingProxyType({}),
) -> keras.Model:
    image = keras.Input(shape, name="image")
    try:
        start = image if front is None else front(image)
        return keras.Model(image, graph.flatten(model, start, names=names), name=name)
    except Exception as error:  # a layer that was made for one size raises whatever another size provokes in it
        raise ValueError(f"{file} cannot be laid out for pictures of {shape[0]} pixels: {error}") from error


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
