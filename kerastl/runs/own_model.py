"""A model of one's own beside its data: with labels, or with its own answers in their place."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kerastl.data import unlabelled
from kerastl.data.reading import Reading, refuse_columns
from kerastl.distil import distiller
from kerastl.models.pretrained import local_classifier, local_file
from kerastl.runs import recipes
from kerastl.tasks.agreement import Agreement
from kerastl.training import fitting, precision
from kerastl.types import Dataset
from kerastl.untrusted import trusted

if TYPE_CHECKING:
    import keras

_HELD = 1000
"""Validation pictures that a model's range of pixels, and the order of its classes, are found by."""


def trusting(layers: str) -> contextlib.AbstractContextManager[None]:
    """Inside, models may have layers of a Python file of one's own, whose code runs; nothing is changed without one.

    Raises:
        ValueError: it is no Python file, or has no layers.
    """
    return trusted.trusting(recipes.load_file(layers, name="trusted_layers") if layers else None)


def needs_answers(model: str, data: str, *, labels: str) -> bool:
    """Whether the model's own answers take the place of labels.

    Args:
        model: a `.keras` or `.h5` file, or the folder of a finished run; nothing where there is none.
        data: what ``--data`` says.
        labels: ``"none"`` where labels that there are shall be left out, ``"auto"`` where there may be none.

    Raises:
        ValueError: another word, or there is no model to answer; the data have labels, and the model is no classifier
            of pictures; as `local_file.input_shapes`.
    """
    named = list(local_file.input_shapes(model)) if model else []
    needed = labels == "none" or not unlabelled.has_labels(data, inputs=named)
    if labels not in ("auto", "none"):
        raise ValueError(f"Wanted --labels auto or none. Received: labels={labels!r}.")
    if needed and not model:
        raise ValueError(
            "Wanted --model, whose answers take the place of labels: a .keras or .h5 file, or the folder of a finished "
            f"run. Received: no model, data={data!r}, labels={labels!r}. For example: kerastl run shrink_model --model "
            "my.keras --data inputs.npz."
        )
    if model and not needed:  # before labels are looked at that no such model asks for
        local_file.check_classifier(model)
    return needed


def load(
    model: str,
    data: str,
    *,
    labelled: Callable[[], Dataset],
    reading: Reading = Reading(),  # noqa: B008  frozen
    seed: int = 0,
    pixels: str = "auto",
    image_size: int | None = None,
) -> Dataset:
    """Data with the model's own answers for labels.

    Args:
        model: as for `needs_answers`.
        data: what ``--data`` says.
        labelled: loads what has labels and is no file or folder that `data.unlabelled` reads: a table, a named set.
        reading: how the data is read and divided; of what has no labels, no columns.
        seed: of order and split.
        pixels: range that the model itself takes, see `local_file.whole`.
        image_size: side of the square pictures, where the model takes any.

    Raises:
        ValueError: as `data.unlabelled.load`, `local_file.whole` and `data.unlabelled.with_answers`; or a setting that
            nothing here would follow.
    """
    shapes = local_file.input_shapes(model, image_size=image_size)
    options: dict[str, Any] = {"limit": reading.max_train_examples, "seed": seed, "policy": reading.on_unreadable}
    options |= {"validation": reading.validation, "test": reading.test}
    if unlabelled.reads(data):
        refuse_columns(reading, where=f"{data}, whose labels are not read")
        found = unlabelled.load(data, shapes=shapes, **options)
    else:
        found = labelled()
    network, name = local_file.whole(model, inputs=found.task.inputs, pixels=pixels)
    predict = functools.partial(fitting.predict, precision.as_float32(network), task=found.task)
    return unlabelled.with_answers(found, predict, name=name)


def in_order_of_answers(
    model: str,
    labelled: Callable[..., Dataset],
    *,
    pixels: str = "auto",
    image_size: int | None = None,
    named: bool = False,
) -> Dataset:
    """Labelled pictures, their classes in the order of a model's answers.

    Keras reads folders in the order of text (0, 1, 10, 11, 2 ...), kerastl in that of numbers. Where the two differ,
    validation pictures say which one a model has learnt.

    Args:
        model: as for `needs_answers`.
        labelled: loads the pictures; takes ``class_names``, the order of their classes.
        pixels, image_size: as for `load`.
        named: whether the order was said, and is that of the data already.

    Raises:
        ValueError: as `local_classifier.class_order`.
    """
    data = labelled()
    names = data.task.target.names
    as_text = tuple(sorted(names))
    if not model or named or as_text == tuple(names) or data.source != "image_folder":
        return data
    order = local_classifier.class_order(
        model,
        data.validation.take(_HELD),
        predict=functools.partial(fitting.predict, task=data.task),
        orders=[names, as_text],
        pixels=pixels,
        image_size=image_size,
    )
    return data if order == tuple(names) else labelled(class_names=order)


def has_own_answers(data: Dataset) -> bool:
    """Whether labels are a model's own answers, so that who learns them learns from it."""
    return isinstance(data.task.target, Agreement)


def teaching(data: Dataset, model: keras.Model) -> dict[str, Any]:
    """Whom `runs.clustered` and `runs.quantization_aware` learn from: the model as a teacher, or nobody where labels
    are its own answers already.
    """
    return {} if has_own_answers(data) else {"teacher": model}


def under(
    data: Dataset, model: keras.Model, *, temperature: float, weight: float
) -> Callable[[keras.Model], keras.Model] | None:
    """As `teaching`, for `training.train`: see `distil.distiller.under_logits` for the arguments."""
    if has_own_answers(data):
        return None
    return distiller.under_logits(model, temperature=temperature, weight=weight)


def opened(path: str, data: Dataset, *, pixels: str = "auto", image_size: int | None = None) -> keras.Model:
    """The model as one flat graph in float32, for examples as the data have them.

    Args:
        path: as for `needs_answers`.
        data: of a classifier's pictures, from 0..255 to logits; or of its own answers, to outputs as they are.
        pixels, image_size: as for `load`; of labelled pictures ``"auto"`` is the range that it answers best by.

    Raises:
        ValueError: as `local_file.whole` or `local_classifier.classifier_of`.
    """
    if has_own_answers(data):
        model, _ = local_file.whole(path, inputs=data.task.inputs, pixels=pixels)
    else:
        predict = functools.partial(fitting.predict, task=data.task)
        held = data.validation.take(_HELD)
        model = local_classifier.classifier_of(path, held, predict=predict, pixels=pixels, image_size=image_size)
    return precision.as_float32(model)
