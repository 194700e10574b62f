"""Configurations that Keras 2 wrote (TensorFlow up to 2.15, tf_keras), as Keras 3 reads them: the same layers.

What is repaired here says nothing new: settings that a layer has in Keras 3 no more and whose value is the only one
that it could have there, lists of one number, names, and operations of TensorFlow that Keras 3 has as layers or
operations of its own. What is not known is left as it is, and is refused by `keras_config` or by Keras.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from typing import Any

_RECURRENT = "RNN LSTM GRU SimpleRNN ConvLSTM1D ConvLSTM2D ConvLSTM3D"
_RANDOM = "RandomBrightness RandomContrast RandomCrop RandomFlip RandomRotation RandomTranslation RandomZoom"
_UNGROUPED = (
    "DepthwiseConv1D DepthwiseConv2D SeparableConv1D SeparableConv2D Conv1DTranspose Conv2DTranspose Conv3DTranspose"
)
# Settings of Keras 2 that Keras 3 does not have -> the value that says nothing, `...` for any, and the classes.
_SPENT: dict[str, tuple[Any, str]] = {
    "groups": (1, _UNGROUPED),
    "time_major": (False, _RECURRENT),
    "rng_type": (..., _RANDOM),
    "softmax_robust_masking": (False, "MultiHeadAttention"),
    **{f"{name}_shape": (..., "MultiHeadAttention") for name in ("query", "key", "value")},
    # of the one kernel that a separable convolution has two of
    **{f"kernel_{name}": (..., "SeparableConv1D SeparableConv2D") for name in ("initializer", "regularizer")},
    "kernel_constraint": (..., "SeparableConv1D SeparableConv2D"),
    "trainable": (..., "Discretization SpatialDropout1D SpatialDropout2D SpatialDropout3D"),
    "fused": (..., "BatchNormalization"),
    "noise_shape": (..., "SpatialDropout1D SpatialDropout2D SpatialDropout3D"),
    "input_length": (..., "Embedding"),
}
_MODELS = {"Functional": "keras.src.models.functional", "Model": "keras.src.models.functional", "Sequential": "keras"}
_OLD_MODULES = ("tf_keras.", "keras.engine.", "keras.src.engine.", "keras.mixed_precision", "tensorflow.python.keras.")
_ALIASES = {"SyncBatchNormalization": "BatchNormalization", "BatchNormalizationV1": "BatchNormalization"}
_ALIASES |= {"ThresholdedReLU": "ReLU"}
_MERGED = {"add": "Add", "subtract": "Subtract", "sub": "Subtract", "multiply": "Multiply", "mul": "Multiply"}
_MERGED |= {"maximum": "Maximum", "minimum": "Minimum"}
_ACTIVATIONS = "relu relu6 sigmoid softmax tanh silu elu selu gelu softplus softsign leaky_relu"
_FUNCTIONS = {**{name: name for name in _ACTIVATIONS.split()}, "swish": "silu"}
_PLAIN = {"sqrt": "Sqrt", "square": "Square", "exp": "Exp", "log": "Log", "abs": "Absolute", "negative": "Negative"}
_REDUCED = {"reduce_mean": "Mean", "reduce_max": "Max", "reduce_sum": "Sum", "reduce_min": "Min"}
_MIRRORED = [{"class_name": "__ellipsis__"}, {"start": None, "stop": None, "step": -1}]
"""``x[..., ::-1]``: colours in the order of Caffe."""
_NAMESPACES = ("", "math", "nn", "__operators__", "image", "compat.v1")


def repaired(config: Any) -> Any:
    """The configuration of a model, as JSON gives it, in the words of Keras 3; the argument is left as it is.

    What holds nothing of Keras 2 comes back equal.
    """
    try:
        return _repaired(config)
    except RecursionError:  # which `keras_config` says in words
        return config


def _repaired(value: Any) -> Any:
    if isinstance(value, list):
        return [_repaired(one) for one in value]
    if not isinstance(value, dict):
        return value
    name = value.get("class_name")
    if name == "Policy" and isinstance(value.get("config"), dict):  # of a layer's numbers: its name says it all
        return value["config"].get("name", value)
    if name == "Sequential":
        value = _behind_an_input(value)
    found = {key: _repaired(one) for key, one in value.items()}
    if isinstance(name, str):
        _in_todays_modules(found, name)
        if isinstance(found.get("config"), dict):
            found["config"] = _settings(found["class_name"], found["config"])
    return found


def _in_todays_modules(found: dict[str, Any], name: str) -> None:
    """Names an object's class and module as Keras 3 does."""
    found["class_name"] = name = _ALIASES.get(name, name)
    module = found.get("module")
    if isinstance(module, str) and module.startswith(_OLD_MODULES) and "op_layer" not in module:
        found["module"] = _MODELS.get(name, "keras.layers")
        if name == "Model":
            found["class_name"] = "Functional"
        found["registered_name"] = None if found.get("registered_name") is None else found["class_name"]


