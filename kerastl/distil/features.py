"""What layers inside a model say, beside its logits, in one pass; and the projection between two widths."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

import keras

from kerastl.system import layer_graph

LOGITS = "logits"
"""Under this name stands what the model itself answers."""


def intermediate_outputs(model: keras.Model, *, layers: Sequence[str]) -> keras.Model:
    """A model of the same layers that answers with the outputs of some of them as well.

    However many losses look at them, a step runs the model once. Nothing is copied and no weight is changed: the layers
    are the caller's, and training one model trains the other.

    Args:
        model: functional or sequential.
        layers: names of layers in it; ``"backbone/block3"`` is ``block3`` of the model ``backbone`` inside of it.

    Returns:
        A model on the same inputs; its outputs are a mapping of ``"logits"``, the model's own output (of several a
        mapping of their names), and of each name in ``layers``.

    Raises:
        ValueError: the model is of another kind, or has several outputs where a name is of a layer in a model inside
            of it; a name is none of its layers' (the text lists the near ones), or that of a layer that is used more
            than once or gives several outputs; or a layer of the name "logits" is not the model's last.
    """
    graph: Any = getattr(model, "_functional", None) or model  # a sequential model holds a functional one
    nested = [name for name in layers if "/" in name]
    if not hasattr(graph, "_nodes_by_depth") or (nested and len(graph.outputs) != 1):
        raise ValueError(
            "Wanted a functional or sequential model, built, and with one output where layers of models inside of it "
            f"are named: only its layers can be listened to. Received: {type(model).__name__} {model.name!r}."
        )
    inputs, answer, inside = graph._inputs_struct, layer_graph.outputs_by_name(graph, list(graph.outputs)), {}
    if nested:
        inputs, answer, inside = _opened(graph, nested)
        # the layers behind an opened model stand in a graph of their own now
        graph = keras.Model(inputs, answer, name=graph.name)
    outputs = {LOGITS: answer}
    for name in layers:
        output = inside[name] if name in inside else _output(graph, name)
        if name == LOGITS and output is not outputs[LOGITS]:
            raise ValueError(
                f"The name {LOGITS!r} stands for the model's own output. Received: a layer of this name in "
                f"{model.name!r} that others follow; give it another name."
            )
        outputs[name] = output
    return keras.Model(inputs, outputs, name=f"{model.name}_taps")


def shape_of(tapped: keras.Model, *, name: str) -> tuple[int | None, ...]:
    """Shape, with the batch first, of what a model of `intermediate_outputs` says under ``name``."""
    outputs: Any = getattr(tapped, "_outputs_struct")  # noqa: B009  # `outputs` lists them in no told order
    return tuple(outputs[name].shape)


def projection(
    student_shape: Sequence[int | None],
    teacher_shape: Sequence[int | None],
    *,
    width: bool = True,
    name: str = "projection",
) -> keras.Model:
    """Brings a student's features to the shape of its teacher's; learns with the student and is then thrown away.

    Where maps differ in height or width, the student's is resized to the teacher's, bilinear, with a filter against
    aliasing where it shrinks. Then a 1x1 convolution (of maps) or a dense layer (of vectors, and of each token) changes
    the number of channels: Romero et al. 2015, "FitNets: Hints for Thin Deep Nets", eq. 3, whose regressor is a
    convolution too. It has no activation, for the teacher's features may be negative where a rectifier's are not.

    Args:
        student_shape, teacher_shape: with the batch first: ``(batch, width)``, ``(batch, tokens, width)`` or
            ``(batch, height, width, channels)``.
        width: whether there is a trainable layer; without it only the size of a map changes.
        name: of the model.

    Returns:
        A model from ``student_shape`` to ``teacher_shape``, in float32.

    Raises:
        ValueError: the shapes have another number of axes, are not known, or texts differ in their number of tokens.
    """
    student, teacher = tuple(student_shape), tuple(teacher_shape)
    sizes = [shape[1:-1] for shape in (student, teacher)]
    differ = sizes[0] != sizes[1]
    known = all(size is not None for size in (*sizes[0], *sizes[1])) or not differ
    if (
        len(student) != len(teacher)
        or not 2 <= len(student) <= 4
        or student[-1] is None
        or teacher[-1] is None
        or not known
        or (differ and len(student) != 4)
    ):
        raise ValueError(
            "A projection goes between two vectors, two texts of one number of tokens, or two maps of known size. "
            f"Received: student {student}, teacher {teacher}."
        )
    inputs = outputs = keras.Input(student[1:], dtype="float32")
    if differ:
        outputs = keras.layers.Resizing(
            teacher[1], teacher[2], antialias=True, data_format="channels_last", dtype="float32", name=f"{name}_resize"
        )(outputs)
    if width and len(student) == 4:
        outputs = keras.layers.Conv2D(
            teacher[-1], 1, data_format="channels_last", dtype="float32", name=f"{name}_convolution"
        )(outputs)
    elif width:
        outputs = keras.layers.Dense(teacher[-1], dtype="float32", name=f"{name}_dense")(outputs)
    return keras.Model(inputs, outputs, name=name)


def _opened(graph: keras.Model, names: Sequence[str]) -> tuple[Any, Any, dict[str, Any]]:
    """The graph anew, with models inside of it that tell what their layers say: its inputs, its output, what they say.

    Every layer is called anew: beside the old calls, an opened model would run a second time.
    """
    wanted: dict[str, list[str]] = {}
    for name in names:
        outer, _, rest = name.partition("/")
        _output(graph, outer)
        wanted.setdefault(outer, []).append(rest)
    inside: dict[str, Any] = {}

    def call(layer: keras.Layer, *arguments: object, **options: object) -> Any:
        if layer.name not in wanted:
            return layer(*arguments, **options)
        found = intermediate_outputs(layer, layers=wanted[layer.name])(*arguments, **options)
        inside.update({f"{layer.name}/{rest}": found[rest] for rest in wanted[layer.name]})
        return found[LOGITS]

    again: Any = keras.models.clone_model(graph, clone_function=lambda layer: layer, call_function=call)
    return again._inputs_struct, again.outputs[0], inside


def _output(graph: keras.Model, name: str) -> Any:
    """The one tensor that a layer gives within a graph; what the layer does in other models is not looked at."""
    layers = {layer.name: layer for layer in graph.layers}
    if name not in layers:
        near = difflib.get_close_matches(name, list(layers), n=5, cutoff=0.4)
        raise ValueError(
            f"Wanted the name of a layer of {graph.name!r}. Received: {name!r}. "
            f"{f'Near: {near}; all' if near else 'There are'}: {list(layers)}."
        )
    nodes = [node for row in graph._nodes_by_depth.values() for node in row if node.operation is layers[name]]
    tensors = [tensor for node in nodes for tensor in node.output_tensors]
    if len(tensors) != 1:
        raise ValueError(
            "Wanted a layer that is used once and gives one output: else it is not clear which is meant. Received: "
            f"{name!r}, with {len(tensors)} outputs in {len(nodes)} uses."
        )
    return tensors[0]
