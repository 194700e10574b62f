"""Layers that are made of layers, as keras-hub's blocks are: their parts, their names in a flat graph, their own graph.

Such a layer has no graph to be walked, but its ``call`` is made of layers and operations that note what they are called
on. Called once on symbols it draws its graph itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import keras


class Layered(Protocol):
    """A model or a layer of either Keras."""

    @property
    def name(self) -> str: ...

    @property
    def weights(self) -> Sequence[object]: ...

    def _flatten_layers(self, recursive: bool = True, include_self: bool = True) -> Iterable[Any]: ...


def leaves(model: Layered) -> Iterator[Any]:
    """Every layer that is not made of others, those in nested models and in composite layers too, each once.

    Args:
        model: a model of either Keras, or a layer.
    """
    yield from _unique(model, seen=set())


def heads(model: Layered, dense: Sequence[Any]) -> Sequence[Any]:
    """The last of a model's Dense layers, one an output: they stand behind everything that its outputs share.

    Args:
        model: a model of either Keras.
        dense: its layers of that class, in its order.
    """
    outputs: Sequence[object] = getattr(model, "outputs", ())
    return dense[-max(len(outputs), 1) :]


def _unique(layer: Layered, *, seen: set[int]) -> Iterator[Any]:
    for part in parts(layer):
        if id(part) in seen:
            continue
        seen.add(id(part))
        if parts(part):
            yield from _unique(part, seen=seen)
        else:
            yield part


def parts(layer: Layered) -> list[Any]:
    """The layers that a model or a layer of either Keras is made of, in their order; of a plain layer none."""
    inside = getattr(layer, "layers", None)
    if inside is not None:
        return list(inside)
    return list(layer._flatten_layers(recursive=False, include_self=False))


def flat_names(model: keras.Model) -> dict[int, str]:
    """The name of every leaf (by its ``id``) in one flat graph: its own, or where that is taken, with its owners'."""
    found: dict[int, str] = {}
    taken = {layer.name for layer in model.layers if not parts(layer)}
    taken.update(tensor.name for tensor in model.inputs)
    for layer in model.layers:
        if not parts(layer):
            found[id(layer)] = layer.name
    for layer in model.layers:
        _name_parts(layer, owner=layer.name, found=found, taken=taken)
    return found


def _name_parts(layer: Layered, *, owner: str, found: dict[int, str], taken: set[str]) -> None:
    for part in parts(layer):
        if id(part) in found:
            continue
        if parts(part):
            _name_parts(part, owner=f"{owner}_{part.name}", found=found, taken=taken)
            continue
        found[id(part)] = free_name(part.name if part.name not in taken else f"{owner}_{part.name}", taken)


def free_name(name: str, taken: set[str]) -> str:
    """``name``, or with a number behind it; taken from now on."""
    number, free = 1, name
    while free in taken:
        number, free = number + 1, f"{name}_{number}"
    taken.add(free)
    return free


@contextlib.contextmanager
def graph_of(
    layer: keras.layers.Layer, arguments: tuple[Sequence[object], Mapping[str, object]]
) -> Iterator[keras.Model]:
    """A composite layer as a functional model, which shares its parts; they are left as they were.

    Args:
        layer: built, and without weights beside those of its parts.
        arguments: ``(args, kwargs)`` that it is called with, in which a ``keras.KerasTensor`` is an input.

    Raises:
        ValueError: naming the layer and its class, if it has weights of its own, or does not let itself be drawn.
    """
    described = f"layer {layer.name!r} of class {type(layer).__module__}.{type(layer).__name__}"
    own = [variable.path for variable in (*layer._trainable_variables, *layer._non_trainable_variables)]
    if own:
        raise ValueError(
            f"A layer is taken apart if all its weights are its parts'. Received: {described} with {own}. "
            "compress.prune and compress.ptq need no parts."
        )
    every = list(layer._flatten_layers(recursive=True, include_self=False))
    nodes = [(part, len(part._inbound_nodes), len(part._outbound_nodes)) for part in every]
    inputs: list[keras.KerasTensor] = []

    def symbol(value):
        if not isinstance(value, keras.KerasTensor):
            return value
        inputs.append(keras.Input(batch_shape=value.shape, dtype=value.dtype))
        return inputs[-1]

    args, kwargs = keras.tree.map_structure(symbol, arguments)
    try:
        try:
            graph = keras.Model(inputs, layer.call(*args, **kwargs))
        except Exception as error:  # whatever its own code says to a symbol
            looped = isinstance(layer, keras.layers.RNN)
            why = (
                "runs in a loop" if looped else f"says, when it is asked for them: {' '.join(str(error).split())[:300]}"
            )
            raise ValueError(
                "Clustering and quantization-aware training build a network anew of layers that TF-MOT knows, and take "
                f"others apart into such. Received: {described}, which has no such parts: it {why}. Files that need no "
                "training, those of compress.ptq, are made of it all the same; --tune.epochs 0 of shrink_model leaves "
                "all training out."
            ) from error
        yield graph
    finally:
        for part, inbound, outbound in nodes:
            del part._inbound_nodes[inbound:]
            del part._outbound_nodes[outbound:]
