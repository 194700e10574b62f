"""SimCLR: each of two views of an example is to be found, by the other, among all views of the batch."""

from __future__ import annotations

import tensorflow as tf

from kerastl.distil import numerics
from kerastl.pretraining import embeddings


def loss(first: tf.Tensor, second: tf.Tensor, *, temperature: float = 0.5) -> tf.Tensor:
    """NT-Xent: the mean over all 2N views of ``-log(exp(s_ij / T) / sum_(k != i) exp(s_ik / T))``.

    Here s is the cosine of two views, j the other view of i's example, and k goes over all other views of the batch.
    Chen et al. 2020, "A Simple Framework for Contrastive Learning of Visual Representations", section 2.1, eq. 1.
    Neither the order of the two views nor that of the examples matters, nor the length of an embedding. Memory grows
    with the square of the batch.

    Args:
        first, second: embeddings ``(batch, width)`` of one view each, two examples or more.
        temperature: above 0. The paper takes 0.5 for CIFAR-10 (appendix B.9) and 0.1 for ImageNet.

    Returns:
        A scalar, in nats; log(2 batch - 1) where all embeddings are the same.

    Raises:
        ValueError: the shapes are others, or the temperature is not positive.
    """
    numerics.check_temperature(temperature)
    first, second = embeddings.as_pair(first, second, least=2)
    examples = tf.shape(first)[0]
    views = embeddings.unit(tf.concat([first, second], 0))
    similarities = tf.matmul(views, views, transpose_b=True) / temperature
    itself = tf.fill([2 * examples], numerics.masked_logit(similarities))
    similarities = tf.linalg.set_diag(similarities, itself)
    partners = tf.roll(tf.range(2 * examples), shift=examples, axis=0)
    found = tf.gather(similarities, partners, batch_dims=1)
    return tf.reduce_mean(tf.reduce_logsumexp(similarities, -1) - found)
