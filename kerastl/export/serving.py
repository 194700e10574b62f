"""What every exported form answers with: what the task asks for, from the examples as data sets hold them.

Training wants logits (softmax and cross-entropy together are the stable pair), a phone wants probabilities. Works on
models of Keras 3 and of tf_keras alike without naming either: what is needed of them is the model itself.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from kerastl.export import keras_graph
from kerastl.export.keras_graph import KerasLayer, KerasModel
from kerastl.types import DecodedTarget, NamedTargets, Task, targets_of


class Held(tf.Module):
    """Keeps a model's variables, and never the model: a Keras 3 model held here would convert to a file of NaN."""

    def __init__(self, model: KerasModel) -> None:
        super().__init__()
        # A Keras 3 variable keeps its `tf.Variable` in `.value`; in tf_keras the variable is one.
        self.held = [value if isinstance(value, tf.Variable) else value.value for value in model.variables]


@dataclasses.dataclass(frozen=True, eq=False)
class Serving:
    """A model as one TensorFlow function.

    Attributes:
        function: takes the inputs in their order, ``(batch, *input_shape)`` each, and returns a dict of outputs.
        holder: keeps the variables that the function reads.
        inputs: a shape, type and name for each input, in order.
        outputs: the names of the outputs, in order.
    """

    function: Callable[..., dict[str, tf.Tensor]]
    holder: Held
    inputs: tuple[tf.TensorSpec, ...]
    outputs: tuple[str, ...]


def with_answers(model: KerasModel, task: Task | None = None) -> KerasModel:
    """The same graph with a layer behind its logits that makes of them what the task's exported files answer.

    Args:
        model: functional Keras 3 or tf_keras model; with a task of one output ``(batch, outputs)``, logits or answers.
        task: what is asked; ``None`` leaves the model as it is.

    Returns:
        A new model that shares every layer with ``model``, its last layer (a softmax, say) named like the task's
        output; ``model`` itself where it ends in answers already, or where there is no task. Two classes by one number
        become two outputs first, see `with_two_logits`. Of several outputs a list in the order of the task's names;
        of several tasks a mapping of their names, behind each what it asks for.

    Raises:
        ValueError: if the model's last layer is neither linear nor makes such answers, or its width is not the task's;
            if one of several outputs has another name than the task's.
    """
    if task is None:
        return model
    order = _outputs_of(model, task)
    model = at_the_door(model, task)
    ends = _ends(model, task, order)
    if len(ends) > 1:
        outputs = {
            name: _answers_of(*end, name=f"{name}_{end[1].target.output_name}")
            for name, end in zip(order, ends, strict=True)
        }
        named = isinstance(task.target, NamedTargets)
        found = outputs if named else [outputs[name] for name in task.target.output_names]
        return keras_graph.class_of_models(model)(list(model.inputs), found, name=model.name)
    answers = _answers_of(model, task, name=task.target.output_name)
    if answers is model.outputs[0]:
        return model
    return keras_graph.class_of_models(model)(model.inputs, answers, name=model.name)


def _answers_of(model: KerasModel, task: Task, *, name: str) -> Any:
    """The symbolic answers of a model of one output, behind a layer of that name where its output is none yet."""
    if _is_answer(model, task):
        return model.outputs[0]
    if isinstance(task.target, DecodedTarget):
        return task.target.served(model.outputs[0])  # pyright: ignore[reportAttributeAccessIssue]
    layers, activation = keras_graph.layers_of(model), task.target.served_activation()
    last = layers.Softmax(name=name) if activation == "softmax" else layers.Activation(activation, name=name)
    return last(model.outputs[0])


def _ends(model: KerasModel, task: Task, names: Sequence[str]) -> list[tuple[KerasModel, Task]]:
    """Each output of a flat model, which no longer knows their names, as a model of its own, with what is asked of it.

    Raises:
        ValueError: if the model has another number of outputs than the task.
    """
    named = task.target.output_names
    if len(model.outputs) != len(named):
        one = "one output" if len(named) == 1 else f"the outputs {', '.join(named)}"
        raise ValueError(f"Wanted a model with {one}. Received: {len(model.outputs)} outputs in {model.name!r}.")
    if len(named) == 1:
        return [(model, task)]
    asked, kind = targets_of(task.target), keras_graph.class_of_models(model)
    inputs = model.inputs[0] if len(model.inputs) == 1 else list(model.inputs)
    return [
        (kind(inputs, value, name=model.name), dataclasses.replace(task, target=asked[name]))
        for name, value in zip(names, model.outputs, strict=True)
    ]


