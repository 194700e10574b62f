"""The gradients of several tasks beside each other: their products, and the cosines that tell how far they conflict."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf


def products(gradients: Sequence[Sequence[tf.Tensor]]) -> tf.Tensor:
    """Scalar products of the tasks' gradients, ``(tasks, tasks)``: squares of their lengths on the diagonal.

    Args:
        gradients: of each task, a tensor for each of the same variables.
    """
    flat = [tf.concat([tf.reshape(tf.cast(part, tf.float32), [-1]) for part in one], axis=0) for one in gradients]
    table = tf.stack(flat)
    return tf.matmul(table, table, transpose_b=True)


def cosines(products: tf.Tensor) -> tf.Tensor:
    """Cosines of the angles between the tasks' gradients, ``(tasks, tasks)``; 0 beside a gradient of nothing.

    Below 0 two tasks conflict: a step that helps the one alone harms the other (Yu et al. 2020, "Gradient surgery for
    multi-task learning", https://arxiv.org/abs/2001.06782, definition 1).

    Args:
        products: as `products` gives them.
    """
    lengths = tf.sqrt(tf.linalg.diag_part(products))
    return tf.math.divide_no_nan(products, lengths[:, None] * lengths[None, :])
