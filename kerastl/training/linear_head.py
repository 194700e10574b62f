"""A linear head on frozen features that is solved for instead of trained: its loss is convex, with one optimum.

For a few texts a class this is worth a point of accuracy above a head of a fixed number of gradient steps, and takes a
second: on 1,133 texts of 77 classes, of MiniLM's features, 0.857 instead of 0.842 to 0.848 after 40 epochs of AdamW.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from scipy import optimize

from kerastl.training import fitting, transfer
from kerastl.types import History, Split

INVERSE_PENALTIES = (0.003, 0.03, 0.3)
"""What the squared weights of a head are divided by, as scikit-learn's ``C``: validation chooses, or the middle one."""
_STEPS = 100
"""Of L-BFGS at most, for each penalty; each begins where the one before ended."""


def linear_probe(
    model: keras.Model,
    features: Split,
    *,
    validation: Split | None = None,
    class_weight: Mapping[int, float] | None = None,
    stage: str = "linear_probe",
) -> fitting.Trained:
    """A classifier whose head is the best linear one of its own cached features, the rest as it came.

    The sum of the task's loss over all examples, of features with a mean of 0 and a variance of 1, plus the sum of the
    squared weights over ``2 C``, is minimized by L-BFGS (Liu & Nocedal 1989): of classes that exclude one another this
    is multinomial logistic regression.

    Args:
        model: a classifier with layers ``pool`` and ``logits``; its head is changed in place.
        features: of the training examples, see `transfer.extract_features`.
        validation: features to choose the penalty by.
        class_weight: as for `fitting.fit`.
        stage: name of the curves, which are empty.

    Raises:
        ValueError: features of another width than the head's, or weights that are not one a class.
    """
    scale = _Scale.of(features)
    head = transfer.head(features.task, features.task.inputs.shape[0])
    solutions = _solutions(head, scale.applied(features), _penalties(validation), class_weight)
    best = next(solutions) if validation is None else _best(head, scale.applied(validation), solutions)
    head.get_layer("logits").set_weights(scale.undone(*best))
    transfer.set_head_weights(model, head)
    return fitting.Trained(model, History(stage, {}))


def _penalties(validation: Split | None) -> Sequence[float]:
    return INVERSE_PENALTIES[1:2] if validation is None else INVERSE_PENALTIES


def _solutions(
    head: keras.Model, train: Split, inverse_penalties: Sequence[float], class_weight: Mapping[int, float] | None
) -> Iterator[list[np.ndarray]]:
    """Kernel and bias for each penalty, which the head has as well."""
    loss: Any
    loss, left = fitting.loss_of(train.task, class_weight)
    inputs = tf.constant(np.asarray(train.inputs))
    labels = tf.constant(np.asarray(train.labels), train.task.target.label_dtype)
    shares = None if left is None else tf.gather(tf.constant([left[one] for one in range(len(left))]), labels)
    kernel, bias = head.get_layer("logits").weights
    shapes = [tuple(kernel.shape), tuple(bias.shape)]

    @tf.function
    def value_and_gradient(flat: tf.Tensor, decay: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        split = tf.split(flat, [int(np.prod(shape)) for shape in shapes])
        for weight, values, shape in zip((kernel, bias), split, shapes, strict=True):
            weight.assign(tf.reshape(values, shape))
        with tf.GradientTape() as tape:
            value = loss(labels, head(inputs, training=False), sample_weight=shares)
            value += decay / 2 * tf.reduce_sum(tf.square(tf.convert_to_tensor(kernel)))
        gradients: Any = tape.gradient(value, [kernel.value, bias.value])
        return value, tf.concat([tf.reshape(one, [-1]) for one in gradients], 0)

    def asked(flat: np.ndarray, decay: float) -> tuple[float, np.ndarray]:
        value, gradient = value_and_gradient(tf.constant(flat, tf.float32), tf.constant(decay, tf.float32))
        return float(value), np.asarray(gradient, np.float64)

    flat = np.zeros(sum(int(np.prod(shape)) for shape in shapes))
    for inverse in inverse_penalties:
        decay = 1 / (inverse * len(train))  # the loss is a mean
        flat = optimize.minimize(
            asked, flat, args=(decay,), jac=True, method="L-BFGS-B", options={"maxiter": _STEPS, "ftol": 1e-7}
        ).x
        parts = np.split(flat.astype(np.float32), [int(np.prod(shapes[0]))])
        found = [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]
        head.get_layer("logits").set_weights(found)
        yield found


def _best(head: keras.Model, held: Split, solutions: Iterable[list[np.ndarray]]) -> list[np.ndarray]:
    """The solution that scores best on validation, of equals that with the larger penalty."""
    target, found = held.task.target, []
    for weights in solutions:
        answers = np.asarray(target.served(tf.constant(fitting.predict(head, held.inputs))))
        found.append((target.score(answers, held.labels).value, weights))
    best = found[0]
    for one in found[1:]:
        best = one if target.drop(one[0], best[0]) < 0 else best
    return best[1]


class _Scale(NamedTuple):
    """Mean and standard deviation of each feature, float32 ``(width,)``; 1 of one that hardly changes."""

    mean: np.ndarray
    spread: np.ndarray

    @classmethod
    def of(cls, features: Split) -> _Scale:
        table = np.asarray(features.inputs, np.float64)
        spread = table.std(0)
        changes = spread > 1e-6 * spread.max()  # or its noise would weigh as much as all others do
        return cls(table.mean(0).astype(np.float32), np.where(changes, spread, 1.0).astype(np.float32))

    def applied(self, features: Split) -> Split:
        return dataclasses.replace(features, inputs=(np.asarray(features.inputs, np.float32) - self.mean) / self.spread)

    def undone(self, kernel: np.ndarray, bias: np.ndarray) -> list[np.ndarray]:
        """The weights that make of features as they are what these make of standardized ones."""
        kernel = kernel / self.spread[:, None]
        return [kernel, bias - self.mean @ kernel]
