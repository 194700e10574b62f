"""Classifiers of pictures in Keras files, one's own or a stranger's: from raw pixels to the logits of known classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerastl.export import keras_graph, serving
from kerastl.models.pretrained import channels_last, local_file, pixel_ranges
from kerastl.models.pretrained.pixel_ranges import RANGES
from kerastl.types import Split

_MOST_CHANNELS, _ENOUGH = 4, 50
"""Channels of a picture, and examples from which on chance can be told from knowledge."""


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
    file, model = local_file.opened(path)
    return _classifier(file, model, pixels=pixels, image_size=image_size)


def _classifier(file: Path, model: keras.Model, *, pixels: str, image_size: int | None) -> keras.Model:
    channels = _pictures_of(file, model)[2]
    if pixels not in pixel_ranges.of_channels(channels):
        raise ValueError(
            f"Wanted a range of pixels of {channels} channel{'s' if channels > 1 else ''}, one of "
            f"{', '.join(pixel_ranges.of_channels(channels))}. Received: {pixels!r}."
        )
    height, width, _ = _sized(file, model, image_size)
    own = len(model.input_shape) == 3

    def front(image: keras.KerasTensor) -> keras.KerasTensor:
        values = RANGES[pixels].behind(image)
        return keras.layers.Reshape((height, width), name="without_channels")(values) if own else values

    options: dict[str, Any] = {"name": model.name, "front": front, "channels_first": _channels_first(model)}
    flat = local_file.laid_out(model, file, shape=(height, width, channels), **options)
    if flat.output_shape[-1] == 1:
        return serving.with_two_logits(flat)
    return keras.Model(flat.input, _logits(flat, file), name=flat.name)


def check_classifier(path: str | Path) -> None:
    """Raises `ValueError` unless the model in a file goes from pictures to one vector, as that of `classifier` does."""
    _pictures_of(*local_file.opened(path))


def picture_shape(path: str | Path, *, image_size: int | None = None) -> tuple[int, int, int]:
    """Height, width and channels of the pictures that the model in a file takes, whatever it answers.

    Raises:
        ValueError: it takes no pictures, or pictures of any size and none is said.
    """
    shape: tuple[Any, ...] = next(iter(local_file.input_shapes(path, image_size=image_size).values()))
    if len(shape) == 3 and _channels_first(local_file.opened(path)[1]):
        shape = next(iter(local_file.input_shapes(path).values()))
        shape = (*(side or image_size for side in shape[1:]), shape[0])
    shape = (*shape, 1) if len(shape) == 2 else shape
    if len(shape) != 3 or None in shape:
        raise ValueError(
            f"Wanted a model of pictures, and image_size where it takes any. Received: {path}, which takes {shape}; "
            f"image_size={image_size}."
        )
    return shape[0], shape[1], shape[2]


def _sized(file: Path, model: keras.Model, image_size: int | None) -> tuple[int, int, int]:
    height, width, channels = _pictures_of(file, model)
    height, width = height or image_size, width or image_size
    if not height or not width:
        raise ValueError(f"Wanted image_size, for {file} takes pictures of any. Received: image_size={image_size}.")
    return height, width, channels


def _pictures_of(file: Path, model: keras.Model) -> tuple[int | None, int | None, int]:
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
        pixels: a range as for `classifier`; ``"auto"`` tries all of them, unless the model scales pixels itself, and
            prints how each fits.

    Raises:
        ValueError: as `classifier`; or the model has other pictures or another number of classes than the data; answers
            them no better than chance does; or two ranges fit alike, see `pixel_ranges.doubts`.
    """
    model, _ = _fitted(path, examples, predict=predict, pixels=pixels, image_size=image_size, orders=[None])
    return model


def class_order(
    path: str | Path,
    examples: Split,
    *,
    predict: Callable[[keras.Model, Any], np.ndarray],
    orders: Sequence[Sequence[str]],
    pixels: str = "auto",
    image_size: int | None = None,
) -> tuple[str, ...]:
    """The order of classes, one of several, that a model's answers to labelled pictures are in.

    Args:
        path, examples, predict, pixels, image_size: as for `classifier_of`.
        orders: names of the data's classes, each time in another order.

    Raises:
        ValueError: as `classifier_of`, and where two orders fit alike.
    """
    _, order = _fitted(path, examples, predict=predict, pixels=pixels, image_size=image_size, orders=orders)
    return tuple(order or examples.task.target.names)


