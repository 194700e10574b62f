"""Cross-stitch units: a network a task, each of whose layers reads, in learnt shares, what the others have made."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
from keras import layers

from kerastl.models import heads
from kerastl.system import layer_graph
from kerastl.types import NamedTargets, Task

OWN = 0.9
"""What a task takes of its own maps before anything is learnt; the others share the rest (Misra et al., section 5)."""


def build(trunk: Callable[[Task], keras.Model], task: Task) -> keras.Model:
    """Networks of several tasks side by side: ``x_t <- sum_s a_ts * x_s`` where maps end, a number a channel.

    Misra et al. 2016, "Cross-stitch Networks for Multi-task Learning", section 3, equation 1. Units stand in the last
    place before height and width change, and at the features; nowhere inside of a block whose shortcut goes around
    them. How much is shared is learnt: the price is a trunk a task, so that neither bytes nor milliseconds are saved.
    All layers are Keras' own, the units ``DepthwiseConv2D`` of one pixel.

    Args:
        trunk: builds a network of one task, whose layer ``logits`` reads its features ``(batch, features)``. It is
            called once a task, which decides the weights that this task's network begins with.
        task: of several tasks.

    Raises:
        ValueError: one thing is asked alone; a layer cannot be made again; or networks of two tasks differ.
    """
    if not isinstance(task.target, NamedTargets):
        raise ValueError(f"Wanted several tasks. Received: one of {task.target.kind}.")
    bodies = {name: _body(trunk, dataclasses.replace(task, target=part)) for name, part in task.target.parts}
    places = [_stitched(body) for body in bodies.values()]
    first, *others = ([tuple(tensor.shape) for tensor in found] for found in places)
    if any(other != first for other in others):
        raise ValueError(f"Wanted networks that differ by nothing but weights. Received: maps {first} and {others}.")
    given = next(iter(bodies.values())).inputs
    inputs = [keras.Input(one.shape[1:], dtype=one.dtype, name=one.name) for one in given]
    reached = [(list(body.inputs), list(inputs)) for body in bodies.values()]
    made: list[keras.KerasTensor] = []
    for number, tensors in enumerate(zip(*places, strict=True), start=1):
        made = [
            _copied(keras.Model(start, tensor), at, prefix=name)
            for (start, at), tensor, name in zip(reached, tensors, bodies, strict=True)
        ]
        made = _unit(made, list(bodies), name=f"stitch{number}")
        reached = [([tensor], [one]) for tensor, one in zip(tensors, made, strict=True)]
    own = dict(zip(bodies, made, strict=True))
    return keras.Model(inputs if len(inputs) > 1 else inputs[0], heads.outputs(own, task), name="cross_stitch")


def _body(trunk: Callable[[Task], keras.Model], task: Task) -> keras.Model:
    """A network up to the features that its head reads."""
    model = trunk(task)
    return keras.Model(model.inputs, model.get_layer("logits").input)


def _stitched(body: keras.Model) -> list[keras.KerasTensor]:
    """Tensors that everything goes through: of those of one height and width the last, and the features.

    In an order of the graph, one is such a tensor where no step leads from before it to behind it.
    """
    nodes = [node for depth in sorted(body._nodes_by_depth, reverse=True) for node in body._nodes_by_depth[depth]]
    position = {id(tensor): place for place, node in enumerate(nodes) for tensor in node.outputs}
    furthest, reach = 0, [0] * len(nodes)
    for place, node in enumerate(nodes):
        for tensor in node.input_tensors:
            reach[position[id(tensor)]] = max(reach[position[id(tensor)]], place)
    found: dict[Any, keras.KerasTensor] = {}
    for place, node in enumerate(nodes):
        whole = furthest <= place and len(node.outputs) == 1 and not node.is_input
        furthest = max(furthest, reach[place])
        if whole and "float" in node.outputs[0].dtype and node.outputs[0].shape[-1] is not None:
            found[tuple(node.outputs[0].shape[1:-1])] = node.outputs[0]
    return [*[tensor for tensor in found.values() if tensor is not body.output], body.output]


def _copied(part: keras.Model, inputs: Sequence[keras.KerasTensor], *, prefix: str) -> keras.KerasTensor:
    """The same layers with the same weights under names of the task's own, called on other tensors."""
    copies: dict[int, keras.Layer] = {}

    def call(layer: keras.Layer, arguments: Sequence[Any], options: Mapping[str, Any], _: str) -> Any:
        if id(layer) in copies:
            return copies[id(layer)](*arguments, **options)
        copy = copies[id(layer)] = layer_graph.made_again(layer, {"name": f"{prefix}_{layer.name}"})
        result = copy(*arguments, **options)
        copy.set_weights(layer.get_weights())
        copy.trainable = layer.trainable
        return result

    (result,) = layer_graph.replayed(part, inputs, call)
    return result


def _unit(maps: Sequence[keras.KerasTensor], names: Sequence[str], *, name: str) -> list[keras.KerasTensor]:
    """One cross-stitch unit: of every task the sum of all tasks' maps, each channel in a share that is learnt."""
    shape = tuple(maps[0].shape[1:])
    flat = shape if len(shape) == 3 else (1,) * (3 - len(shape)) + shape
    if flat != shape:
        maps = [layers.Reshape(flat, name=f"{name}_{task}_from")(one) for one, task in zip(maps, names, strict=True)]
    found = []
    for own in names:
        shares = []
        for one, other in zip(maps, names, strict=True):
            begun = OWN if other == own else (1 - OWN) / (len(names) - 1)
            options: dict[str, Any] = {"use_bias": False, "depthwise_initializer": keras.initializers.Constant(begun)}
            shares.append(layers.DepthwiseConv2D(1, **options, name=f"{name}_{own}_of_{other}")(one))
        x = layers.Add(name=f"{name}_{own}")(shares)
        found.append(x if flat == shape else layers.Reshape(shape, name=f"{name}_{own}_to")(x))
    return found
