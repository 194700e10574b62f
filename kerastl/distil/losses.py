"""Distillation losses on answers: pure functions of teacher's and student's logits, one value an example.

Written in TensorFlow operations, so that one loss serves a Keras 3 student and a tf_keras student under TF-MOT. Teacher
first, student second. They compute in float32, and in float64 where that comes in. Those on features are in
`feature_losses`.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from kerastl.distil import numerics


def mean_squared_error(teacher_probabilities: tf.Tensor, student_probabilities: tf.Tensor) -> tf.Tensor:
    """``1/2 sum_j (student_j - teacher_j)^2``.

    Ba & Caruana 2014, "Do deep nets really need to be deep?", eq. 1, there on logits; both spaces work here.

    Args:
        teacher_probabilities: ``(batch, classes)``.
        student_probabilities: ``(batch, classes)``.

    Returns:
        ``(batch,)``.
    """
    teacher, student = numerics.as_float(teacher_probabilities, student_probabilities)
    return 0.5 * tf.reduce_sum(tf.square(student - teacher), axis=-1)


def kl_divergence(teacher_logits: tf.Tensor, student_logits: tf.Tensor, *, temperature: float) -> tf.Tensor:
    """``T^2 KL(softmax(teacher / T) || softmax(student / T))``.

    Hinton, Vinyals & Dean 2015, "Distilling the knowledge in a neural network", section 2; the factor T^2 keeps the
    size of the gradient when the temperature changes.

    Args:
        teacher_logits: ``(batch, classes)``.
        student_logits: ``(batch, classes)``.
        temperature: above 0; 1 leaves the distributions as they are.

    Returns:
        ``(batch,)``, in nats.

    Raises:
        ValueError: if the temperature is not positive.
    """
    numerics.check_temperature(temperature)
    teacher, student = numerics.as_float(teacher_logits, student_logits)
    return temperature**2 * numerics.kl_divergence(teacher / temperature, student / temperature)


def cross_entropy(labels: tf.Tensor, student_logits: tf.Tensor, *, smoothing: float = 0.0) -> tf.Tensor:
    """Cross-entropy of the labels, which for a share of ``smoothing`` may be any class.

    Szegedy et al. 2016, "Rethinking the Inception Architecture for Computer Vision", section 7. For a loss of one's own
    that is of labels as well as of a teacher, and for the labels of a teacher that has few.

    Args:
        labels: class indices ``(batch,)`` or ``(batch, 1)``.
        student_logits: ``(batch, classes)``.
        smoothing: 0 or more and below 1.

    Returns:
        ``(batch,)``, in nats.

    Raises:
        ValueError: the smoothing is out of range.
    """
    if not 0 <= smoothing < 1:
        raise ValueError(f"A share of smoothing is 0 or more and below 1. Received: smoothing={smoothing}.")
    (logits,) = numerics.as_float(student_logits)
    indices = tf.reshape(tf.cast(labels, tf.int32), [-1])
    logs = tf.nn.log_softmax(logits)
    found = -tf.gather(logs, indices, batch_dims=1)
    return (1 - smoothing) * found - smoothing * tf.reduce_mean(logs, -1)


def distillation_loss(
    *, temperature: float, weight: float = 1.0
) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]:
    """``weight * T^2 KL(teacher || student) + (1 - weight) * cross-entropy`` as one function, for training in tf_keras.

    Args:
        temperature: of both sides' answers, see `kl_divergence`.
        weight: share of the teacher, 0 to 1; the labels have the rest, and with 1 are not looked at.

    Returns:
        ``loss(labels, student_logits, teacher_logits)``, of labels ``(batch,)`` and logits ``(batch, classes)``, in
        nats ``(batch,)``: what ``qat.train`` and ``cluster.train`` take.

    Raises:
        ValueError: the temperature is not positive, or the weight outside 0..1.
    """
    numerics.check_temperature(temperature)
    if not 0 <= weight <= 1:
        raise ValueError(f"The teacher's share of the loss lies in 0..1. Received: weight={weight}.")

    def loss(labels: tf.Tensor, student_logits: tf.Tensor, teacher_logits: tf.Tensor) -> tf.Tensor:
        soft = kl_divergence(teacher_logits, student_logits, temperature=temperature)
        return soft if weight == 1 else weight * soft + (1 - weight) * cross_entropy(labels, student_logits)

    return loss


def pseudo_label_cross_entropy(
    teacher_logits: tf.Tensor, student_logits: tf.Tensor, *, threshold: float = 0.95
) -> tf.Tensor:
    """Cross-entropy of the class that the teacher names, where it is sure of it; else 0.

    Sohn et al. 2020, "FixMatch: Simplifying Semi-Supervised Learning with Consistency and Confidence", eq. 4: of
    pictures without labels, the teacher sees one changed a little, the student one changed a lot.

    Args:
        teacher_logits, student_logits: ``(batch, classes)``.
        threshold: least probability of the class that is named, 0 to 1.

    Returns:
        ``(batch,)``, in nats.

    Raises:
        ValueError: the threshold is no probability.
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"A threshold of confidence is a probability, 0 to 1. Received: threshold={threshold}.")
    teacher, student = numerics.as_float(teacher_logits, student_logits)
    sure = tf.reduce_max(tf.nn.softmax(teacher), -1) >= threshold
    values = cross_entropy(tf.argmax(teacher, -1), student)
    return tf.where(sure, values, tf.zeros_like(values))


