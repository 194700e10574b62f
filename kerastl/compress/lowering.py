"""A tf_keras model made of layers that have an integer kernel, before it is quantized: the same function.

What would stay a float operator in the file is replaced:

- a factor and an offset a channel (``Rescaling``, ``Normalization``, ``Scale``, a ``BatchNormalization`` behind no
  convolution) by a 1x1 depthwise convolution;
- a hard sigmoid or hard tanh by two of those with a ReLU6 between them; an ``Average`` by a sum and one;
- a ``Dense`` over a picture by a 1x1 convolution;
- a ``SeparableConv2D`` by its two halves: TF-MOT's halves have Keras' default names, which other layers may have;
- a ``LayerNormalization`` by its arithmetic, with a range for each step;
- minus infinity around a picture, before a maximum is taken, by its own edge: the maxima are the same;
- an activation inside a convolution that no kernel computes on its way out by a layer behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf
import tf_keras

from kerastl.compress import fine_tuning
from kerastl.compress.quantize_scheme import CONVOLUTIONS, KERNELS, SteppedNormalization
from kerastl.compress.tf_keras import tf_keras_layers

# Layers through which a factor passes unchanged on its way to a kernel.
_PASSING = (tf_keras.layers.ZeroPadding2D, tf_keras.layers.Flatten, tf_keras.layers.Reshape, tf_keras.layers.Dropout)
_CLIPPED = {
    tf_keras_layers.hard_sigmoid: ((1.0, 3.0), (1 / 6, 0.0)),
    tf_keras_layers.hard_tanh: ((3.0, 3.0), (1 / 3, -1.0)),
}
"""Factor and offset before a ReLU6 and behind it, which together are the activation."""
_INSIDE = ("linear", "relu", "sigmoid", "tanh", "softmax")  # activations that TF-MOT quantizes inside a kernel's layer

_Layers = Sequence[tf_keras.layers.Layer]


_Filling = Callable[[], None]


def to_quantizable_layers(model: tf_keras.Model) -> tf_keras.Model:
    """A copy of ``model``, its weights copied; of the layers that replace one, one has its name.

    Args:
        model: functional; left as it is.

    Raises:
        ValueError: naming the layer and its class, for a padding that no integer can hold.
    """
    made: dict[int, tuple[_Layers, _Filling]] = {}
    tensors = {}
    for tensor, layer in zip(model.inputs, model._input_layers, strict=True):
        tensors[id(tensor)] = tf_keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=layer.name)
    inputs = list(tensors.values())
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if node.is_input:
                continue
            arguments, options = tf.nest.map_structure(
                lambda value: tensors.get(id(value), value), (node.call_args, node.call_kwargs)
            )
            if id(node.layer) not in made:  # a shared layer is called twice and made once
                made[id(node.layer)] = _replacement(node.layer)
            value = arguments[0]
            for place, layer in enumerate(made[id(node.layer)][0]):
                value = layer(value) if place else layer(*arguments, **options)
            tensors.update(zip(map(id, tf.nest.flatten(node.outputs)), tf.nest.flatten(value), strict=True))
    for _, fill in made.values():
        fill()
    outputs = [tensors[id(tensor)] for tensor in model.outputs]
    return tf_keras.Model(inputs, outputs if len(outputs) > 1 else outputs[0], name=model.name)


def consumers(layer: tf_keras.layers.Layer) -> Iterator[tf_keras.layers.Layer]:
    """The layers that a factor on the output of ``layer`` reaches; wrappers are seen as what they wrap."""
    for node in layer.outbound_nodes:
        consumer = node.outbound_layer
        if isinstance(getattr(consumer, "layer", consumer), _PASSING):
            yield from consumers(consumer)
        else:
            yield consumer


def _replacement(layer: tf_keras.layers.Layer) -> tuple[_Layers, _Filling]:
    """Layers to be called one after the other, and what gives them their weights once they are built."""
    name, kind = layer.name, type(layer)
    affine = _affine(layer)
    if affine is not None:
        trainable = layer.trainable and kind in (tf_keras.layers.BatchNormalization, tf_keras_layers.Scale)
        return _depthwise(name, layer.output_shape, *affine, trainable=trainable)
    if kind is tf_keras.layers.Activation:
        return _activation(layer)
    if kind is tf_keras.layers.Average:
        factor = 1 / len(layer.input_shape)
        halves, fill = _depthwise(name, layer.output_shape, *_ones(layer, factor), trainable=False)
        return [tf_keras.layers.Add(name=f"{name}_sum"), *halves], fill
    if kind is tf_keras.layers.LayerNormalization and list(layer.axis) == [len(layer.output_shape) - 1]:
        gamma = layer.gamma.numpy() if layer.scale else _ones(layer)[0]
        beta = layer.beta.numpy() if layer.center else _ones(layer)[1]
        scaled, fill = _depthwise(name, layer.output_shape, gamma, beta, trainable=layer.trainable)
        return [SteppedNormalization(layer.epsilon, name=f"{name}_steps"), *scaled], fill
    if kind is tf_keras_layers.Pad:
        return _pad(layer), _nothing
    copy = fine_tuning.with_stateful_randomness(layer)
    if isinstance(layer, tf_keras.layers.Dense) and len(layer.output_shape) == 4:
        copy = tf_keras.layers.Conv2D(layer.units, 1, activation=layer.activation, use_bias=layer.use_bias, name=name)
        copy.trainable = layer.trainable
    before: list[tf_keras.layers.Layer] = []
    if kind is tf_keras.layers.SeparableConv2D:
        before = [_first_half(layer)]
        copy = tf_keras.layers.Conv2D(layer.filters, 1, activation=layer.activation, use_bias=layer.use_bias, name=name)
        copy.trainable = layer.trainable
    behind, fill_behind = [], _nothing
    if isinstance(layer, KERNELS) and getattr(layer.activation, "__name__", "") not in _INSIDE:
        copy.activation = tf_keras.activations.linear
        twin = tf_keras.layers.Activation(layer.activation, name=f"{name}_activation")
        behind, fill_behind = _activation(twin, shape=layer.output_shape)

    def fill():
        weights = [weight for one in (*before, copy) for weight in one.weights]
        for weight, value in zip(weights, layer.get_weights(), strict=True):
            weight.assign(np.reshape(value, weight.shape))
        fill_behind()

    return [*before, copy, *behind], fill


def _first_half(layer: tf_keras.layers.SeparableConv2D) -> tf_keras.layers.DepthwiseConv2D:
    return tf_keras.layers.DepthwiseConv2D(
        layer.kernel_size,
        strides=layer.strides,
        padding=layer.padding,
        depth_multiplier=layer.depth_multiplier,
        dilation_rate=layer.dilation_rate,
        use_bias=False,
        name=f"{layer.name}_depthwise",
        trainable=layer.trainable,
    )


def _nothing() -> None:
    """A layer without weights needs nothing."""


def _activation(layer: tf_keras.layers.Activation, *, shape: tuple | None = None) -> tuple[_Layers, _Filling]:
    """What an activation is made of; its ``shape`` if it has not been called itself."""
    name, function, shape = layer.name, layer.activation, shape or layer.output_shape
    if function is tf_keras.activations.linear:
        return [], _nothing
    if function is tf_keras_layers.relu6:
        return [tf_keras.layers.ReLU(6.0, name=name)], _nothing
    if function is tf_keras_layers.leaky_relu:
        return [tf_keras.layers.LeakyReLU(0.2, name=name)], _nothing
    if function in _CLIPPED:
        (factor, offset), (factor_behind, offset_behind) = _CLIPPED[function]
        ones = np.ones(shape[-1], "float32")
        shifted, fill = _depthwise(f"{name}_shifted", shape, factor * ones, offset * ones, trainable=False)
        scaled, fill_too = _depthwise(name, shape, factor_behind * ones, offset_behind * ones, trainable=False)
        clipped = tf_keras.layers.ReLU(6.0, name=f"{name}_clipped")
        return [*shifted, clipped, *scaled], lambda: (fill(), fill_too())[0]
    return [tf_keras.layers.Activation(function, name=name)], _nothing


def _pad(layer: tf_keras_layers.Pad) -> _Layers:
    if layer.value == 0.0 and len(layer.paddings) == 4 and layer.paddings[0] == layer.paddings[3] == (0, 0):
        return [tf_keras.layers.ZeroPadding2D(layer.paddings[1:3], name=layer.name)]
    readers = [node.outbound_layer for node in layer.outbound_nodes]
    if layer.value == -np.inf and readers and all(_sees_its_mirror(reader, layer.paddings) for reader in readers):
        return [tf_keras_layers.Pad(layer.paddings, None, name=layer.name)]
    raise ValueError(
        f"Integers hold a padding of zeros, or of minus infinity before a MaxPooling2D. Received: layer {layer.name!r} "
        f"of class Pad, with {layer.value} around it. Pad with zeros, or take compress.ptq.dynamic_int8."
    )


def _sees_its_mirror(reader: tf_keras.layers.Layer, paddings: tuple) -> bool:
    """Whether every window of a pooling that sees a number in the mirror around a picture sees it inside as well."""
    if not isinstance(reader, tf_keras.layers.MaxPooling2D) or reader.padding != "valid" or len(paddings) != 4:
        return False
    windows = (1, *reader.pool_size, 1)
    return all(2 * max(pair) <= window for pair, window in zip(paddings, windows, strict=True))


def _ones(layer: tf_keras.layers.Layer, factor: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    ones = np.ones(layer.output_shape[-1], "float32")
    return ones * factor, ones * 0.0


def _depthwise(
    name: str, shape: tuple, kernel: np.ndarray, bias: np.ndarray, *, trainable: bool
) -> tuple[_Layers, _Filling]:
    """A factor and an offset a channel, as a convolution; what has no rows and columns gets some for it."""
    layer = tf_keras.layers.DepthwiseConv2D(1, name=name, trainable=trainable)
    chain: list[tf_keras.layers.Layer] = [layer]
    if len(shape) != 4:
        spread = (1, int(np.prod(shape[1:-1], dtype=int)), shape[-1])
        before = tf_keras.layers.Reshape(spread, name=f"{name}_spread")
        chain = [before, layer, tf_keras.layers.Reshape(shape[1:], name=f"{name}_gathered")]
    return chain, lambda: layer.set_weights([np.reshape(kernel, layer.depthwise_kernel.shape), bias])


def _affine(layer: tf_keras.layers.Layer) -> tuple[np.ndarray, np.ndarray] | None:
    """``(kernel, bias)``, one number a channel, of a layer that must be replaced, else ``None``."""
    kinds = (
        tf_keras.layers.Rescaling,
        tf_keras.layers.Normalization,
        tf_keras.layers.BatchNormalization,
        tf_keras_layers.Scale,
    )
    if not isinstance(layer, kinds):
        return None
    ones, zeros = _ones(layer)
    if isinstance(layer, tf_keras_layers.Scale):
        return layer.gamma.numpy(), zeros
    if isinstance(layer, tf_keras.layers.Rescaling):
        foldable = np.ndim(layer.scale) == 0 and not np.any(layer.offset)
        foldable = foldable and all(isinstance(consumer, KERNELS) for consumer in consumers(layer))
        return None if foldable else (ones * layer.scale, ones * layer.offset)
    if isinstance(layer, tf_keras.layers.Normalization):
        kernel = ones / np.sqrt(np.ravel(layer.variance))
        return kernel, -kernel * np.ravel(layer.mean)
    if list(layer.axis) != [len(layer.output_shape) - 1] or _is_folded(layer):
        return None
    gamma = layer.gamma.numpy() if layer.scale else ones
    beta = layer.beta.numpy() if layer.center else zeros
    kernel = gamma / np.sqrt(layer.moving_variance.numpy() + layer.epsilon)
    return kernel, beta - kernel * layer.moving_mean.numpy()


def _is_folded(norm: tf_keras.layers.BatchNormalization) -> bool:
    """Whether TF-MOT and the converter fold it into the kernel before it; that of a Dense has one scale, and cannot."""
    (node,) = norm.inbound_nodes
    before = node.inbound_layers
    return isinstance(before, CONVOLUTIONS) and before.activation is tf_keras.activations.linear
