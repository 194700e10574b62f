"""What a distiller's loss is the sum of: labels, answers compared with a teacher's, features compared with a teacher's.

A recipe names each::

    losses={
        "labels": terms.Labels(weight=0.1),
        "soft": terms.LogitLoss(kl_divergence, weight=0.9, temperature=schedules.cosine(8, 2, steps=900)),
        "hints": terms.Feature(hint, weight=0.5, student="block2_relu", teacher="stage3", projection=True),
    }
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from kerastl.distil import numerics, schedules

Loss = Callable[..., tf.Tensor]
"""Takes what the teacher says and what the student says, batch first; returns ``(batch,)``."""


@dataclasses.dataclass(frozen=True)
class LabelLoss:
    """The loss that the distiller is compiled with, of the student's logits and the labels.

    Attributes:
        weight: 0 or more; may be a schedule (`schedules`).
        ignore_label: a label below 0, -1 for example, of the rows of a batch that have none, or of several classes not
            all. They count like rows of sample weight 0, so the mean stays that over the whole batch, and metrics do
            not see them. ``None`` where every row has a label.

    Raises:
        ValueError: the weight is negative or not finite, or ``ignore_label`` could be a class.
    """

    weight: schedules.Scheduled = 1.0
    _: dataclasses.KW_ONLY
    ignore_label: int | None = None

    def __post_init__(self) -> None:
        _check_weight(self.weight)
        if self.ignore_label is not None and self.ignore_label >= 0:
            raise ValueError(f"A row without a label has one below 0. Received: ignore_label={self.ignore_label}.")

    def missing(self, labels: tf.Tensor) -> tf.Tensor | None:
        """Bool, of the shape of ``labels``: where there is none; ``None`` where every row has one."""
        return None if self.ignore_label is None else tf.equal(labels, tf.cast(self.ignore_label, labels.dtype))


@dataclasses.dataclass(frozen=True)
class LogitLoss:
    """The student's answers compared with the teacher's (Hinton et al. 2015).

    Attributes:
        loss: of teacher and student logits ``(batch, classes)``, see `losses`; one with an argument ``labels`` is given
            those too, and rows without a label then count nothing.
        weight: 0 or more; may be a schedule.
        temperature: above 0, handed to ``loss``; may be a schedule. ``None`` where the loss has its own or needs none.
        teacher_index: which of several teachers, counted from 0; ``None`` combines them all, see `teachers.Ensemble`.
        independent: whether each output is a question of its own, so that answers do not sum to one.

    Raises:
        ValueError: the weight is negative or not finite, or the temperature is not positive.
    """

    loss: Loss
    weight: schedules.Scheduled = 1.0
    _: dataclasses.KW_ONLY
    temperature: schedules.Scheduled | None = None
    teacher_index: int | None = None
    independent: bool = False

    def __post_init__(self) -> None:
        _check_weight(self.weight)
        if self.temperature is not None:
            least = schedules.minimum(self.temperature)
            if least is not None:
                numerics.check_temperature(least)


@dataclasses.dataclass(frozen=True)
class FeatureLoss:
    """What a layer of the student says compared with what a layer of the teacher says (Romero et al. 2015, "FitNets").

    Attributes:
        loss: of the two layers' outputs, see `feature_losses`.
        weight: 0 or more; may be a schedule.
        student, teacher: names of layers.
        teacher_index: which of several teachers, counted from 0.
        projection: whether trainable weights bring the student's features to the teacher's width, and to its size of
            map where that differs, see `features.projection`. They learn with the student and are not saved with it.
        resize: whether a map of the student is brought to the teacher's height and width and keeps its own width, for
            losses like `feature_losses.attention_transfer`.
        mask: makes the ``mask`` of losses that have one out of the student's inputs, ``lambda tokens: tokens != 0``.
            Of one that is ``(batch,)`` the mean is taken over the rows that it lets in.

    Raises:
        ValueError: the weight is negative or not finite.
    """

    loss: Loss
    weight: schedules.Scheduled = 1.0
    _: dataclasses.KW_ONLY
    student: str
    teacher: str
    teacher_index: int = 0
    projection: bool = False
    resize: bool = False
    mask: Callable[[tf.Tensor], tf.Tensor] | None = None

    def __post_init__(self) -> None:
        _check_weight(self.weight)


Term = LabelLoss | LogitLoss | FeatureLoss


def soft_value(
    term: LogitLoss,
    teacher_logits: tf.Tensor,
    student_logits: tf.Tensor,
    *,
    labels: tf.Tensor | None,
    temperature: float | tf.Tensor | None,
    sample_weight: tf.Tensor | None,
) -> tf.Tensor:
    """Mean over the batch of a term of answers, a scalar.

    Args:
        term: whose loss it is.
        teacher_logits, student_logits: ``(batch, classes)``.
        labels: ``(batch,)``, ``(batch, 1)`` or ``(batch, classes)``, below 0 for those without; for losses that ask for
            them.
        temperature: what the term's is at this step.
        sample_weight: ``(batch,)`` or ``None``.

    Raises:
        ValueError: the loss needs labels and there are none.
    """
    pair = numerics.as_float(teacher_logits, student_logits)
    extra: dict[str, Any] = {}
    if temperature is not None:
        extra["temperature"] = tf.cast(temperature, pair[0].dtype) if tf.is_tensor(temperature) else temperature
    if not _takes_labels(term.loss):
        return mean(term.loss(*pair, **extra), sample_weight)
    if labels is None:
        raise ValueError("Wanted labels, which the loss has an argument for. Received: batches without.")
    labels = labels if are_one_an_output(labels) else tf.reshape(labels, [-1])
    filled, _, there = known(labels, missing=unlabelled(labels), sample_weight=None)
    values = term.loss(*pair, filled, **extra)
    return mean(tf.where(there, values, tf.zeros_like(values)), sample_weight)


def feature_value(
    term: FeatureLoss,
    teacher_features: tf.Tensor,
    student_features: tf.Tensor,
    *,
    inputs: tf.Tensor,
    sample_weight: tf.Tensor | None,
) -> tf.Tensor:
    """Mean over the batch of a term of features, a scalar; ``inputs`` are the student's, for the term's mask."""
    pair = numerics.as_float(teacher_features, student_features)
    if term.mask is None:
        return mean(term.loss(*pair), sample_weight)
    mask = term.mask(inputs)
    return mean(term.loss(*pair, mask=mask), sample_weight, rows=mask if len(mask.shape) == 1 else None)


def are_one_an_output(labels: tf.Tensor) -> bool:
    """Whether whole labels lie ``(batch, outputs)``, each beside its output, and not one for all of them."""
    return tf.as_dtype(labels.dtype).is_integer and len(labels.shape) == 2 and labels.shape[-1] != 1


def unlabelled(labels: tf.Tensor) -> tf.Tensor:
    """Bool, of the shape of ``labels``: where there is none, if nobody says more. Classes below 0 are none, and NaN."""
    return labels < 0 if tf.as_dtype(labels.dtype).is_integer else tf.math.is_nan(labels)


def known(
    labels: tf.Tensor, *, missing: tf.Tensor, sample_weight: tf.Tensor | None
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Labels and weights by which rows without a label count nothing, but in the number that is divided by.

    Args:
        labels: ``(batch,)`` or ``(batch, classes)``.
        missing: bool, of their shape.
        sample_weight: ``(batch,)``, ``(batch, 1)`` or ``None``.

    Returns:
        The labels, 0 where they are missing; weights ``(batch,)`` float32; bool ``(batch,)``, which rows have theirs,
        of several classes all: of one that is not known nothing can be learnt, and a row has one loss.
    """
    there = tf.reduce_all(tf.reshape(tf.logical_not(missing), [tf.shape(labels)[0], -1]), -1)
    weights = tf.cast(there, tf.float32)
    if sample_weight is not None:
        weights *= tf.cast(tf.reshape(sample_weight, tf.shape(weights)), tf.float32)
    return tf.where(missing, tf.zeros_like(labels), labels), weights, there


