"""Temperature scaling inside of a model: its logits divided by one number, so that every file of it has it as well."""

from __future__ import annotations

import math

from kerastl.export import keras_graph, serving
from kerastl.export.keras_graph import KerasModel
from kerastl.types import Task


def fold(model: KerasModel, task: Task, *, temperature: float) -> KerasModel:
    """The same model with its logits divided by a temperature (Guo et al. 2017, https://arxiv.org/abs/1706.04599).

    Where a dense layer makes the logits it is made anew, with its kernel and bias divided, so that files have not one
    operation more; behind any other layer stands a `Rescaling`. Which class is answered stays, and so does every layer
    before: they are shared.

    Args:
        model: functional Keras 3 or tf_keras model, ends in logits ``(batch, classes)`` or in their softmax.
        task: what is asked: one class an example.
        temperature: positive, above 1 for a model that is too sure.

    Returns:
        A model that ends in the divided logits, in a layer of the name that the logits had.

    Raises:
        ValueError: if the temperature is no positive number, the task's answers are no softmax of logits, or the model
            ends in neither.
    """
    if not 0 < temperature < math.inf:
        raise ValueError(f"Wanted a positive temperature. Received: {temperature}.")
    if task.target.served_activation() != "softmax":
        raise ValueError(
            f"A temperature divides the logits of one class an example. Received: the task {task.name!r} of "
            f"{task.target.kind}."
        )
    model = serving.with_logits(serving.at_the_door(model, task), task)
    layer, kind = keras_graph.producer(model.outputs[0]), keras_graph.class_of_models(model)
    if type(layer).__name__ == "Dense" and keras_graph.activation_of(layer) == "linear":
        _, node, _ = model.outputs[0]._keras_history
        source = layer._inbound_nodes[node].input_tensors
        made = type(layer).from_config(layer.get_config())
        logits = made(source[0] if isinstance(source, list | tuple) else source)
        made.set_weights([weight / temperature for weight in layer.get_weights()])
    else:
        logits = keras_graph.layers_of(model).Rescaling(1 / temperature, name="temperature")(model.outputs[0])
    inputs = model.inputs[0] if len(model.inputs) == 1 else list(model.inputs)
    return kind(inputs, logits, name=model.name)
