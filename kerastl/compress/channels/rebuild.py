"""A functional model made again, laid flat, with layers of other sizes: the weights are carried over, sliced."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from kerastl.system import layer_graph


@dataclasses.dataclass(frozen=True, eq=False)
class Change:
    """What becomes of one layer.

    Attributes:
        settings: entries of its configuration that are replaced.
        kept: place of a weight in ``layer.weights`` -> for each axis that is cut the indices that stay.
    """

    settings: Mapping[str, object]
    kept: Mapping[int, Sequence[tuple[int, np.ndarray]]]


def rebuilt(model: keras.Model, changes: Mapping[str, Change]) -> keras.Model:
    """A copy of a model in which some layers are of another size; models inside it are taken apart.

    Names, settings, dtype policies, ``trainable`` flags and the structure of inputs and outputs stay. Two layers of
    one name, from two models inside, become ``inner_layer`` for the second one.

    Args:
        model: functional or Sequential, built; left as it is.
        changes: layer's name in the flat model -> what becomes of it.

    Raises:
        ValueError: no functional model, or a layer that cannot be made again from its configuration.
    """
    if not layer_graph.is_functional(model):
        raise ValueError(f"Wanted a functional model. Received: {type(model).__name__}, which shows no graph.")
    if not model.built:
        raise ValueError(f"Wanted a model that is built. Received: {model.name!r}, whose input has no shape yet.")
    inputs = [
        keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=tensor._keras_history.operation.name)
        for tensor in model.inputs
    ]
    copies = _Copies(changes, taken={tensor.name for tensor in inputs})
    outputs = layer_graph.replayed(model, inputs, copies.called)
    structure = getattr(model, "_outputs_struct", None)  # a dictionary of outputs stays one
    given = getattr(model, "_inputs_struct", None)
    return keras.Model(
        inputs[0] if given is None else keras.tree.pack_sequence_as(given, inputs),
        outputs[0] if structure is None else keras.tree.pack_sequence_as(structure, outputs),
        name=model.name,
    )


class _Copies:
    """Makes each layer once, however often it is called."""

    def __init__(self, changes: Mapping[str, Change], *, taken: set[str]) -> None:
        self._changes, self._taken = changes, taken
        self._copies: dict[int, keras.layers.Layer] = {}

    def called(
        self, layer: keras.layers.Layer, arguments: Sequence[object], options: Mapping[str, object], owner: str
    ) -> object:
        if id(layer) in self._copies:
            return self._copies[id(layer)](*arguments, **options)
        name = layer.name if layer.name not in self._taken else f"{owner}_{layer.name}"
        self._taken.add(name)
        change = self._changes.get(name, Change({}, {}))
        self._copies[id(layer)] = copy = _made_again(layer, {"name": name, **change.settings})
        results = copy(*arguments, **options)
        for place, (theirs, ours) in enumerate(zip(layer.weights, copy.weights, strict=True)):
            value = keras.ops.convert_to_numpy(theirs)
            for axis, kept in change.kept.get(place, ()):
                value = value.take(kept, axis)
            ours.assign(value)
        if isinstance(copy, keras.layers.Normalization):
            copy.finalize_state()  # it computes with what it has made of its weights
        return results


def _made_again(layer: keras.layers.Layer, settings: Mapping[str, object]) -> keras.layers.Layer:
    copy = layer_graph.made_again(layer, settings)
    activation = getattr(layer, "activation", None)
    if isinstance(activation, types.FunctionType) and copy.activation is not activation:
        raise ValueError(
            f"The layer {layer.name!r} of class {type(layer).__name__} cannot be made again from its own "
            f"configuration, which takes Keras' {activation.__name__!r} for the function of that name in "
            f"{activation.__module__}. Register it with keras.saving.register_keras_serializable."
        )
    return copy
