"""A Keras model that trains a student under a teacher."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from kerastl.distil import features, numerics, schedules, terms
from kerastl.types import is_multi_label

DistillationLoss = Callable[[Any, Any], Any]
"""Takes teacher logits and student logits ``(batch, classes)``, returns ``(batch,)``."""

Speaker = Callable[[Any], dict[str, Any]]
"""A model as a step sees it: inputs to its logits, and to what the layers say that somebody listens to, by name."""


class Distiller(keras.Model):
    """Trains ``student`` on a weighted sum of losses: of the labels, of a teacher's answers, of its features.

    With ``loss`` and ``weight`` it is ``weight * distillation + (1 - weight) * cross-entropy``; ``losses`` names any
    number of terms instead, each with its weight, and logs tell the mean of each as ``NAME_loss``. All are averaged
    over the batch (weighted by the sample weights where there are any). However many there are, one step runs the
    student once and the teacher once, on the same view of the picture (Beyer et al. 2022, "Knowledge distillation: a
    good teacher is patient and consistent"). The teacher runs in inference mode and is not tracked: its weights, its
    ``trainable`` flags and its compilation stay as they were. A teacher of the student's own architecture makes a
    born-again network (Furlanello et al. 2018, "Born Again Neural Networks"); nothing else is needed for it.

    Calling, evaluating and saving go to the student.

    Args:
        student: emits logits ``(batch, classes)``; trained in place. Features are taken of functional and sequential
            models.
        teacher: takes the same inputs, emits logits ``(batch, classes)``. ``None`` where its answers were computed
            beforehand, for one that is slow or reads other inputs: batches bring them as ``(labels, teacher logits)``,
            see ``answers`` of ``data.pipeline.batches``.
        loss: of teacher and student logits, see ``distil.losses``.
        weight: of ``loss``, 0 (labels alone) to 1 (teacher alone: then labels may be missing from the batches).
        losses: in place of the two, `terms.Labels`, `terms.Soft` and `terms.Feature` by names of the caller's choice.
            Without `terms.Labels` batches need no labels.

    Raises:
        ValueError: if the weight is outside 0..1, the two models differ in their number of outputs, not exactly one of
            ``loss`` and ``losses`` is given, a layer is not there, or a projection is not possible; in training, if
            labels are missing, or an example may have several classes and a loss of answers is not for that.
    """

    def __init__(
        self,
        *,
        student: keras.Model,
        teacher: keras.Model | None,
        loss: DistillationLoss | None = None,
        weight: float = 0.9,
        losses: Mapping[str, terms.Term] | None = None,
        name: str = "distiller",
    ) -> None:
        self._check_terms(loss, weight, losses)
        if teacher is not None and student.output_shape != teacher.output_shape:
            raise ValueError(
                "Teacher and student must answer in the same shape. Received: "
                f"student {student.output_shape}, teacher {teacher.output_shape}."
            )
        super().__init__(name=name)
        self.student = student
        self.weight = weight
        simple = {} if loss is None else _simple(loss, weight)
        # tuples of pairs, which Keras leaves as they are
        self._terms = tuple((simple if losses is None else losses).items())
        self._means = [keras.metrics.Mean(name=f"{key}_loss") for key in losses or ()]
        listened = [term for _, term in self._terms if isinstance(term, terms.Feature)]
        if listened and teacher is None:
            raise ValueError(
                "Features are compared with those of a teacher that is there: stored answers hold its logits alone. "
                f"Received: teacher=None with {len(listened)} terms of features."
            )
        student_taps = _tapped(student, [term.student for term in listened])
        teacher_taps = None if teacher is None else _tapped(teacher, [term.teacher for term in listened])
        self._projections = self._projected(student_taps, teacher_taps)
        # behind a closure Keras does not track the teacher: it is neither trained, nor saved, nor changed
        self._teach = None if teacher_taps is None else _speaker(teacher_taps, training=False)
        self._answer = _speaker(student_taps, training=True)
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return self.student(inputs, training=training)

    def save(self, filepath: Any, overwrite: bool = True, zipped: bool | None = None, **kwargs: Any) -> None:
        """Saves the student as Keras saves any model."""
        self.student.save(filepath, overwrite=overwrite, zipped=zipped, **kwargs)

    @property
    def losses(self) -> list[Any]:
        """The student's own: its regularizers, and what its layers have added."""
        return self.student.losses

    def train_step(self, data: Any) -> dict[str, Any]:
        inputs, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if self._teach is None:
            labels, answers = labels
            heard = {features.LOGITS: answers}
        else:
            heard = self._teach(inputs)  # outside the tape: nothing of it is kept for the backward pass
        self._check_labels(labels)
        step = self.optimizer.iterations.value
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        with tf.GradientTape() as tape:
            said = self._answer(inputs)
            values = self._values(inputs, labels, said=said, heard=heard, sample_weight=sample_weight, step=step)
            weights = [schedules.at(term.weight, step) for _, term in self._terms]
            own = [tf.reduce_sum(extra) for extra in self.losses]
            parts = [tf.cast(w, value.dtype) * value for w, value in zip(weights, values, strict=True)]
            loss = tf.add_n(numerics.real(*parts, *own))
            # gradients of replicas are added up
            scaled_loss = self.optimizer.scale_loss(loss / replicas)
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(scaled_loss, [v.value for v in variables]), variables)
        examples = tf.shape(said[features.LOGITS])[0]
        self._loss_tracker.update_state(loss, sample_weight=examples)
        for mean, value in zip(self._means, values, strict=False):
            mean.update_state(value, sample_weight=examples)
        return self._scored(inputs, labels, said[features.LOGITS], sample_weight)

    def test_step(self, data: Any) -> dict[str, Any]:
        inputs, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if isinstance(labels, tuple):  # training batches that bring answers are evaluated as well, when a run goes on
            labels, _ = labels
        logs = super().test_step(keras.utils.pack_x_y_sample_weight(inputs, labels, sample_weight))
        return {key: value for key, value in logs.items() if key not in [mean.name for mean in self._means]}

    def get_metrics_result(self) -> dict[str, Any]:
        """What there is, without metrics that have seen no labels and, after evaluation, the losses of training."""
        found = {}
        for metric in self.metrics:
            if metric is self._compile_metrics and not metric.built:
                continue
            if metric in self._means and tf.executing_eagerly() and not float(metric.count):
                continue
            result = metric.result()
            found |= result if isinstance(result, dict) else {metric.name: result}
        return found

    def _values(
        self, inputs: Any, labels: Any, *, said: dict[str, Any], heard: dict[str, Any], sample_weight: Any, step: Any
    ) -> list[Any]:
        """Every term's mean over the batch, a scalar, not yet weighted."""
        found = []
        for key, term in self._terms:
            if isinstance(term, terms.Labels):
                found.append(self._labels_value(term, inputs, labels, said[features.LOGITS], sample_weight))
            elif isinstance(term, terms.Soft):
                found.append(
                    terms.soft_value(
                        term,
                        heard[features.LOGITS],
                        said[features.LOGITS],
                        labels=labels,
                        temperature=None if term.temperature is None else schedules.at(term.temperature, step),
                        sample_weight=sample_weight,
                    )
                )
            else:
                own = said[term.student]
                if key in self._projections:
                    own = self._projections[key](own)
                found.append(
                    terms.feature_value(term, heard[term.teacher], own, inputs=inputs, sample_weight=sample_weight)
                )
        return found

    def _labels_value(self, term: terms.Labels, inputs: Any, labels: Any, logits: Any, sample_weight: Any) -> Any:
        if labels is None:
            raise ValueError("Wanted labels, which one of the losses is of. Received: batches without.")
        if term.unlabelled is not None:
            there = term.present(labels)
            labels = tf.maximum(labels, 0)
            present = tf.cast(there, logits.dtype)
            sample_weight = present if sample_weight is None else present * tf.cast(sample_weight, logits.dtype)
        value = self.compute_loss(inputs, labels, logits, sample_weight, training=True)
        # Keras divides by the number of replicas, and adds the student's own losses, which belong to no term
        value *= tf.distribute.get_strategy().num_replicas_in_sync
        return tf.add_n(numerics.real(value, *(-tf.reduce_sum(extra) for extra in self.losses)))

    def _scored(self, inputs: Any, labels: Any, logits: Any, sample_weight: Any) -> dict[str, Any]:
        """Metrics, of the rows that have labels."""
        if labels is None:
            return self.get_metrics_result()
        for _, term in self._terms:
            if isinstance(term, terms.Labels) and term.unlabelled is not None:
                there = term.present(labels)
                labels, logits = tf.boolean_mask(labels, there), tf.boolean_mask(logits, there)
                sample_weight = None if sample_weight is None else tf.boolean_mask(sample_weight, there)
        return self.compute_metrics(inputs, labels, logits, sample_weight)

    def _projected(self, student: keras.Model, teacher: keras.Model | None) -> dict[str, keras.Model]:
        """A projection for each term of features that asks for one, by the term's name."""
        found = {}
        for key, term in self._terms:
            if isinstance(term, terms.Feature) and teacher is not None and (term.projection or term.resize):
                shapes = [features.shape_of(student, name=term.student), features.shape_of(teacher, name=term.teacher)]
                found[key] = features.projection(*shapes, width=term.projection, name=f"{key}_projection")
        return found

    def _check_labels(self, labels: Any) -> None:
        if labels is None or not is_multi_label(labels):
            return
        if any(isinstance(term, terms.Soft) and not term.multi_label for _, term in self._terms):
            raise ValueError(
                "Distillation is for examples of one class each: its losses compare answers that sum to one. "
                f"Received: labels of shape {labels.shape}. A loss that is for several says so: Soft(multi_label=True)."
            )

    @staticmethod
    def _check_terms(loss: Any, weight: float, losses: Mapping[str, terms.Term] | None) -> None:
        if (loss is None) == (losses is None):
            raise ValueError(
                "Wanted either `loss`, with its `weight`, or `losses`. Received: "
                f"{'neither' if loss is None else 'both'}."
            )
        if not 0 <= weight <= 1:
            raise ValueError(f"`weight` is a share from 0 to 1. Received: weight={weight}.")
        if losses is not None and (not losses or not all(isinstance(term, terms.Term) for term in losses.values())):
            raise ValueError(
                "Wanted one or more of terms.Labels, terms.Soft and terms.Feature by name. Received: "
                f"{ {key: type(term).__name__ for key, term in losses.items()} }."
            )


def _simple(loss: DistillationLoss, weight: float) -> dict[str, terms.Term]:
    found: dict[str, terms.Term] = {"soft": terms.Soft(loss, weight)}
    if weight < 1:
        found["labels"] = terms.Labels(1 - weight)
    return found


def _tapped(model: keras.Model, layers: list[str]) -> keras.Model:
    """The model itself where nobody listens to a layer: it need not be functional then."""
    return features.taps(model, layers=list(dict.fromkeys(layers))) if layers else model


def _speaker(model: keras.Model, *, training: bool) -> Speaker:
    def speak(inputs: Any) -> dict[str, Any]:
        found = model(inputs, training=training)
        return found if isinstance(found, dict) else {features.LOGITS: found}

    return speak
