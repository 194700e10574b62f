"""What a teacher is and what batches are made of, as digests: answers are stored beside the two."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from types import FunctionType
from typing import Any

import keras
import numpy as np

from kerastl import types
from kerastl.distil import teachers
from kerastl.system import code_digests, digests

Teaches = keras.Model | teachers.Teacher | teachers.Ensemble
"""Whoever answers a batch always alike."""


def answering(teacher: Teaches) -> list[teachers.Teacher]:
    """All teachers, each as what says how it sees the inputs.

    Raises:
        ValueError: there is none, one is a moving average, or is aligned step by step.
    """
    found = teachers.as_list(teacher)
    if not found or any(isinstance(one, teachers.EMATeacher) for one in found):
        raise ValueError(
            "Wanted a teacher that stays as it is. Received: "
            f"{'a moving average of the student' if found else 'teacher=None'}."
        )
    if any(one.align is not None for one in found):
        raise ValueError(
            "What a teacher is aligned by depends on what came before: bring it to equal shares, `alignment.balanced`, "
            f"before its answers are stored. Received: align={[one.align for one in found]}."
        )
    return [one for one in found if isinstance(one, teachers.Teacher)]


def of_teacher(teacher: Teaches, *, temperature: float = 1.0) -> str:
    """SHA-256 (hex) of what makes a teacher's answers: its layers, its weights, its view of the inputs.

    Which of its layers are trainable does not count. The names of layers do: name them, or load the model from its
    file. What a layer of one's own computes counts by its configuration and the name of its class.

    Args:
        teacher: a model, or several whose answers are combined.
        temperature: at which they are combined; of a single one it does not count.

    Raises:
        ValueError: a model cannot be made anew from its configuration, or a view is no function of plain values.
    """
    found = [[_of_layer(one.model), of_function(one.view)] for one in answering(teacher)]
    together = (
        [teacher.combine, float(temperature)] if isinstance(teacher, teachers.Ensemble) and len(found) > 1 else []
    )
    return digests.sha256_of([found, together])


def of_course(course: types.BatchingSpec) -> dict[str, Any]:
    """What has to be alike for a teacher's answers to one batch to be those to another, as JSON takes it.

    Where nothing changes the inputs it is the examples and their order. Else it is all that decides which random view
    of which of them stands where in which batch. Streamed examples are as good as an array of them.

    Raises:
        ValueError: what changes the inputs is neither a model nor a function of plain values, or makes of them an
            unknown number of views.
    """
    facts: dict[str, Any] = {"inputs": _of_inputs(course.inputs), "augment": None, "views": 1}
    if course.augment is None:
        return facts | {"shuffle": None, "seed": None, "batch_size": None}
    if course.views is None:
        raise ValueError("Wanted batches of a number of views, `views=8` for example. Received: views without end.")
    augment = course.augment
    if isinstance(augment, keras.Layer):  # its layers' names count up with every model that is built
        changes = [type(augment).__qualname__, _without(augment.get_config(), ("name", *_IRRELEVANT))]
    else:
        changes = [of_function(augment)]
    return facts | {
        "augment": digests.sha256_of([changes, course.states]),
        "views": course.views,
        "shuffle": course.shuffle,
        "seed": course.seed,
        "batch_size": course.batch_size,
    }


def of_function(function: object) -> str:
    """SHA-256 (hex) of a function with what it closes over and what of its arguments is filled in; "" for ``None``.

    Raises:
        ValueError: it is something else, or holds values that say nothing about their contents.
    """
    if function is None:
        return ""
    if isinstance(function, keras.Layer):
        return _of_layer(function)
    if isinstance(function, functools.partial):
        return digests.sha256_of([of_function(function.func), _values(function.args), _values(function.keywords)])
    if not isinstance(function, FunctionType):
        raise ValueError(
            "A function whose digest is taken is written in Python, or a Keras layer. Received: "
            f"{function!r} of type {type(function).__name__}."
        )
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    defaults = [function.__defaults__ or (), function.__kwdefaults__ or {}]
    return digests.sha256_of([code_digests.of_function(function), _values(cells), *map(_values, defaults)])


_IRRELEVANT = ("trainable", "build_config", "compile_config")


def _of_layer(layer: keras.Layer) -> str:
    try:
        config = _without(layer.get_config(), _IRRELEVANT)
    except NotImplementedError as error:
        raise ValueError(
            f"Wanted a model that can be made anew from its configuration. Received: {layer.name!r}, whose class "
            f"{type(layer).__name__} has no get_config."
        ) from error
    return digests.sha256_of([type(layer).__qualname__, config, layer.get_weights()])


def _without(config: object, names: Sequence[str]) -> Any:
    """A configuration without some of its entries, however deep."""
    if isinstance(config, dict):
        return {key: _without(value, names) for key, value in config.items() if key not in names}
    return [_without(value, names) for value in config] if isinstance(config, list | tuple) else config


def _values(values: object) -> Any:
    """Values that a digest can be taken of, functions among them by theirs."""
    if isinstance(values, dict):
        return {key: _values(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [_values(value) for value in values]
    return of_function(values) if callable(values) else values


def _of_inputs(inputs: np.ndarray | types.LazyArray | Mapping[str, np.ndarray]) -> str:
    """SHA-256 (hex) of examples in their order, the same whether they are held or streamed."""
    if isinstance(inputs, Mapping):
        return digests.sha256_of({name: _of_inputs(part) for name, part in inputs.items()})
    if isinstance(inputs, types.LazyArray):
        rows = inputs.digests()
    else:
        rows = [hashlib.sha256(np.ascontiguousarray(row).data).digest() for row in inputs]
    return digests.sha256_of([inputs.dtype.str, inputs.shape[1:], b"".join(rows)])
