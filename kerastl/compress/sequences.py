"""A tf_keras model of sequences as one of pictures a place wide: what has no integer kernel of one axis has one of two.

TF-MOT quantizes no layer of the Conv1D family, and TensorFlow computes each as one of the Conv2D family. Between such
layers a sequence ``(length, channels)`` stays a picture ``(length, 1, channels)``, so that a normalization is folded
into the convolution before it, and a bias and a ReLU are parts of one operator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from tf_keras import layers

from kerastl.compress import fine_tuning

_KERNELS = (layers.Conv1D, layers.SeparableConv1D, layers.DepthwiseConv1D, layers.Conv1DTranspose)
_OTHERS = (
    layers.MaxPooling1D,
    layers.AveragePooling1D,
    layers.GlobalMaxPooling1D,
    layers.GlobalAveragePooling1D,
    layers.ZeroPadding1D,
    layers.Cropping1D,
    layers.UpSampling1D,
    layers.SpatialDropout1D,
)
_EITHER = (
    layers.Activation,
    layers.ReLU,
    layers.LeakyReLU,
    layers.Dropout,
    layers.BatchNormalization,
    layers.Add,
    layers.Subtract,
    layers.Multiply,
    layers.Average,
    layers.Maximum,
    layers.Minimum,
    layers.Concatenate,
    layers.Flatten,
)
"""Layers that do the same to both."""


def as_pictures(model: tf_keras.Model) -> tf_keras.Model:
    """The same function of the same inputs, with copies of the weights; the model itself where it has no such layer.

    Args:
        model: functional; left as it is. Layers keep their names; those of sequences of any length are left alone.
    """
    kernels = [layer for layer in model.layers if isinstance(layer, _KERNELS)]
    if not kernels or any(None in shape[1:] for layer in kernels for shape in _shapes(layer)):
        return model
    return _Laying(model).made()


def _shapes(layer: layers.Layer) -> list[tuple]:
    shape = layer.input_shape
    return shape if isinstance(shape, list) else [shape]


class _Laying:
    """One way through a model.

    Attributes:
        tensors: of each tensor of the model by its id the new one, and whether that is a picture.
    """

    def __init__(self, model: tf_keras.Model) -> None:
        self._model = model
        self.tensors: dict[int, tuple[Any, bool]] = {}
        self._copies: dict[tuple[int, bool], list[layers.Layer]] = {}

    def made(self) -> tf_keras.Model:
        inputs = []
        for tensor, layer in zip(self._model.inputs, self._model._input_layers, strict=True):
            inputs.append(tf_keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=layer.name))
            self.tensors[id(tensor)] = inputs[-1], False
        for depth in sorted(self._model._nodes_by_depth, reverse=True):
            for node in self._model._nodes_by_depth[depth]:
                if not node.is_input:
                    self._call(node)
        outputs = [self._of(tensor, picture=False) for tensor in self._model.outputs]
        return tf_keras.Model(inputs, outputs if len(outputs) > 1 else outputs[0], name=self._model.name)

    def _call(self, node: Any) -> None:
        layer = node.layer
        theirs = [one for one in tf.nest.flatten((node.call_args, node.call_kwargs)) if id(one) in self.tensors]
        sequence = isinstance(layer, (*_KERNELS, *_OTHERS)) and None not in theirs[0].shape[1:]
        sequence &= getattr(layer, "data_format", None) != "channels_first"
        laid = any(self.tensors[id(one)][1] for one in theirs)
        picture = sequence or (laid and type(layer) in _EITHER and all(len(one.shape) == 3 for one in theirs))
        arguments, options = tf.nest.map_structure(
            lambda one: self._of(one, picture=picture) if id(one) in self.tensors else one,
            (node.call_args, node.call_kwargs),
        )
        key = id(layer), picture
        if key not in self._copies:  # a shared layer is called twice and made once
            self._copies[key] = _copy(layer, picture=picture)
        value = arguments[0]
        for place, one in enumerate(self._copies[key]):
            value = one(value) if place else one(*arguments, **options)
        _fill(layer, self._copies[key])
        found = tf.nest.flatten(value)
        for tensor, ours in zip(tf.nest.flatten(node.outputs), found, strict=True):
            self.tensors[id(tensor)] = ours, picture and len(ours.shape) == 4

    def _of(self, tensor: Any, *, picture: bool) -> Any:
        """The new tensor, as a picture or as it was."""
        value, is_picture = self.tensors[id(tensor)]
        if picture and not is_picture:
            value = layers.Reshape((value.shape[1], 1, value.shape[2]))(value)
            self.tensors[id(tensor)] = value, True  # whoever wants the sequence makes it of this one again
        elif is_picture and not picture:
            value = layers.Reshape((value.shape[1], value.shape[3]))(value)
        return value


def _copy(layer: Any, *, picture: bool) -> list[layers.Layer]:
    """Layers to be called one after the other."""
    if not picture:
        return [fine_tuning.with_stateful_randomness(layer)]
    if type(layer) in _EITHER:
        if isinstance(layer, layers.BatchNormalization | layers.Concatenate):
            config = layer.get_config()
            axis = config["axis"][0] if isinstance(config["axis"], list | tuple) else config["axis"]
            return [_like(layer, type(layer).from_config({**config, "axis": -1 if axis in (2, -1) else axis}))]
        return [fine_tuning.with_stateful_randomness(layer)]
    return [*_padded(layer), _like(layer, _OF[type(layer)](layer))]


def _like(layer: Any, copy: Any) -> Any:
    copy.trainable = layer.trainable
    return copy


def _padded(layer: Any) -> list[layers.Layer]:
    """What stands in front of a convolution that sees nothing of the future."""
    if getattr(layer, "padding", "") != "causal":
        return []
    before = layer.dilation_rate[0] * (layer.kernel_size[0] - 1)
    return [layers.ZeroPadding2D(((before, 0), (0, 0)), name=f"{layer.name}_past")]


def _fill(layer: Any, copies: list[layers.Layer]) -> None:
    weights = [weight for one in copies for weight in one.weights]
    for weight, value in zip(weights, layer.get_weights(), strict=True):
        weight.assign(np.reshape(value, weight.shape))


def _kernel(kind: Callable[..., Any], *names: str, equal: bool = False) -> Callable[[Any], Any]:
    """A convolution of two axes with the settings of one, of which some are its own."""

    def made(layer: Any) -> Any:
        stride = layer.strides[0]
        options = {name: getattr(layer, name) for name in (*names, "activation", "use_bias", "name")}
        options["padding"] = "valid" if layer.padding == "causal" else layer.padding
        # the one stride of depthwise operators is that of both axes
        options["strides"] = (stride, stride if equal else 1)
        return kind(kernel_size=(layer.kernel_size[0], 1), dilation_rate=(layer.dilation_rate[0], 1), **options)

    return made


def _pooling(kind: Callable[..., Any]) -> Callable[[Any], Any]:
    def made(layer: Any) -> Any:
        size, stride = (int(np.ravel(value)[0]) for value in (layer.pool_size, layer.strides))
        return kind((size, 1), strides=(stride, 1), padding=layer.padding, name=layer.name)

    return made


_OF: dict[type, Callable[[Any], Any]] = {
    layers.Conv1D: _kernel(layers.Conv2D, "filters", "groups"),
    layers.SeparableConv1D: _kernel(layers.SeparableConv2D, "filters", "depth_multiplier", equal=True),
    layers.DepthwiseConv1D: _kernel(layers.DepthwiseConv2D, "depth_multiplier", equal=True),
    layers.Conv1DTranspose: _kernel(layers.Conv2DTranspose, "filters"),
    layers.MaxPooling1D: _pooling(layers.MaxPooling2D),
    layers.AveragePooling1D: _pooling(layers.AveragePooling2D),
    layers.GlobalMaxPooling1D: lambda one: layers.GlobalMaxPooling2D(keepdims=one.keepdims, name=one.name),
    layers.GlobalAveragePooling1D: lambda one: layers.GlobalAveragePooling2D(keepdims=one.keepdims, name=one.name),
    layers.ZeroPadding1D: lambda one: layers.ZeroPadding2D((one.padding, (0, 0)), name=one.name),
    layers.Cropping1D: lambda one: layers.Cropping2D((one.cropping, (0, 0)), name=one.name),
    layers.UpSampling1D: lambda one: layers.UpSampling2D((one.size, 1), name=one.name),
    layers.SpatialDropout1D: lambda one: layers.SpatialDropout2D(one.rate, name=one.name),
}
