"""Gradients of single examples, each clipped to a length, summed: without one gradient an example where it can be.

Layers are watched while the model is called: what goes into each, and what comes out of it before its activation. One
backward pass gives the loss's gradients by what came out. From these and from what went in follow the length of each
example's gradient ("ghost norms": Li et al. 2022, "Large language models can be strong differentially private
learners", section 4, https://arxiv.org/abs/2110.05679) and then, without a second pass, the sum of the clipped ones (Bu
et al. 2023, "Differentially private optimization on large foundation models", https://arxiv.org/abs/2210.00038).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf


class Watched:
    """A layer with weights of its own, and what one call of it saw.

    Attributes:
        layer: of the model.
        arguments, options: what it was called with; tensors have examples along their first axis.
        outputs: before the activation where the layer has one that is known, else what it gave.
    """

    def __init__(self, layer: keras.layers.Layer) -> None:
        self.layer = layer
        self.arguments: Sequence[Any] = ()
        self.options: Mapping[str, Any] = {}
        self.outputs: Any = None
        self._calls = 0

    def note(self, arguments: Sequence[Any], options: Mapping[str, Any]) -> None:
        """A call begins. Raises `ValueError` if it is not the first."""
        self._calls += 1
        if self._calls > 1:
            raise ValueError(
                "Wanted a model that calls each layer with weights once, for its gradients are taken call by call. "
                f"Received: {self.layer.name!r}, which is called again."
            )
        self.arguments, self.options = arguments, options


def layers_of(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers that hold the weights of a model, models inside it taken apart.

    Raises:
        ValueError: a layer sees other examples of a batch, has random numbers or other state beside its weights, or
            there are weights that no layer holds.
    """
    found = list(_layers(model))
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable:
            raise ValueError(
                f"Batch normalization makes the answer to one example depend on all others of its batch, so that the "
                f"gradient of one example does not exist. Wanted keras.layers.GroupNormalization in its place, or "
                f"a layer that is not trainable. Received: {layer.name!r} in {model.name!r}."
            )
    for layer in found:
        if layer.non_trainable_variables:
            raise ValueError(
                "Wanted layers that are all trained and hold nothing beside their weights, no random numbers and no "
                f"averages. Received: {layer.name!r} in {model.name!r}, which holds "
                f"{', '.join(one.path for one in layer.non_trainable_variables[:3])}."
            )
    held = {id(variable) for layer in found for variable in layer.trainable_variables}
    loose = [variable.path for variable in model.trainable_variables if id(variable) not in held]
    if loose:
        raise ValueError(f"Wanted every weight in a layer. Received: {', '.join(loose[:5])} in {model.name!r}.")
    return found


def _layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
        elif layer.trainable_variables:
            yield layer


@contextlib.contextmanager
def watching(layers: Sequence[keras.layers.Layer]) -> Iterator[list[Watched]]:
    """Watches calls of these layers until its end; they compute what they always do."""
    found = [Watched(layer) for layer in layers]
    with contextlib.ExitStack() as stack:
        for one in found:
            stack.enter_context(_watched(one))
        yield found


@contextlib.contextmanager
def _watched(one: Watched) -> Iterator[None]:
    layer: Any = one.layer
    call: Any = layer.call
    activation: Any = getattr(layer, "activation", False)
    before = _rule(layer) is not _of_any_layer and bool(activation)

    def seen(*arguments: Any, **options: Any) -> Any:
        one.note(arguments, options)
        answer = call(*arguments, **options)
        if not before:
            one.outputs = answer
        return answer

    def activated(outputs: Any) -> Any:
        one.outputs = outputs
        return activation(outputs)

    with _replaced(layer, "call", seen), _replaced(layer, "activation", activated) if before else _nothing():
        yield


_nothing = contextlib.nullcontext


@contextlib.contextmanager
def _replaced(layer: Any, name: str, value: object) -> Iterator[None]:
    """An attribute of the object, past Keras' tracker, and what was there again."""
    kept = layer.__dict__.get(name, _nothing)
    object.__setattr__(layer, name, value)
    try:
        yield
    finally:
        if kept is _nothing:
            object.__delattr__(layer, name)
        else:
            object.__setattr__(layer, name, kept)


Sum = Callable[[tf.Tensor], list[tf.Tensor]]
"""Of factors ``(examples,)`` the sum of the examples' gradients times these, a tensor for each weight of a layer."""


def squares_and_sum(seen: Watched, gradients: Any) -> tuple[tf.Tensor, Sum]:
    """Squared lengths of the examples' gradients in a layer's weights, float32 ``(examples,)``, and their `Sum`.

    Args:
        seen: a call of the layer.
        gradients: of the sum of the examples' losses by what came out of it.
    """
    return _rule(seen.layer)(seen, gradients)


def factors(squares: tf.Tensor, *, longest: float) -> tf.Tensor:
    """What shortens each gradient to a length, ``min(1, longest / length)``; all ``(examples,)``."""
    return tf.minimum(1.0, longest * tf.math.rsqrt(tf.maximum(squares, 1e-24)))


def _rule(layer: keras.layers.Layer) -> Callable[[Watched, tf.Tensor], tuple[tf.Tensor, Sum]]:
    weights = [id(one) for one in layer.trainable_variables]
    plain = [id(one) for one in (getattr(layer, "kernel", None), getattr(layer, "bias", None)) if one is not None]
    if type(layer) is keras.layers.Dense and weights == plain:
        return _of_dense
    plain_convolution = type(layer) is keras.layers.Conv2D and weights == plain and layer.groups == 1
    if plain_convolution and layer.data_format == "channels_last":
        return _of_convolution
    if type(layer) is keras.layers.Embedding and len(weights) == 1:
        return _of_embedding
    return _of_any_layer


