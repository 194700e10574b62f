"""Fine-tuning of a compressed tf_keras network that keeps what its kernels hold: zeros, and numbers that are shared.

Quantization-aware training and clustering are both this, and both at once; no layer is wrapped for it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import tensorflow as tf
import tf_keras
from tensorflow_model_optimization.python.core.quantization.keras.quantize_aware_activation import NoOpActivation

from kerastl.export import keras_graph, serving
from kerastl.system import memory
from kerastl.training import batching, resume
from kerastl.training.callbacks import CallbackList, TerminateOnNonFinite
from kerastl.types import History, Task, Workspace, labels_and_teacher_logits

_RANDOM = tf_keras.__internal__.layers.BaseRandomLayer


def fit(
    network: tf_keras.Model,
    batches: tf.data.Dataset,
    *,
    purpose: str,
    epochs: int,
    learning_rate: float,
    loss: Callable | None,
    teacher: Callable | None,
    validation: tf.data.Dataset | None,
    workspace: Workspace | None,
    callbacks: Sequence[Any],
    trained: Sequence[tf.Variable],
    zeros: Sequence[tf.Variable] = (),
    shared: Sequence[TiedWeights] = (),
    names: Sequence[str] = (),
) -> None:
    """Trains ``network`` in place with Adam and a cosine decay to zero; its ``history`` is then what `curves` reads.

    Args:
        network: ends in logits ``(examples, classes)``, or in what the task of the batches asks for.
        purpose: what errors call the training, for example ``"Clustering"``.
        batches, epochs, learning_rate, loss, teacher, validation, workspace, callbacks: as in `qat.train`.
        trained: the variables that learn.
        zeros: kernels whose zeros stay zero.
        shared: kernels whose clusters stay clusters.
        names: of the network's several outputs, see `output_names`: labels and answers are mappings of them.

    Raises:
        ValueError: for batches without a known length, or labels that are not one class an example where neither a
            task nor a loss says more; for a teacher beside stored answers, or other answers.
        NonFiniteError: at the first step after which a weight or the loss is NaN or infinite, naming both.
    """
    spec: Any = batches.element_spec
    labels, answers = labels_and_teacher_logits(spec[1])
    if answers is not None and (teacher is not None or _widths(answers) != _widths(network.outputs, names)):
        raise ValueError(
            f"{purpose} takes a teacher or stored answers, which have as many classes as the network. Received: "
            f"network {network.output_shape}, answers {tf.nest.map_structure(lambda one: one.shape, answers)}, "
            f"teacher={teacher}."
        )
    task = batching.task_of(batches)
    each = tf.nest.flatten(labels)
    classes = not names and each[0].dtype.is_integer and (len(each[0].shape) < 2 or each[0].shape[-1] == 1)
    if not classes and loss is None and task is None:
        raise ValueError(
            f"{purpose} takes labels for one index of a class an example where nothing says more. Received: labels of "
            f"shape {each[0].shape}, {each[0].dtype.name}. Batches of data.pipeline know their task; or say loss=."
        )
    network.history = tf_keras.callbacks.History()
    network.history.history = {}
    if epochs:
        steps = int(batches.cardinality())
        if steps < 1:
            raise ValueError(
                f"{purpose} needs batches of a known length. Received: cardinality {steps}. "
                "Take a number of batches with `.take(count)`, or state it with `assert_cardinality`."
            )
        stored = answers is not None
        trainer = _Trainer(
            network,
            loss=loss,
            teacher=teacher,
            asked=_CLASSES if classes else _asked(task),
            stored=stored,
            trained=trained,
            zeros=zeros,
            shared=shared,
            names=names,
        )
        decay = tf_keras.optimizers.schedules.CosineDecay(learning_rate, epochs * steps)
        trainer.compile(optimizer=tf_keras.optimizers.Adam(decay))
        logs = [tf_keras.callbacks.TensorBoard(str(workspace.logs), write_graph=False)] if workspace else []
        with memory.release_graphs():
            network.history.history = resume.fit(
                trainer,
                batches,
                epochs=epochs,
                validation=validation,
                watchers=[TerminateOnNonFinite(), *callbacks, *logs],
                workspace=workspace,
                adapt=lambda everyone: [_Together(everyone)],
            )


def with_logits(model: tf_keras.Model, *, purpose: str) -> tf_keras.Model:
    """A model without a softmax at its end, of which nobody learns well; export puts one behind it.

    Args:
        model: from ``bridge.to_tf_keras``.
        purpose: as in `fit`.

    Raises:
        ValueError: the softmax cannot be taken off, see `export.serving.before_activation`, or it is one of several
            outputs.
    """
    last = [keras_graph.last_layer(model)] if len(model.outputs) == 1 else _last_layers(model)
    ends = [layer for layer in last if keras_graph.activation_of(layer) == "softmax"]
    if ends and len(model.outputs) > 1:
        raise ValueError(
            f"{purpose} of a model of several outputs needs logits. Received: probabilities from the layer "
            f"{ends[0].name!r}. The softmax is added on export."
        )
    return tf_keras.Model(model.inputs, serving.before_activation(model), name=model.name) if ends else model


def output_names(model: tf_keras.Model, task: Task | None, *, purpose: str) -> tuple[str, ...]:
    """What the task calls each of a model's several outputs, in the model's order; nothing of one output.

    A model from the bridge has lost the names of a mapping, whose values came in the order of its sorted keys.

    Args:
        model: from ``bridge.to_tf_keras``.
        task: of the batches.
        purpose: as in `fit`.

    Raises:
        ValueError: there is no task, or one of another number of outputs.
    """
    if len(model.outputs) == 1:
        return ()
    own = tuple(layer.name for layer in _last_layers(model))
    named = task.target.output_names if task else ()
    if len(named) != len(own):
        asked = f"a task of {', '.join(named)}" if task else "batches that do not know their task"
        raise ValueError(
            f"{purpose} of a model of several outputs needs batches of data.pipeline of as many tasks. Received: the "
            f"outputs {', '.join(own)} and {asked}."
        )
    return own if sorted(own) == sorted(named) else tuple(sorted(named))


def with_named_outputs(network: tf_keras.Model, names: Sequence[str]) -> tf_keras.Model:
    """The same graph with its history, its outputs under their names where there are several."""
    if not names:
        return network
    named = tf_keras.Model(network.inputs, dict(zip(names, network.outputs, strict=True)), name=network.name)
    named.history = network.history
    return named


def _last_layers(model: tf_keras.Model) -> list[Any]:
    """The layer that each output comes out of."""
    return [output._keras_history.layer for output in model.outputs]


def _widths(values: Any, names: Sequence[str] = ()) -> Any:
    """Numbers of an output, of several those of each by its name."""
    if isinstance(values, list):
        values = dict(zip(names, values, strict=True)) if names else values[0]
    return {name: one.shape[-1] for name, one in values.items()} if isinstance(values, Mapping) else values.shape[-1]


def are_numbers(batches: tf.data.Dataset) -> bool:
    """Whether the labels of batches are numbers, which outputs are compared with as they are, and no classes."""
    spec: Any = batches.element_spec
    labels, _ = labels_and_teacher_logits(spec[1])
    return not any(one.dtype.is_integer for one in tf.nest.flatten(labels))


def norm_behind(layer: tf_keras.layers.Layer) -> tf_keras.layers.BatchNormalization | None:
    """The BatchNormalization that alone reads a layer with a kernel, and in a file is folded into it."""
    activation = getattr(layer, "layer", layer).activation
    activation = getattr(activation, "activation", activation)  # TF-MOT wraps that as well
    if activation is not tf_keras.activations.linear and not isinstance(activation, NoOpActivation):
        return None
    behind = [getattr(node.outbound_layer, "layer", node.outbound_layer) for node in layer.outbound_nodes]
    found = len(behind) == 1 and isinstance(behind[0], tf_keras.layers.BatchNormalization)
    return behind[0] if found else None


def curves(network: tf_keras.Model, *, stage: str) -> History:
    """The training curves of a network after `fit`: the loss, and accuracy or the target's metric, an epoch a value."""
    history = network.history.history
    return History(stage, {name: tuple(float(value) for value in values) for name, values in history.items()})


