"""SimCSE: a sentence read twice, each time without other units, is to be found among the other sentences of a batch."""

from __future__ import annotations

import tensorflow as tf

from kerastl.distil import numerics
from kerastl.pretraining import embeddings


def loss(first: tf.Tensor, second: tf.Tensor, *, temperature: float = 0.05) -> tf.Tensor:
    """The mean over the batch of ``-log(exp(s_ii / T) / sum_j exp(s_ij / T))``.

    Here s_ij is the cosine of the first view of sentence i and the second of sentence j. Gao et al. 2021, "SimCSE:
    Simple Contrastive Learning of Sentence Embeddings", section 3, eq. 4: the two views are one sentence under two
    masks of the encoder's dropout, and nothing else changes it. Unlike `simclr`, first views are not compared with each
    other. The order of the examples does not matter, nor the length of an embedding; which view is the first does.

    Args:
        first, second: embeddings ``(batch, width)`` of the same sentences, two or more.
        temperature: above 0; 0.05 in the paper.

    Returns:
        A scalar, in nats; log(batch) where all embeddings are the same.

    Raises:
        ValueError: the shapes are others, or the temperature is not positive.
    """
    numerics.check_temperature(temperature)
    first, second = embeddings.as_pair(first, second, least=2)
    similarities = tf.matmul(embeddings.unit(first), embeddings.unit(second), transpose_b=True) / temperature
    return tf.reduce_mean(tf.reduce_logsumexp(similarities, -1) - tf.linalg.diag_part(similarities))
