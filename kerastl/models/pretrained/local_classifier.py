"""Classifiers in Keras files beside labelled pictures: their range of pixels, and the order of their classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerastl.models.pretrained import local_file, pixel_ranges
from kerastl.types import Split

_ENOUGH = 50
"""Examples from which on chance can be told from knowledge."""


def classifier_of(
    path: str | Path,
    examples: Split,
    *,
    predict: Callable[[keras.Model, Any], np.ndarray],
    pixels: str = "auto",
    image_size: int | None = None,
) -> keras.Model:
    """As `local_file.classifier`, of the range of pixels by which it answers labelled pictures best: no file says it.

    Args:
        path, image_size: as for `local_file.classifier`.
        examples: held-out pictures, a thousand say enough, with one of the model's classes each.
        predict: answers of a model to inputs, see `training.predict`.
        pixels: a range as for `local_file.classifier`; ``"auto"`` tries all of them, unless the model scales pixels
            itself, and prints how each fits.

    Raises:
        ValueError: as `local_file.classifier`; or the model has other pictures or another number of classes than the
            data; answers them no better than chance does; or two ranges fit alike, see `pixel_ranges.doubts`.
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
        model = local_file.classifier_in(file, opened, pixels=one, image_size=image_size)
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
    if local_file.makes_its_range(
        local_file.classifier_in(file, model, pixels="0..255", image_size=image_size).inputs[0]
    ):
        return ["0..255"]
    return pixel_ranges.of_channels(local_file.pictures_of(file, model)[2])


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