def with_logits(model: KerasModel, task: Task) -> KerasModel:
    """The same graph without what makes answers of its logits, for those who learn from them.

    Args:
        model: as ``with_answers`` takes or returns it.
        task: what is asked.

    Returns:
        A new model that shares its layers with ``model``, but for a last one that has the activation in itself, see
        `before_activation`; ``model`` itself where it ends in logits.

    Raises:
        ValueError: if the activation cannot be taken off.
    """
    if isinstance(task.target, NamedTargets):
        names, flat = _outputs_of(model, task), keras_graph.flat(model)
        ends = [(end, with_logits(end, own)) for end, own in _ends(flat, task, names)]
        if all(end is logits for end, logits in ends):
            return model
        outputs = dict(zip(names, [logits.outputs[0] for _, logits in ends], strict=True))
        return keras_graph.class_of_models(model)(list(flat.inputs), outputs, name=model.name)
    activation = task.target.served_activation()
    if activation == "linear" or not ends_in_answers(model, task):
        return model
    return keras_graph.class_of_models(model)(model.inputs, before_activation(model), name=model.name)


def ends_in_answers(model: KerasModel, task: Task) -> bool:
    """Whether a flat model's last layer has the activation that makes answers, as softmax does of logits.

    Of several outputs each has that of its own task. A last operation that has no activation, as the mean of several
    models, is judged by its answers to noise. A task whose answers are plain numbers takes a model as it ends.

    Raises:
        ValueError: if the model has another number of outputs than the task, or of values in one of them; or its last
            layer ends in another activation, or in numbers that may be answers or not.
    """
    return all(_is_answer(end, own) for end, own in _ends(model, task, _outputs_of(model, task)))


def _is_answer(model: KerasModel, task: Task) -> bool:
    """Whether the one output of a model is an answer, see `ends_in_answers`."""
    if isinstance(task.target, DecodedTarget) and tuple(model.outputs[0].shape[1:]) == task.target.answer_shape:
        return True
    wanted = task.target.served_activation()
    width = model.outputs[0].shape[-1]
    if task.target.outputs and width not in (None, task.target.outputs):
        raise ValueError(
            f"Wanted {task.target.outputs} outputs, one for each of {', '.join(task.target.names[:5])}"
            f"{' ...' if task.target.outputs > 5 else ''}. Received: {width}, from {model.name!r}."
        )
    if wanted == "linear":
        return not isinstance(task.target, DecodedTarget)
    layer = keras_graph.last_layer(model)
    found = keras_graph.activation_of(layer)
    if found is None:
        return _answers_already(model, task, layer)
    if found not in ("linear", wanted):
        raise ValueError(
            f"Wanted a model that ends in logits (linear) or probabilities ({wanted}). Received: layer {layer.name!r} "
            f"of model {model.name!r}, which ends in {found!r}."
        )
    return found == wanted


def _answers_already(model: KerasModel, task: Task, layer: KerasLayer) -> bool:
    """Whether a model's answers to noise look like what a softmax makes.

    Raises:
        ValueError: of a sigmoid, where they are shares at all: nobody can tell whether one made them.
    """
    wanted = task.target.served_activation()
    answers = np.asarray(model(task.inputs.noise(4), training=False), np.float64)
    shares = bool((answers >= 0).all() and (answers <= 1).all())
    if wanted == "sigmoid" and shares:
        raise ValueError(
            "Wanted a model of several classes an example that ends in logits, or in a layer with a sigmoid. Received: "
            f"{model.name!r}, whose last operation {layer.name!r} answers with numbers from 0 to 1."
        )
    return wanted == "softmax" and shares and bool(np.allclose(answers.sum(-1), 1, rtol=0, atol=0.01))


def noise(model: KerasModel, task: Task | None = None, *, examples: int = 4) -> tuple[np.ndarray, ...]:
    """Random raw examples for each of a model's inputs, ``(examples, *input_shape)``.

    A task's kind of input knows its range. Without a task nobody does: numbers then come from four ranges in turn (one
    an example: -1..1, 0..1, bytes 0..255, the normal distribution), integers from 0..4, which every vocabulary has.
    """
    if task is not None:
        return _in_vocabularies(model, model_inputs(model, task.inputs.noise(examples)))
    random = np.random.default_rng(0)
    return _in_vocabularies(model, tuple(_noise(random, spec, examples) for spec in keras_graph.specs_of(model)))


