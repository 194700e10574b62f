"""Graphs laid flat: the layers of a functional model, and of models inside it, behind another tensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import keras

from kerastl.models.pretrained import channels_last
from kerastl.system import layer_graph


def is_flat(model: keras.Model) -> bool:
    """Whether no layer of a model is a model itself."""
    return not any(isinstance(layer, keras.Model) for layer in model.layers)


def flatten(
    model: keras.Model,
    image: keras.KerasTensor,
    *,
    names: Mapping[str, str] = MappingProxyType({}),
    moved: bool = False,
) -> keras.KerasTensor:
    """The output of copies of a model's layers, called on ``image`` in the order of its graph.

    Copies, because a layer that was called twice has two outputs, and whoever asks for ``layer.output`` gets the first.

    Args:
        model: functional, with one input and one output; models inside it are taken apart.
        image: takes the place of its input.
        names: other ones for the copies of layers: old name -> new name.
        moved: whether ``image`` has its channels last where the model's input has them first; the copies then have
            the layout of ``image``, and so has the output.

    Raises:
        ValueError: no functional model of one input and one output; a layer that cannot be made again from its
            configuration; or ``image`` is of a shape that its layers cannot take with the weights that they have.
    """
    if layer_graph.is_functional(model) and (len(model.inputs) != 1 or len(model.outputs) != 1):
        raise ValueError(
            f"Wanted a model from one picture to one tensor. Received: {model.name!r} with inputs "
            f"{[tensor.name for tensor in model.inputs]} and {len(model.outputs)} outputs."
        )
    (output,) = flatten_all(model, [image], names=names, moved=moved)
    return output


def flatten_all(
    model: keras.Model,
    inputs: Sequence[keras.KerasTensor],
    *,
    names: Mapping[str, str] = MappingProxyType({}),
    moved: bool = False,
) -> list[keras.KerasTensor]:
    """As `flatten`, of a model of any number of inputs and outputs: all outputs, in the model's order.

    Random changes of pictures (``RandomFlip``) are left out: whoever learns from this graph brings its own, and a
    teacher and its student would not see the same picture.

    Raises:
        ValueError: no functional model, or a layer that cannot be made again, or not for inputs of these shapes.
    """
    if not layer_graph.is_functional(model):
        raise ValueError(f"Wanted a functional model. Received: the subclassed model {type(model).__name__}.")
    copies: dict[int, keras.layers.Layer] = {}
    layout = channels_last.Layout()
    for one in inputs if moved else ():
        layout.move(one)

    def call(layer: keras.layers.Layer, arguments: Sequence, options: Mapping, _: str) -> object:
        if layer_graph.is_augmentation(layer):
            return arguments[0]
        settings = layout.settings(layer, arguments) if moved else None
        if id(layer) in copies:  # a shared layer is called twice and copied once
            return layout.call(copies[id(layer)], arguments, options, last=settings is not None)
        copies[id(layer)] = copy = _made_again(layer, name=names.get(layer.name), settings=settings)
        output = layout.call(copy, arguments, options, last=settings is not None)
        _give_weights(layer, copy)
        return output

    return layer_graph.replayed(model, inputs, call)


def called(layer: keras.layers.Layer, *arguments: keras.KerasTensor, name: str, **options: object) -> Any:
    """What a copy of a layer answers, under another name, with the weights of the first.

    Raises:
        ValueError: it cannot be made again from its configuration, or its weights do not fit.
    """
    copy = _made_again(layer, name=name)
    output = copy(*arguments, **options)
    _give_weights(layer, copy)
    return output


def _made_again(
    layer: keras.layers.Layer, *, name: str | None = None, settings: Mapping[str, object] | None = None
) -> keras.layers.Layer:
    return layer_graph.made_again(layer, {**(settings or {}), **({"name": name} if name else {})})


def _give_weights(layer: keras.layers.Layer, copy: keras.layers.Layer) -> None:
    try:
        copy.set_weights(layer.get_weights())
    except ValueError as error:
        raise ValueError(
            f"The weights of the layer {layer.name!r} do not fit pictures of this size: {error}"
        ) from error
    if isinstance(copy, keras.layers.Normalization):
        copy.finalize_state()  # it computes with what it has made of its weights
    copy.trainable = layer.trainable
