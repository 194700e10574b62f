"""A model of one's own, or a stranger's, in a Keras file: whole, or its features as a foundation to build on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
from keras import layers

from kerastl.export import keras_graph, serving
from kerastl.inputs.image import Image
from kerastl.models.pretrained import graph, names
from kerastl.models.pretrained.backbone import Backbone
from kerastl.models.pretrained.weights import account
from kerastl.types import Inputs, Split, kind_of
from kerastl.untrusted import keras_file

RANGES = {"0..255": (1.0, 0.0), "0..1": (1 / 255, 0.0), "-1..1": (1 / 127.5, -1.0)}
"""Ranges of pixels that models were trained for -> scale and offset that make them of 0..255."""
_FEW_UNITS = 16.0
"""How far from 0 pixels lie at most that were scaled for a network; bytes in tenths would still be told from them."""
_HEADS = (layers.Dense, layers.Dropout, layers.Softmax, layers.Activation)


def load(path: str | Path, *, image_size: int | None = None) -> Backbone:
    """The features of a classifier in a `.keras` or `.h5` file, or in the folder of a finished run.

    What stands behind the last average, maximum or flattening is its head, and left out; so is nothing where there is
    none. The graph must make its own range from pixels 0..255, in a ``Rescaling`` or ``Normalization``, as every model
    of kerastl does: a file does not say otherwise which range it wants.

    Args:
        path: a file, or a folder with a ``model.keras`` in it; where a run has pretrained an encoder, that one is
            taken, and not what was made of it.
        image_size: side of the square pictures in pixels; ``None`` for the model's own.

    Raises:
        FileNotFoundError: no such file or folder.
        ValueError: the file is not opened (see `untrusted.keras_file.load`); it takes no pictures of three channels,
            says no range, or cannot take pictures of this size.
    """
    encoder = Path(path) / names.ENCODER
    file, model = _opened(encoder if encoder.is_file() else path)
    shape = tuple(model.input_shape[1:]) if isinstance(model.input_shape, tuple) else ()
    if len(shape) != 3 or shape[-1] != 3:
        raise ValueError(f"Wanted a model of colour pictures. Received: {file}, which takes {model.input_shape}.")
    size = image_size or shape[0]
    if not size:
        raise ValueError(f"Wanted image_size, for {file} takes pictures of any. Received: image_size={image_size}.")
    features = keras.Model(model.inputs, _features(model))
    # as the layers of a head are called; one that pools the features is such a layer
    renamed = {name: f"inner_{name}" for name in ("pool", "dropout", "logits")}
    if features.output._keras_history.operation.name == "pool":
        del renamed["pool"]
    flat = _laid_out(features, file, shape=(size, size, 3), name=model.name, names=renamed)
    if not _makes_its_range(flat.inputs[0]):
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
        ``(batch, classes)``, with copies of its weights: a softmax behind them is left out. One number, a logit or its
        sigmoid, tells two classes apart and becomes the logits of both, see `export.serving.with_two_logits`.

    Raises:
        FileNotFoundError: no such file or folder.
        ValueError: the file is not opened (see `untrusted.keras_file.load`), its model is not functional, takes no
            pictures, or gives no vector, or one that is neither logits nor comes out of a softmax; another range.
    """
    if pixels not in RANGES:
        raise ValueError(f"Wanted a range of pixels, one of {', '.join(RANGES)}. Received: {pixels!r}.")
    file, model = _opened(path)
    shape = _pictures_of(file, model)
    height, width = (side or image_size for side in shape[:2])
    if not height or not width:
        raise ValueError(f"Wanted image_size, for {file} takes pictures of any. Received: image_size={image_size}.")
    scale, offset = RANGES[pixels]
    front = None if pixels == "0..255" else layers.Rescaling(scale, offset=offset, name="from_bytes")
    flat = _laid_out(model, file, shape=(height, width, shape[-1]), name=model.name, front=front)
    if flat.output_shape[-1] == 1:
        return serving.with_two_logits(flat)
    return keras.Model(flat.input, _logits(flat, file), name=flat.name)


def check_classifier(path: str | Path) -> None:
    """Raises `ValueError` unless the model in a file goes from pictures to one vector, as that of `classifier` does."""
    _pictures_of(*_opened(path))


def _pictures_of(file: Path, model: keras.Model) -> tuple[int | None, int | None, int]:
    """Shape of the pictures that a classifier takes."""
    shape = tuple(model.input_shape[1:]) if isinstance(model.input_shape, tuple) else ()
    answers = model.output_shape if isinstance(model.output_shape, tuple) else ()
    if len(shape) != 3 or shape[-1] not in (1, 3) or len(answers) != 2 or not answers[-1]:
        raise ValueError(
            "Wanted a classifier of pictures, from (height, width, 1 or 3) to one vector. Received: "
            f"{file}, from {model.input_shape} to {model.output_shape}. A model of anything else needs no labels: "
            "shrink_model --labels none proves its files against its own answers."
        )
    return shape[0], shape[1], int(shape[2])