def _of_dense(seen: Watched, gradients: tf.Tensor) -> tuple[tf.Tensor, Sum]:
    inputs, outputs = seen.arguments[0], seen.layer.kernel.shape
    return _of_products(_places(inputs, outputs[0]), _places(gradients, outputs[1]), seen.layer)


def _of_convolution(seen: Watched, gradients: tf.Tensor) -> tuple[tf.Tensor, Sum]:
    layer: Any = seen.layer
    rows, columns, channels, filters = layer.kernel.shape
    inputs = tf.cast(seen.arguments[0], tf.float32)
    patches = tf.image.extract_patches(
        inputs, [1, rows, columns, 1], [1, *layer.strides, 1], [1, *layer.dilation_rate, 1], layer.padding.upper()
    )
    return _of_products(_places(patches, rows * columns * channels), _places(gradients, filters), layer)


def _of_products(inputs: tf.Tensor, gradients: tf.Tensor, layer: Any) -> tuple[tf.Tensor, Sum]:
    """Of a layer that multiplies its kernel with what lies at each place: the gradient is a sum over the places.

    Args:
        inputs: ``(examples, places, width)``.
        gradients: ``(examples, places, outputs)``.
        layer: with a kernel of ``width * outputs`` numbers, and a bias or none.
    """
    _, places, width = tuple(inputs.shape)
    outputs: Any = gradients.shape[-1]
    biased, shape = getattr(layer, "bias", None) is not None, tuple(layer.kernel.shape)
    extra = tf.reduce_sum(tf.square(tf.reduce_sum(gradients, axis=1)), axis=-1) if biased else 0.0
    each = None
    if places == 1:
        squares = tf.reduce_sum(tf.square(inputs), axis=(1, 2)) * tf.reduce_sum(tf.square(gradients), axis=(1, 2))
    elif places is None or places * (width + outputs) < width * outputs:
        alike = tf.matmul(inputs, inputs, transpose_b=True) * tf.matmul(gradients, gradients, transpose_b=True)
        squares = tf.reduce_sum(alike, axis=(1, 2))
    else:
        each = tf.matmul(inputs, gradients, transpose_a=True)
        squares = tf.reduce_sum(tf.square(each), axis=(1, 2))

    def total(factors: tf.Tensor) -> list[tf.Tensor]:
        weighted = gradients * factors[:, None, None]
        if each is None:
            flat = tf.reshape(inputs, (-1, width)), tf.reshape(weighted, (-1, outputs))
            kernel = tf.matmul(*flat, transpose_a=True)
        else:
            kernel = tf.linalg.matvec(tf.reshape(each, (-1, width * outputs)), factors, transpose_a=True)
        found = [tf.reshape(kernel, shape)]
        return [*found, tf.reduce_sum(weighted, axis=(0, 1))] if biased else found

    return squares + extra, total


def _of_embedding(seen: Watched, gradients: tf.Tensor) -> tuple[tf.Tensor, Sum]:
    """A row's gradient is the sum over the places where it was looked up."""
    rows, width = seen.layer.trainable_variables[0].shape
    places = tf.reshape(seen.arguments[0], (tf.shape(gradients)[0], -1))
    gradients = _places(gradients, width)
    same = tf.cast(tf.equal(places[:, :, None], places[:, None, :]), tf.float32)
    squares = tf.reduce_sum(same * tf.matmul(gradients, gradients, transpose_b=True), axis=(1, 2))

    def total(factors: tf.Tensor) -> list[tf.Tensor]:
        weighted = tf.reshape(gradients * factors[:, None, None], (-1, width))
        return [tf.math.unsorted_segment_sum(weighted, tf.reshape(places, [-1]), rows)]

    return squares, total


def _of_any_layer(seen: Watched, gradients: tf.Tensor) -> tuple[tf.Tensor, Sum]:
    """The layer is called again on each example alone, and its gradients are kept: `tf.vectorized_map` does it."""
    variables, call = [one.value for one in seen.layer.trainable_variables], seen.layer.call
    flat = keras.tree.flatten((seen.arguments, seen.options))
    tensors = [place for place, value in enumerate(flat) if tf.is_tensor(value)]

    def of_one(parts_of_one: Sequence[tf.Tensor]) -> Any:
        *parts, gradient = parts_of_one
        values = list(flat)
        for place, part in zip(tensors, parts, strict=True):
            values[place] = part[None]
        arguments, options = keras.tree.pack_sequence_as((seen.arguments, seen.options), values)
        with tf.GradientTape() as tape:
            answer = call(*arguments, **options)
        zero = tf.UnconnectedGradients.ZERO
        given: Any = gradient[None]
        return tape.gradient(answer, variables, output_gradients=given, unconnected_gradients=zero)

    each = tf.vectorized_map(of_one, [*(flat[place] for place in tensors), gradients])
    each = [tf.cast(tf.convert_to_tensor(one), tf.float32) for one in each]
    squares = [tf.reduce_sum(tf.square(one), axis=list(range(1, one.shape.rank))) for one in each]
    return tf.add_n(squares), lambda factors: [tf.tensordot(factors, one, axes=1) for one in each]


def _places(values: Any, width: int) -> tf.Tensor:
    """``(examples, places, width)``, float32, of whatever lies between the first and the last axis."""
    inner = values.shape[1:-1]
    places = math.prod(inner) if None not in inner else None
    examples = tf.shape(values)[0]
    shape = (examples, -1 if places is None else places, width)
    return tf.ensure_shape(tf.reshape(tf.cast(values, tf.float32), shape), (None, places, width))
