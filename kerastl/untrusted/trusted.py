"""Layers of one's own that a model's file may name, for somebody says that their code may run: `--trust layers.py`."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from types import ModuleType

import keras

from kerastl.untrusted import keras_config


def objects_of(module: ModuleType) -> dict[str, object]:
    """What of a module Keras may build by its name: its own classes of layers, models and the like, and functions.

    Raises:
        ValueError: it has none.
    """
    kinds = (keras.layers.Layer, keras.initializers.Initializer, keras.regularizers.Regularizer)
    kinds += (keras.constraints.Constraint, keras.losses.Loss, keras.metrics.Metric)
    own = {name: one for name, one in vars(module).items() if getattr(one, "__module__", "") == module.__name__}
    found: dict[str, object] = {
        name: one
        for name, one in own.items()
        if (inspect.isclass(one) and issubclass(one, kinds)) or inspect.isfunction(one)
    }
    if not any(inspect.isclass(one) for one in found.values()):
        raise ValueError(
            "Wanted a Python file with classes of layers or models: --trust. Received: "
            f"{module.__file__}, which has {', '.join(own) or 'none'}."
        )
    return found


@contextlib.contextmanager
def trusting(module: ModuleType | None) -> Iterator[None]:
    """Files that are opened inside may name what a module has; without one nothing is changed.

    Raises:
        ValueError: as `objects_of`.
    """
    if module is None:
        yield
        return
    found = objects_of(module)
    token = keras_config.TRUSTED.set(keras_config.TRUSTED.get() | found.keys())
    try:
        with keras.saving.custom_object_scope(found):
            yield
    finally:
        keras_config.TRUSTED.reset(token)


def by_signature(model: keras.Model) -> keras.Model:
    """A model whose class is one's own as a functional one of a single layer, from what it was built with.

    Raises:
        ValueError: nobody has said what it takes, or it takes several inputs.
    """
    shapes = getattr(model, "_build_shapes_dict", None) or {}
    shape = next(iter(shapes.values())) if len(shapes) == 1 else None
    if not isinstance(shape, tuple | list) or not all(side is None or isinstance(side, int) for side in shape):
        raise ValueError(
            f"Wanted a model that was called with one tensor before it was saved. Received: {type(model).__name__}, "
            f"built with {shapes or 'nothing'}."
        )
    example = keras.Input(tuple(shape)[1:], name="input")
    return keras.Model(example, model(example), name=model.name)
