"""Who teaches: a model that sees the inputs another way, several models, or the student's own moving average."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from kerastl.distil import numerics, schedules
from kerastl.system import layer_graph

InputTransform = Callable[[tf.Tensor], tf.Tensor]
"""A batch of the student's inputs to what a teacher takes: another size, another scale. Without state of its own: that
of a random one is in no checkpoint."""


@dataclasses.dataclass(frozen=True)
class Teacher:
    """A model that is not changed.

    Attributes:
        model: emits logits ``(batch, classes)``.
        view: makes its inputs of the student's, in the compiled step.
        align: how slowly its answers are brought to where all classes come equally often, see `alignment.aligned`; 0 or
            more and below 1. ``None`` leaves them as they are.

    Raises:
        ValueError: ``align`` is out of range.
    """

    model: keras.Model
    view: InputTransform | None = None
    _: dataclasses.KW_ONLY
    align: float | None = None

    def __post_init__(self) -> None:
        _check_align(self.align)


@dataclasses.dataclass(frozen=True)
class EMATeacher:
    """The exponential moving average of the student's own weights: a mean teacher, self-distillation.

    After every step it becomes ``d * average + (1 - d) * student``, where d is ``min(decay, 1 - 1 / (steps + 1))``:
    the plain mean of all weights so far until the exponential one is the better. Tarvainen & Valpola 2017, "Mean
    teachers are better role models", section 3, and their code. Statistics of normalizations are averaged too.

    It answers in inference mode. Student and average see the same view unless ``view`` says otherwise; in the paper
    each has a noise of its own (a student's dropout is one).

    Attributes:
        decay: 0 or more and below 1; may be a schedule.
        view, align: as of a `Teacher`.

    Raises:
        ValueError: the decay or ``align`` is out of range.
    """

    decay: schedules.Scheduled = 0.999
    _: dataclasses.KW_ONLY
    view: InputTransform | None = None
    align: float | None = None

    def __post_init__(self) -> None:
        _check_align(self.align)
        ends = [self.decay.start, self.decay.end] if isinstance(self.decay, schedules.Ramp) else [self.decay]
        for decay in ends:
            if not callable(decay) and not 0 <= decay < 1:
                raise ValueError(f"A decay is 0 or more and below 1. Received: decay={self.decay}.")


def _check_align(align: float | None) -> None:
    if align is not None and not 0 <= align < 1:
        raise ValueError(f"Answers come to equal shares at a pace of 0 or more and below 1. Received: align={align}.")


@dataclasses.dataclass(frozen=True)
class Ensemble:
    """Teachers whose probabilities are combined.

    At the temperature of the `terms.LogitLoss` that compares, at 1 where it names none. You et al. 2017, "Learning from
    Multiple Teacher Networks", take the mean. By confidence, a teacher counts for each example as much as
    its largest probability (at a temperature of 1): that needs no labels.

    Attributes:
        teachers: models, `Teacher`, or one `EMATeacher` among them. Features are those of one, which a term names by
            its place (``of``).
        combine: ``"mean"`` or ``"confidence"``.

    Raises:
        ValueError: there are none, or ``combine`` is another word.
    """

    teachers: Sequence[keras.Model | Teacher | EMATeacher]
    _: dataclasses.KW_ONLY
    combine: str = "mean"

    def __post_init__(self) -> None:
        if not self.teachers or self.combine not in ("mean", "confidence"):
            raise ValueError(
                "Wanted one or more teachers, combined by 'mean' or 'confidence'. Received: "
                f"{len(self.teachers)} teachers, combine={self.combine!r}."
            )


def as_list(teacher: keras.Model | Teacher | EMATeacher | Ensemble | None) -> list[Teacher | EMATeacher]:
    """All teachers, each as what says how it sees the inputs.

    Raises:
        ValueError: one is none, or more than one is a moving average.
    """
    if teacher is None:
        return []
    found = []
    for one in teacher.teachers if isinstance(teacher, Ensemble) else [teacher]:
        found.append(Teacher(one) if isinstance(one, keras.Model) else one)
        if not isinstance(found[-1], Teacher | EMATeacher):
            raise ValueError(
                "Wanted a model, or one of teachers.Teacher, EMATeacher, Ensemble. Received: "
                f"{type(one).__name__}{' within another' if isinstance(one, Ensemble) else ''}."
            )
    if sum(isinstance(one, EMATeacher) for one in found) > 1:
        raise ValueError("A student has one moving average. Received: more than one EMATeacher.")
    return found


def check_outputs(model: keras.Model) -> None:
    """Raises `ValueError` for a model that does not say what it emits before it has seen something."""
    if not hasattr(model, "output_shape"):
        raise ValueError(
            "Wanted a functional or a sequential model, which says the shape of what it emits. Received: "
            f"{model.name!r}, a {type(model).__name__}; keras.Model(inputs, model(inputs)) makes one of it."
        )


def output_widths(model: keras.Model) -> dict[str, int]:
    """How many numbers each of a model's several outputs has, by its name, in alphabetical order; of one output none.

    Raises:
        ValueError: as `check_outputs`; or outputs are not all ``(batch, numbers)``, or two have one name.
    """
    check_outputs(model)
    if len(model.outputs) == 1:
        return {}
    named: Any = layer_graph.outputs_by_name(model, model.output)
    shapes = {name: tuple(one.shape) for name, one in named.items()}
    if any(len(shape) != 2 for shape in shapes.values()):
        raise ValueError(f"Wanted outputs (batch, numbers). Received: {shapes} of {model.name!r}.")
    return {name: shapes[name][1] for name in sorted(shapes)}


def side_by_side(model: keras.Model, logits: Any, *, names: Sequence[str]) -> tf.Tensor:
    """What a model of several outputs says as one float32 tensor ``(batch, numbers of all)``, in the order of names."""
    named = layer_graph.outputs_by_name(model, logits)
    return tf.concat([tf.cast(named[name], tf.float32) for name in names], axis=-1)


def ensemble_logits(logits: Sequence[tf.Tensor], *, combine: str, temperature: float | tf.Tensor = 1.0) -> tf.Tensor:
    """Logits whose softmax at a temperature is the combination of the teachers' softmaxes at it.

    Args:
        logits: ``(batch, classes)`` of each teacher.
        combine: see `Ensemble`.
        temperature: above 0.

    Returns:
        ``(batch, classes)``; those of a teacher alone come back as they are.
    """
    if len(logits) == 1:
        return logits[0]
    every = tf.stack(numerics.as_float(*logits))
    heat = tf.cast(temperature, every.dtype)
    share = tf.zeros_like(every[:, :, :1])
    if combine == "confidence":
        share = tf.reduce_max(tf.nn.log_softmax(every), -1, keepdims=True)
    share = tf.nn.log_softmax(share, axis=0)
    return heat * tf.reduce_logsumexp(tf.nn.log_softmax(every / heat) + share, 0)


def ensemble_model(models: Sequence[keras.Model], *, name: str = "several") -> keras.Model:
    """One model that answers as `Ensemble` of them do: the logarithm of the mean of their probabilities.

    For where one model is wanted: a score, a file, a stage. Nothing is copied; the layers are the caller's. Stored
    answers (`distil.logit_cache`) are found again by `Ensemble`: the joints of this model get new names every time.

    Args:
        models: functional, on the same inputs, one each; emit logits ``(batch, classes)``.
        name: of the new one; its parts are numbered.

    Raises:
        ValueError: there is none.
    """
    if not models:
        raise ValueError("Wanted one or more models. Received: none.")
    (first,) = models[0].inputs
    inputs = keras.Input(first.shape[1:], dtype=first.dtype, name=first.name)
    parts = [
        keras.Model(model.inputs, model.outputs[0], name=f"{name}_{place}")
        for place, model in enumerate(models, start=1)
    ]
    every = [keras.ops.log_softmax(keras.ops.cast(part(inputs), "float32")) for part in parts]
    together = keras.ops.logsumexp(keras.ops.stack(every, axis=1), axis=1)
    return keras.Model(inputs, together - math.log(len(every)), name=name)


def one_per_task(models: Mapping[str, keras.Model], *, name: str = "one_per_task") -> keras.Model:
    """One model that answers each task as the model of that task alone does: single-task teachers of one student.

    Clark et al. 2019, "BAM! Born-again multi-task networks for natural language understanding", section 3
    (https://arxiv.org/abs/1907.04829). Every example is answered for every task, those that it has no label of as well.
    Nothing is copied; the layers are the caller's.

    Args:
        models: by the tasks' names, which are those of the student's outputs; functional, on the same inputs, one each,
            with one output.
        name: of the new one; its parts carry it and their task's.

    Raises:
        ValueError: there are fewer than two, or one has several outputs, or other inputs than the first.
    """
    kinds = {key: [(tuple(one.shape), one.dtype) for one in model.inputs] for key, model in models.items()}
    several = [key for key, model in models.items() if len(model.inputs) != 1 or len(model.outputs) != 1]
    first = next(iter(kinds.values()), [])
    if len(models) < 2 or several or any(kind != first for kind in kinds.values()):
        raise ValueError(
            "Wanted a model of one output for each of several tasks, all of the same one input. Received: "
            f"{', '.join(f'{key} of {kind}' for key, kind in kinds.items()) or 'none'}"
            f"{'; of several outputs or inputs: ' * bool(several)}{', '.join(several)}."
        )
    given = next(iter(models.values())).inputs[0]
    inputs = keras.Input(given.shape[1:], dtype=given.dtype, name=given.name)
    parts = {key: keras.Model(model.inputs, model.outputs[0], name=f"{name}_{key}") for key, model in models.items()}
    return keras.Model(inputs, {key: part(inputs) for key, part in parts.items()}, name=name)


def clone(student: keras.Model) -> keras.Model:
    """A model of the same layers and weights, which does not train.

    Raises:
        ValueError: the student is of a kind that cannot be made anew from its configuration.
    """
    copy = keras.models.clone_model(student)
    copy.set_weights(student.get_weights())
    for layer in copy._flatten_layers():
        if isinstance(layer, keras.layers.Normalization):  # it computes with what it made of its weights
            layer.finalize_state()
    copy.trainable = False
    return copy


def update_ema(
    average: keras.Model,
    student: keras.Model,
    *,
    decay: schedules.Scheduled,
    step: tf.Tensor,
    moved: bool | tf.Tensor = True,
) -> None:
    """Moves an average towards the student, after the step numbered ``step`` from 0, see `EMATeacher`.

    Runs in the compiled step, of each replica where there are several. Where the student's weights have not ``moved``,
    the average stays.
    """
    done = tf.cast(step, tf.float32) + 1
    keep = tf.minimum(tf.cast(schedules.value_at(decay, step), tf.float32), 1 - 1 / (done + 1))
    keep = tf.where(moved, keep, 1.0)

    def assign(old: tf.Variable, new: tf.Tensor, share: tf.Tensor) -> None:
        if not old.dtype.is_floating:
            old.assign(new)
            return
        share = tf.cast(share, old.dtype)
        old.assign(share * old + (1 - share) * new)

    def update(strategy: tf.distribute.Strategy, share: tf.Tensor) -> None:
        for old, new in zip(average.weights, student.weights, strict=True):
            strategy.extended.update(old.value, assign, args=(new.value, share))

    # a mirrored variable is written by all replicas together
    tf.distribute.get_replica_context().merge_call(update, args=(keep,))
