"""What every exported form answers with: probabilities, from raw pixels or token ids.

Training wants logits (softmax and cross-entropy together are the stable pair), a phone wants probabilities. Works on
models of Keras 3 and of tf_keras alike without naming either: what is needed of them is the model itself.
"""

from __future__ import annotations

import dataclasses
import importlib
from typing import Any

import numpy as np
import tensorflow as tf

OUTPUT_NAME = "probabilities"


class Held(tf.Module):
    """Keeps a model's variables, and never the model: a Keras 3 model held here would convert to a file of NaN."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        # A Keras 3 variable keeps its `tf.Variable` in `.value`; in tf_keras the variable is one.
        self.held = [value if isinstance(value, tf.Variable) else value.value for value in model.variables]


@dataclasses.dataclass(frozen=True, eq=False)
class Serving:
    """A model as one TensorFlow function.

    Attributes:
        function: takes the one input by its name, ``(batch, *input_shape)``, and returns ``{"probabilities": ...}``.
        holder: keeps the variables that the function reads.
        input_name: ``"image"`` for pictures, else the name of the model's input.
    """

    function: Any
    holder: Held
    input_name: str


def with_probabilities(model: Any, *, multi_label: bool = False) -> Any:
    """The same graph with a softmax layer named ``probabilities`` behind its logits, or for several classes a sigmoid.

    Args:
        model: functional Keras 3 or tf_keras model, output ``(batch, classes)``, logits or probabilities.
        multi_label: whether an example may have none or several of the classes.

    Returns:
        A new model that shares every layer with ``model``; ``model`` itself where it ends in probabilities already.

    Raises:
        ValueError: if the model's last layer is neither linear nor makes such probabilities.
    """
    if ends_in_probabilities(model, multi_label=multi_label):
        return model
    model_class, layers = class_of_models(model), _layers_of(model)
    last = layers.Activation("sigmoid", name=OUTPUT_NAME) if multi_label else layers.Softmax(name=OUTPUT_NAME)
    return model_class(model.inputs, last(model.outputs[0]), name=model.name)


def with_logits(model: Any) -> Any:
    """The same graph without the softmax layer behind its logits, for those who learn from them.

    Args:
        model: as ``with_probabilities`` takes or returns it.

    Returns:
        A new model that shares its layers with ``model``; ``model`` itself where it ends in logits.

    Raises:
        ValueError: if its probabilities do not come out of a softmax layer.
    """
    if not ends_in_probabilities(model):
        return model
    layer = _producer(model.outputs[0])
    if type(layer).__name__ != "Softmax":
        raise ValueError(
            f"Wanted a model with a softmax layer behind its logits. Received: {model.name!r}, whose last layer "
            f"{layer.name!r} makes probabilities by itself."
        )
    return class_of_models(model)(model.inputs, layer.input, name=model.name)


def probabilities_of(logits: tf.Tensor, *, multi_label: bool) -> tf.Tensor:
    """Probabilities ``(batch, classes)`` that sum to one, or of several classes an example each for itself."""
    return tf.nn.sigmoid(logits) if multi_label else tf.nn.softmax(logits)


def ends_in_probabilities(model: Any, *, multi_label: bool = False) -> bool:
    """Whether the model's last layer is a softmax, or with ``multi_label`` a sigmoid.

    A last operation that has no activation, as the mean of several models, is judged by its answers to noise.

    Raises:
        ValueError: if the model has more than one output, or one number in it; or its last layer ends in another
            activation, or in numbers that may be the probabilities of several classes or not.
    """
    wanted = "sigmoid" if multi_label else "softmax"
    if len(model.outputs) != 1:
        raise ValueError(f"Wanted a model with one output. Received: {len(model.outputs)} outputs in {model.name!r}.")
    if model.outputs[0].shape[-1] == 1 and not multi_label:
        raise ValueError(
            f"Wanted an output a class, two at least: of one, softmax makes 1. Received: one, from {model.name!r}."
        )
    layer = _last_layer(model)
    softmax = type(layer).__name__ == "Softmax"
    if softmax and not multi_label:
        return True
    activation = getattr(layer, "activation", None)
    activation = getattr(activation, "activation", activation)  # TF-MOT wraps each of these, too
    if activation is None and not softmax:
        return _answers_probabilities(model, multi_label=multi_label)
    # a layer may stand for an activation; TF-MOT has a class for none
    name = "softmax" if softmax else getattr(activation, "__name__", type(activation).__name__.lower())
    if name not in ("linear", wanted, "noopactivation"):
        raise ValueError(
            f"Wanted a model that ends in logits (linear) or probabilities ({wanted}). Received: layer {layer.name!r} "
            f"of model {model.name!r}, which ends in {name!r}."
        )
    return name == wanted


def _last_layer(model: Any) -> Any:
    """Where a model's answers come from: inside of models in it, and before layers that change nothing."""
    value = model.outputs[0]
    while True:
        layer, node, place = value._keras_history
        inner = getattr(layer, "layer", layer)  # TF-MOT wraps each layer it quantizes
        if getattr(inner, "layers", None) and getattr(inner, "outputs", None):
            value = inner.outputs[place]
        elif type(inner).__name__ in ("Dropout", "Identity") or _is_linear_activation(inner):
            value = tf.nest.flatten(layer._inbound_nodes[node].input_tensors)[0]
        else:
            return inner


