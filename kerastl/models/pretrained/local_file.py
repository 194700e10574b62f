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
from kerastl.models.pretrained import channels_last, graph, names, pixel_ranges
from kerastl.models.pretrained.backbone import Backbone
from kerastl.models.pretrained.pixel_ranges import RANGES
from kerastl.models.pretrained.weights import account
from kerastl.types import Inputs, kind_of
from kerastl.untrusted import keras_file

_FEW_UNITS = 16.0
"""How far from 0 pixels lie at most that were scaled for a network; bytes in tenths would still be told from them."""
_MOST_CHANNELS = 4
"""Channels of a picture."""
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
    file, model = opened(encoder if encoder.is_file() else path)
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
    flat = laid_out(features, file, shape=(size, size, 3), name=model.name, names=renamed)
    if not makes_its_range(flat.inputs[0]):
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
        pixels: range that the model itself takes, a key of `pixel_ranges.RANGES`; the graph takes 0..255 and makes it
            of them. A model that scales its pixels itself takes 0..255.
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
    file, model = opened(path)
    return classifier_in(file, model, pixels=pixels, image_size=image_size)


def classifier_in(file: Path, model: keras.Model, *, pixels: str, image_size: int | None) -> keras.Model:
    """As `classifier`, of a model that was opened already."""
    channels = pictures_of(file, model)[2]
    if pixels not in pixel_ranges.of_channels(channels):
        raise ValueError(
            f"Wanted a range of pixels of {channels} channel{'s' if channels > 1 else ''}, one of "
            f"{', '.join(pixel_ranges.of_channels(channels))}. Received: {pixels!r}."
        )
    height, width, _ = _sized(file, model, image_size)
    own = len(model.input_shape) == 3

    def front(image: keras.KerasTensor) -> keras.KerasTensor:
        values = RANGES[pixels].behind(image)
        return layers.Reshape((height, width), name="without_channels")(values) if own else values

    options: dict[str, Any] = {"name": model.name, "front": front, "channels_first": _channels_first(model)}
    flat = laid_out(model, file, shape=(height, width, channels), **options)
    if flat.output_shape[-1] == 1:
        return serving.with_two_logits(flat)
    return keras.Model(flat.input, _logits(flat, file), name=flat.name)


def check_classifier(path: str | Path) -> None:
    """Raises `ValueError` unless the model in a file goes from pictures to one vector, as that of `classifier` does."""
    pictures_of(*opened(path))


def picture_shape(path: str | Path, *, image_size: int | None = None) -> tuple[int, int, int]:
    """Height, width and channels of the pictures that the model in a file takes, whatever it answers.

    Raises:
        ValueError: it takes no pictures, or pictures of any size and none is said.
    """
    shape: tuple[Any, ...] = next(iter(input_shapes(path, image_size=image_size).values()))
    if len(shape) == 3 and _channels_first(opened(path)[1]):
        shape = next(iter(input_shapes(path).values()))
        shape = (*(side or image_size for side in shape[1:]), shape[0])
    shape = (*shape, 1) if len(shape) == 2 else shape
    if len(shape) != 3 or None in shape:
        raise ValueError(
            f"Wanted a model of pictures, and image_size where it takes any. Received: {path}, which takes {shape}; "
            f"image_size={image_size}."
        )
    return shape[0], shape[1], shape[2]


def _sized(file: Path, model: keras.Model, image_size: int | None) -> tuple[int, int, int]:
    height, width, channels = pictures_of(file, model)
    height, width = height or image_size, width or image_size
    if not height or not width:
        raise ValueError(f"Wanted image_size, for {file} takes pictures of any. Received: image_size={image_size}.")
    return height, width, channels


def pictures_of(file: Path, model: keras.Model) -> tuple[int | None, int | None, int]:
    """Shape of the pictures that a classifier takes; those without an axis of channels have one."""
    shape: tuple[Any, ...] = tuple(model.input_shape[1:]) if isinstance(model.input_shape, tuple) else ()
    answers = model.output_shape if isinstance(model.output_shape, tuple) else ()
    flat = len(shape) == 2 and None not in shape and min(shape) > _MOST_CHANNELS
    if flat:
        shape = (*shape, 1)
    if _channels_first(model):
        shape = (*shape[1:], shape[0])
    if len(shape) != 3 or shape[-1] not in range(1, _MOST_CHANNELS + 1) or len(answers) != 2 or not answers[-1]:
        raise ValueError(
            "Wanted a classifier of pictures, from (height, width) or (height, width, 1 to 4) to one vector. Received: "
            f"{file}, from {model.input_shape} to {model.output_shape}. A model of anything else needs no labels: "
            "shrink_model --labels none proves its files against its own answers."
        )
    return shape[0], shape[1], int(shape[2])


