"""What each layer does to channels: makes them, passes them on, ties them, or is not known. See `coupling`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

from kerastl.compress.channels.labels import Channels, Cut, Product, Trace

Rule = Callable[[Trace, Any, Sequence[Channels], Sequence[keras.KerasTensor], Any], Channels]
"""Takes the trace, the layer, the channels of its inputs, these inputs, and its output; returns the output's channels.
"""

# Functions of one number each: a channel stays by itself.
_ELEMENTWISE = frozenset((
    "celu", "elu", "exponential", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh",
    "leaky_relu", "linear", "log_sigmoid", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "soft_shrink",
    "softplus", "softsign", "sparse_plus", "squareplus", "swish", "tanh", "tanh_shrink", "threshold",
))  # fmt: skip

# Operations that Keras makes of `x + y`, `keras.ops.relu(x)` and the like, by the names of their classes, which it
# keeps to itself.
_UNARY = frozenset((
    "Absolute", "Abs", "Cast", "Celu", "Clip", "Elu", "Exp", "Gelu", "HardSigmoid", "HardSilu", "HardTanh",
    "LeakyRelu", "Log", "LogSigmoid", "Mish", "Negative", "Relu", "Relu6", "Rsqrt", "Selu", "Sigmoid", "Silu",
    "Softplus", "Softsign", "Sqrt", "Square", "StopGradient", "Tanh",
))  # fmt: skip
_BINARY = frozenset((
    "Add", "Divide", "Equal", "Greater", "GreaterEqual", "Less", "LessEqual", "Maximum", "Minimum", "Multiply",
    "NotEqual", "Power", "Subtract", "TrueDivide",
))  # fmt: skip
_REDUCTIONS = frozenset(("Max", "Mean", "Min", "Sum"))


def follow(trace: Trace, node: Any, known: Mapping[int, Channels]) -> list[Channels]:
    """The channels of what one call of a layer or operation gives; ``known`` holds those of its inputs."""
    operation, tensors = node.operation, list(node.input_tensors)
    inputs = [known[id(tensor)] for tensor in tensors]
    if isinstance(operation, keras.layers.Layer) and (operation.weights or type(operation) is layers.Reshape):
        # A layer is cut once, so every call of it reads the same channels.
        for before, now in zip(trace.first_inputs.setdefault(id(operation), inputs), inputs, strict=False):
            if len(before.labels) == len(now.labels):
                trace.tie(before.labels, now.labels)
    rule = _rule_of(operation)
    if rule is None or len(node.outputs) != 1:
        why = f"{_called(operation)} is not known to treat every channel by itself"
        for channels in inputs:
            trace.freeze(channels.labels, why)
        return [trace.untouchable(output.shape, why) for output in node.outputs]
    if isinstance(operation, keras.layers.Layer):
        return [rule(trace, operation, inputs, tensors, node.outputs[0])]
    constants = [
        value
        for value in keras.tree.flatten((node.arguments.args, node.arguments.kwargs))
        if not isinstance(value, keras.KerasTensor | str)
    ]
    if any(np.size(value) != 1 for value in constants):
        return [_refused(trace, inputs, node.outputs[0], f"{_called(operation)} has more than one constant")]
    return [rule(trace, operation, inputs, tensors, node.outputs[0])]


def _rule_of(operation: keras.Operation) -> Rule | None:
    if isinstance(operation, keras.layers.Layer):
        changed = getattr(operation, "quantization_mode", None) or getattr(operation, "lora_enabled", False)
        return None if changed else _RULES.get(type(operation))
    name = type(operation).__name__
    if not type(operation).__module__.startswith("keras."):
        return None
    if name in _UNARY:
        return _passed
    if name in _BINARY:
        return _merged
    if name in _REDUCTIONS:
        return _reduced
    return {"ExpandDims": _expanded, "Concatenate": _concatenated}.get(name)


def _called(operation: keras.Operation) -> str:
    return f"{operation.name!r} of class {type(operation).__name__}"


def _refused(trace: Trace, inputs: Sequence[Channels], output: keras.KerasTensor, why: str) -> Channels:
    for channels in inputs:
        trace.freeze(channels.labels, why)
    return trace.untouchable(output.shape, why)


def _passed(trace, layer, inputs, tensors, output) -> Channels:
    """Every number by itself."""
    return inputs[0]


def _channel_axis(layer: keras.Layer, tensor: keras.KerasTensor) -> int:
    return 1 if getattr(layer, "data_format", None) == "channels_first" else len(tensor.shape) - 1


def _read(trace: Trace, layer: keras.Layer, channels: Channels, tensor: keras.KerasTensor, axis: int) -> np.ndarray:
    """The labels along the axis that a layer reads; where others lie along it, none can go."""
    if channels.axis == axis and len(channels.labels) == tensor.shape[axis]:
        return channels.labels
    why = f"{_called(layer)} sums over another axis than theirs"
    trace.freeze(channels.labels, why)
    labels = trace.fresh(tensor.shape[axis])
    trace.freeze(labels, why)
    return labels


def _made(trace: Trace, layer: keras.Layer, count: int) -> np.ndarray:
    labels = trace.makes(layer, count)
    if not _is_elementwise(layer.activation):
        trace.freeze(labels, f"the activation of {_called(layer)} is not known to treat every channel by itself")
    return labels


def _is_elementwise(activation: object) -> bool:
    name = keras.activations.serialize(activation)
    return name is None or (isinstance(name, str) and name in _ELEMENTWISE)


def _positions(tensor: keras.KerasTensor, axis: int) -> int | None:
    """How many places a tensor has beside its channels; ``None`` if that is not known."""
    sizes = [size for place, size in enumerate(tensor.shape) if place not in (0, axis)]
    return None if None in sizes else math.prod(sizes)


def _times(*numbers: int | None) -> int | None:
    return None if None in numbers else math.prod(numbers)  # type: ignore[arg-type]


def _convolution(trace, layer, inputs, tensors, output) -> Channels:
    axis = _channel_axis(layer, tensors[0])
    read, made = _read(trace, layer, inputs[0], tensors[0], axis), _made(trace, layer, layer.filters)
    positions = _times(_positions(output, axis), math.prod(layer.kernel_size))
    trace.size(layer, "filters", made)
    trace.cut(layer, layer.bias, Cut(0, made, "out"))
    if layer.groups == 1:
        trace.cut(layer, layer.kernel, Cut(-2, read, "in"), Cut(-1, made, "out"))
        trace.work.append(Product(layer.name, positions, (read, made)))
        return Channels(axis, made)
    # A group goes as a whole, with all that it reads and makes: then the rest stays one convolution.
    for members, makes in zip(read.reshape(layer.groups, -1), made.reshape(layer.groups, -1), strict=True):
        whole = np.concatenate([makes, members])
        trace.tie(np.broadcast_to(whole[:1], len(whole) - 1), whole[1:])
    trace.size(layer, "groups", made.reshape(layer.groups, -1)[:, 0])
    trace.cut(layer, layer.kernel, Cut(-1, made, "out"))
    trace.work.append(Product(layer.name, _times(positions, len(read) // layer.groups), (made,)))
    return Channels(axis, made)


def _transposed_convolution(trace, layer, inputs, tensors, output) -> Channels:
    axis = _channel_axis(layer, tensors[0])
    read, made = _read(trace, layer, inputs[0], tensors[0], axis), _made(trace, layer, layer.filters)
    trace.size(layer, "filters", made)
    trace.cut(layer, layer.bias, Cut(0, made, "out"))
    trace.cut(layer, layer.kernel, Cut(-2, made, "out"), Cut(-1, read, "in"))
    positions = _times(_positions(tensors[0], axis), math.prod(layer.kernel_size))
    trace.work.append(Product(layer.name, positions, (read, made)))
    return Channels(axis, made)


def _depthwise_convolution(trace, layer, inputs, tensors, output) -> Channels:
    axis = _channel_axis(layer, tensors[0])
    read = _read(trace, layer, inputs[0], tensors[0], axis)
    passed = np.repeat(read, layer.depth_multiplier)
    if not _is_elementwise(layer.activation):
        trace.freeze(read, f"the activation of {_called(layer)} is not known to treat every channel by itself")
    trace.cut(layer, layer.kernel, Cut(-2, read, "through"))
    trace.cut(layer, layer.bias, Cut(0, passed, "through"))
    trace.work.append(Product(layer.name, _times(_positions(output, axis), math.prod(layer.kernel_size)), (passed,)))
    return Channels(axis, passed)


def _separable_convolution(trace, layer, inputs, tensors, output) -> Channels:
    axis = _channel_axis(layer, tensors[0])
    read, made = _read(trace, layer, inputs[0], tensors[0], axis), _made(trace, layer, layer.filters)
    passed = np.repeat(read, layer.depth_multiplier)
    trace.size(layer, "filters", made)
    trace.cut(layer, layer.depthwise_kernel, Cut(-2, read, "through"))
    trace.cut(layer, layer.pointwise_kernel, Cut(-2, passed, "in"), Cut(-1, made, "out"))
    trace.cut(layer, layer.bias, Cut(0, made, "out"))
    positions = _positions(output, axis)
    trace.work.append(Product(layer.name, _times(positions, math.prod(layer.kernel_size)), (passed,)))
    trace.work.append(Product(layer.name, positions, (passed, made)))
    return Channels(axis, made)


def _dense(trace, layer, inputs, tensors, output) -> Channels:
    axis = len(tensors[0].shape) - 1
    read, made = _read(trace, layer, inputs[0], tensors[0], axis), _made(trace, layer, layer.units)
    trace.size(layer, "units", made)
    trace.cut(layer, layer.kernel, Cut(0, read, "in"), Cut(1, made, "out"))
    trace.cut(layer, layer.bias, Cut(0, made, "out"))
    trace.work.append(Product(layer.name, _positions(output, axis), (read, made)))
    return Channels(axis, made)


def _embedding(trace, layer, inputs, tensors, output) -> Channels:
    made = trace.makes(layer, layer.output_dim)
    trace.size(layer, "output_dim", made)
    trace.cut(layer, layer.embeddings, Cut(1, made, "out"))
    return Channels(len(output.shape) - 1, made)


def _batch_normalization(trace, layer, inputs, tensors, output) -> Channels:
    if not isinstance(layer.axis, int) or layer.axis % len(output.shape) != inputs[0].axis:
        return _refused(trace, inputs, output, f"{_called(layer)} normalizes along another axis than theirs")
    for weight in layer.weights:
        if tuple(weight.shape) == inputs[0].labels.shape:
            trace.cut(layer, weight, Cut(0, inputs[0].labels, "through"))
    return inputs[0]


def _parametric_relu(trace, layer, inputs, tensors, output) -> Channels:
    axis, labels = inputs[0]
    if layer.alpha.shape[axis - 1] == len(labels) and axis not in (layer.shared_axes or ()):
        trace.cut(layer, layer.alpha, Cut(axis - 1, labels, "through"))
    return inputs[0]


def _activation(trace, layer, inputs, tensors, output) -> Channels:
    if not _is_elementwise(layer.activation):
        return _refused(trace, inputs, output, f"{_called(layer)} is not known to treat every channel by itself")
    return inputs[0]


def _softmax(trace, layer, inputs, tensors, output) -> Channels:
    axes = layer.axis if isinstance(layer.axis, list | tuple) else [layer.axis]
    if inputs[0].axis in [axis % len(output.shape) for axis in axes]:
        return _refused(trace, inputs, output, f"{_called(layer)} divides by a sum over them")
    return inputs[0]


def _rescaling(trace, layer, inputs, tensors, output) -> Channels:
    if np.ndim(layer.scale) or np.ndim(layer.offset):
        return _refused(trace, inputs, output, f"{_called(layer)} has a number for every channel")
    return inputs[0]


def _dropout(trace, layer, inputs, tensors, output) -> Channels:
    shape = getattr(layer, "noise_shape", None)
    if shape is not None and shape[inputs[0].axis] not in (None, 1):
        return _refused(trace, inputs, output, f"{_called(layer)} has their number in its noise_shape")
    return inputs[0]


def _spatial(trace, layer, inputs, tensors, output) -> Channels:
    """Works on places, channel by channel: pooling, padding, cropping, growing."""
    if inputs[0].axis != _channel_axis(layer, tensors[0]):
        return _refused(trace, inputs, output, f"{_called(layer)} takes another axis than theirs for channels")
    return inputs[0]


def _global_pooling(trace, layer, inputs, tensors, output) -> Channels:
    axis, labels = _spatial(trace, layer, inputs, tensors, output)
    if len(output.shape) == len(tensors[0].shape):  # keepdims
        return Channels(axis, labels)
    return Channels(1, labels)


def _flattened(trace, layer, inputs, tensors, output) -> Channels:
    """A channel becomes as many numbers as it has places, which go together."""
    axis, shape = inputs[0].axis, list(tensors[0].shape)
    if getattr(layer, "data_format", None) == "channels_first" and len(shape) > 1:  # Keras moves them to the end
        shape.append(shape.pop(1))
        axis = len(shape) - 1 if axis == 1 else axis - 1
    return _laid_out(trace, layer, inputs, shape=shape, axis=axis, output=output)


def _reshaped(trace, layer, inputs, tensors, output) -> Channels:
    channels = _laid_out(trace, layer, inputs, shape=tensors[0].shape, axis=inputs[0].axis, output=output)
    place = channels.axis - 1
    if not trace.is_frozen(channels.labels) and layer.target_shape[place] not in (-1, None):
        trace.size(layer, "target_shape", channels.labels, place)
    return channels


def _laid_out(trace, layer, inputs, *, shape, axis, output) -> Channels:
    """Numbers in their order under another shape: followed where they differ along one axis of it only."""
    if None in shape[1:] or None in output.shape[1:] or len(shape) < 2:
        return _refused(trace, inputs, output, f"{_called(layer)} lays out a shape that is not known")
    row = inputs[0].labels.reshape([-1 if place == axis else 1 for place in range(1, len(shape))])
    laid = np.broadcast_to(row, shape[1:]).reshape(output.shape[1:])
    for place in reversed(range(laid.ndim)):
        line = laid[tuple(slice(None) if other == place else slice(1) for other in range(laid.ndim))]
        if np.array_equal(np.broadcast_to(line, laid.shape), laid):
            return Channels(place + 1, line.reshape(-1))
    return _refused(trace, inputs, output, f"{_called(layer)} spreads them over two axes")


def _permuted(trace, layer, inputs, tensors, output) -> Channels:
    return Channels(list(layer.dims).index(inputs[0].axis) + 1, inputs[0].labels)


def _repeated(trace, layer, inputs, tensors, output) -> Channels:
    return Channels(2, inputs[0].labels)


def _merged(trace, layer, inputs, tensors, output) -> Channels:
    """One number of each input at a time: what is added up goes together.

    Axes are counted from the end, as they are when shapes of differing ranks meet.
    """
    rank = len(output.shape)
    led = [c.axis - len(t.shape) for c, t in zip(inputs, tensors, strict=True) if not trace.is_frozen(c.labels)]
    if not led:
        return trace.untouchable(output.shape, "they are made of what cannot be touched")
    axis = led[0]
    rows: list[np.ndarray] = []
    for channels, tensor in zip(inputs, tensors, strict=True):
        size = tensor.shape[axis] if len(tensor.shape) >= -axis else 1
        along = channels.axis - len(tensor.shape) == axis
        if size == 1 and output.shape[axis] != 1:  # spread over all channels
            trace.freeze(channels.labels, f"{_called(layer)} spreads a single channel over many")
        elif along and len(channels.labels) == output.shape[axis]:
            rows.append(channels.labels)
        else:
            return _refused(trace, inputs, output, f"{_called(layer)} merges them with numbers along another axis")
    for row in rows[1:]:
        trace.tie(rows[0], row)
    return Channels(rank + axis, rows[0])


def _concatenated(trace, layer, inputs, tensors, output) -> Channels:
    axis = layer.axis % len(output.shape)
    if len({channels.axis for channels in inputs}) > 1:
        return _refused(trace, inputs, output, f"{_called(layer)} joins tensors whose channels lie along other axes")
    if inputs[0].axis == axis:
        return Channels(axis, np.concatenate([channels.labels for channels in inputs]))
    for channels in inputs[1:]:
        trace.tie(inputs[0].labels, channels.labels)
    return inputs[0]


def _reduced(trace, operation, inputs, tensors, output) -> Channels:
    axis, rank = inputs[0].axis, len(tensors[0].shape)
    axes = range(rank) if operation.axis is None else np.ravel(operation.axis)
    gone = [int(one) % rank for one in axes]
    if axis in gone or 0 in gone:
        return _refused(trace, inputs, output, f"{_called(operation)} sums over them")
    return inputs[0] if operation.keepdims else Channels(axis - sum(one < axis for one in gone), inputs[0].labels)


def _expanded(trace, operation, inputs, tensors, output) -> Channels:
    rank = len(output.shape)
    new = sorted(int(one) % rank for one in np.ravel(operation.axis))
    axis = inputs[0].axis
    for place in new:
        axis += place <= axis
    if 0 in new:
        return _refused(trace, inputs, output, f"{_called(operation)} moves the batch")
    return Channels(axis, inputs[0].labels)


_RULES: dict[type, Rule] = {
    **dict.fromkeys((layers.Conv1D, layers.Conv2D, layers.Conv3D), _convolution),
    **dict.fromkeys(
        (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose), _transposed_convolution
    ),
    **dict.fromkeys((layers.DepthwiseConv1D, layers.DepthwiseConv2D), _depthwise_convolution),
    **dict.fromkeys((layers.SeparableConv1D, layers.SeparableConv2D), _separable_convolution),
    **dict.fromkeys(
        (
            layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D, layers.CenterCrop,
            layers.Cropping1D, layers.Cropping2D, layers.Cropping3D, layers.MaxPooling1D, layers.MaxPooling2D,
            layers.MaxPooling3D, layers.Resizing, layers.SpatialDropout1D, layers.SpatialDropout2D,
            layers.SpatialDropout3D, layers.UpSampling1D, layers.UpSampling2D, layers.UpSampling3D,
            layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D,
        ),
        _spatial,
    ),
    **dict.fromkeys(
        (
            layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D, layers.GlobalAveragePooling3D,
            layers.GlobalMaxPooling1D, layers.GlobalMaxPooling2D, layers.GlobalMaxPooling3D,
        ),
        _global_pooling,
    ),
    **dict.fromkeys(
        (layers.ActivityRegularization, layers.ELU, layers.Identity, layers.LeakyReLU, layers.ReLU), _passed
    ),
    **dict.fromkeys((layers.AlphaDropout, layers.Dropout, layers.GaussianDropout, layers.GaussianNoise), _dropout),
    **dict.fromkeys(
        (layers.Add, layers.Average, layers.Maximum, layers.Minimum, layers.Multiply, layers.Subtract), _merged
    ),
    layers.Activation: _activation,
    layers.BatchNormalization: _batch_normalization,
    layers.Concatenate: _concatenated,
    layers.Dense: _dense,
    layers.Embedding: _embedding,
    layers.Flatten: _flattened,
    layers.Permute: _permuted,
    layers.PReLU: _parametric_relu,
    layers.RepeatVector: _repeated,
    layers.Rescaling: _rescaling,
    layers.Reshape: _reshaped,
    layers.Softmax: _softmax,
}  # fmt: skip