def _settings(name: str, config: dict[str, Any]) -> dict[str, Any]:
    """The settings of one object."""
    for key, (value, classes) in _SPENT.items():
        if name in classes.split() and key in config and (value is ... or config[key] == value):
            config = {other: one for other, one in config.items() if other != key}
    if name == "BatchNormalization" and isinstance(config.get("axis"), list) and len(config["axis"]) == 1:
        config = {**config, "axis": config["axis"][0]}
    if name == "InputLayer" and "batch_input_shape" in config and "batch_shape" not in config:
        config = {("batch_shape" if key == "batch_input_shape" else key): one for key, one in config.items()}
    config = {key: one for key, one in config.items() if key != "batch_input_shape"}
    if name == "ReLU" and "theta" in config:
        config = {("threshold" if key == "theta" else key): one for key, one in config.items()}
    if isinstance(config.get("layers"), list) and all(isinstance(one, dict) for one in config["layers"]):
        named = _with_todays_references(config)
        config = {**named, "layers": [_of_tensorflow(one) for one in named["layers"]]}
    return config


def _behind_an_input(model: dict[str, Any]) -> dict[str, Any]:
    """A Sequential; the shape that its first layer says of its input becomes an input."""
    config = model.get("config")
    inside = config if isinstance(config, list) else config.get("layers") if isinstance(config, dict) else None
    if not isinstance(inside, list) or not inside or not isinstance(inside[0], dict):
        return model
    first, settings = inside[0], inside[0].get("config")
    if isinstance(settings, dict) and "batch_input_shape" in settings and first.get("class_name") != "InputLayer":
        dtype = settings.get("dtype")
        whole = isinstance(dtype, str) and dtype.startswith(("int", "uint", "bool", "string"))
        start = {"batch_shape": settings["batch_input_shape"], "dtype": dtype if whole else "float32", "name": "start"}
        inside = [_like(first, "InputLayer", start), *inside]
    return {**model, "config": {**(config if isinstance(config, dict) else {"name": "sequential"}), "layers": inside}}


def _like(layer: Mapping[str, Any], name: str, config: dict[str, Any]) -> dict[str, Any]:
    """A layer of another class in the format of one: files of HDF5 name no modules."""
    modern = {"module": "keras.layers", "registered_name": None} if "module" in layer else {}
    return {**modern, "class_name": name, "config": config}