def classifier_of(
    path: str | Path,
    examples: Split,
    *,
    predict: Callable[[keras.Model, Any], np.ndarray],
    pixels: str = "auto",
    image_size: int | None = None,
) -> keras.Model:
    """As `classifier`, of the range of pixels by which it answers labelled pictures best: a file does not say it.

    Args:
        path, image_size: as for `classifier`.
        examples: held-out pictures, a thousand say enough, with one of the model's classes each.
        predict: answers of a model to inputs, see `training.predict`.
        pixels: a range as for `classifier`; ``"auto"`` tries all of them, and prints what each answers right.

    Raises:
        ValueError: as `classifier`; or the model has other pictures or another number of classes than the data, or
            answers them no better than chance does.
    """
    models, answers, scores = {}, {}, {}
    task, target = examples.task, examples.task.target
    for one in RANGES if pixels == "auto" else (pixels,):
        model = classifier(path, pixels=one, image_size=image_size)
        if (model.input_shape[1:], model.output_shape[1:]) != (task.inputs.shape, (target.outputs,)):
            raise ValueError(
                "A model and its data have the same pictures and as many classes. Received: "
                f"{path}, from {model.input_shape[1:]} to {model.output_shape[1:]}; {task.name} has "
                f"{task.inputs.shape} and {target.outputs} classes."
            )
        models[one], answers[one] = model, predict(model, examples.inputs)
        scores[one] = target.score(answers[one], examples.labels).value
    best = max(scores, key=lambda one: scores[one])
    words = ", ".join(f"{100 * score:.1f} % of pixels {one}" for one, score in scores.items())
    print(f"{path} answers {words} right: it gets {best}.")
    recall = target.details(answers[best], examples.labels)["balanced_accuracy"]
    # as good as any one answer, whatever the classes' shares: two chances of many classes, a tenth more of two
    chance = 1 / target.outputs
    if recall < min(2 * chance, chance + 0.1 * (1 - chance)) and len(examples) >= 50:
        raise ValueError(
            "Wanted a model that knows these classes, in the order of its answers: "
            f"{', '.join(target.names[:10])}. Received: {path}, which answers {words} right."
        )
    return models[best]


def input_shapes(path: str | Path, *, image_size: int | None = None) -> dict[str, tuple[int | None, ...]]:
    """What the model in a `.keras` or `.h5` file takes: name of each input -> shape of one example, in its order.

    Args:
        path: a file, or the folder of a finished run.
        image_size: side of square pictures, in the place of a height and a width that may be any.

    Raises:
        FileNotFoundError: no such file or folder.
        ValueError: the file is not opened (see `untrusted.keras_file.load`), or an input takes no numbers.
    """
    file, model = _opened(path)
    found = {}
    for name, tensor in zip(keras_graph.names_of(model, "input"), model.inputs, strict=True):
        if not tensor.dtype.startswith(("float", "bfloat", "uint8")):
            raise ValueError(
                f"Wanted a model that takes numbers. Received: {file}, whose input {name!r} takes {tensor.dtype}."
            )
        shape = tuple(tensor.shape)[1:]
        sides = tuple(side or image_size for side in shape[:2]) if len(shape) == 3 else shape[:2]
        found[name] = (*sides, *shape[2:])
    return found


