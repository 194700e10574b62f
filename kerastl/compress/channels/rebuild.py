"""A functional model made again, laid flat, with layers of other sizes: the weights are carried over, sliced."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping, Sequence

import keras
import numpy as np


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
    if not isinstance(model, keras.Sequential) and not hasattr(model, "_nodes_by_depth"):
        raise ValueError(f"Wanted a functional model. Received: {type(model).__name__}, which shows no graph.")
    if not model.built:
        raise ValueError(f"Wanted a model that is built. Received: {model.name!r}, whose input has no shape yet.")
    inputs = [
        keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=tensor._keras_history.operation.name)
        for tensor in model.inputs
    ]
    maker = _Maker(changes, taken={tensor.name for tensor in inputs})
    outputs = maker.walk(model, inputs, owner=model.name)
    structure = getattr(model, "_outputs_struct", None)  # a dictionary of outputs stays one
    given = getattr(model, "_inputs_struct", None)
    return keras.Model(
        inputs[0] if given is None else keras.tree.pack_sequence_as(given, inputs),
        outputs[0] if structure is None else keras.tree.pack_sequence_as(structure, outputs),
        name=model.name,
    )


class _Maker:
    """Makes each layer once, however often it is called."""

    def __init__(self, changes: Mapping[str, Change], *, taken: set[str]) -> None:
        self._changes, self._taken = changes, taken
        self._copies: dict[int, keras.layers.Layer] = {}

    def walk(self, model: keras.Model, inputs: list, *, owner: str) -> list:
        """The outputs of copies of a model's layers, called on ``inputs`` in the order of its graph."""
        graph = keras.Model(model.inputs, model.outputs)  # a Sequential shows no graph of its own; makes no new node
        tensors = {id(theirs): ours for theirs, ours in zip(graph.inputs, inputs, strict=True)}

        def ours(argument):
            return tensors[id(argument)] if isinstance(argument, keras.KerasTensor) else argument

        for depth in sorted(graph._nodes_by_depth, reverse=True):
            for node in graph._nodes_by_depth[depth]:
                if node.is_input:
                    continue
                operation = node.operation
                arguments, options = keras.tree.map_structure(ours, (node.arguments.args, node.arguments.kwargs))
                if _is_graph(operation):
                    results = self.walk(operation, keras.tree.flatten(arguments[0]), owner=operation.name)
                elif isinstance(operation, keras.layers.Layer):
                    results = keras.tree.flatten(self._called(operation, arguments, options, owner))
                else:  # an operation without weights, `x + y`
                    results = keras.tree.flatten(operation(*arguments, **options))
                tensors.update((id(theirs), result) for theirs, result in zip(node.outputs, results, strict=True))
        return [tensors[id(output)] for output in graph.outputs]

    def _called(
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


def _is_graph(operation: keras.Operation) -> bool:
    return isinstance(operation, keras.Sequential) or (
        isinstance(operation, keras.Model) and hasattr(operation, "_nodes_by_depth")
    )


def _made_again(layer: keras.layers.Layer, settings: Mapping[str, object]) -> keras.layers.Layer:
    try:
        copy = type(layer).from_config({**layer.get_config(), **settings})
    except Exception as error:  # whatever its constructor says to what its configuration holds
        raise ValueError(
            f"The layer {layer.name!r} of class {type(layer).__name__} cannot be made again from its own "
            f"configuration, so that no file with it could be loaded either: {error}"
        ) from error
    activation = getattr(layer, "activation", None)
    if isinstance(activation, types.FunctionType) and copy.activation is not activation:
        raise ValueError(
            f"The layer {layer.name!r} of class {type(layer).__name__} cannot be made again from its own "
            f"configuration, which takes Keras' {activation.__name__!r} for the function of that name in "
            f"{activation.__module__}. Register it with keras.saving.register_keras_serializable."
        )
    return copy