def with_stateful_randomness(layer: tf_keras.layers.Layer) -> tf_keras.layers.Layer:
    """A new layer of the same settings, for ``clone_model``, whose random state goes into a checkpoint.

    By default it stays hidden in TensorFlow's kernels. Without a seed of its own a layer gets one from Python's random
    numbers, as tf_keras does until something in the process seeds tf_keras; from then on no other seed counts there.
    """
    config = layer.get_config()
    if isinstance(layer, _RANDOM):
        seed = config.get("seed")
        config |= {"rng_type": "stateful", "seed": random.randint(1, 10**9) if seed is None else seed}
    return layer.__class__.from_config(config)


_LEAST_FACTOR = 1e-3  # of its layer's largest; what is smaller, files of 8 bits hold no bias beside


class TiedWeights:
    """A kernel whose weights are shared: those of one cluster are one number, and learn as one.

    The gradient of a shared number is the sum over its weights (Han et al. 2016, "Deep Compression", section 3.3).

    Args:
        kernel: the variable; its weights have shared numbers already.
        channels: 1, or the number of channels that have clusters of their own; they lie along the last axes.
        norm: the BatchNormalization that is folded into the kernel in a file, whose factors then stay positive: a
            factor below zero would make other numbers of those of its channel.
    """

    def __init__(
        self, kernel: tf.Variable, *, channels: int = 1, norm: tf_keras.layers.BatchNormalization | None = None
    ):
        self.kernel, self.channels, self._norm = kernel, channels, norm
        columns = kernel.numpy().reshape(-1, channels)
        members, self._count = np.empty(columns.shape, "int32"), 0
        for channel in range(channels):
            found, inverse = np.unique(columns[:, channel], return_inverse=True)
            members[:, channel] = inverse + self._count
            self._count += len(found)
        self._members = tf.constant(members.reshape(-1))
        self._first = tf.constant(np.unique(members, return_index=True)[1], tf.int32)
        self.snap()

    def tied(self, gradient: tf.Tensor) -> tf.Tensor:
        """The gradient of every weight: that of its cluster."""
        sums = tf.math.unsorted_segment_sum(tf.reshape(gradient, [-1]), self._members, self._count)
        return tf.reshape(tf.gather(sums, self._members), self.kernel.shape)

    def snap(self) -> None:
        """Makes the weights of a cluster one number to the last bit, which a step of an optimizer does not promise.

        It is the number of one of them and no mean: the rounding of a mean over many would add up from step to step.
        """
        numbers = tf.gather(tf.reshape(self.kernel, [-1]), self._first)
        self.kernel.assign(tf.reshape(tf.gather(numbers, self._members), self.kernel.shape))
        if self._norm is not None and self._norm.scale:
            deviations = tf.sqrt(self._norm.moving_variance + self._norm.epsilon)
            least = _LEAST_FACTOR * tf.reduce_max(self._norm.gamma / deviations)
            self._norm.gamma.assign(tf.maximum(self._norm.gamma, least * deviations))