def _in_vocabularies(model: KerasModel, values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The same, where an input goes into an embedding as ids that it has: a model without `keras.Input` takes ids as
    floats, and says nothing of it.
    """
    found = list(values)
    for place, tensor in enumerate(model.inputs):
        sizes = []
        for layer in model.layers:
            with contextlib.suppress(AttributeError, ValueError):  # it is called several times, or not yet
                if type(layer).__name__ == "Embedding" and layer.input is tensor:
                    sizes.append(layer.input_dim)
        if sizes:
            found[place] = (np.floor(np.abs(found[place])) % min(sizes)).astype(found[place].dtype)
    return tuple(found)


def model_inputs(model: KerasModel, examples: Any) -> tuple[Any, ...]:
    """What each of a model's inputs takes, in its order: examples of several inputs come by their names.

    Raises:
        ValueError: if one of the model's inputs has another name.
    """
    if not isinstance(examples, Mapping):
        return (examples,)
    names = keras_graph.names_of(model, "input")
    if sorted(names) != sorted(examples):
        raise ValueError(
            f"Wanted a model with the inputs {', '.join(examples)}. Received: {', '.join(names)} in {model.name!r}."
        )
    return tuple(examples[name] for name in names)


def _noise(random: np.random.Generator, spec: tf.TensorSpec, examples: int) -> np.ndarray:
    shape = tuple(size for size in spec.shape[1:] if size is not None)  # they are all known
    if not spec.dtype.is_floating:
        return random.integers(0, 2 if spec.dtype.is_bool else 5, (examples, *shape)).astype(spec.dtype.name)
    draws = (
        lambda: random.uniform(-1, 1, shape),
        lambda: random.uniform(0, 1, shape),
        lambda: random.integers(0, 256, shape),
        lambda: random.normal(size=shape),
    )
    return np.stack([np.asarray(draws[index % 4]()) for index in range(examples)]).astype(spec.dtype.name)


def serve(model: KerasModel, task: Task | None = None, *, batch: int | None = None) -> Serving:
    """The model as one TensorFlow function with named inputs and outputs.

    With a task the one input is an example as splits hold it, named as in an exported file where that takes one tensor
    an example (a picture's ``image``) and as in the model else; the one output is named by the task, and what it asks
    for. Without a task nothing stands behind the model, and the names are its own.

    Args:
        model: functional model; with a task of one input and one output.
        task: what is asked, or ``None``.
        batch: a fixed batch size, or ``None`` for any.

    Raises:
        ValueError: as for `with_answers`, and if an input has an axis of unknown size, or does not take what the task's
            examples are.
    """
    specs, outputs = ends_of(model, task, batch=batch)
    model = at_the_door(model, task)
    answer = answering(model, task, outputs=outputs)

    @tf.function(input_signature=specs, autograph=False)
    def function(*values: tf.Tensor) -> dict[str, tf.Tensor]:
        answers = answer(model, values)
        return {name: tf.identity(value, name=name) for name, value in zip(outputs, answers, strict=True)}

    return Serving(function, Held(model), specs, outputs)


def ends_of(
    model: KerasModel, task: Task | None, *, batch: int | None = None
) -> tuple[tuple[tf.TensorSpec, ...], tuple[str, ...]]:
    """Shape, type and name of each input that `serve` takes, and the names of its outputs; errors as there."""
    if task is None:
        return keras_graph.specs_of(model, batch=batch), keras_graph.names_of(model, "output")
    if isinstance(task.inputs.shape, Mapping):
        specs = keras_graph.specs_of(model, batch=batch)
        return model_inputs(model, {spec.name: spec for spec in specs}), _outputs_of(model, task)
    return (_spec_of(model, task, batch=batch),), _outputs_of(model, task)


def _outputs_of(model: KerasModel, task: Task) -> tuple[str, ...]:
    """The task's name for each of a model's outputs, in the order of the model.

    Raises:
        ValueError: if there are several, and they have other names than the task's.
    """
    named = task.target.output_names
    if len(named) == 1 or len(model.outputs) != len(named):  # another number of them is refused where it is counted
        return named
    own = keras_graph.names_of(model, "output")
    if sorted(own) != sorted(named):
        raise ValueError(f"Wanted the outputs {', '.join(named)}. Received: {', '.join(own)} in {model.name!r}.")
    return own


def at_the_door(model: KerasModel, task: Task | None) -> KerasModel:
    """The model as its exports take it: called with a list of inputs where it has several, see `keras_graph.flat`.

    With a task two classes that one number tells apart are two outputs. Nothing is guessed: the task has two classes
    whose probabilities sum to one, and the model one output.
    """
    if task is None:
        return keras_graph.flat(model)
    one = len(model.outputs) == 1 and model.outputs[0].shape[-1] == 1
    if one and task.target.outputs == 2 and task.target.served_activation() == "softmax":
        model = with_two_logits(model)
    return keras_graph.flat(model)


def with_two_logits(model: KerasModel) -> KerasModel:
    """The same graph with the logits ``[0, z]`` for its one logit ``z``; the second class is the one of label 1.

    Where the model ends in a sigmoid, ``z`` is taken from before it. A last layer that has the sigmoid in itself is
    made anew without it and gets a copy of the weights; all other layers are shared.

    Args:
        model: functional Keras 3 or tf_keras model, one output ``(batch, 1)`` that is a logit or its sigmoid.

    Raises:
        ValueError: if the model has another output, ends in another activation, or was trained quantization-aware with
            the sigmoid, so that its last layer cannot be made anew.
    """
    if len(model.outputs) != 1 or model.outputs[0].shape[-1] != 1:
        shapes = ", ".join(str(tuple(value.shape)) for value in model.outputs)
        raise ValueError(f"Wanted a model with one output (batch, 1). Received: {shapes} from {model.name!r}.")
    last = keras_graph.last_layer(model)
    activation = keras_graph.activation_of(last) or keras_graph.name_of_operation(last)
    if activation not in ("linear", "sigmoid"):
        raise ValueError(
            "Wanted a model that ends in one logit or one sigmoid. Received: layer "
            f"{last.name!r} of model {model.name!r}, which ends in {activation!r}."
        )
    logit = before_activation(model) if activation == "sigmoid" else model.outputs[0]
    layers = keras_graph.layers_of(model)
    both = layers.Dense(2, use_bias=False, trainable=False, dtype="float32", name="two_logits")
    made = keras_graph.class_of_models(model)(model.inputs, both(logit), name=model.name)
    both.set_weights([np.array([[0.0, 1.0]], np.float32)])
    return made


def before_activation(model: KerasModel) -> Any:
    """The symbolic tensor before a model's last activation, a softmax or a sigmoid: exact, whatever it saturates at.

    It is looked for inside of models and before layers that change nothing, which are left out. A last layer that has
    the activation in itself is made anew without it and gets a copy of the weights; all other layers are shared.

    Raises:
        ValueError: if that layer cannot be made anew, as one that was trained quantization-aware; or a softmax is taken
            over another axis than the last.
    """
    value = model.outputs[0]
    layer, node, _ = value._keras_history
    given = layer._inbound_nodes[node].input_tensors
    source = tf.nest.flatten(given)[0]
    if getattr(layer, "layers", None) and getattr(layer, "outputs", None):
        inner = keras_graph.class_of_models(layer)(layer.inputs, before_activation(layer))
        return inner(given if len(layer.inputs) > 1 else source)
    if keras_graph.changes_nothing(layer):
        return before_activation(keras_graph.class_of_models(model)(model.inputs, source))
    if type(layer).__name__ in ("Activation", "Sigmoid", "Softmax", "LogSoftmax"):
        if getattr(layer, "axis", -1) not in (-1, len(source.shape) - 1):
            raise ValueError(f"Wanted a softmax over the last axis. Received: axis {layer.axis} in {layer.name!r}.")
        return source
    config = layer.get_config()
    if hasattr(layer, "layer") or "activation" not in config:
        raise ValueError(
            "Wanted a last layer whose activation can be taken off. Received: "
            f"{layer.name!r} of {model.name!r}. Use export.serving.with_logits, or of one sigmoid "
            "with_two_logits before quantization-aware training."
        )
    plain = type(layer).from_config({**config, "activation": "linear"})
    logit = plain(source)
    plain.set_weights(layer.get_weights())
    return logit


def answering(
    model: KerasModel, task: Task | None, *, outputs: Sequence[str]
) -> Callable[[KerasModel, Sequence[tf.Tensor]], list[tf.Tensor]]:
    """How a flat model, or what is left of it behind its first layers, is called: a tensor an input, one an output.

    Whether the task's answers have to be made of its outputs, called ``outputs`` in its order, is found out here,
    outside of any graph.
    """
    ends = [] if task is None else _ends(model, task, outputs)
    served = [(lambda value: value) if _is_answer(end, own) else own.target.served for end, own in ends]

    def answer(body: KerasModel, values: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        found = body(values[0] if len(values) == 1 else list(values), training=False)
        answers = found if isinstance(found, list | tuple) else [found]
        return [make(value) for make, value in zip(served, answers, strict=True)] if served else list(answers)

    return answer


def _spec_of(model: KerasModel, task: Task, *, batch: int | None = None) -> tf.TensorSpec:
    """Shape, type and name of the one input of a task's model, see `serve`.

    Raises:
        ValueError: if the model has more than one input, or takes no examples of the task's shape.
    """
    if len(model.inputs) != 1:
        raise ValueError(f"Wanted a model with one input. Received: {len(model.inputs)} inputs in {model.name!r}.")
    value, wanted = model.inputs[0], task.inputs.shape
    shape = tuple(value.shape)[1:]
    if len(shape) != len(wanted) or any(size not in (None, given) for size, given in zip(shape, wanted, strict=True)):
        raise ValueError(
            f"Wanted a model that takes {task.inputs.kind} examples of shape {wanted}. Received: {model.name!r}, which "
            f"takes {shape}."
        )
    names = task.inputs.tensors
    return tf.TensorSpec(
        (batch, *wanted), keras_graph.dtype_of(value), name=names[0] if len(names) == 1 else value.name
    )
