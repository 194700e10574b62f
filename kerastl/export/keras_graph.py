"""What a functional model of either Keras is made of: its ends by name, its last layer, the library it belongs to."""

from __future__ import annotations

import importlib
import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np
import tensorflow as tf


class KerasLayer(Protocol):
    """What is asked of a layer of either Keras."""

    @property
    def name(self) -> str: ...


class KerasModel(Protocol):
    """What is asked of a functional model of either Keras, so that neither has to be named."""

    @property
    def name(self) -> str: ...

    @property
    def inputs(self) -> Any: ...

    @property
    def outputs(self) -> Any: ...

    @property
    def layers(self) -> Any: ...

    @property
    def variables(self) -> Any: ...

    @property
    def weights(self) -> Any: ...

    def __call__(self, *args: object, **kwargs: object) -> Any: ...


def class_of_models(model: KerasModel) -> Any:
    """``keras.Model`` or ``tf_keras.Model``, whichever the model is one of."""
    for ancestor in type(model).__mro__:
        if ancestor.__name__ == "Model" and ancestor.__module__.split(".")[0] in ("keras", "tf_keras"):
            return ancestor
    raise ValueError(f"Wanted a Keras 3 or tf_keras model. Received: {type(model).__module__}.{type(model).__name__}.")


def functional(model: KerasModel) -> KerasModel:
    """The model itself, or a subclassed one as the one layer of a functional model of the inputs that it was called on.

    Raises:
        ValueError: a subclassed model was never called, or cannot be called on symbols.
    """
    if getattr(model, "inputs", None):
        return model
    kind = class_of_models(model)
    library = importlib.import_module(kind.__module__.split(".")[0])
    known: dict[str, Any] = getattr(model, "_build_shapes_dict", None) or {
        "input": getattr(model, "_build_input_shape", None)
    }
    way_out = "Or make it functional: keras.Model(inputs, outputs)."
    if not all(isinstance(shape, tuple | list | tf.TensorShape) for shape in known.values()):
        raise ValueError(
            "Wanted a model that knows its inputs. Received: the subclassed model "
            f"{type(model).__name__}, which was never called on an example, or computes with something else than "
            f"layers and keras.ops. {way_out}"
        )
    inputs = [library.Input(tuple(shape)[1:], name=key.removesuffix("_shape")) for key, shape in known.items()]
    try:
        return kind(inputs if len(inputs) > 1 else inputs[0], model(*inputs), name=f"{model.name}_called")
    except Exception as error:  # whatever its own code says to a symbol
        raise ValueError(
            "Wanted a model that can be called on symbols, as layers and keras.ops can. Received: the subclassed model "
            f"{type(model).__name__}, which says: {' '.join(str(error).split())[:300]}. {way_out}"
        ) from error


def layers_of(model: KerasModel) -> Any:
    """The layers of the Keras that a model is made with: the module ``keras.layers``, or that of tf_keras."""
    library = class_of_models(model).__module__.split(".")[0]
    return importlib.import_module(library).layers


def layer_of(model: KerasModel) -> Callable[[str], str | None]:
    """A function that finds the innermost layer in what the converter calls a tensor, or ``None``.

    ``model_1/conv_1/Relu;model_1/conv_1/convolution``: of a Keras 3 model each scope has a number behind it, which is
    not the layer's own.
    """
    names = frozenset(_layer_names(model))
    numbered = class_of_models(model).__module__.startswith("keras.")

    def found(name: str) -> str | None:
        for part in reversed(re.split("[/;]", name)):
            bare = re.sub(r"_\d+$", "", part)
            for one in (bare, part) if numbered else (part, bare):
                if one in names:
                    return one
        return None

    return found


def _layer_names(model: KerasModel) -> Iterator[str]:
    """Those of layers, and of layers of models among them."""
    for layer in model.layers:
        yield layer.name
        if getattr(layer, "layers", None):
            yield from _layer_names(layer)


def names_of(model: KerasModel, end: str) -> tuple[str, ...]:
    """The names of a model's inputs or outputs (``end`` says which) in its order: keys of a dict, or names of layers.

    Of a layer that gives several outputs the second is ``name_1``, and so on; and so is an output that would be called
    as an input is, for example one that is passed on: a file has one tensor of a name.
    """
    structure = _structure(model, end)
    values = list(getattr(model, f"{end}s"))
    keys = structure if isinstance(structure, Mapping) and len(structure) == len(values) else None
    given = [str(key) for key in sorted(keys)] if keys else [producer(value).name for value in values]
    names: list[str] = []
    inputs = names_of(model, "input") if end == "output" else ()
    given = [re.sub(r"[^\w.-]", "_", one) for one in given]  # what a signature may be called
    for name in given:
        taken, free = {*inputs, *names}, (f"{name}_{number}" for number in itertools.count(1))
        names.append(next(other for other in free if other not in taken.union(given)) if name in taken else name)
    return tuple(names)


