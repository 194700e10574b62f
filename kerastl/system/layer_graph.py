"""The graph of a functional Keras model, gone through in its order: each layer is called again, on other tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

Call = Callable[[keras.layers.Layer, Sequence[object], Mapping[str, object], str], object]
"""What calls a copy of a layer: the layer, what it was called with, and the name of the model that holds it."""


def is_functional(model: object) -> bool:
    """Whether a layer is a model that shows its graph."""
    return isinstance(model, keras.Sequential) or (isinstance(model, keras.Model) and hasattr(model, "_nodes_by_depth"))


_AUGMENTATIONS = ("MixUp", "CutMix", "AugMix", "RandAugment")


def is_augmentation(layer: object) -> bool:
    """Whether a layer of Keras changes pictures while a model learns, and passes them on when it answers."""
    name = type(layer).__name__
    own = isinstance(layer, keras.layers.Layer) and type(layer).__module__.startswith("keras.src.")
    return own and name != "RandomCrop" and (name.startswith("Random") or name in _AUGMENTATIONS)


def outputs_by_name(model: keras.Model, answers: Any) -> Any:
    """What a model answers: of several outputs a mapping of their names to tensors, of one output the tensor.

    One output in a list or in a mapping is one output.

    Raises:
        ValueError: two outputs have one name.
    """
    if isinstance(answers, Mapping | list | tuple) and len(answers) == 1:
        return next(iter(answers.values() if isinstance(answers, Mapping) else answers))
    if not isinstance(answers, list | tuple):
        return answers
    if len(set(model.output_names)) < len(answers):
        raise ValueError(
            f"Wanted outputs of different names. Received: {', '.join(model.output_names)} in {model.name!r}."
        )
    return dict(zip(model.output_names, answers, strict=True))


def replayed(model: keras.Model, inputs: Sequence[keras.KerasTensor], call: Call) -> list[keras.KerasTensor]:
    """A model's outputs, in its order, when every layer is called anew; models inside it are taken apart.

    Args:
        model: functional or sequential, built.
        inputs: one tensor for each of its inputs.
        call: calls a copy of each layer, once for each time that the model calls it.
    """
    graph = keras.Model(model.inputs, model.outputs)  # a Sequential shows no graph of its own; makes no new node
    tensors = {id(theirs): ours for theirs, ours in zip(graph.inputs, inputs, strict=True)}

    def ours(argument: object) -> object:
        return tensors[id(argument)] if isinstance(argument, keras.KerasTensor) else argument

    for depth in sorted(graph._nodes_by_depth, reverse=True):
        for node in graph._nodes_by_depth[depth]:
            if node.is_input:
                continue
            operation = node.operation
            arguments, options = keras.tree.map_structure(ours, (node.arguments.args, node.arguments.kwargs))
            if is_functional(operation):
                results = replayed(operation, _given(operation, arguments[0]), call)
            elif isinstance(operation, keras.layers.Layer):
                results = keras.tree.flatten(call(operation, arguments, options, model.name))
            else:  # an operation without weights, `x + y`
                results = keras.tree.flatten(operation(*arguments, **options))
            tensors.update((id(theirs), result) for theirs, result in zip(node.outputs, results, strict=True))
    return [tensors[id(output)] for output in graph.outputs]


def _given(model: keras.Model, argument: object) -> list[keras.KerasTensor]:
    """What a model is called with, a tensor for each of its inputs in their order, as Keras matches them.

    A mapping goes by the names that the model was made with: keys of a mapping, or the names of its inputs.
    """
    if not isinstance(argument, Mapping):
        return keras.tree.flatten(argument)
    structure = getattr(model, "_inputs_struct", None)
    if isinstance(structure, Mapping):
        return keras.tree.flatten({key: argument[key] for key in structure})
    return [argument[tensor.name] for tensor in model.inputs]


def made_again(layer: keras.layers.Layer, settings: Mapping[str, object]) -> keras.layers.Layer:
    """A layer of the same class and configuration but for some settings, with new weights.

    Raises:
        ValueError: if it cannot be made again from its configuration.
    """
    try:
        return type(layer).from_config({**layer.get_config(), **settings})
    except Exception as error:  # whatever its constructor says to what its configuration holds
        raise ValueError(
            f"The layer {layer.name!r} of class {type(layer).__name__} cannot be made again from its own "
            f"configuration, so that no file with it could be loaded either: {error}"
        ) from error
