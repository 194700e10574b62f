"""A Keras model that trains a student under a teacher."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerastl.distil import compatibility, distribution_alignment, features, losses, numerics, schedules, teachers, terms
from kerastl.system import layer_graph
from kerastl.types import CachedLogits, Target, labels_and_teacher_logits

DistillationLoss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""Takes teacher logits and student logits ``(batch, classes)``, returns ``(batch,)``."""

Outputs = tf.Tensor | Mapping[str, tf.Tensor]
"""What a model answers: of one output a tensor, of several one by each one's name."""

Speaker = Callable[[Outputs], dict[str, Any]]
"""A model as a step sees it: inputs to its logits, and to what the layers say that somebody listens to, by name."""


def under_logits(
    teacher: keras.Model | teachers.Teacher | teachers.Ensemble | None, *, temperature: float, weight: float
) -> Callable[[keras.Model], Distiller]:
    """Knowledge distillation from logits: what puts a student under its teacher, as one model to train.

    Hinton, Vinyals & Dean 2015, "Distilling the knowledge in a neural network", section 2
    (https://arxiv.org/abs/1503.02531): ``weight * T^2 KL(teacher || student) + (1 - weight) * cross-entropy``.

    Args:
        teacher: of the student's inputs; ``None`` where batches bring its stored logits along.
        temperature: softens both sides' answers.
        weight: share of the teacher in the loss, 0 to 1; the labels have the rest.

    Returns:
        A function from a student, which emits logits ``(batch, classes)`` and is trained in place, to its `Distiller`.

    Raises:
        ValueError: the temperature is not positive; when it is called, as `Distiller`.
    """
    numerics.check_temperature(temperature)
    loss = functools.partial(losses.kl_divergence, temperature=temperature)
    return lambda student: Distiller(student=student, teacher=teacher, loss=loss, weight=weight)


def under_cached_logits(
    logits: CachedLogits | np.ndarray | None, *, temperature: float, weight: float
) -> Callable[[keras.Model], Distiller] | None:
    """As `under_logits`, of a teacher whose cached logits the batches bring along.

    Returns:
        ``None`` where there are no logits: then the student learns from the labels, as the control of one that has.
    """
    return None if logits is None else under_logits(None, temperature=temperature, weight=weight)


def under_tasks(
    teacher: keras.Model | teachers.Teacher | None, target: Target, *, temperature: float, weight: float
) -> Callable[[keras.Model], Distiller]:
    """As `under_logits`, of a target of any kind, several tasks among them: each task's answers count by its own loss.

    Args:
        teacher: of the same outputs as the student, `teachers.one_per_task` for example; ``None`` where batches bring
            its stored answers along.
        target: what is asked, which says how answers are compared.
        temperature: softens both sides' answers where they are classes.
        weight: share of the teacher in the loss, 0 to 1; the labels have the rest, of those tasks that there are.

    Raises:
        ValueError: the temperature is not positive, or the weight no share; when it is called, as `Distiller`.
    """
    numerics.check_temperature(temperature)
    if not 0 <= weight <= 1:
        raise ValueError(f"`weight` is the share of the teacher, from 0 to 1. Received: weight={weight}.")

    def loss(taught: Any, student: Any) -> tf.Tensor:
        return target.distillation(taught, student, temperature=temperature)

    sums_to_one = target.served_activation() == "softmax"
    losses: dict[str, terms.Term] = {"teacher": terms.LogitLoss(loss, weight, independent=not sums_to_one)}
    if weight < 1:
        losses["labels"] = terms.LabelLoss(1 - weight)
    return lambda student: Distiller(student=student, teacher=teacher, losses=losses)


