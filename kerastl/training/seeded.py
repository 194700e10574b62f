"""A training in one call: seed, build, fit, and the best of several."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras

from kerastl.training import batching, fitting, precision
from kerastl.types import Schedule, Split, Workspace

if TYPE_CHECKING:
    import tensorflow as tf


def train(
    model: keras.Model | Callable[[], keras.Model],
    data: tf.data.Dataset | Split,
    *,
    seed: int,
    schedule: Schedule | None = None,
    workspace: Workspace | None = None,
    validation: tf.data.Dataset | Split | None = None,
    under: Callable[[keras.Model], keras.Model] | None = None,
    in_fastest_dtype: bool = False,
    **options: Any,
) -> fitting.Trained:
    """Seeds, builds and trains a model as `fitting.fit` does: what a stage of a recipe makes.

    Args:
        model: to be trained; or a function that builds it, called once the seed is set: its weights are the seed's.
        data: batches, or a split, which is then seen in an order of ``seed``.
        seed: of weights, dropout, and the order of a split.
        schedule: epochs, learning rate, weight decay; the batch size of a split. By default the one that
            ``data.pipeline.training_batches`` made the batches for.
        workspace: of the stage.
        validation: as ``data``; the epoch with the best score on it is kept unless ``keep="last"``. By default the
            validation split of the data set that the batches were made of, if it was a whole one.
        under: makes of what is built the model that is trained, for example ``distil.distiller.under_logits``: the
            student under its teacher.
        in_fastest_dtype: whether the function is called in the number format that trains such a model fastest on this
            machine; the model comes back in float32: see `precision.build_in_fastest_dtype`.
        options: of `fitting.fit`.

    Returns:
        The model, of a distiller its student, and its curves.

    Raises:
        ValueError: as `fitting.fit`; there is no schedule, or a model that is built already is to have another format.
    """
    schedule = schedule or batching.schedule_of(data)
    validation = batching.validation_of(data) if validation is None else validation
    built = isinstance(model, keras.Model)
    if in_fastest_dtype:
        if built:
            raise ValueError(
                "In its fastest number format a model is built anew: wanted a function. Received: the model "
                f"{model.name!r}."
            )
        network = precision.build_in_fastest_dtype(model, seed=seed, workspace=workspace)
    else:
        fitting.set_seed(seed)
        network = model if built else model()
    if under is not None:
        network = under(network)
    more = {"seed": seed} if isinstance(data, Split) else {}
    curves = fitting.fit(
        network, data, schedule=schedule, workspace=workspace, validation=validation, **more, **options
    )
    student = getattr(network, "student", None)
    network = student if isinstance(student, keras.Model) else network
    return fitting.Trained(precision.as_float32(network) if in_fastest_dtype else network, curves)