def _with_todays_references(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration of a model whose layers' names hold no slash, and whose calls are numbered as in Keras 3.

    A model inside of another was called once before in Keras 2, when it was made.
    """
    layers = config["layers"]
    names = {str(name) for layer in layers for name in (layer.get("name"), _own_name(layer)) if name}
    renamed: dict[str, str] = {}
    for name in sorted(name for name in names if "/" in name):
        bare = name.replace("/", "_").strip("_") or "layer"
        free = (f"{bare}_{number}" if number else bare for number in itertools.count())
        renamed[name] = next(one for one in free if one not in names.union(renamed.values()))
    old = any(isinstance(node, list) for layer in layers for node in _nodes(layer))
    inside = {str(layer.get("name")): str(layer.get("class_name")) for layer in layers} if old else {}
    models = {name for name, kind in inside.items() if kind in _MODELS}
    in_a_row = {name for name, kind in inside.items() if kind == "Sequential"}
    found = []
    for layer in layers:
        other = {**layer, "config": dict(layer["config"])} if isinstance(layer.get("config"), dict) else dict(layer)
        for place in (other, other["config"] if isinstance(other.get("config"), dict) else {}):
            if place.get("name") in renamed:
                place["name"] = renamed[place["name"]]
        if "inbound_nodes" in other:
            other["inbound_nodes"] = _references(other["inbound_nodes"], renamed, models)
        found.append(other)
    # Keras 3 numbers an output of a functional model as Keras 2 did, and that of a Sequential otherwise
    ends = {
        key: _references(config[key], renamed, in_a_row) for key in ("input_layers", "output_layers") if key in config
    }
    return {**config, **ends, "layers": found}


def _nodes(layer: Mapping[str, Any]) -> list[Any]:
    nodes = layer.get("inbound_nodes")
    return nodes if isinstance(nodes, list) else []


def _own_name(layer: Mapping[str, Any]) -> Any:
    settings = layer.get("config")
    return settings.get("name") if isinstance(settings, dict) else None


def _references(value: Any, renamed: Mapping[str, str], models: Collection[str]) -> Any:
    """The same lists and dictionaries; a layer that is named in them by another name, or by an earlier call."""
    if isinstance(value, dict):
        return {key: _references(one, renamed, models) for key, one in value.items()}
    if not isinstance(value, list):
        return value
    if not _is_tensor(value):
        return [_references(one, renamed, models) for one in value]
    name, call = value[:2]
    call = call - 1 if name in models and call > 0 else call
    return [renamed.get(name, name), call, *(_references(one, renamed, models) for one in value[2:])]


def _of_tensorflow(layer: dict[str, Any]) -> dict[str, Any]:
    """A layer; one that stands for an operation of TensorFlow (``x / 127.5``) as the layer of Keras 3 that does it."""
    if layer.get("class_name") not in ("TFOpLambda", "SlicingOpLambda"):
        return layer
    try:
        (node,) = layer["inbound_nodes"]
        found = _operation(str(layer["config"]["function"]), node)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):  # a shape that nobody writes
        return layer
    if found is None:
        return layer
    module, name, config, nodes = found
    return {
        "module": module,
        "class_name": name,
        "config": {"name": layer["name"], **config},
        "registered_name": None,
        "name": layer["name"],
        "inbound_nodes": [nodes],
    }


_Found = tuple[str, str, dict[str, Any], Any]
_LAYERS, _NUMPY = "keras.layers", "keras.src.ops.numpy"


def _operation(function: str, node: list[Any]) -> _Found | None:
    """Module, class, settings and inputs of what does the same as a call of an operation; ``None`` for one unknown."""
    namespace, _, name = function.rpartition(".")
    if namespace not in _NAMESPACES:
        return None
    single = isinstance(node[0], str)
    called = [node] if single else node
    tensors = [[*one[:3], {}] for one in called]
    given = {key: one for key, one in called[0][3].items() if one is not None and key != "name"}
    if name in ("truediv", "divide", "add", "subtract", "sub", "multiply", "mul", "maximum", "minimum", "bias_add"):
        return _arithmetic(name, tensors[0], given.get("y", given.get("bias")))
    if any(_is_tensor(one) for one in given.values()):
        return None
    if name in _PLAIN and set(given) <= {"x"}:
        return _NUMPY, _PLAIN[name], {}, tensors
    if name in _FUNCTIONS and set(given) <= {"features", "x"} | ({"alpha"} if name == "leaky_relu" else set()):
        if name == "leaky_relu":
            return _LAYERS, "LeakyReLU", {"negative_slope": given.get("alpha", 0.2)}, tensors
        return _LAYERS, "Activation", {"activation": _FUNCTIONS[name]}, tensors
    if name in _REDUCED and set(given) <= {"axis", "keepdims"}:
        settings = {"axis": given.get("axis"), "keepdims": given.get("keepdims", False)}
        return _NUMPY, _REDUCED[name], settings, tensors
    if name == "concat" and not single:
        return _LAYERS, "Concatenate", {"axis": given["axis"]}, tensors
    if name == "reshape":
        return _NUMPY, "Reshape", {"newshape": given["shape"]}, tensors
    if name == "transpose":
        return _NUMPY, "Transpose", {"axes": given.get("perm")}, tensors
    if name == "expand_dims":
        return _NUMPY, "ExpandDims", {"axis": given["axis"]}, tensors
    if name == "squeeze":
        return _NUMPY, "Squeeze", {"axis": given.get("axis")}, tensors
    if name == "cast":
        return "keras.src.ops.core", "Cast", {"dtype": given["dtype"]}, tensors
    if name == "identity":
        return _LAYERS, "Identity", {}, tensors
    if name in ("resize", "resize_images_v2") and namespace == "image" and set(given) <= {"size", "method"}:
        size = given["size"]
        settings = {"height": size[0], "width": size[1], "interpolation": given.get("method", "bilinear")}
        return _LAYERS, "Resizing", settings, tensors
    if name == "getitem" and given["slice_spec"] == _MIRRORED:
        return _NUMPY, "Flip", {"axis": -1}, tensors
    if name == "getitem" and "__ellipsis__" not in str(given["slice_spec"]):  # which Keras 3 cannot read in HDF5
        return _NUMPY, "GetItem", {}, _call(_symbol(tensors[0]), [_slice(one) for one in given["slice_spec"]])
    return None


def _is_tensor(value: object) -> bool:
    """Whether a list names the output of a layer: its name, the number of the call, and which output of it."""
    return isinstance(value, list) and len(value) >= 3 and list(map(type, value[:3])) == [str, int, int]


def _arithmetic(name: str, first: list[Any], second: Any) -> _Found | None:
    """``x + y``, ``x / 127.5``, ``1 - x``: a merge of two tensors, or a Rescaling by numbers, one or one a channel."""
    constant = first[0] == "_CONSTANT_VALUE"
    if constant and not _is_tensor(second):
        return None
    if name in ("truediv", "divide") and _is_tensor(second):
        return _NUMPY, "TrueDivide", {}, _call(first[2] if constant else _symbol(first), _symbol(second))
    if not constant and _is_tensor(second):
        return (_LAYERS, _MERGED[name], {}, [first, [*second[:3], {}]]) if name in _MERGED else None
    number, tensor = (first[2], [*second[:3], {}]) if constant else (second, first)
    numbers = number if isinstance(number, list) else [number]
    if not numbers or not all(isinstance(one, int | float) and not isinstance(one, bool) for one in numbers):
        return None
    scale: list[float] = [1.0] * len(numbers)
    offset: list[float] = [0.0] * len(numbers)
    if name in ("add", "bias_add"):
        offset = [float(one) for one in numbers]
    elif name in ("subtract", "sub"):
        offset = [float(one) if constant else -float(one) for one in numbers]
        scale = [-1.0 if constant else 1.0] * len(numbers)
    elif name in ("multiply", "mul"):
        scale = [float(one) for one in numbers]
    elif name in ("truediv", "divide") and all(numbers):
        scale = [1.0 / one for one in numbers]
    else:
        return None
    several = isinstance(number, list)
    settings = {"scale": scale if several else scale[0], "offset": offset if several else offset[0]}
    return _LAYERS, "Rescaling", settings, [tensor]


def _call(*arguments: Any) -> dict[str, Any]:
    """A call in the format that Keras 3 writes itself."""
    return {"args": list(arguments), "kwargs": {}}


def _symbol(tensor: list[Any]) -> dict[str, Any]:
    given = {"shape": [None], "dtype": "float32", "keras_history": tensor[:3]}
    return {"class_name": "__keras_tensor__", "config": given}


def _slice(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    return {"class_name": "__slice__", "config": {one: part[one] for one in ("start", "stop", "step")}}
