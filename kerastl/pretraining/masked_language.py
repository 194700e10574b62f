"""Masked language modelling: some words of a sentence are hidden, and are to be told from those around them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from kerastl.distil import numerics


class Masked(NamedTuple):
    """Token ids as a model sees them, and what it is asked.

    Attributes:
        ids: int32 ``(batch, tokens)``, with hidden tokens replaced.
        labels: int32 ``(batch, tokens)``, the ids as they were.
        mask: bool ``(batch, tokens)``, True for tokens that are asked for, those among them that stayed included.
    """

    ids: tf.Tensor
    labels: tf.Tensor
    mask: tf.Tensor


class Marks(NamedTuple):
    """What a vocabulary's tokens are called, and how its pieces say which word they are of; by default BERT's.

    Attributes:
        special: tokens that are no words: never hidden, and in nobody's place.
        mask: the token that stands for what is hidden, one of the special ones.
        padding: the one that texts are filled up with.
        within: begins a piece that goes on with the word before it, as ``##`` of WordPiece.
        begins: begins a piece that begins a word, as ``▁`` of SentencePiece, where a vocabulary marks these instead.
    """

    special: tuple[str, ...] = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    mask: str = "[MASK]"
    padding: str = "[PAD]"
    within: str = "##"
    begins: str = ""

    def goes_on(self, token: str) -> bool:
        """Whether a token goes on with the word before it."""
        return not token.startswith(self.begins) if self.begins else token.startswith(self.within)


WORDPIECE = Marks()


def mask_words(
    ids: tf.Tensor,
    vocabulary: Sequence[str],
    *,
    seed: tf.Tensor,
    marks: Marks = WORDPIECE,
    share: float = 0.15,
) -> Masked:
    """Hides whole words: of their tokens 80 % become the mask, 10 % another token, 10 % stay.

    Devlin et al. 2019, "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding", section 3.1,
    "Task #1", with the whole-word masking of the authors' later code: a word is hidden with all of its pieces, and each
    piece draws its replacement by itself. Masks are drawn anew for every step, as in "RoBERTa" (Liu et al. 2019,
    section 4.1). Every word is drawn by itself, so the share holds on average; a sentence that has words has one hidden
    at least. Nothing is remembered: the same seed hides the same words, in a graph and outside.

    Args:
        ids: ``(batch, tokens)``, integers.
        vocabulary: the token of each id.
        seed: two integers, see `tf.random.stateless_uniform`; another pair for every step.
        marks: see `Marks`.
        share: of words that are hidden, above 0 and below 1; 0.15 in the paper.

    Raises:
        ValueError: these are no ids ``(batch, tokens)``, the share is out of range, a special token is not in the
            vocabulary, or every token of it is special.
    """
    ids = tf.convert_to_tensor(ids)
    if ids.shape.rank != 2 or not ids.dtype.is_integer:
        raise ValueError(
            f"Wanted token ids (batch, tokens), integers. Received: {tuple(ids.shape)} of {ids.dtype.name}."
        )
    if not 0 < share < 1:
        raise ValueError(f"The share of hidden words is above 0 and below 1. Received: share={share}.")
    tokens, rare = np.asarray(vocabulary, object), sorted({*marks.special, marks.mask} - set(vocabulary))
    if rare or set(vocabulary) <= {*marks.special, marks.mask}:
        raise ValueError(
            "Wanted a vocabulary with the special tokens, and others beside them. Received: "
            f"{len(tokens)} tokens{' without ' + ', '.join(rare) if rare else ', all of them special'}."
        )
    is_special = np.isin(tokens.astype(str), [*marks.special, marks.mask])
    continues = np.array([marks.goes_on(str(token)) for token in vocabulary]) & ~is_special
    ids = tf.cast(ids, tf.int32)
    seeds = tf.unstack(tf.random.split(seed, num=3))
    chosen = _chosen_words(tf.gather(is_special, ids), tf.gather(continues, ids), seed=seeds[0], share=share)
    kind = tf.random.stateless_uniform(tf.shape(ids), seeds[1])
    others = np.flatnonzero(~is_special).astype(np.int32)
    other = tf.gather(others, tf.random.stateless_uniform(tf.shape(ids), seeds[2], 0, len(others), tf.int32))
    hidden = tf.where(kind < 0.8, np.int32(list(vocabulary).index(marks.mask)), tf.where(kind < 0.9, other, ids))
    return Masked(tf.where(chosen, hidden, ids), ids, chosen)


def _chosen_words(special: tf.Tensor, continues: tf.Tensor, *, seed: tf.Tensor, share: float) -> tf.Tensor:
    """Bool ``(batch, tokens)``: all tokens of the words that are drawn, one word of each sentence at least."""
    ordinary = tf.logical_not(special)
    # a piece behind a special token, where a sentence was cut, begins a word
    joined = continues & tf.pad(ordinary[:, :-1], [[0, 0], [1, 0]])
    word = tf.cumsum(tf.cast(ordinary & tf.logical_not(joined), tf.int32), axis=-1)  # numbered from 1
    draws = tf.random.stateless_uniform(tf.shape(special) + tf.constant([0, 1]), seed)
    numbers = tf.range(tf.shape(draws)[1])
    words = (numbers > 0) & (numbers <= tf.reduce_max(word, -1, keepdims=True))
    draws = tf.where(words, draws, tf.fill(tf.shape(draws), 2.0))
    drawn = words & ((draws < share) | (draws == tf.reduce_min(draws, -1, keepdims=True)))
    return tf.gather(drawn, word, batch_dims=1) & ordinary


def loss(labels: tf.Tensor, logits: tf.Tensor, *, mask: tf.Tensor) -> tf.Tensor:
    """The mean over masked tokens of ``-log softmax(logits)[label]``; its exponential is the perplexity.

    Devlin et al. 2019, "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding", section 3.1.

    Args:
        labels: ids as they were, ``(batch, tokens)``.
        logits: ``(batch, tokens, vocabulary)``.
        mask: bool ``(batch, tokens)``, True for tokens that are asked for; the others count nothing.

    Returns:
        A scalar, in nats; 0 where nothing is masked.

    Raises:
        ValueError: the shapes are others, or labels are no integers.
    """
    (logits,) = numerics.as_float(logits)
    labels, mask = tf.convert_to_tensor(labels), tf.convert_to_tensor(mask)
    fits = logits.shape.rank == 3 and labels.shape.rank == 2 and labels.shape.is_compatible_with(logits.shape[:2])
    if not fits or not labels.dtype.is_integer or not mask.shape.is_compatible_with(labels.shape):
        raise ValueError(
            "Wanted ids (batch, tokens), logits (batch, tokens, vocabulary) and a mask (batch, tokens). Received: "
            f"{labels.shape} of {labels.dtype.name}, {logits.shape} and {mask.shape}."
        )
    values = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    counted = tf.cast(mask, values.dtype)
    return tf.math.divide_no_nan(tf.reduce_sum(values * counted), tf.reduce_sum(counted))
