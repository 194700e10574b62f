"""Distillation losses on features: pure functions of what layers inside the two models say, one value an example.

Teacher first, student second, as in `losses`; where the two have other widths, a projection that learns with the
student stands between. Losses that compare examples with each other give each example its share: their mean over the
batch is the paper's number. Their ``mask`` is bool ``(batch,)``, False for examples that are not to be compared with;
these get 0, and so the mean over the batch has to be taken over the others.
"""

from __future__ import annotations

import tensorflow as tf

from kerastl.distil import numerics


def hint(teacher_features: tf.Tensor, student_features: tf.Tensor) -> tf.Tensor:
    """``1/2`` of the mean squared difference of two feature maps.

    Romero et al. 2015, "FitNets: Hints for Thin Deep Nets", eq. 3, divided by the number of features, so that its
    weight does not depend on the size of the map.

    Args:
        teacher_features, student_features: ``(batch, ...)``, of one shape.

    Returns:
        ``(batch,)``.

    Raises:
        ValueError: the shapes differ.
    """
    teacher, student = _flat(teacher_features, student_features)
    return 0.5 * tf.reduce_mean(tf.square(teacher - student), -1)


def attention_transfer(teacher_features: tf.Tensor, student_features: tf.Tensor) -> tf.Tensor:
    """``1/2`` of the squared distance of two maps that say where features are strong, each of length 1.

    A place's strength is the sum of its squared channels, so widths may differ. Zagoruyko & Komodakis 2017, "Paying
    More Attention to Attention", eq. 2 with p = 2; squared, as in the authors' code: a distance has no gradient at 0.

    Args:
        teacher_features, student_features: ``(batch, height, width, channels)``, channels of any number; or ``(batch,
            tokens, channels)``.

    Returns:
        ``(batch,)``, from 0 to 1.

    Raises:
        ValueError: height and width differ, or there are no places, as in a pooled vector.
    """
    pair = numerics.as_float(teacher_features, student_features)
    if any(len(features.shape) < 3 for features in pair):
        raise ValueError(
            "Attention is paid to places: wanted maps (batch, height, width, channels). Received: teacher "
            f"{tuple(pair[0].shape)}, student {tuple(pair[1].shape)}."
        )
    pair = [tf.reduce_sum(tf.square(features), -1) for features in pair]
    teacher, student = (_unit(one) for one in _flat(*pair))
    return 0.5 * tf.reduce_sum(tf.square(teacher - student), -1)


def relational_distance(
    teacher_features: tf.Tensor, student_features: tf.Tensor, *, mask: tf.Tensor | None = None
) -> tf.Tensor:
    """RKD-D: Huber's loss of the distances from an example to the others, in units of each model's mean distance.

    Park et al. 2019, "Relational Knowledge Distillation", section 3.2.1. Widths may differ.

    Args:
        teacher_features, student_features: ``(batch, width)``.
        mask: see above.

    Returns:
        ``(batch,)``: the mean over the other examples.
    """
    teacher, student = numerics.as_float(teacher_features, student_features)
    pairs = _pairs(teacher, mask)

    def distances(features: tf.Tensor) -> tf.Tensor:
        # of differences: |a|^2 + |b|^2 - 2ab loses all digits of near neighbours
        found = numerics.safe_sqrt(tf.reduce_sum(tf.square(features[:, None] - features[None]), -1))
        return tf.math.divide_no_nan(found, _mean(found, pairs, axis=[0, 1]))

    return _mean(_huber(distances(teacher), distances(student)), pairs, axis=1)


def relational_angle(
    teacher_features: tf.Tensor, student_features: tf.Tensor, *, mask: tf.Tensor | None = None
) -> tf.Tensor:
    """RKD-A: Huber's loss of the cosines of the angles at an example between each two of the others.

    Park et al. 2019, "Relational Knowledge Distillation", section 3.2.2. Memory grows with the cube of the batch.

    Args:
        teacher_features, student_features: ``(batch, width)``; widths may differ.
        mask: see above.

    Returns:
        ``(batch,)``: the mean over the pairs of two others.
    """
    teacher, student = numerics.as_float(teacher_features, student_features)
    pairs = _pairs(teacher, mask)
    triples = pairs[:, :, None] * pairs[:, None, :] * pairs[None]  # the vertex, then two others that differ

    def cosines(features: tf.Tensor) -> tf.Tensor:
        directions = _unit(features[None] - features[:, None])
        return tf.matmul(directions, directions, transpose_b=True)

    return _mean(_huber(cosines(teacher), cosines(student)), triples, axis=[1, 2])