def _is_linear_activation(layer: Any) -> bool:
    return type(layer).__name__ == "Activation" and getattr(layer.activation, "__name__", "") == "linear"


def _answers_probabilities(model: Any, *, multi_label: bool) -> bool:
    """Whether a model's answers to noise look like what a softmax makes.

    Raises:
        ValueError: with ``multi_label``, where they are shares at all: nobody can tell whether a sigmoid made them.
    """
    answers = np.asarray(model(noise(model), training=False), np.float64)
    shares = bool((answers >= 0).all() and (answers <= 1).all())
    if multi_label and shares:
        raise ValueError(
            "Wanted a model of several classes an example that ends in logits, or in a layer with a sigmoid. Received: "
            f"{model.name!r}, whose last operation {_last_layer(model).name!r} answers with numbers from 0 to 1."
        )
    return shares and not multi_label and bool(np.allclose(answers.sum(-1), 1, rtol=0, atol=0.01))


def noise(model: Any, *, examples: int = 4) -> np.ndarray:
    """Random raw inputs of a model, ``(examples, *input_shape)``: pixels, or ids that every vocabulary has."""
    shape, dtype, _ = input_of(model)
    return np.random.default_rng(0).integers(0, 5 if dtype == "int32" else 256, (examples, *shape)).astype(dtype)


def serve(model: Any, *, batch: int | None = None, multi_label: bool = False) -> Serving:
    """The model as one TensorFlow function with named input and output.

    Args:
        model: functional model with one input and one output.
        batch: a fixed batch size, or ``None`` for any.
        multi_label: as in `with_probabilities`.
    """
    probabilities = ends_in_probabilities(model, multi_label=multi_label)
    shape, dtype, name = input_of(model)

    @tf.function(input_signature=[tf.TensorSpec((batch, *shape), dtype, name=name)], autograph=False)
    def function(value: tf.Tensor) -> dict[str, tf.Tensor]:
        answers = model(value, training=False)
        if not probabilities:
            answers = probabilities_of(answers, multi_label=multi_label)
        return {OUTPUT_NAME: tf.identity(answers, name=OUTPUT_NAME)}

    return Serving(function, Held(model), name)


def input_of(model: Any) -> tuple[tuple[int, ...], str, str]:
    """Shape without the batch axis, dtype, and exported name of the model's one input.

    Raises:
        ValueError: if the model has more than one input or an axis of unknown size.
    """
    if len(model.inputs) != 1:
        raise ValueError(f"Wanted a model with one input. Received: {len(model.inputs)} inputs in {model.name!r}.")
    value = model.inputs[0]
    shape = tuple(value.shape)[1:]
    if any(size is None for size in shape):
        raise ValueError(f"Wanted an input of known shape. Received: {shape} in model {model.name!r}.")
    dtype = value.dtype if isinstance(value.dtype, str) else tf.as_dtype(value.dtype).name
    return shape, dtype, "image" if len(shape) == 3 else value.name


def reads_text(model: Any) -> bool:
    """Whether the model's one input is token ids, int32 ``(batch, sequence_length)``."""
    shape, dtype, _ = input_of(model)
    return dtype == "int32" and len(shape) == 1


def class_of_models(model: Any) -> Any:
    """``keras.Model`` or ``tf_keras.Model``, whichever the model is one of."""
    for ancestor in type(model).__mro__:
        if ancestor.__name__ == "Model" and ancestor.__module__.split(".")[0] in ("keras", "tf_keras"):
            return ancestor
    raise ValueError(f"Wanted a Keras 3 or tf_keras model. Received: {type(model).__module__}.{type(model).__name__}.")


def _layers_of(model: Any) -> Any:
    library = class_of_models(model).__module__.split(".")[0]
    return importlib.import_module(library).layers


def _producer(value: Any) -> Any:
    """The layer a symbolic tensor comes out of."""
    history = value._keras_history
    return history.operation if hasattr(history, "operation") else history.layer