class Distiller(keras.Model):
    """Trains ``student`` on a weighted sum of losses: of the labels, of a teacher's answers, of its features.

    With ``loss`` and ``weight`` it is ``weight * distillation + (1 - weight) * cross-entropy``; ``losses`` names any
    number of terms instead, each with its weight, and logs tell the mean of each as ``NAME_loss``. All are averaged
    over the batch (weighted by the sample weights where there are any). However many there are, one step runs the
    student once and each teacher once, on the same view of the picture (Beyer et al. 2022, "Knowledge distillation: a
    good teacher is patient and consistent"). A teacher runs in inference mode and is not tracked: its weights, its
    ``trainable`` flags and its compilation stay as they were. A teacher of the student's own architecture makes a
    born-again network (Furlanello et al. 2018, "Born Again Neural Networks"); nothing else is needed for it.

    Calling, evaluating and saving go to the student. Under a strategy of `tf.distribute` all models and the distiller
    are made in its scope; losses that compare examples with each other then see those of their own device.

    Args:
        student: functional or sequential, emits logits ``(batch, classes)``; trained in place.
        teacher: of these kinds, takes the same inputs, emits logits ``(batch, classes)``; or a `teachers.Teacher` that
            sees them in its own way, `teachers.Ensemble`, or the student's `teachers.EMATeacher`. ``None`` where its
            answers were computed beforehand, for one that is slow or reads other inputs: batches bring them as
            ``(labels, teacher logits)``, see ``answers`` of ``data.pipeline.batches``; `distil.answers` keeps those to
            several views.
        loss: of teacher and student logits, see ``distil.losses``.
        weight: of ``loss``, 0 (labels alone) to 1 (teacher alone: then labels may be missing from the batches); 0.9
            where none is said.
        losses: in place of the two, `terms.LabelLoss`, `terms.LogitLoss` and `terms.FeatureLoss` by names of the
            caller's choice. Without `terms.LabelLoss` batches need no labels.

    Attributes:
        student: the caller's model.
        average: the moving average, a model of its own that checkpoints hold and that is often the better one; ``None``
            where nobody asked for one.

    Raises:
        ValueError: if the weight is outside 0..1, the models differ in their number of outputs or do not say it, not
            exactly one of ``loss`` and ``losses`` is given, a layer or a teacher is not there, a projection is not
            possible, or a loss of independent outputs is of a teacher that is aligned, or of several teachers; in
            training, if labels are missing, there is one an output and a loss of answers is not for that, stored
            answers are of other classes, or there are a teacher and stored answers, or neither.
    """

    def __init__(
        self,
        *,
        student: keras.Model,
        teacher: keras.Model | teachers.Teacher | teachers.EMATeacher | teachers.Ensemble | None,
        loss: DistillationLoss | None = None,
        weight: float | None = None,
        losses: Mapping[str, terms.Term] | None = None,
        name: str = "distiller",
    ) -> None:
        compatibility.check_terms(loss, weight, losses)
        teachers.check_outputs(student)
        found = teachers.as_list(teacher)
        simple = {} if loss is None else _simple(loss, 0.9 if weight is None else weight)
        named = dict(simple if losses is None else losses)
        compatibility.check_listening(named, found)
        if len(student.outputs) > 1:
            compatibility.check_named_outputs(student, named, found)
        # Keras scales the loss of a model whose own policy is float16; what goes to the student is not cast here
        super().__init__(name=name, dtype=student.dtype_policy, autocast=False)
        self.student = student
        self._terms = tuple(named.items())  # pairs, which Keras leaves as they are
        self._means = [keras.metrics.Mean(name=f"{key}_loss") for key in losses or ()]
        self.average: keras.Model | None = None
        self._decay: schedules.Scheduled = 0.0
        self._combine = teacher.combine if isinstance(teacher, teachers.Ensemble) else "mean"
        listened = [term for term in named.values() if isinstance(term, terms.FeatureLoss)]
        student_taps = _tapped(student, [term.student for term in listened])
        taps, speakers = [], []
        for place, one in enumerate(found):
            if isinstance(one, teachers.EMATeacher):
                model = self.average = teachers.clone(student)
                self._decay = one.decay
            else:
                model = one.model
            compatibility.check_shapes(student, model)
            taps.append(_tapped(model, [term.teacher for term in listened if term.teacher_index == place]))
            speakers.append(_speaker(taps[-1], training=False, view=one.view, tapped=taps[-1] is not model))
        self._projections = self._projected(student_taps, taps)
        self._aligned = [
            (place, self._odds(place), float(one.align)) for place, one in enumerate(found) if one.align is not None
        ]
        # behind closures Keras does not track the teachers: they are neither trained, nor saved, nor changed
        self._teach = tuple(speakers)
        self._answer = _speaker(student_taps, training=True, tapped=student_taps is not student)
        self.built = True

    def call(self, inputs: Outputs, training: bool | None = None) -> Outputs:
        return layer_graph.outputs_by_name(self.student, self.student(inputs, training=training))

    def save(self, filepath: str | Path, overwrite: bool = True, zipped: bool | None = None, **kwargs: object) -> None:
        """Saves the student as Keras saves any model."""
        self.student.save(filepath, overwrite=overwrite, zipped=zipped, **kwargs)

    @property
    def losses(self) -> list[Any]:
        """The student's own: its regularizers, and what its layers have added."""
        return self.student.losses

    def train_step(self, data: object) -> dict[str, Any]:
        inputs, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        # outside the tape: nothing of it is kept for the backward pass
        heard = [speak(inputs) for speak in self._teach]
        for place, odds, decay in self._aligned:
            logits = distribution_alignment.align(heard[place][features.LOGITS], odds, decay=decay)
            heard[place] = {**heard[place], features.LOGITS: logits}
        labels, answers = labels_and_teacher_logits(labels)
        if (answers is None) == (not heard):
            raise ValueError(
                "A student learns under a teacher, or with teacher=None from stored answers that batches bring. "
                f"Received: {'both' if heard else 'neither'}."
            )
        if answers is not None:
            compatibility.check_answers(self.student, answers)
            heard = [{features.LOGITS: answers}]
        compatibility.check_labels(labels, self._terms)
        step = self._step()
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        with tf.GradientTape() as tape:
            said = self._answer(inputs)
            values = self._values(inputs, labels, said=said, heard=heard, sample_weight=sample_weight, step=step)
            weights = [schedules.value_at(term.weight, step) for _, term in self._terms]
            own = [tf.reduce_sum(extra) for extra in self.losses]
            parts = [tf.cast(w, value.dtype) * value for w, value in zip(weights, values, strict=True)]
            loss = tf.add_n(numerics.as_float(*parts, *own))
            # gradients of replicas are added up
            scaled_loss = self.optimizer.scale_loss(loss / replicas)
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(scaled_loss, [v.value for v in variables]), variables)
        if self.average is not None:
            # not while the optimizer only gathers gradients
            moved = tf.not_equal(self._step(), step)
            teachers.update_ema(self.average, self.student, decay=self._decay, step=step, moved=moved)
        examples = tf.shape(tf.nest.flatten(said[features.LOGITS])[0])[0]
        self._loss_tracker.update_state(loss, sample_weight=examples)
        for mean, value in zip(self._means, values, strict=False):
            mean.update_state(value, sample_weight=examples)
        return self._scored(inputs, labels, said[features.LOGITS], sample_weight)

    def test_step(self, data: object) -> dict[str, Any]:
        inputs, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        labels, _ = labels_and_teacher_logits(labels)  # training batches are evaluated as well, when a run goes on
        missing = None if labels is None else self._missing(labels)
        if labels is None or missing is None:
            logs = super().test_step(keras.utils.pack_x_y_sample_weight(inputs, labels, sample_weight))
        else:
            filled, weights, _ = terms.known(labels, missing=missing, sample_weight=sample_weight)
            logits = self.student(inputs, training=False)
            loss = self.compute_loss(inputs, filled, logits, weights, training=False)
            replicas = tf.distribute.get_strategy().num_replicas_in_sync
            self._loss_tracker.update_state(loss * replicas, sample_weight=tf.shape(logits)[0])
            logs = self._scored(inputs, labels, logits, sample_weight)
        return {key: value for key, value in logs.items() if key not in [mean.name for mean in self._means]}

    def get_metrics_result(self) -> dict[str, Any]:
        """What there is, without metrics that have seen no labels and, after evaluation, the losses of training."""
        found = {}
        for metric in self.metrics:
            if metric is self._compile_metrics and not metric.built:
                continue
            if metric in self._means and tf.executing_eagerly() and not keras.ops.convert_to_numpy(metric.count):
                continue
            result = metric.result()
            found |= result if isinstance(result, dict) else {metric.name: result}
        return found

    def _step(self) -> tf.Tensor:
        """The optimizer's count as it is now, also when it counts on."""
        return tf.identity(keras.ops.convert_to_tensor(self.optimizer.iterations))

    def _values(
        self,
        inputs: tf.Tensor,
        labels: tf.Tensor | None,
        *,
        said: dict[str, tf.Tensor],
        heard: list[dict[str, tf.Tensor]],
        sample_weight: tf.Tensor | None,
        step: tf.Tensor,
    ) -> list[tf.Tensor]:
        """Every term's mean over the batch, a scalar, not yet weighted."""
        found = []
        for key, term in self._terms:
            if isinstance(term, terms.LabelLoss):
                value = self._labels_value(term, inputs, labels, said[features.LOGITS], sample_weight)
            elif isinstance(term, terms.LogitLoss):
                heat = None if term.temperature is None else schedules.value_at(term.temperature, step)
                answers = [
                    one[features.LOGITS]
                    for one in (heard if term.teacher_index is None else [heard[term.teacher_index]])
                ]
                value = terms.soft_value(
                    term,
                    teachers.ensemble_logits(answers, combine=self._combine, temperature=1.0 if heat is None else heat),
                    said[features.LOGITS],
                    labels=labels,
                    temperature=heat,
                    sample_weight=sample_weight,
                )
            else:
                own = said[term.student]
                own = self._projections[key](own) if key in self._projections else own
                theirs = heard[term.teacher_index][term.teacher]
                value = terms.feature_value(term, theirs, own, inputs=inputs, sample_weight=sample_weight)
            found.append(value)
        return found

    def _labels_value(
        self,
        term: terms.LabelLoss,
        inputs: tf.Tensor,
        labels: tf.Tensor | None,
        logits: tf.Tensor,
        sample_weight: tf.Tensor | None,
    ) -> tf.Tensor:
        if labels is None:
            raise ValueError("Wanted labels, which one of the losses is of. Received: batches without.")
        missing = term.missing(labels)
        if missing is not None:
            labels, sample_weight, _ = terms.known(labels, missing=missing, sample_weight=sample_weight)
        value = self.compute_loss(inputs, labels, logits, sample_weight, training=True)
        # Keras divides by the number of replicas, and adds the student's own losses, which belong to no term
        value *= tf.distribute.get_strategy().num_replicas_in_sync
        return tf.add_n(numerics.as_float(value, *(-tf.reduce_sum(extra) for extra in self.losses)))

    def _scored(
        self, inputs: tf.Tensor, labels: tf.Tensor | None, logits: tf.Tensor, sample_weight: tf.Tensor | None
    ) -> dict[str, Any]:
        """Metrics, of the rows that have labels."""
        if labels is None:
            return self.get_metrics_result()
        missing = self._missing(labels)
        if missing is not None:
            _, _, there = terms.known(labels, missing=missing, sample_weight=None)
            labels, logits = tf.boolean_mask(labels, there), tf.boolean_mask(logits, there)
            sample_weight = None if sample_weight is None else tf.boolean_mask(sample_weight, there)
        return self.compute_metrics(inputs, labels, logits, sample_weight)

    def _missing(self, labels: tf.Tensor) -> tf.Tensor | None:
        """Bool, of the shape of ``labels``: where there is none; ``None`` where every row has one.

        Where no term is of labels, those below 0 are none.
        """
        of_labels = [term for _, term in self._terms if isinstance(term, terms.LabelLoss)]
        if not of_labels:
            return None if isinstance(labels, Mapping) else terms.unlabelled(labels)
        found = [missing for term in of_labels if (missing := term.missing(labels)) is not None]
        return functools.reduce(tf.logical_or, found) if found else None

    def _odds(self, place: int) -> keras.Variable:
        """What a teacher's answers are aligned by; checkpoints hold it."""
        shape, name = (self.student.output_shape[-1],), f"odds_{place}"
        return self.add_weight(shape=shape, initializer="zeros", dtype="float32", trainable=False, name=name)

    def _projected(self, student: keras.Model, taps: list[keras.Model]) -> dict[str, keras.Model]:
        """A projection for each term of features that asks for one, by the term's name."""
        found = {}
        for key, term in self._terms:
            if isinstance(term, terms.FeatureLoss) and (term.projection or term.resize):
                shapes = [
                    features.shape_of(student, name=term.student),
                    features.shape_of(taps[term.teacher_index], name=term.teacher),
                ]
                found[key] = features.projection(*shapes, width=term.projection, name=f"{key}_projection")
        return found


def _simple(loss: DistillationLoss, weight: float) -> dict[str, terms.Term]:
    found: dict[str, terms.Term] = {"soft": terms.LogitLoss(loss, weight)}
    if weight < 1:
        found["labels"] = terms.LabelLoss(1 - weight)
    return found


def _tapped(model: keras.Model, layers: list[str]) -> keras.Model:
    """The model itself where nobody listens to a layer."""
    return features.intermediate_outputs(model, layers=list(dict.fromkeys(layers))) if layers else model


def _speaker(
    model: keras.Model, *, training: bool, view: teachers.InputTransform | None = None, tapped: bool = False
) -> Speaker:
    def speak(inputs: Any) -> dict[str, Any]:
        found: Any = model(inputs if view is None else view(inputs), training=training)
        return found if tapped else {features.LOGITS: layer_graph.outputs_by_name(model, found)}

    return speak
