"""Distillation losses: pure functions of tensors, one value an example.

Written in TensorFlow operations, so that one loss serves a Keras 3 student and a tf_keras student under TF-MOT.
"""

from __future__ import annotations

import tensorflow as tf


def soft_label_mean_squared_error(teacher_probabilities: tf.Tensor, student_probabilities: tf.Tensor) -> tf.Tensor:
    """``1/2 sum_j (student_j - teacher_j)^2``.

    Ba & Caruana 2014, "Do deep nets really need to be deep?", eq. 1, there on logits; both spaces work here.

    Args:
        teacher_probabilities: ``(batch, classes)``.
        student_probabilities: ``(batch, classes)``.

    Returns:
        float32 ``(batch,)``.
    """
    difference = tf.cast(student_probabilities, tf.float32) - tf.cast(teacher_probabilities, tf.float32)
    return 0.5 * tf.reduce_sum(tf.square(difference), axis=-1)


def temperature_kullback_leibler(
    teacher_logits: tf.Tensor, student_logits: tf.Tensor, *, temperature: float
) -> tf.Tensor:
    """``T^2 KL(softmax(teacher / T) || softmax(student / T))``.

    Hinton, Vinyals & Dean 2015, "Distilling the knowledge in a neural network", section 2; the factor T^2 keeps the
    size of the gradient when the temperature changes.

    Args:
        teacher_logits: ``(batch, classes)``.
        student_logits: ``(batch, classes)``.
        temperature: above 0; 1 leaves the distributions as they are.

    Returns:
        float32 ``(batch,)``, in nats.

    Raises:
        ValueError: if the temperature is not positive.
    """
    if temperature <= 0:
        raise ValueError(f"A temperature must be above 0. Received: temperature={temperature}.")
    # in float64: at T = 20 the two log-softmaxes nearly cancel and float32 keeps five digits of the difference
    teacher = tf.nn.log_softmax(tf.cast(teacher_logits, tf.float64) / temperature, axis=-1)
    student = tf.nn.log_softmax(tf.cast(student_logits, tf.float64) / temperature, axis=-1)
    divergence = tf.reduce_sum(tf.exp(teacher) * (teacher - student), axis=-1)
    return tf.cast(temperature**2 * divergence, tf.float32)
