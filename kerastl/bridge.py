"""The one room with two Kerases: a Keras 3 model rebuilt in tf_keras, which is the Keras that TF-MOT speaks.

The functional graph is walked node by node. Every layer is made anew from the few settings that change what it
computes, is called on the tensors it was called on, and gets the same weights. Then both models answer a probe: what
is not the same function is an error here and never an accuracy that is missing later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import keras
import numpy as np
import tf_keras

_CONVOLUTION = ("kernel_size", "strides", "padding", "data_format", "dilation_rate", "activation", "use_bias")
_POOLING = ("pool_size", "strides", "padding", "data_format")
_GLOBAL_POOLING = ("data_format", "keepdims")

# Settings that change what a layer computes when it is called. What else is in a config (initializers, regularizers,
# dtype, keys that only one of the two Kerases knows) is either spent by now or cannot cross.
_SETTINGS: dict[type, tuple[str, ...]] = {
    keras.layers.Activation: ("activation",),
    keras.layers.Add: (),
    keras.layers.Average: (),
    keras.layers.AveragePooling2D: _POOLING,
    keras.layers.BatchNormalization: ("axis", "momentum", "epsilon", "center", "scale"),
    keras.layers.Concatenate: ("axis",),
    keras.layers.Conv2D: ("filters", "groups", *_CONVOLUTION),
    keras.layers.Cropping2D: ("cropping", "data_format"),
    keras.layers.Dense: ("units", "activation", "use_bias"),
    keras.layers.DepthwiseConv2D: ("depth_multiplier", *_CONVOLUTION),
    keras.layers.Dropout: ("rate", "noise_shape", "seed"),
    keras.layers.Flatten: ("data_format",),
    keras.layers.GlobalAveragePooling2D: _GLOBAL_POOLING,
    keras.layers.GlobalMaxPooling2D: _GLOBAL_POOLING,
    keras.layers.MaxPooling2D: _POOLING,
    keras.layers.Multiply: (),
    keras.layers.Permute: ("dims",),
    keras.layers.ReLU: ("max_value", "negative_slope", "threshold"),
    keras.layers.Rescaling: ("scale", "offset"),
    keras.layers.Reshape: ("target_shape",),
    keras.layers.SeparableConv2D: ("filters", "depth_multiplier", *_CONVOLUTION),
    keras.layers.Softmax: ("axis",),
    keras.layers.SpatialDropout2D: ("rate", "seed", "data_format"),
    keras.layers.Subtract: (),
    keras.layers.UpSampling2D: ("size", "data_format", "interpolation"),
    keras.layers.ZeroPadding2D: ("padding", "data_format"),
}

# Names that mean the same function in both. "hard_sigmoid" is missing on purpose: tf_keras computes another slope.
_ACTIVATIONS = (
    "linear", "relu", "softmax", "sigmoid", "tanh", "elu", "selu", "softplus", "softsign", "silu", "gelu", "mish",
)  # fmt: skip


def to_tf_keras(model: keras.Model, *, probe: np.ndarray, tolerance: float = 1e-4) -> tf_keras.Model:
    """Rebuilds a Keras 3 model in tf_keras: same graph, same layer names, copies of the weights.

    The caller's model is left as it was. Models nested in it are laid flat.

    Args:
        model: a built functional (or Sequential) Keras 3 model of layers that both Kerases have.
        probe: float32 array ``(examples, *input_shape)`` that both models are run on.
        tolerance: largest difference allowed between their outputs, as a share of the largest absolute output or of 1,
            whichever is larger.

    Returns:
        A tf_keras functional model.

    Raises:
        ValueError: naming the layer and its class, for a layer or activation that cannot cross; with the largest
            difference, if the two models do not agree on the probe.
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
    layers: dict[int, tf_keras.layers.Layer] = {}
    outputs = _walk(model, inputs, layers=layers)
    bridged = tf_keras.Model(inputs, outputs if len(outputs) > 1 else outputs[0], name=model.name)
    _compare(model, bridged, probe=probe, tolerance=tolerance)
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
    weights = {layer.name: layer.get_weights() for layer in tf_model.layers}
    copy = keras.models.clone_model(like)
    copy.set_weights(like.get_weights())
    for layer in _leaves(copy):
        if isinstance(layer, keras.layers.Normalization):  # what it adapted to crossed as constants
            layer.finalize_state()
            continue
        wanted = [tuple(weight.shape) for weight in layer.weights]
        received = [tuple(weight.shape) for weight in weights.get(layer.name, [])]
        if received != wanted:
            raise ValueError(
                f"The way back to {like.name!r} needs its layers, with weights of the same shapes. Received: "
                f"{tf_model.name!r}, in which layer {layer.name!r} has {received or 'none'} and not {wanted or 'none'}."
            )
        layer.set_weights(weights.get(layer.name, []))
    return copy


