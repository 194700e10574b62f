"""A Keras model that trains one model of several tasks, each counting as a rule says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import keras
import numpy as np
import tensorflow as tf

from kerastl.system import layer_graph
from kerastl.training.balancing import gradients


class Rule(Protocol):
    """How much each task counts, one file a rule in `training.balancing`: a frozen dataclass.

    Attributes:
        weighs_heads: whether the weights hold for what one task alone sees, too; else that learns as if it were alone.
        looks_again: whether `look_again` has to be asked after a step, for which the losses are computed once more.
    """

    weighs_heads: ClassVar[bool]
    looks_again: ClassVar[bool]

    def start(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        """What it remembers from step to step as it is before the first, for tasks of these names in this order."""
        ...

    def weigh(
        self, losses: tf.Tensor, products: tf.Tensor, state: Mapping[str, tf.Tensor]
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """The weights ``(tasks,)`` of a step's gradients, and what has changed of what it remembers.

        Args:
            losses: of the tasks, ``(tasks,)``.
            products: of their gradients in the weights that tasks share, ``(tasks, tasks)``.
            state: what it remembers.
        """
        ...


class SecondLook(Protocol):
    """What a rule that `looks_again` has beside."""

    def look_again(self, before: tf.Tensor, after: tf.Tensor, state: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """What changes of what it remembers, by the losses ``(tasks,)`` of one batch before and after the step."""
        ...


def under(rule: Rule) -> Callable[[keras.Model], Balanced]:
    """What puts a model under a rule, for ``training.train(build, data, under=balanced.under(rule))``."""
    return lambda model: Balanced(model, rule)


class Balanced(keras.Model):
    """Trains a model of several outputs, each with a loss of its own, on the sum that a rule weighs.

    A step computes the gradient of each task, one backward pass a task. Curves have the sum of the losses without any
    weight, by which the best epoch is chosen whatever the rule, each task's loss (``NAME_loss``) and weight
    (``NAME_weight``), and of each pair the cosine of their gradients in the weights that they share
    (``ONE_OTHER_cosine``; below 0 they conflict), the mean over batches in which both have a label.

    Calling, evaluating and saving go to the model. What a rule remembers are variables here, which checkpoints hold.

    Args:
        model: functional, of several outputs by name; trained in place.
        rule: see `Rule`.

    Attributes:
        student: the caller's model.

    Raises:
        ValueError: if the model has one output, or the rule is of other tasks; in training, on several devices.
    """

    def __init__(self, model: keras.Model, rule: Rule, *, name: str = "balanced") -> None:
        if len(model.outputs) < 2:
            raise ValueError(f"Wanted a model of several outputs. Received: {model.name!r}, which has one.")
        super().__init__(name=name, dtype=model.dtype_policy, autocast=False)
        self.student, self._rule = model, rule
        structure: Any = model.output
        self._names = tuple(sorted(structure) if isinstance(structure, Mapping) else model.output_names)
        self._remembered = {}
        for key, value in rule.start(self._names).items():
            made = {"shape": value.shape, "dtype": "float32", "initializer": "zeros", "trainable": False}
            self._remembered[key] = self.add_weight(name=f"balancing_{key}", **made)
            self._remembered[key].assign(value)
        pairs = [(one, other) for place, one in enumerate(self._names) for other in self._names[place + 1 :]]
        self._means = [keras.metrics.Mean(name=f"{name}_weight") for name in self._names]
        self._means += [keras.metrics.Mean(name=f"{one}_{other}_cosine") for one, other in pairs]
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return layer_graph.outputs_by_name(self.student, self.student(inputs, training=training))

    def save(self, filepath: str | Path, overwrite: bool = True, zipped: bool | None = None, **kwargs: object) -> None:
        """Saves the model as Keras saves any model."""
        self.student.save(filepath, overwrite=overwrite, zipped=zipped, **kwargs)

    @property
    def losses(self) -> list[Any]:
        """The model's own: its regularizers, and what its layers have added. No rule weighs them."""
        return self.student.losses

    def train_step(self, data: object) -> dict[str, Any]:
        if tf.distribute.get_strategy().num_replicas_in_sync > 1:
            raise ValueError("Tasks are balanced on one device. Received: a strategy of several.")
        inputs, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        variables = [one.value for one in self.trainable_variables]
        scale = self.optimizer.scale_loss(tf.constant(1.0))  # more than 1 where Keras scales losses of float16
        with tf.GradientTape(persistent=True) as tape:
            answers = self(inputs, training=True)
            losses = self._task_losses(labels, answers, sample_weight)
            scaled = [loss * scale for loss in losses]
            own = tf.add_n([tf.cast(tf.reduce_sum(one), tf.float32) for one in self.losses] or [tf.zeros(())]) * scale
        each = [tape.gradient(loss, variables) for loss in scaled]
        extra = tape.gradient(own, variables)
        del tape
        shared = [place for place in range(len(variables)) if sum(found[place] is not None for found in each) > 1]
        if not shared:
            raise ValueError(f"Wanted weights that tasks share. Received: none in {self.student.name!r}.")
        products = gradients.products([[_at(found, place, variables) / scale for place in shared] for found in each])
        before = tf.stack(losses)
        state = {key: tf.convert_to_tensor(one.value) for key, one in self._remembered.items()}
        weights, changed = self._rule.weigh(before, products, state)
        for_heads = weights if self._rule.weighs_heads else tf.ones_like(weights)
        whole = [
            _sum([*found, extra[place]], [*tf.unstack(weights if place in shared else for_heads), 1.0])
            for place, found in enumerate(zip(*each, strict=True))
        ]
        self.optimizer.apply(whole, self.trainable_variables)
        if self._rule.looks_again:
            rule: Any = self._rule
            after = tf.stack(self._task_losses(labels, self(inputs, training=True), sample_weight))
            changed = {**changed, **rule.look_again(before, after, {**state, **changed})}
        for key, value in changed.items():
            self._remembered[key].assign(value)
        examples = tf.shape(tf.nest.flatten(labels)[0])[0]
        total = self.compute_loss(inputs, labels, answers, sample_weight, training=True)
        self._loss_tracker.update_state(total, sample_weight=examples)
        cosines, count = gradients.cosines(products), len(self._names)
        pulls = tf.cast(tf.linalg.diag_part(products) > 0, tf.float32)  # not where none of a batch has the task
        pairs = [(one, other) for one in range(count) for other in range(one + 1, count)]
        values = [*tf.unstack(weights), *(cosines[pair] for pair in pairs)]
        shares = [*[tf.ones(())] * count, *(pulls[one] * pulls[other] for one, other in pairs)]
        for mean, value, share in zip(self._means, values, shares, strict=True):
            mean.update_state(value, sample_weight=tf.cast(examples, tf.float32) * share)
        return self.compute_metrics(inputs, labels, answers, sample_weight)

    def test_step(self, data: object) -> dict[str, Any]:
        logs, training_alone = super().test_step(data), {mean.name for mean in self._means}
        return {key: value for key, value in logs.items() if key not in training_alone}

    def _task_losses(self, labels: Any, answers: Any, sample_weight: Any) -> list[tf.Tensor]:
        """Each task's mean loss over the batch, float32."""
        asked: Any = self.loss
        return [
            tf.cast(asked[name](labels[name], answers[name], sample_weight=sample_weight), tf.float32)
            for name in self._names
        ]


def _at(found: Sequence[Any], place: int, variables: Sequence[Any]) -> tf.Tensor:
    """A task's gradient in one variable, zeros where it does not know it."""
    value = tf.zeros_like(variables[place]) if found[place] is None else tf.convert_to_tensor(found[place])
    return tf.cast(value, tf.float32)


def _sum(terms: Sequence[Any], weights: Sequence[Any]) -> tf.Tensor | None:
    """The weighted sum of the gradients that there are, ``None`` of none."""
    there = [
        (tf.convert_to_tensor(term), weight) for term, weight in zip(terms, weights, strict=True) if term is not None
    ]
    return tf.add_n([term * tf.cast(weight, term.dtype) for term, weight in there]) if there else None