def _fitted(
    path: str | Path,
    examples: Split,
    *,
    predict: Callable[[keras.Model, Any], np.ndarray],
    pixels: str,
    image_size: int | None,
    orders: Sequence[Sequence[str] | None],
) -> tuple[keras.Model, Sequence[str] | None]:
    """The classifier of the range, and the order, that fit best; errors as `classifier_of`."""
    file, opened = local_file.opened(path)
    models, answers = {}, {}
    fits: dict[tuple[str, int], pixel_ranges.Fit] = {}
    task, target = examples.task, examples.task.target
    for one in _tried(file, opened, pixels=pixels, image_size=image_size):
        model = _classifier(file, opened, pixels=one, image_size=image_size)
        if (model.input_shape[1:], model.output_shape[1:]) != (task.inputs.shape, (target.outputs,)):
            raise ValueError(
                "A model and its data have the same pictures and as many classes. Received: "
                f"{path}, from {model.input_shape[1:]} to {model.output_shape[1:]}; {task.name} has "
                f"{task.inputs.shape} and {target.outputs} classes."
            )
        models[one], answers[one] = model, predict(model, examples.inputs)
        for place, order in enumerate(orders):
            labels = np.asarray(examples.labels)
            if order is not None:
                labels = np.array([list(order).index(name) for name in target.names])[labels]
            fits[one, place] = pixel_ranges.fit(answers[one], labels)
    said = {key: _said(key, orders) for key in fits}
    by_name = {said[key]: one for key, one in fits.items()}
    words = ", ".join(f"{100 * one.share:.1f} % of {name} (log-loss {one.loss:.3g})" for name, one in by_name.items())
    first = pixel_ranges.best(by_name)
    taken, place = next(key for key in fits if said[key] == first)
    print(f"{path} answers {words} right: it gets {taken}.")
    labels, order = np.asarray(examples.labels), orders[place]
    if order is not None:
        labels = np.array([list(order).index(name) for name in target.names])[labels]
    recall = target.details(answers[taken], labels)["balanced_accuracy"]
    # as good as any one answer, whatever the classes' shares: two chances of many classes, a tenth more of two
    chance = 1 / target.outputs
    if recall < min(2 * chance, chance + 0.1 * (1 - chance)) and len(examples) >= _ENOUGH:
        raise ValueError(
            "Wanted a model that knows these classes, in the order of its answers: "
            f"{', '.join(target.names[:10])}. Received: {path}, which answers {words} right."
            f"{_other_order(answers, examples)} --class-names FILE says the order, a name a line, and --pixels the "
            "range."
        )
    for other, doubt in pixel_ranges.doubts(by_name, classes=target.outputs):
        same_range = next(key for key in fits if said[key] == other)[0] == taken
        flag = "--class-names FILE, a name a line in the order of the model's answers" if same_range else "--pixels"
        raise ValueError(
            f"Wanted one way that the model's answers fit {len(examples)} validation pictures by. Received: {path}, "
            f"of which nobody can tell: {doubt}. Say it: {flag}."
        )
    return models[taken], order


def _tried(file: Path, model: keras.Model, *, pixels: str, image_size: int | None) -> Sequence[str]:
    """The ranges that a model may have: the one that is said, or all that its pictures can have."""
    if pixels != "auto":
        return [pixels]
    if local_file.makes_its_range(_classifier(file, model, pixels="0..255", image_size=image_size).inputs[0]):
        return ["0..255"]
    return pixel_ranges.of_channels(_pictures_of(file, model)[2])


def _said(key: tuple[str, int], orders: Sequence[Sequence[str] | None]) -> str:
    """What a way of answering is called: its range, and its order where there are several."""
    one, place = key
    order = orders[place]
    if order is None or len(orders) == 1:
        return f"pixels {one}"
    return f"pixels {one} and classes {', '.join(order[:4])}{' ...' if len(order) > 4 else ''}"


def _other_order(answers: Mapping[str, np.ndarray], examples: Split) -> str:
    """In words, the order of classes by which a model that seems to know nothing knows most, where there is one."""
    names, labels = examples.task.target.names, np.asarray(examples.labels)
    for pixels, logits in answers.items():
        table = np.zeros((len(names), len(names)), int)
        np.add.at(table, (np.argmax(logits, -1), labels), 1)
        order = table.argmax(1)
        if sorted(order) == list(range(len(names))) and table.max(1).sum() > 0.5 * len(labels):
            shown = ", ".join(names[place] for place in order[:20])
            share = table.max(1).sum() / len(labels)
            return (
                f" Of pixels {pixels} it answers {share:.1%} right by the order {shown}"
                f"{' ...' if len(names) > 20 else ''}."
            )
    return ""


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
