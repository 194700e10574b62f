"""DINO: a student's view says what the moving average of its own network, centred and sharpened, says of another."""

from __future__ import annotations

import tensorflow as tf

from kerastl.distil import numerics
from kerastl.pretraining import embeddings


def loss(
    student: tf.Tensor,
    teacher: tf.Tensor,
    *,
    center: tf.Tensor,
    student_temperature: float = 0.1,
    teacher_temperature: float = 0.04,
) -> tf.Tensor:
    """The mean over the batch of ``-sum_k P_k log Q_k``; no gradient goes to the teacher.

    P is softmax((teacher - center) / T_teacher), Q is softmax(student / T_student). Caron et al. 2021, "Emerging
    Properties in Self-Supervised Vision Transformers", section 3.1, eqs. 1 and 2, and algorithm 1. The centre keeps one
    output from winning everywhere, the low temperature of the teacher keeps all from winning alike; either alone
    collapses (section 5.3). Of two views it is taken twice, each after the other's teacher. The teacher's weights are
    `byol.moving_average` of the student's.

    Args:
        student, teacher: outputs ``(batch, width)`` of two different views.
        center: ``(width,)``, see `moved_center`; zeros at the start.
        student_temperature, teacher_temperature: above 0.

    Returns:
        A scalar, in nats.

    Raises:
        ValueError: the shapes are others, or a temperature is not positive.
    """
    numerics.check_temperature(student_temperature)
    student, teacher = embeddings.as_pair(student, teacher)
    sharpened = probabilities(teacher, center=center, temperature=teacher_temperature)
    logarithms = tf.nn.log_softmax(student / student_temperature)
    return -tf.reduce_mean(tf.reduce_sum(tf.stop_gradient(sharpened) * logarithms, -1))


def probabilities(teacher: tf.Tensor, *, center: tf.Tensor, temperature: float = 0.04) -> tf.Tensor:
    """``softmax((teacher - center) / T)``: what a teacher says, and where a collapse shows: always the same.

    Caron et al. 2021, section 3.1, eq. 1, with the centre of algorithm 1.

    Args:
        teacher: outputs ``(batch, width)``.
        center: ``(width,)``.
        temperature: above 0.

    Returns:
        ``(batch, width)``.

    Raises:
        ValueError: the shapes are others, or the temperature is not positive.
    """
    numerics.check_temperature(temperature)
    teacher, _ = embeddings.as_pair(teacher, teacher)
    return tf.nn.softmax((teacher - _checked(center, teacher)) / temperature)


def moved_center(center: tf.Tensor, teacher: tf.Tensor, *, momentum: float = 0.9) -> tf.Tensor:
    """``m c + (1 - m) mean of the teacher's outputs``: the next step's centre.

    Caron et al. 2021, section 3.1, eq. 4.

    Args:
        center: ``(width,)``.
        teacher: its outputs for all views of a batch, ``(views * batch, width)``.
        momentum: m, 0 or more and below 1; 0.9 in the paper.

    Returns:
        ``(width,)``.

    Raises:
        ValueError: the shapes are others, or the momentum is out of range.
    """
    if not 0 <= momentum < 1:
        raise ValueError(f"The momentum of a centre is 0 or more and below 1. Received: momentum={momentum}.")
    teacher, _ = embeddings.as_pair(teacher, teacher)
    return momentum * _checked(center, teacher) + (1 - momentum) * tf.reduce_mean(teacher, 0)


def _checked(center: tf.Tensor, teacher: tf.Tensor) -> tf.Tensor:
    center = tf.cast(tf.convert_to_tensor(center), teacher.dtype)
    if center.shape.rank != 1 or not center.shape.is_compatible_with(teacher.shape[1:]):
        raise ValueError(
            f"Wanted a centre of one number an output, ({teacher.shape[1]},). Received: {tuple(center.shape)}."
        )
    return center