def whole(path: str | Path, *, inputs: Inputs, pixels: str = "auto") -> tuple[keras.Model, str]:
    """Any functional model in a `.keras` or `.h5` file, or in the folder of a finished run, as one flat graph.

    Nothing is taken off or put behind it: of any number of inputs and outputs it answers as it does.

    Args:
        path: a file, or a folder with a ``model.keras`` in it.
        inputs: the kind of its examples; of several inputs a mapping of their names, as `input_shapes` has them.
        pixels: range that the model itself takes where an input is a picture, a key of `RANGES`. ``"auto"``: it makes
            its range itself, of pixels 0..255, in a ``Rescaling`` or ``Normalization``.

    Returns:
        The model, with copies of its weights, from float32 inputs to its outputs, several of which are a dictionary;
        and the name of the first output.

    Raises:
        FileNotFoundError: no such file or folder.
        ValueError: the file is not opened (see `untrusted.keras_file.load`); its model is not functional, or takes
            other inputs; its range of pixels is not known.
    """
    if pixels != "auto" and pixels not in RANGES:
        raise ValueError(f"Wanted a range of pixels, one of auto, {', '.join(RANGES)}. Received: {pixels!r}.")
    file, model = _opened(path)
    takes, gives = (keras_graph.names_of(model, end) for end in ("input", "output"))
    scale, offset = RANGES["0..255" if pixels == "auto" else pixels]
    kinds = {name: kind_of(inputs, name) for name in takes}
    _check_taken(file, model, dict(zip(takes, model.inputs, strict=True)), inputs)
    given = {name: keras.Input(kind.shape, name=name) for name, kind in kinds.items()}
    started = {
        name: layers.Rescaling(scale, offset=offset, name=f"{name}_from_bytes")(tensor)
        if isinstance(kinds[name], Image) and (scale, offset) != (1.0, 0.0)
        else tensor
        for name, tensor in given.items()
    }
    try:
        outputs = dict(zip(gives, graph.flatten_all(model, list(started.values())), strict=True))
    except Exception as error:  # a layer that was made for one size raises whatever another size provokes in it
        raise ValueError(f"{file} cannot be laid out for inputs of {inputs.shape}: {error}") from error
    flat = keras.Model(
        given if len(given) > 1 else given[takes[0]],
        {name: outputs[name] for name in sorted(outputs)} if len(outputs) > 1 else outputs[gives[0]],
        name=model.name,
    )
    pictures = [given[name] for name, kind in kinds.items() if isinstance(kind, Image)]
    if pixels == "auto" and not all(map(_makes_its_range, pictures)):
        raise ValueError(
            f"Without labels nobody can tell which range of pixels {file} was trained for, and no Rescaling or "
            "Normalization in it makes a few units of 0..255: wanted --pixels, one of "
            f"{', '.join(RANGES)}. Received: auto."
        )
    return flat, gives[0]


def _check_taken(file: Path, model: keras.Model, takes: Mapping[str, keras.KerasTensor], inputs: Inputs) -> None:
    """Raises `ValueError` where a model does not take examples of a kind."""
    shapes: Any = inputs.shape if isinstance(inputs.shape, Mapping) else dict.fromkeys(takes, inputs.shape)
    wanted = {name: tuple(tensor.shape)[1:] for name, tensor in takes.items()}
    fits = sorted(shapes) == sorted(wanted) and all(
        len(shape) == len(shapes[name])
        and all(size in (None, own) for size, own in zip(shape, shapes[name], strict=True))
        for name, shape in wanted.items()
    )
    if not fits or (len(takes) > 1 and not isinstance(inputs.shape, Mapping)):
        raise ValueError(f"Wanted examples that {file} takes, {wanted}. Received: {inputs.kind} of {inputs.shape}.")


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


def file_of(path: str | Path) -> Path:
    """The file itself, of the folder of a finished run its ``model.keras``.

    Raises:
        FileNotFoundError: no such file.
    """
    path = Path(path)
    file = path / "model.keras" if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(f"There is no file {file}.")
    return file


def _opened(path: str | Path) -> tuple[Path, keras.Model]:
    file = file_of(path)
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


def _makes_its_range(image: keras.KerasTensor) -> bool:
    """Whether a graph says that it takes pixels 0..255: what it does to them in front of its first weights tells.

    A ``Rescaling`` by 1/255, the mean and variance of bytes: they lead from 0..255 to a few units. A factor of 2 that
    makes -1..1 of 0..1 is no less a ``Rescaling``, and leads to 509.
    """
    return _to_few_units(image._keras_history.operation, np.array([0.0, 255.0]))


def _to_few_units(layer: Any, ends: np.ndarray, *, scaled: bool = False) -> bool:
    """Whether every way on from a layer, whose outputs reach from one end to the other, is scaled to a few units."""
    ways = []
    for node in layer._outbound_nodes:
        after, reached, scales = node.operation, ends, False
        if isinstance(after, layers.Rescaling):
            reached, scales = ends * np.max(after.scale) + np.max(after.offset), True
        elif isinstance(after, layers.Normalization) and not after.invert:
            mean, variance = (np.asarray(keras.ops.convert_to_numpy(one)) for one in (after.mean, after.variance))
            deviation = np.maximum(np.sqrt(variance), keras.backend.epsilon())
            low, high = ((ends[0] - mean) / deviation).min(), ((ends[1] - mean) / deviation).max()
            # a mean of bytes that is taken away says it too, as Caffe's models do
            reached = np.array([low, high]) if mean.max() < 2 else np.array([0.0, 1.0])
            scales = True
        elif getattr(after, "weights", None) or not isinstance(after, layers.Layer):
            ways.append(scaled and bool(np.abs(ends).max() <= _FEW_UNITS))
            continue
        ways.append(_to_few_units(after, reached, scaled=scaled or scales))
    return all(ways) if ways else scaled and bool(np.abs(ends).max() <= _FEW_UNITS)