def refuse_weights_that_are_no_numbers(model: KerasModel) -> None:
    """Raises `ValueError` for a model with a weight that is NaN or infinite, naming it: no file of it answers."""
    for weight in model.weights:
        values = np.asarray(weight)
        if np.issubdtype(values.dtype, np.integer) or values.dtype == np.bool_:
            continue
        wrong = int((~np.isfinite(values.astype(np.float32))).sum())
        if wrong:
            name = getattr(weight, "path", weight.name)
            raise ValueError(
                f"Wanted weights that are finite. Received: {model.name!r}, where {wrong:,} of {values.size:,} numbers "
                f"of {name} are NaN or infinite. A training whose loss became NaN leaves such a model behind."
            )


def flat(model: KerasModel) -> KerasModel:
    """The same graph, called with a list of inputs and answering with a list of outputs in the order of `names_of`.

    A model of one input and one output is returned as it is, and is called with one and answers with one.
    """
    dicts = any(isinstance(_structure(model, end), Mapping) for end in ("input", "output"))
    if len(model.inputs) == len(model.outputs) == 1 and not dicts:
        return model
    return class_of_models(model)(list(model.inputs), list(model.outputs), name=model.name)


def _structure(model: KerasModel, end: str) -> object:
    """What a model's inputs or outputs were made of: a tensor, a list, a dict."""
    return getattr(model, f"_{end}s_struct", getattr(model, f"_nested_{end}s", None))


def specs_of(model: KerasModel, *, batch: int | None = None) -> tuple[tf.TensorSpec, ...]:
    """Shape, type and name of each of a model's inputs, in its order and by its own names.

    Raises:
        ValueError: if an input has an axis of unknown size, or two have one name.
    """
    specs = []
    for value, name in zip(model.inputs, names_of(model, "input"), strict=True):
        shape = tuple(value.shape)[1:]
        if any(size is None for size in shape):
            raise ValueError(f"Wanted an input of known shape. Received: {shape} in model {model.name!r}.")
        specs.append(tf.TensorSpec((batch, *shape), dtype_of(value), name=name))
    return tuple(specs)


def dtype_of(value: Any) -> str:
    """The type of a symbolic tensor of either Keras by its name."""
    return value.dtype if isinstance(value.dtype, str) else tf.as_dtype(value.dtype).name


def producer(value: Any) -> Any:
    """The layer a symbolic tensor comes out of."""
    history = value._keras_history
    return history.operation if hasattr(history, "operation") else history.layer


def last_layer(model: KerasModel) -> Any:
    """Where a model's answers come from: inside of models in it, and before layers that change nothing."""
    value = model.outputs[0]
    while True:
        layer, node, place = value._keras_history
        inner = getattr(layer, "layer", layer)  # TF-MOT wraps each layer it quantizes
        if getattr(inner, "layers", None) and getattr(inner, "outputs", None):
            value = inner.outputs[place]
        elif changes_nothing(inner):
            value = tf.nest.flatten(layer._inbound_nodes[node].input_tensors)[0]
        else:
            return inner


def activation_of(layer: Any) -> str | None:
    """The name of the activation that a layer ends in, ``None`` where it has none."""
    if type(layer).__name__ == "Softmax":
        return "softmax"
    activation = getattr(layer, "activation", None)
    activation = getattr(activation, "activation", activation)  # TF-MOT wraps each of these, too
    if activation is None:
        return None
    # a layer may stand for an activation; TF-MOT has a class for none
    name = getattr(activation, "__name__", type(activation).__name__.lower())
    return "linear" if name == "noopactivation" else name


def name_of_operation(layer: Any) -> str:
    """``"sigmoid"`` for ``keras.ops.sigmoid`` and its like, ``"linear"`` for what squeezes nothing."""
    name = type(layer).__name__.lower()
    names = {"logsoftmax": "log_softmax", "hardsigmoid": "hardsigmoid"}
    return names.get(name, name) if name in ("sigmoid", "softmax", "tanh", "relu", *names) else "linear"


_NOISES = ("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AlphaDropout", "GaussianDropout")
_ONLY_IN_TRAINING = (*_NOISES, "GaussianNoise", "ActivityRegularization", "Identity")


def changes_nothing(layer: Any) -> bool:
    """Whether a layer's output is its input when a model answers: numbers may change their type, never their order."""
    kind = type(layer).__name__
    if kind == "Activation":
        return activation_of(layer) == "linear"
    if kind in ("Reshape", "Flatten"):
        return all(
            [tuple(value.shape) for value in tf.nest.flatten(node.outputs)]
            == [tuple(value.shape) for value in tf.nest.flatten(node.input_tensors)]
            for node in layer._inbound_nodes
        )
    return kind in _ONLY_IN_TRAINING or (kind == "Cast" and "float" in str(layer.dtype))