class _Together(tf_keras.callbacks.Callback):
    """Tells callbacks of either Keras what happens in a ``fit``; its begin and end they hear elsewhere."""

    def __init__(self, everyone: CallbackList):
        super().__init__()
        self._everyone = everyone

    def on_epoch_begin(self, epoch, logs=None):
        self._everyone.on_epoch_begin(epoch, logs)

    def on_epoch_end(self, epoch, logs=None):
        self._everyone.on_epoch_end(epoch, logs)

    def on_train_batch_begin(self, batch, logs=None):
        self._everyone.on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch, logs=None):
        self._everyone.on_train_batch_end(batch, logs)

    def on_test_begin(self, logs=None):
        self._everyone.on_test_begin(logs)

    def on_test_end(self, logs=None):
        self._everyone.on_test_end(logs)


class _Trainer(tf_keras.Model):
    """Fits a network by a loss of its own; its variables go by the names that Keras 3 gives them."""

    def __init__(self, network, *, loss, teacher, asked: _Asked, stored, trained, zeros, shared, names):
        super().__init__()
        self.network, self._outputs = network, tuple(names)
        self._answer = (lambda inputs: teacher(inputs)) if teacher is not None else None  # untracked: not ours to train
        taught = stored or teacher is not None
        self._loss: Callable = loss or (asked.of_answers if taught else asked.of_labels)
        # validation brings no answers
        self._loss_of_labels: Callable = asked.of_labels if taught else self._loss
        self._trained = list(trained)
        self._masks = [(kernel, tf.cast(kernel != 0, kernel.dtype)) for kernel in zeros]
        self._shared = {id(one.kernel): one for one in shared}
        self._means = [tf_keras.metrics.Mean("loss"), *asked.scores()]

    @property
    def metrics(self):
        return self._means

    @property
    def trainable_variables(self):
        return self._trained

    @property
    def variables(self):
        """The network's, and the random states of its layers, which tf_keras counts among nobody's."""
        layers = [getattr(layer, "layer", layer) for layer in self.network.layers]
        random = [layer._random_generator._generator.state for layer in layers if isinstance(layer, _RANDOM)]
        return [*self.network.variables, *random]

    @property
    def metrics_variables(self):
        return [variable for mean in self._means for variable in mean.variables]

    def call(self, inputs, training=None):
        found = self.network(inputs, training=training)
        return dict(zip(self._outputs, found, strict=True)) if self._outputs else found

    def train_step(self, data):
        inputs, targets = data
        with tf.GradientTape() as tape:
            logits = self(inputs, training=True)
            loss = self._mean_loss(inputs, targets, logits)
        gradients = [
            self._shared[id(weight)].tied(gradient) if id(weight) in self._shared else gradient
            for weight, gradient in zip(self._trained, tape.gradient(loss, self._trained), strict=True)
        ]
        self.optimizer.apply_gradients(zip(gradients, self._trained, strict=True))
        for shared in self._shared.values():
            shared.snap()
        for kernel, mask in self._masks:
            kernel.assign(kernel * mask)
        return self._update(loss, targets, logits)

    def test_step(self, data):
        inputs, targets = data
        logits = self(inputs, training=False)
        return self._update(self._mean_loss(inputs, targets, logits), targets, logits)

    def _mean_loss(self, inputs, targets, logits):
        labels, answers = labels_and_teacher_logits(targets)
        if self._answer is not None:
            answers = self._answer(inputs)
        if answers is None:
            return tf.reduce_mean(self._loss_of_labels(labels, logits))
        answers = tf.nest.map_structure(
            lambda one, own: tf.stop_gradient(tf.cast(tf.convert_to_tensor(one), own.dtype)), answers, logits
        )
        return tf.reduce_mean(self._loss(labels, logits, answers))

    def _update(self, loss, targets, logits):
        mean, *scores = self._means
        mean.update_state(loss, sample_weight=tf.shape(tf.nest.flatten(logits)[0])[0])  # the last batch may be smaller
        for score in scores:
            score.update_state(labels_and_teacher_logits(targets)[0], logits)
        return {metric.name: metric.result() for metric in self._means}


