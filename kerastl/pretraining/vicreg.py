"""VICReg: two views say the same (invariance), in features that vary (variance) and do not repeat one another."""

from __future__ import annotations

import tensorflow as tf

from kerastl.pretraining import embeddings

_VARIANCE_FLOOR = 1e-4
"""Added to a variance before its root is taken, as in the paper (section 4.1) and its code."""


def loss(
    first: tf.Tensor,
    second: tf.Tensor,
    *,
    invariance_weight: float = 25.0,
    variance_weight: float = 25.0,
    covariance_weight: float = 1.0,
    deviation: float = 1.0,
) -> tf.Tensor:
    """``lambda s(Z, Z') + mu (v(Z) + v(Z')) + nu (c(Z) + c(Z'))``.

    s is the mean squared difference of the two views; ``v(Z)`` the mean over features of ``max(0, gamma -
    sqrt(Var + 1e-4))``; ``c(Z)`` the sum of squares of all covariances of two different features, over the width.
    Bardes et al. 2022, "VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised Learning", section
    4.1, eqs. 1 to 6. Invariance is a mean over the width too, as in the authors' algorithm 1, which the weights
    were chosen for and eq. 5 is not. Neither the order of the two views nor that of the examples matters; scale does.

    Args:
        first, second: embeddings ``(batch, width)`` of one view each, two examples or more.
        invariance_weight, variance_weight, covariance_weight: lambda, mu and nu, 0 or more each.
        deviation: gamma, the standard deviation over the batch that a feature should have.

    Returns:
        A scalar. Its covariances are of the fourth order: embeddings beyond 1e8 are too large for float32.

    Raises:
        ValueError: the shapes are others, or a weight or the deviation is negative or not finite.
    """
    embeddings.check_weights(
        invariance_weight=invariance_weight,
        variance_weight=variance_weight,
        covariance_weight=covariance_weight,
        deviation=deviation,
    )
    first, second = embeddings.as_pair(first, second, least=2)
    value = invariance_weight * tf.reduce_mean(tf.math.squared_difference(first, second))
    for one in (first, second):
        centred = one - tf.reduce_mean(one, 0, keepdims=True)
        freedom = tf.cast(tf.maximum(tf.shape(one)[0] - 1, 1), one.dtype)  # a last batch may have one example
        variances = tf.reduce_sum(tf.square(centred), 0) / freedom
        value += variance_weight * tf.reduce_mean(tf.nn.relu(deviation - tf.sqrt(variances + _VARIANCE_FLOOR)))
        covariances = tf.matmul(centred, centred, transpose_a=True) / freedom
        others = tf.linalg.set_diag(covariances, tf.zeros_like(variances))
        value += covariance_weight * tf.reduce_sum(tf.square(others)) / tf.cast(tf.shape(one)[1], one.dtype)
    return value
