"""A Keras model that trains a student under a teacher."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from kerastl.types import is_multi_label

DistillationLoss = Callable[[Any, Any], Any]
"""Takes teacher logits and student logits ``(batch, classes)``, returns ``(batch,)``."""


class Distiller(keras.Model):
    """Trains ``student`` on a blend of the teacher's answers and the labels.

    The loss is ``weight * distillation + (1 - weight) * cross-entropy``, averaged over the batch (weighted by the
    sample weights where there are any). One step runs the student once and the teacher once, on the same view of the
    picture (Beyer et al. 2022, "Knowledge distillation: a good teacher is patient and consistent"). The teacher runs
    in inference mode and is not tracked: its weights, its ``trainable`` flags and its compilation stay as they were.

    Calling, evaluating and saving go to the student.

    Args:
        student: emits logits ``(batch, classes)``; trained in place.
        teacher: takes the same inputs, emits logits ``(batch, classes)``. ``None`` where its answers were computed
            beforehand, for one that is slow or reads other inputs: batches bring them as ``(labels, teacher logits)``,
            see ``answers`` of ``data.pipeline.batches``.
        loss: of teacher and student logits, see ``distil.losses``.
        weight: 0 (labels alone) to 1 (teacher alone: then labels may be missing from the batches).

    Raises:
        ValueError: if the weight is outside 0..1 or the two models differ in their number of outputs; in training, if
            an example may have several classes.
    """

    def __init__(
        self,
        *,
        student: keras.Model,
        teacher: keras.Model | None,
        loss: DistillationLoss,
        weight: float = 0.9,
        name: str = "distiller",
    ) -> None:
        if not 0 <= weight <= 1:
            raise ValueError(f"`weight` is a share from 0 to 1. Received: weight={weight}.")
        if teacher is not None and student.output_shape != teacher.output_shape:
            raise ValueError(
                "Teacher and student must answer in the same shape. Received: "
                f"student {student.output_shape}, teacher {teacher.output_shape}."
            )
        super().__init__(name=name)
        self.student = student
        self.weight = weight
        self._distillation_loss = loss
        # behind a closure Keras does not track the teacher: it is neither trained, nor saved, nor changed
        self._teach = None if teacher is None else lambda inputs: teacher(inputs, training=False)
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return self.student(inputs, training=training)

    def train_step(self, data: Any) -> dict[str, Any]:
        inputs, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if self._teach is None:
            labels, teacher_logits = labels
        else:
            teacher_logits = self._teach(inputs)  # outside the tape: nothing of it is kept for the backward pass
        if labels is not None and is_multi_label(labels):
            raise ValueError(
                "Distillation is for examples of one class each: its losses compare answers that sum to one. "
                f"Received: labels of shape {labels.shape}."
            )
        with tf.GradientTape() as tape:
            student_logits = self.student(inputs, training=True)
            loss = self.blended_loss(
                inputs,
                labels,
                teacher_logits=teacher_logits,
                student_logits=student_logits,
                sample_weight=sample_weight,
            )
            scaled_loss = self.optimizer.scale_loss(loss)
        variables = self.student.trainable_variables
        self.optimizer.apply(tape.gradient(scaled_loss, [v.value for v in variables]), variables)
        self._loss_tracker.update_state(loss, sample_weight=tf.shape(student_logits)[0])
        return self.compute_metrics(inputs, labels, student_logits, sample_weight)

    def test_step(self, data: Any) -> dict[str, Any]:
        inputs, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if isinstance(labels, tuple):  # training batches that bring answers are evaluated as well, when a run goes on
            labels, _ = labels
        return super().test_step(keras.utils.pack_x_y_sample_weight(inputs, labels, sample_weight))

    def blended_loss(
        self, inputs: Any, labels: Any, *, teacher_logits: Any, student_logits: Any, sample_weight: Any = None
    ) -> tf.Tensor:
        """The scalar that a step minimizes, the student's own regularization losses included."""
        soft = self._distillation_loss(teacher_logits, student_logits)
        # weighted sums are divided by the number of examples, as Keras' own losses are
        soft = tf.reduce_mean(soft if sample_weight is None else soft * tf.cast(sample_weight, soft.dtype))
        # compute_loss below brings the student's own losses (regularizers) once, the missing share comes from here
        loss = self.weight * tf.add_n([soft, *(tf.cast(extra, soft.dtype) for extra in self.student.losses)])
        if self.weight == 1:
            return loss
        hard = self.compute_loss(inputs, labels, student_logits, sample_weight, training=True)
        return loss + (1 - self.weight) * tf.cast(hard, soft.dtype)