def similarity_preserving(
    teacher_features: tf.Tensor, student_features: tf.Tensor, *, mask: tf.Tensor | None = None
) -> tf.Tensor:
    """Squared difference of an example's similarities (inner products, scaled to length 1) with all of the batch.

    Tung & Mori 2019, "Similarity-Preserving Knowledge Distillation", eqs. 1 to 4: the mean over the batch is
    ``|G_teacher - G_student|^2 / batch^2``.

    Args:
        teacher_features, student_features: ``(batch, ...)``, of any two shapes behind the batch.
        mask: see above.

    Returns:
        ``(batch,)``.
    """
    pair = numerics.as_float(teacher_features, student_features)
    real = _present(_of_examples(pair[0]), mask)

    def similarities(features: tf.Tensor) -> tf.Tensor:
        rows = tf.reshape(features, [tf.shape(features)[0], -1])
        return _unit(tf.matmul(rows, rows, transpose_b=True) * real[:, None] * real)

    teacher, student = map(similarities, pair)
    return _mean(tf.square(teacher - student), real[:, None] * real, axis=1)


def contrastive(
    teacher_features: tf.Tensor,
    student_features: tf.Tensor,
    *,
    temperature: float = 0.1,
    mask: tf.Tensor | None = None,
) -> tf.Tensor:
    """Cross-entropy of finding the teacher's features of an example, by the student's, among those of the whole batch.

    InfoNCE (van den Oord et al. 2018, "Representation Learning with Contrastive Predictive Coding", eq. 4) between the
    two models, after Tian et al. 2020, "Contrastive Representation Distillation", which takes its negatives from a
    memory of the data set where the batch serves here. Features have length 1 in it.

    Args:
        teacher_features, student_features: ``(batch, width)``, of one width.
        temperature: above 0; similarities are divided by it.
        mask: see above.

    Returns:
        ``(batch,)``, in nats; log(batch) for a student that tells nothing apart.

    Raises:
        ValueError: the shapes differ, or the temperature is not positive.
    """
    numerics.check_temperature(temperature)
    teacher, student = (_unit(features) for features in _flat(teacher_features, student_features))
    real = _present(_of_examples(teacher), mask)
    similarities = tf.matmul(student, teacher, transpose_b=True) / temperature
    similarities = tf.where(real[None] > 0, similarities, numerics.masked_logit(similarities))
    found = tf.reduce_logsumexp(similarities, -1) - tf.linalg.diag_part(similarities)
    return tf.where(real > 0, found, tf.zeros_like(found))


def hidden_state(teacher_states: tf.Tensor, student_states: tf.Tensor, *, mask: tf.Tensor | None = None) -> tf.Tensor:
    """Mean squared difference of the states of a text's tokens.

    Jiao et al. 2020, "TinyBERT: Distilling BERT for Natural Language Understanding", eq. 8.

    Args:
        teacher_states, student_states: ``(batch, tokens, width)``, of one shape.
        mask: bool ``(batch, tokens)``, False for padding.

    Returns:
        ``(batch,)``; 0 for a text of padding alone.

    Raises:
        ValueError: the shapes differ.
    """
    teacher, student = _same_shape(*numerics.as_float(teacher_states, student_states))
    by_token = tf.reduce_mean(tf.square(teacher - student), -1)
    return _mean(by_token, _present(by_token, mask), axis=1)


def attention_distribution(
    teacher_attention: tf.Tensor, student_attention: tf.Tensor, *, mask: tf.Tensor | None = None
) -> tf.Tensor:
    """Kullback-Leibler divergence of what each token attends to, mean over heads and tokens.

    Wang et al. 2020, "MiniLM: Deep Self-Attention Distillation", section 3.1, there of the last layer.

    Args:
        teacher_attention, student_attention: probabilities ``(batch, heads, tokens, tokens)``, of one shape.
        mask: bool ``(batch, tokens)``, False for padding: it neither attends nor is attended to.

    Returns:
        ``(batch,)``, in nats.

    Raises:
        ValueError: the shapes differ.
    """
    pair = _same_shape(*numerics.as_float(teacher_attention, student_attention))
    return _attended(*(tf.math.log(tf.maximum(one, 1e-30)) for one in pair), mask=mask)