def _leaves(model: keras.Model) -> Iterator[keras.layers.Layer]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _leaves(layer)
        else:
            yield layer


def _walk(model: keras.Model, inputs: list, *, layers: dict[int, tf_keras.layers.Layer]) -> list:
    """Calls the bridged layers of ``model`` on ``inputs`` in the order of its graph; returns its outputs."""
    graph = keras.Model(model.inputs, model.outputs)  # a Sequential shows no graph of its own; makes no new node
    tensors = {id(theirs): ours for theirs, ours in zip(graph.inputs, inputs, strict=True)}

    def ours(argument):
        return tensors[id(argument)] if isinstance(argument, keras.KerasTensor) else argument

    for depth in sorted(graph._nodes_by_depth, reverse=True):
        for node in graph._nodes_by_depth[depth]:
            if node.is_input:
                continue
            layer = node.operation
            arguments = keras.tree.map_structure(ours, node.arguments.args)
            if isinstance(layer, keras.Model):
                results = _walk(layer, keras.tree.flatten(arguments[0]), layers=layers)
            else:
                if id(layer) not in layers:  # a shared layer is called twice and made once
                    layers[id(layer)] = _bridge(layer)
                # Keras 3 notes the default `training=False` of a Dropout and overrules it in every call of the model;
                # tf_keras would hold on to it, and the dropout would never act.
                given = node.arguments.kwargs.items()
                options = {key: value for key, value in given if value is not None and key != "training"}
                results = keras.tree.flatten(layers[id(layer)](*arguments, **options))
                _copy_weights(layer, layers[id(layer)])
            tensors.update((id(theirs), result) for theirs, result in zip(node.outputs, results, strict=True))
    return [tensors[id(output)] for output in graph.outputs]


def _bridge(layer: keras.layers.Layer) -> tf_keras.layers.Layer:
    """The tf_keras layer of the same name that computes the same, without its weights."""
    special = _SPECIAL.get(type(layer))
    if special is not None:
        return special(layer)
    if type(layer) not in _SETTINGS:
        raise ValueError(
            "The bridge needs layers that tf_keras has and that are known to compute the same there. Received: layer "
            f"{layer.name!r} of class {type(layer).__module__}.{type(layer).__name__}. "
            f"Available: {sorted(kind.__name__ for kind in {*_SETTINGS, *_SPECIAL})}."
        )
    config = layer.get_config()
    settings = {key: config[key] for key in _SETTINGS[type(layer)]}
    if "activation" in settings:
        if settings["activation"] == "relu6" and isinstance(layer, keras.layers.Activation):
            return tf_keras.layers.ReLU(max_value=6.0, name=layer.name)
        if settings["activation"] not in _ACTIVATIONS:
            raise ValueError(
                "The bridge needs an activation that is the same function in tf_keras. Received: "
                f"{settings['activation']!r} in layer {layer.name!r} of class {type(layer).__name__}. "
                f"Available: {sorted(_ACTIVATIONS)}, and 'relu6' in an Activation layer."
            )
    return getattr(tf_keras.layers, type(layer).__name__)(name=layer.name, **settings)


def _bridge_normalization(layer: keras.layers.Normalization) -> tf_keras.layers.Layer:
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
        axis=config["axis"], mean=np.array(mean).tolist(), variance=np.array(variance).tolist(), name=layer.name
    )


def _bridge_leaky_relu(layer: keras.layers.LeakyReLU) -> tf_keras.layers.Layer:
    return tf_keras.layers.LeakyReLU(alpha=layer.get_config()["negative_slope"], name=layer.name)


_SPECIAL: dict[type, Callable] = {
    keras.layers.Normalization: _bridge_normalization,
    keras.layers.LeakyReLU: _bridge_leaky_relu,
}


def _copy_weights(layer: keras.layers.Layer, bridged: tf_keras.layers.Layer) -> None:
    bridged.trainable = layer.trainable
    if not isinstance(layer, keras.layers.Normalization):
        bridged.set_weights(layer.get_weights())


def _compare(model: keras.Model, bridged: tf_keras.Model, *, probe: np.ndarray, tolerance: float) -> None:
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