def _channels_first(model: keras.Model) -> bool:
    """Whether a model takes pictures ``(channels, height, width)``: a layer of it says so, and its input may be one."""
    shape = tuple(model.input_shape[1:]) if isinstance(model.input_shape, tuple) else ()
    return len(shape) == 3 and shape[0] in range(1, _MOST_CHANNELS + 1) and channels_last.is_first(model)


def input_shapes(path: str | Path, *, image_size: int | None = None) -> dict[str, tuple[int | None, ...]]:
    """What the model in a `.keras` or `.h5` file takes: name of each input -> shape of one example, in its order.

    Args:
        path: a file, or the folder of a finished run.
        image_size: side of square pictures, in the place of a height and a width that may be any.

    Raises:
        FileNotFoundError: no such file or folder.
        ValueError: the file is not opened (see `untrusted.keras_file.load`), or an input takes no numbers.
    """
    file, model = opened(path)
    found = {}
    for name, tensor in zip(keras_graph.names_of(model, "input"), model.inputs, strict=True):
        if not tensor.dtype.startswith(("float", "bfloat", "uint8")):
            raise ValueError(
                f"Wanted a model that takes numbers. Received: {file}, whose input {name!r} takes {tensor.dtype}. A "
                "model of texts is trained by `kerastl run text_classifier`; in Python kerastl.export.tflite.convert("
                "model) makes a file of this one, and kerastl.compress.ptq.dynamic_int8 a smaller one of that."
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
        pixels: range that the model itself takes where an input is a picture, a key of `pixel_ranges.RANGES`.
            ``"auto"``: it makes its range itself, of pixels 0..255, in a ``Rescaling`` or ``Normalization``.

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
    own = RANGES["0..255" if pixels == "auto" else pixels]
    file, model = opened(path)
    takes, gives = (keras_graph.names_of(model, end) for end in ("input", "output"))
    kinds = {name: kind_of(inputs, name) for name in takes}
    if pixels not in ("auto", "0..255") and not any(isinstance(kind, Image) for kind in kinds.values()):
        raise ValueError(
            f"--pixels {pixels} is of pictures, (height, width, channels) of whole numbers 0..255. Received: inputs of "
            f"{inputs.shape} for {file}, which the file would take as they are: save them as the model takes them, and "
            "leave --pixels out. With labels, pictures without an axis of channels are taken as well."
        )
    _check_taken(file, model, dict(zip(takes, model.inputs, strict=True)), inputs)
    given = {name: keras.Input(kind.shape, name=name) for name, kind in kinds.items()}
    started = {
        name: own.behind(tensor, name=f"{name}_from_bytes") if isinstance(kinds[name], Image) else tensor
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
    if pixels == "auto" and not all(map(makes_its_range, pictures)):
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
    last = keras_graph.last_layer(model)
    name = keras_graph.activation_of(last) or keras_graph.name_of_operation(last)
    if name in ("softmax", "log_softmax"):
        return serving.before_activation(model)
    if name != "linear":
        raise ValueError(
            "Wanted a classifier that gives logits, or a softmax of them. Received: "
            f"{file}, whose last layer {last.name!r} ends in {name}. As a model of anything else it needs no labels: "
            "shrink_model --labels none proves its files against its own answers."
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


def opened(path: str | Path) -> tuple[Path, keras.Model]:
    """The file itself and the model in it; errors as `untrusted.keras_file.load`."""
    file = file_of(path)
    return file, keras_file.load(file)


def laid_out(
    model: keras.Model,
    file: Path,
    *,
    shape: tuple[int, int, int],
    name: str,
    front: Callable[[keras.KerasTensor], keras.KerasTensor] = lambda image: image,
    names: Mapping[str, str] = MappingProxyType({}),
    channels_first: bool = False,
) -> keras.Model:
    """A model of pictures as one flat graph behind an input ``image`` of a shape, and what ``front`` makes of it.

    Args:
        model, name, names: see `graph.flatten`.
        file: that it was in.
        shape: height, width, channels.
        front: what the model gets of such a picture.
        channels_first: whether the model itself takes its channels first.

    Raises:
        ValueError: its layers cannot take such pictures.
    """
    image = keras.Input(shape, name="image")
    try:
        return keras.Model(image, graph.flatten(model, front(image), names=names, moved=channels_first), name=name)
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


def makes_its_range(image: keras.KerasTensor) -> bool:
    """Whether a graph says that it takes pixels 0..255: what it does to them in front of its first weights tells.

    A ``Rescaling`` by 1/255, the mean and variance of bytes: they lead from 0..255 to a few units. A factor of 2 that
    makes -1..1 of 0..1 is no less a ``Rescaling``, and leads to 509.
    """
    return _to_few_units(image._keras_history.operation, np.array([0.0, 255.0]))


def _to_few_units(layer: Any, ends: np.ndarray, *, scaled: bool = False, centred: bool = False) -> bool:
    """Whether every way on from a layer, whose outputs reach from one end to the other, is scaled to a few units, or
    has had a mean of bytes taken away, as Caffe's models have.
    """
    ways = []
    for node in layer._outbound_nodes:
        after, reached, scales, centres = node.operation, ends, False, False
        if isinstance(after, layers.Rescaling):
            reached, scales = ends * np.max(after.scale) + np.max(after.offset), True
        elif isinstance(after, layers.Normalization) and not after.invert:
            mean, variance = (np.asarray(keras.ops.convert_to_numpy(one)) for one in (after.mean, after.variance))
            deviation = np.maximum(np.sqrt(variance), keras.backend.epsilon())
            low, high = ((ends[0] - mean) / deviation).min(), ((ends[1] - mean) / deviation).max()
            # a mean of bytes that is taken away says it too, as Caffe's models do
            reached = np.array([low, high]) if mean.max() < 2 else np.array([0.0, 1.0])
            scales = True
        elif (moved := _by_a_constant(node, ends)) is not None:
            reached, scales, centres = moved
        elif getattr(after, "weights", None) or not isinstance(after, layers.Layer):
            ways.append(_is_few(ends, scaled=scaled, centred=centred))
            continue
        ways.append(_to_few_units(after, reached, scaled=scaled or scales, centred=centred or centres))
    return all(ways) if ways else _is_few(ends, scaled=scaled, centred=centred)


def _is_few(ends: np.ndarray, *, scaled: bool, centred: bool) -> bool:
    return (scaled and bool(np.abs(ends).max() <= _FEW_UNITS)) or (centred and bool(np.abs(ends).max() < 256))


def _by_a_constant(node: Any, ends: np.ndarray) -> tuple[np.ndarray, bool, bool] | None:
    """What `preprocess_input` of `keras.applications` does inside a graph: pixels are divided by a number, a mean is
    taken away, colours change places. The new ends, whether that scales, and whether it takes a mean of bytes away;
    ``None`` for any other operation.
    """
    what, arguments = type(node.operation).__name__, (*node.arguments.args, *node.arguments.kwargs.values())
    if what in ("GetItem", "Stack"):
        return ends, False, False
    if what not in ("TrueDivide", "Divide", "Multiply", "Subtract", "Add") or len(arguments) != 2:
        return None
    first, second = (not isinstance(one, keras.KerasTensor) for one in arguments)
    if isinstance(node.operation, layers.Layer) or first == second or (first and what in ("TrueDivide", "Divide")):
        return None
    constant = np.asarray(keras.ops.convert_to_numpy(arguments[0 if first else 1]), np.float64)
    operation = {"TrueDivide": np.divide, "Divide": np.divide, "Multiply": np.multiply, "Add": np.add}
    reached = np.stack([operation.get(what, np.subtract)(end, constant) for end in ends])
    scales = what not in ("Add", "Subtract")
    return np.array([reached.min(), reached.max()]), scales, not scales and bool(np.abs(constant).max() >= 2)