def mean(values: tf.Tensor, sample_weight: tf.Tensor | None, *, rows: tf.Tensor | None = None) -> tf.Tensor:
    """Mean of ``values (batch,)``; weighted sums are divided by the number of examples, as Keras' own losses are.

    Args:
        values: one an example.
        sample_weight: ``(batch,)`` or ``None``.
        rows: bool ``(batch,)``, the examples that are divided by, of all devices together where a batch is divided
            among several; ``None`` takes all.
    """
    if sample_weight is not None:
        values = values * tf.cast(tf.reshape(sample_weight, tf.shape(values)), values.dtype)
    if rows is None:
        return tf.reduce_mean(values)
    count, device = tf.reduce_sum(tf.cast(rows, values.dtype)), tf.distribute.get_replica_context()
    if device.num_replicas_in_sync > 1:  # what comes back is added up, and divided by the number of devices
        count = device.all_reduce(tf.distribute.ReduceOp.MEAN, count)
    return tf.math.divide_no_nan(tf.reduce_sum(values), count)


def _takes_labels(loss: Loss) -> bool:
    """Whether a loss has an argument ``labels`` that nobody has filled yet."""
    filled = loss.keywords if isinstance(loss, functools.partial) else {}
    return "labels" in inspect.signature(loss).parameters and "labels" not in filled


def _check_weight(weight: schedules.Scheduled) -> None:
    least = schedules.minimum(weight)
    if least is not None and not 0 <= least < math.inf:
        raise ValueError(f"A weight is a number of 0 or more. Received: weight={weight}.")
