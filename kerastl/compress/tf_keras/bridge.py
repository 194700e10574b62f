"""The one room with two Kerases: a Keras 3 model rebuilt in tf_keras, which is the Keras that TF-MOT speaks.

The functional graph is walked node by node. Every layer is made anew from the few settings that change what it
computes, is called on the tensors it was called on, and gets the same weights. Then both models answer a probe: what
is not the same function is an error here and never an accuracy that is missing later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tf_keras
from keras.src.applications.convnext import LayerScale, StochasticDepth

from kerastl.compress.tf_keras import composite_layers, operations, tf_keras_layers
from kerastl.system import layer_graph
from kerastl.types import LazyArray

_CONVOLUTION = ("kernel_size", "strides", "padding", "data_format", "dilation_rate", "activation", "use_bias")
_POOLING = ("pool_size", "strides", "padding", "data_format")
_GLOBAL_POOLING = ("data_format", "keepdims")
_ONLY_IN_TRAINING = (
    keras.layers.ActivityRegularization,
    keras.layers.GaussianNoise,
    keras.layers.Identity,
)
"""Layers that pass on what they get when a model answers. They do not cross, and nor do random changes of pictures."""

# Settings that change what a layer computes when it is called. What else is in a config (initializers, regularizers,
# dtype, keys that only one of the two Kerases knows) is either spent by now or cannot cross.
_SETTINGS: dict[type, tuple[str, ...]] = {
    keras.layers.Activation: ("activation",),
    keras.layers.Add: (),
    keras.layers.Average: (),
    keras.layers.AveragePooling1D: _POOLING,
    keras.layers.AveragePooling2D: _POOLING,
    keras.layers.BatchNormalization: ("axis", "momentum", "epsilon", "center", "scale"),
    keras.layers.Concatenate: ("axis",),
    keras.layers.Conv1D: ("filters", "groups", *_CONVOLUTION),
    keras.layers.Conv1DTranspose: ("filters", "output_padding", *_CONVOLUTION),
    keras.layers.Conv2D: ("filters", "groups", *_CONVOLUTION),
    keras.layers.Conv2DTranspose: ("filters", "output_padding", *_CONVOLUTION),
    keras.layers.Cropping1D: ("cropping",),
    keras.layers.Cropping2D: ("cropping", "data_format"),
    keras.layers.Dense: ("units", "activation", "use_bias"),
    keras.layers.DepthwiseConv1D: ("depth_multiplier", *_CONVOLUTION),
    keras.layers.DepthwiseConv2D: ("depth_multiplier", *_CONVOLUTION),
    keras.layers.Dropout: ("rate", "noise_shape", "seed"),
    keras.layers.ELU: ("alpha",),
    keras.layers.Flatten: ("data_format",),
    keras.layers.GlobalAveragePooling1D: _GLOBAL_POOLING,
    keras.layers.GlobalAveragePooling2D: _GLOBAL_POOLING,
    keras.layers.GlobalMaxPooling1D: _GLOBAL_POOLING,
    keras.layers.GlobalMaxPooling2D: _GLOBAL_POOLING,
    keras.layers.LayerNormalization: ("axis", "epsilon", "center", "scale"),
    keras.layers.Maximum: (),
    keras.layers.MaxPooling1D: _POOLING,
    keras.layers.MaxPooling2D: _POOLING,
    keras.layers.Minimum: (),
    keras.layers.Multiply: (),
    keras.layers.Permute: ("dims",),
    keras.layers.PReLU: ("shared_axes",),
    keras.layers.ReLU: ("max_value", "negative_slope", "threshold"),
    keras.layers.RepeatVector: ("n",),
    keras.layers.Rescaling: ("scale", "offset"),
    keras.layers.Reshape: ("target_shape",),
    keras.layers.SeparableConv1D: ("filters", "depth_multiplier", *_CONVOLUTION),
    keras.layers.SeparableConv2D: ("filters", "depth_multiplier", *_CONVOLUTION),
    keras.layers.Softmax: ("axis",),
    keras.layers.SpatialDropout1D: ("rate", "seed"),
    keras.layers.SpatialDropout2D: ("rate", "seed", "data_format"),
    keras.layers.Subtract: (),
    keras.layers.UpSampling1D: ("size",),
    keras.layers.UpSampling2D: ("size", "data_format", "interpolation"),
    keras.layers.ZeroPadding1D: ("padding",),
    keras.layers.ZeroPadding2D: ("padding", "data_format"),
}

# Names that mean the same function in both; `tf_keras_layers.ACTIVATIONS` has those that tf_keras lacks or computes
# otherwise.
_ACTIVATIONS = (
    "linear", "relu", "softmax", "sigmoid", "tanh", "elu", "selu", "softplus", "softsign", "silu", "gelu", "mish",
)  # fmt: skip


def to_tf_keras(
    model: keras.Model, *, probe: np.ndarray | LazyArray | Mapping[str, np.ndarray], tolerance: float = 1e-4
) -> tf_keras.Model:
    """Rebuilds a Keras 3 model in tf_keras: same graph, same layer names, copies of the weights.

    The caller's model is left as it was. Models nested in it are laid flat, and so are layers that are made of layers;
    where two have one name, the second gets that of its owner before it.

    Args:
        model: a built functional (or Sequential) Keras 3 model of layers that tf_keras or `tf_keras_layers` has, and of
            operations that are such a layer: ``x + y``, ``x * 2``, ``keras.ops.pad`` ...
        probe: some examples ``(examples, *input_shape)``, of any type of numbers, that both models are run on; of
            several inputs a mapping of their names to such arrays.
        tolerance: largest difference allowed between their outputs, as a share of the largest absolute output or of 1,
            whichever is larger.

    Returns:
        A tf_keras functional model.

    Raises:
        ValueError: naming the layer and its class, for a layer, operation or activation that cannot cross; with the
            largest difference, if the two models do not agree on the probe.
    """
    if not isinstance(model, keras.Model):
        raise ValueError(
            f"The bridge needs a Keras 3 model. Received: {type(model).__module__}.{type(model).__name__}."
        )
    if not isinstance(model, keras.Sequential) and not hasattr(model, "_nodes_by_depth"):
        raise ValueError(f"The bridge needs a functional model. Received: the subclassed model {type(model).__name__}.")
    inputs = [
        tf_keras.layers.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=tensor.name) for tensor in model.inputs
    ]
    outputs = _Crossing(model).walk(model, inputs)
    bridged = tf_keras.Model(inputs, outputs if len(outputs) > 1 else outputs[0], name=model.name)
    _compare(model, bridged, probe=_as_inputs(model, probe), tolerance=tolerance)
    return bridged


def to_keras(tf_model: tf_keras.Model, *, like: keras.Model) -> keras.Model:
    """The way back: a copy of a Keras 3 model with the weights of its twin, which was trained further.

    Args:
        tf_model: what `to_tf_keras` made of ``like``, or a copy of that with other weights.
        like: the Keras 3 model; left as it is.

    Returns:
        A new Keras 3 model of the graph, the names and the settings of ``like``.

    Raises:
        ValueError: naming the layer, if the two do not have the same layers with weights of the same shapes.
    """
    weights, names = {layer.name: layer.get_weights() for layer in tf_model.layers}, composite_layers.flat_names(like)
    copy = keras.models.clone_model(like)
    copy.set_weights(like.get_weights())
    for origin, layer in zip(composite_layers.leaves(like), composite_layers.leaves(copy), strict=True):
        if isinstance(layer, keras.layers.Normalization):  # what it adapted to crossed as constants
            layer.finalize_state()
            continue
        name = names[id(origin)]
        wanted = [tuple(weight.shape) for weight in layer.weights]
        given = weights.get(name, [])
        if _is_depthwise(layer) and given:
            given = [np.reshape(given[0], layer.kernel.shape), *given[1:]]
        received = [tuple(weight.shape) for weight in given]
        if received != wanted:
            raise ValueError(
                f"The way back to {like.name!r} needs its layers, with weights of the same shapes. Received: "
                f"{tf_model.name!r}, in which layer {name!r} has {received or 'none'} and not {wanted or 'none'}."
            )
        layer.set_weights(given)
    return copy


class _Crossing:
    """One model on its way: what has been made of its layers, and the names that are given away."""

    def __init__(self, model: keras.Model):
        self._layers: dict[int, tf_keras.layers.Layer] = {}
        self._names = composite_layers.flat_names(model)
        self._taken = {*self._names.values(), *(tensor.name for tensor in model.inputs)}

    def walk(self, model: keras.Model, inputs: list) -> list:
        """Calls the bridged layers of ``model`` on ``inputs`` in the order of its graph; returns its outputs."""
        graph = keras.Model(model.inputs, model.outputs)  # a Sequential shows no graph of its own; makes no new node
        tensors = {id(theirs): ours for theirs, ours in zip(graph.inputs, inputs, strict=True)}

        def ours(argument):
            return tensors[id(argument)] if isinstance(argument, keras.KerasTensor) else argument

        for depth in sorted(graph._nodes_by_depth, reverse=True):
            for node in graph._nodes_by_depth[depth]:
                if not node.is_input:
                    results = self._results(node, ours)
                    tensors.update((id(theirs), result) for theirs, result in zip(node.outputs, results, strict=True))
        return [tensors[id(output)] for output in graph.outputs]

    def _results(self, node: Any, ours: Callable) -> list:
        layer = node.operation
        arguments = keras.tree.map_structure(ours, node.arguments.args)
        if layer_graph.is_functional(layer):
            return self.walk(layer, keras.tree.flatten(arguments[0]))
        if isinstance(layer, _ONLY_IN_TRAINING) or layer_graph.is_augmentation(layer):
            return keras.tree.flatten(arguments)[:1]
        if not isinstance(layer, keras.layers.Layer):
            names = [composite_layers.free_name(layer.name, self._taken) for _ in node.outputs]
            tensors = [ours(tensor) for tensor in node.input_tensors]
            return [
                made(tensors if len(tensors) > 1 else tensors[0])
                for made in operations.bridged(layer, node.arguments, node.outputs, names=names)
            ]
        # Keras 3 notes the default `training=False` of a Dropout and overrules it in every call of the model;
        # tf_keras would hold on to it, and the dropout would never act.
        given = {key: value for key, value in node.arguments.kwargs.items() if value is not None and key != "training"}
        if type(layer) not in _SETTINGS and type(layer) not in _SPECIAL and composite_layers.parts(layer):
            tensors = [ours(tensor) for tensor in node.input_tensors]
            with composite_layers.graph_of(layer, (node.arguments.args, given)) as graph:
                return self.walk(graph, tensors)
        if id(layer) not in self._layers:  # a shared layer is called twice and made once
            self._layers[id(layer)] = _bridge(layer, name=self._names[id(layer)])
        bridged = self._layers[id(layer)]
        results = keras.tree.flatten(bridged(*arguments, **keras.tree.map_structure(ours, given)))
        _copy_weights(layer, bridged)
        return results


def _bridge(layer: keras.layers.Layer, *, name: str) -> tf_keras.layers.Layer:
    """The tf_keras layer of that name that computes the same, without its weights."""
    special = _SPECIAL.get(type(layer))
    if special is not None:
        return special(layer, name)
    if type(layer) not in _SETTINGS:
        raise ValueError(operations.unknown(layer, sorted(kind.__name__ for kind in {*_SETTINGS, *_SPECIAL})))
    settings = _settings(layer)
    if settings.get("activation") is tf_keras_layers.relu6 and isinstance(layer, keras.layers.Activation):
        return tf_keras.layers.ReLU(max_value=6.0, name=name)
    if _is_depthwise(layer):
        settings |= {"depth_multiplier": settings.pop("filters") // settings.pop("groups")}
        return tf_keras.layers.DepthwiseConv2D(name=name, **settings)
    return getattr(tf_keras.layers, type(layer).__name__)(name=name, **settings)


def _settings(layer: keras.layers.Layer) -> dict[str, Any]:
    config = layer.get_config()
    if isinstance(layer, keras.layers.Rescaling):  # whose configuration holds arrays in Keras' own disguise
        config |= {"scale": np.asarray(layer.scale).tolist(), "offset": np.asarray(layer.offset).tolist()}
    settings = {key: config[key] for key in _SETTINGS[type(layer)]}
    activation = settings.get("activation", "linear")
    known = isinstance(activation, str)
    if known and activation in tf_keras_layers.ACTIVATIONS:
        settings["activation"] = tf_keras_layers.ACTIVATIONS[activation]
    elif not known or activation not in _ACTIVATIONS:
        raise ValueError(
            "The bridge needs an activation that is the same function in tf_keras. Received: "
            f"{activation!r} in layer {layer.name!r} of class {type(layer).__name__}. "
            f"Available: {sorted([*_ACTIVATIONS, *tf_keras_layers.ACTIVATIONS])}."
        )
    return settings


def _is_depthwise(layer: keras.layers.Layer) -> bool:
    """Whether every group of a convolution is one channel, which is what a DepthwiseConv2D is, but for its shape."""
    return (
        isinstance(layer, keras.layers.Conv2D)
        and layer.groups > 1
        and layer.kernel.shape[2] == 1
        and layer.data_format == "channels_last"
        and layer.strides[0] == layer.strides[1]
    )


def _bridge_normalization(layer: keras.layers.Normalization, name: str) -> tf_keras.layers.Layer:
    config = layer.get_config()
    if config["invert"]:
        raise ValueError(
            f"The bridge cannot invert. Received: layer {layer.name!r} of class Normalization, invert=True."
        )
    if config["mean"] is not None:
        mean, variance = config["mean"], config["variance"]
    else:
        mean, variance = (keras.ops.convert_to_numpy(value) for value in (layer.adapt_mean, layer.adapt_variance))
    # As constants: what was adapted in Keras 3 is neither trained nor adapted again behind the bridge.
    return tf_keras.layers.Normalization(
        axis=config["axis"], mean=np.array(mean).tolist(), variance=np.array(variance).tolist(), name=name
    )


def _bridge_resizing(layer: keras.layers.Resizing, name: str) -> tf_keras.layers.Layer:
    config = layer.get_config()
    strange = [key for key in ("antialias", "pad_to_aspect_ratio") if config.get(key)]
    if strange or config["data_format"] == "channels_first":
        raise ValueError(
            "The bridge resizes pictures as tf_keras does, channels last. Received: layer "
            f"{layer.name!r} of class Resizing, {', '.join(f'{one}=True' for one in strange) or 'channels_first'}."
        )
    settings = {key: config[key] for key in ("height", "width", "interpolation", "crop_to_aspect_ratio")}
    return tf_keras.layers.Resizing(name=name, **settings)


def _bridge_leaky_relu(layer: keras.layers.LeakyReLU, name: str) -> tf_keras.layers.Layer:
    return tf_keras.layers.LeakyReLU(alpha=layer.get_config()["negative_slope"], name=name)


def _bridge_layer_normalization(layer: keras.layers.LayerNormalization, name: str) -> tf_keras.layers.Layer:
    if layer.get_config().get("rms_scaling"):
        raise ValueError(
            f"The bridge knows no root mean squares. Received: layer {layer.name!r} of class LayerNormalization, "
            "rms_scaling=True."
        )
    return tf_keras.layers.LayerNormalization(name=name, **_settings(layer))


def _bridge_stochastic_depth(layer: StochasticDepth, name: str) -> tf_keras.layers.Layer:
    return tf_keras.layers.Dropout(layer.drop_path_rate, noise_shape=(None, 1, 1, 1), name=name)


def _bridge_layer_scale(layer: LayerScale, name: str) -> tf_keras.layers.Layer:
    return tf_keras_layers.Scale(name=name)


_SPECIAL: dict[type, Callable] = {
    keras.layers.Normalization: _bridge_normalization,
    keras.layers.LayerNormalization: _bridge_layer_normalization,
    keras.layers.LeakyReLU: _bridge_leaky_relu,
    keras.layers.Resizing: _bridge_resizing,
    LayerScale: _bridge_layer_scale,
    StochasticDepth: _bridge_stochastic_depth,
}


def _copy_weights(layer: keras.layers.Layer, bridged: tf_keras.layers.Layer) -> None:
    bridged.trainable = layer.trainable
    if isinstance(layer, keras.layers.Normalization):
        return
    weights = layer.get_weights()
    if _is_depthwise(layer):
        weights[0] = np.reshape(weights[0], bridged.depthwise_kernel.shape)
    bridged.set_weights(weights)


def _as_inputs(model: keras.Model, probe: np.ndarray | LazyArray | Mapping[str, np.ndarray]) -> Any:
    """Examples in the types that a model takes, of several inputs by their names."""
    if not isinstance(probe, Mapping):
        return np.asarray(probe, model.inputs[0].dtype)
    names = [tensor.name for tensor in model.inputs]
    if sorted(names) != sorted(probe):
        raise ValueError(f"Wanted a probe of the inputs {', '.join(names)}. Received: {', '.join(probe)}.")
    return {tensor.name: np.asarray(probe[tensor.name], tensor.dtype) for tensor in model.inputs}


def _compare(
    model: keras.Model, bridged: tf_keras.Model, *, probe: np.ndarray | dict[str, np.ndarray], tolerance: float
) -> None:
    wanted = [keras.ops.convert_to_numpy(output) for output in keras.tree.flatten(model(probe, training=False))]
    received = [np.asarray(output) for output in keras.tree.flatten(bridged(probe, training=False))]
    for ours, theirs in zip(received, wanted, strict=True):
        difference = np.max(np.abs(ours - theirs.astype("float32")))
        scale = max(1.0, float(np.max(np.abs(theirs))))
        if not difference <= tolerance * scale:  # so written, NaN fails too
            raise ValueError(
                f"The bridged model must answer the probe like the Keras 3 model, to {tolerance:g} of {scale:g}. "
                f"Received: a largest difference of {difference:g}. The Keras 3 model computes in "
                f"{sorted({layer.compute_dtype for layer in model.layers})}."
            )