def _cross_entropy(labels, logits):
    return tf.nn.sparse_softmax_cross_entropy_with_logits(tf.cast(labels, tf.int32), logits)


def _soft_cross_entropy(labels, logits, teacher_logits):
    return tf.nn.softmax_cross_entropy_with_logits(tf.nn.softmax(teacher_logits), logits)


class _Asked(NamedTuple):
    """What is minimized and counted where the caller names no loss: of labels, of labels beside a teacher's answers."""

    of_labels: Callable
    of_answers: Callable
    scores: Callable[[], list[Any]]


_CLASSES = _Asked(_cross_entropy, _soft_cross_entropy, lambda: [tf_keras.metrics.SparseCategoricalAccuracy("accuracy")])


def _asked(task: Task | None) -> _Asked:
    """What the task says, by whose loss a teacher's answers count as at a temperature of 1; a loss alone otherwise."""
    if task is None:
        return _CLASSES._replace(scores=list)
    target = task.target

    def of_answers(labels: Any, outputs: tf.Tensor, teacher: tf.Tensor) -> tf.Tensor:
        return target.distillation(teacher, outputs, temperature=1.0)

    metric, losses = target.training_metric(), target.loss()

    def of_tasks(labels: Any, outputs: Any) -> tf.Tensor:
        return tf.add_n([loss(labels[name], outputs[name]) for name, loss in losses.items()])

    of_labels = of_tasks if isinstance(losses, Mapping) else cast(Callable, losses)
    return _Asked(of_labels, of_answers, lambda: [metric] if metric else [])
