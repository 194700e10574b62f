"""Barlow Twins: a feature of one view correlates with itself in the other view, and with no other feature."""

from __future__ import annotations

import tensorflow as tf

from kerastl.pretraining import embeddings


def loss(first: tf.Tensor, second: tf.Tensor, *, redundancy_weight: float = 0.005) -> tf.Tensor:
    """``sum_i (1 - C_ii)^2 + lambda sum_(i != j) C_ij^2``, C the correlations of features between the two views.

    Zbontar et al. 2021, "Barlow Twins: Self-Supervised Learning via Redundancy Reduction", section 2, eqs. 1 and 2.
    Neither the order of the two views nor that of the examples matters, nor the scale and offset of a feature. What
    does not vary over the batch correlates with nothing.

    Args:
        first, second: embeddings ``(batch, width)`` of one view each, two examples or more.
        redundancy_weight: lambda, 0 or more; 0.005 in the paper.

    Returns:
        A scalar; the width where nothing correlates.

    Raises:
        ValueError: the shapes are others, or the weight is negative or not finite.
    """
    embeddings.check_weights(redundancy_weight=redundancy_weight)
    first, second = embeddings.as_pair(first, second, least=2)
    correlations = tf.matmul(embeddings.standardized(first), embeddings.standardized(second), transpose_a=True)
    diagonal = tf.linalg.diag_part(correlations)
    others = tf.linalg.set_diag(correlations, tf.zeros_like(diagonal))
    return tf.reduce_sum(tf.square(1 - diagonal)) + redundancy_weight * tf.reduce_sum(tf.square(others))