def self_attention_relation(
    teacher_vectors: tf.Tensor, student_vectors: tf.Tensor, *, heads: int, mask: tf.Tensor | None = None
) -> tf.Tensor:
    """Kullback-Leibler divergence of how alike the tokens of a text are: of queries, of keys, or of values.

    ``softmax(v v^T / sqrt(width of a head))`` of each head, mean over heads and tokens. The vectors of all heads are
    joined and divided anew, so the two models may have other widths and other numbers of heads. Wang et al. 2021,
    "MiniLMv2: Multi-Head Self-Attention Relation Distillation", section 3; of values, and with the models' own heads,
    it is MiniLM's value relation (2020, section 3.2).

    Args:
        teacher_vectors, student_vectors: ``(batch, tokens, width)``; each width a multiple of ``heads``.
        heads: into which vectors are divided.
        mask: bool ``(batch, tokens)``, False for padding.

    Returns:
        ``(batch,)``, in nats.

    Raises:
        ValueError: a width cannot be divided into so many heads.
    """
    pair = numerics.as_float(teacher_vectors, student_vectors)
    widths = [int(vectors.shape[-1] or 0) for vectors in pair]
    if heads < 1 or any(width % heads for width in widths):
        raise ValueError(f"Wanted widths that are multiples of the number of heads. Received: {widths}, heads={heads}.")

    def relations(vectors: tf.Tensor, width: int) -> tf.Tensor:
        batch, tokens = tf.shape(vectors)[0], tf.shape(vectors)[1]
        parts = tf.transpose(tf.reshape(vectors, [batch, tokens, heads, width]), [0, 2, 1, 3])
        return tf.matmul(parts, parts, transpose_b=True) / width**0.5

    teacher, student = (relations(vectors, width // heads) for vectors, width in zip(pair, widths, strict=True))
    return _attended(teacher, student, mask=mask)


def _attended(teacher_logits: tf.Tensor, student_logits: tf.Tensor, *, mask: tf.Tensor | None) -> tf.Tensor:
    """Divergence of two softmaxes ``(batch, heads, tokens, tokens)``, mean over heads and real tokens."""
    if mask is not None:
        seen = tf.cast(mask, tf.bool)[:, None, None, :]
        teacher_logits, student_logits = (
            tf.where(seen, one, numerics.masked_logit(one)) for one in (teacher_logits, student_logits)
        )
    by_token = tf.reduce_mean(numerics.kl_divergence(teacher_logits, student_logits), 1)
    return _mean(by_token, _present(by_token, mask), axis=1)


def _same_shape(teacher: tf.Tensor, student: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    if not teacher.shape[1:].is_compatible_with(student.shape[1:]):
        raise ValueError(
            "Wanted features of one shape: a projection brings the student's to the teacher's. Received: teacher "
            f"{tuple(teacher.shape)}, student {tuple(student.shape)}."
        )
    return teacher, student


def _flat(teacher: tf.Tensor, student: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    teacher, student = _same_shape(*numerics.as_float(teacher, student))
    batch = tf.shape(teacher)[0]
    return tf.reshape(teacher, [batch, -1]), tf.reshape(student, [batch, -1])


def _unit(vectors: tf.Tensor) -> tf.Tensor:
    """Vectors along the last axis, of length 1; zeros stay zeros."""
    return tf.math.divide_no_nan(vectors, numerics.safe_sqrt(tf.reduce_sum(tf.square(vectors), -1, keepdims=True)))


def _huber(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    distance = tf.abs(one - other)
    return tf.where(distance <= 1, 0.5 * tf.square(distance), distance - 0.5)


def _of_examples(features: tf.Tensor) -> tf.Tensor:
    """``(batch,)``, of whatever numbers."""
    return tf.zeros(tf.shape(features)[:1], features.dtype)


def _present(like: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor:
    """1 for what the mask lets in, else 0."""
    return tf.ones_like(like) if mask is None else tf.cast(mask, like.dtype)


def _pairs(features: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor:
    """``(batch, batch)``: 1 for two different examples that the mask lets in."""
    real = _present(_of_examples(features), mask)
    return real[:, None] * real * (1 - tf.eye(tf.shape(real)[0], dtype=real.dtype))


def _mean(values: tf.Tensor, weight: tf.Tensor, *, axis: int | list[int]) -> tf.Tensor:
    """Mean over what has weight 1; 0 where nothing has."""
    return tf.math.divide_no_nan(
        tf.reduce_sum(values * weight, axis), tf.reduce_sum(weight * tf.ones_like(values), axis)
    )