def decoupled_kd(
    teacher_logits: tf.Tensor,
    student_logits: tf.Tensor,
    labels: tf.Tensor,
    *,
    temperature: float = 4.0,
    target_weight: float = 1.0,
    other_weight: float | tf.Tensor = 8.0,
) -> tf.Tensor:
    """DKD: whether it is the labelled class, and what the other classes are to each other, weighted apart.

    ``T^2 (alpha KL(b_teacher || b_student) + beta KL(q_teacher || q_student))``; b is (probability of the label, of all
    others), q the softmax over the others alone. Zhao et al. 2022, "Decoupled Knowledge Distillation", section 3. With
    ``alpha = 1`` and ``beta = 1 - teacher's probability of the label`` it is `kl_divergence`:
    that small weight is what a sure teacher loses by.

    Args:
        teacher_logits, student_logits: ``(batch, classes)``, two classes or more.
        labels: class indices ``(batch,)`` or ``(batch, 1)``.
        temperature: above 0.
        target_weight: alpha.
        other_weight: beta, a number or ``(batch,)``. The paper takes 8 on CIFAR-100 and 0.5 on ImageNet; the surer the
            teacher, the larger.

    Returns:
        ``(batch,)``.

    Raises:
        ValueError: if the temperature is not positive.
    """
    numerics.check_temperature(temperature)
    pair = [logits / temperature for logits in numerics.as_float(teacher_logits, student_logits)]
    classes = tf.shape(pair[0])[-1]
    indices = tf.reshape(tf.cast(labels, tf.int32), [-1])
    chosen = tf.one_hot(indices, classes, on_value=True, off_value=False, dtype=tf.bool)
    others = [tf.where(chosen, numerics.masked_logit(logits), logits) for logits in pair]
    binary = [
        tf.stack(
            [tf.reduce_sum(tf.where(chosen, logits, tf.zeros_like(logits)), -1), tf.reduce_logsumexp(other, -1)], -1
        )
        for logits, other in zip(pair, others, strict=True)
    ]
    target, other = numerics.kl_divergence(*binary), numerics.kl_divergence(*others)
    return temperature**2 * (target_weight * target + tf.cast(other_weight, other.dtype) * other)


def dist(
    teacher_logits: tf.Tensor,
    student_logits: tf.Tensor,
    *,
    temperature: float = 1.0,
    within_example: float = 1.0,
    within_class: float = 1.0,
    mask: tf.Tensor | None = None,
) -> tf.Tensor:
    """DIST: ``T^2 (beta (1 - correlation over classes) + gamma (1 - correlation over the batch, mean of classes))``.

    Pearson's correlation lets the student's answers have another size and offset than the teacher's. Huang et al. 2022,
    "Knowledge Distillation from A Stronger Teacher", section 3. The second term is of the whole batch and is added to
    every example; of a single one, which varies in no class, it is a constant and teaches nothing.

    Args:
        teacher_logits, student_logits: ``(batch, classes)``.
        temperature: above 0.
        within_example, within_class: beta and gamma.
        mask: bool ``(batch,)``, False for examples that the batch does not really have; their value is 0.

    Returns:
        ``(batch,)``.

    Raises:
        ValueError: if the temperature is not positive.
    """
    numerics.check_temperature(temperature)
    teacher, student = (
        tf.nn.softmax(logits / temperature) for logits in numerics.as_float(teacher_logits, student_logits)
    )
    real = tf.ones_like(teacher[:, :1]) if mask is None else tf.cast(mask, teacher.dtype)[:, None]
    by_example = 1 - _correlation(teacher, student, tf.ones_like(teacher), axis=1)
    by_class = 1 - _correlation(teacher, student, real * tf.ones_like(teacher), axis=0)
    both = within_example * by_example + within_class * tf.reduce_mean(by_class)
    return temperature**2 * both * real[:, 0]


def standardized_kl_divergence(
    teacher_logits: tf.Tensor, student_logits: tf.Tensor, *, temperature: float = 2.0
) -> tf.Tensor:
    """`kl_divergence` of logits with mean 0 and deviation 1: their shape counts, their size does not.

    Sun et al. 2024, "Logit Standardization in Knowledge Distillation", section 3: the deviation of each example's
    logits takes the place of a temperature that all share, and ``temperature`` is the base that it multiplies.

    Args:
        teacher_logits, student_logits: ``(batch, classes)``.
        temperature: above 0.

    Returns:
        ``(batch,)``.

    Raises:
        ValueError: if the temperature is not positive.
    """
    pair = numerics.as_float(teacher_logits, student_logits)
    return kl_divergence(*map(standardized, pair), temperature=temperature)


def standardized(logits: tf.Tensor) -> tf.Tensor:
    """Logits ``(batch, classes)`` minus their mean, over their deviation (of the sample, as in the authors' code)."""
    (logits,) = numerics.as_float(logits)
    centred = logits - tf.reduce_mean(logits, -1, keepdims=True)
    freedom = tf.cast(tf.shape(logits)[-1] - 1, logits.dtype)
    variance = tf.reduce_sum(tf.square(centred), -1, keepdims=True) / freedom
    return centred / (numerics.safe_sqrt(variance) + 1e-7)


def _correlation(one: tf.Tensor, other: tf.Tensor, weight: tf.Tensor, *, axis: int) -> tf.Tensor:
    """Pearson's correlation along an axis; 0 where one of the two does not vary."""
    total = tf.reduce_sum(weight, axis, keepdims=True)
    one, other = (
        weight * (values - tf.math.divide_no_nan(tf.reduce_sum(weight * values, axis, keepdims=True), total))
        for values in (one, other)
    )
    norms = numerics.safe_sqrt(tf.reduce_sum(one * one, axis)) * numerics.safe_sqrt(tf.reduce_sum(other * other, axis))
    return tf.math.divide_no_nan(tf.reduce_sum(one * other, axis), norms)
