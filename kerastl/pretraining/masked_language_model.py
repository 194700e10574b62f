"""A Keras model that trains an encoder of BERT's kind to tell hidden words from those around them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerastl.pretraining import masked_language, training_step

_PADDING = 0
"""Id of [PAD] in every vocabulary, see `inputs.text`."""


class MaskedLanguageModel(keras.Model):
    """Trains ``encoder`` on texts without labels: `masked_language.mask_words`, and the loss of what is hidden.

    The head is BERT's: a dense layer, GELU, layer normalization, and then the embeddings of the tokens themselves,
    tied, with a bias of their own (Devlin et al. 2019, and the authors' code). Logits are of hidden tokens alone. Other
    words are hidden at every step, and the count of steps, which says which, is in checkpoints; texts that are
    evaluated have the same words hidden whenever they come in the same batches.

    `training.fitting.fit` trains it without a loss of its own; labels in batches are not looked at. Calling and saving
    go to the encoder.

    Args:
        encoder: functional; takes ``token_ids``, ``segment_ids`` and ``padding_mask``, int32 ``(batch, tokens)`` each,
            to ``(batch, tokens, width)``; trained in place. `minilm_l6.build` has it as its layer ``"encoder"``.
        vocabulary: the token of each id, with `masked_language`'s special ones.
        embedding: name of the encoder's layer whose ``embeddings`` are ``(vocabulary, width)``.
        share: of words that are hidden.
        seed: of which.

    Attributes:
        encoder: the caller's model.

    Raises:
        ValueError: the encoder takes or gives something else, has no such layer, or one of another size; the share is
            out of range; in training, there are several replicas.
    """

    objective = staticmethod(masked_language.loss)

    def __init__(
        self,
        encoder: keras.Model,
        *,
        vocabulary: tuple[str, ...],
        embedding: str = "token_embedding",
        share: float = 0.15,
        seed: int = 0,
        name: str = "masked_language_model",
    ) -> None:
        if not 0 < share < 1:
            raise ValueError(f"The share of hidden words is above 0 and below 1. Received: share={share}.")
        width = _checked_width(encoder, embedding, len(vocabulary))
        super().__init__(name=name, dtype=encoder.dtype_policy, autocast=False)
        self.encoder = encoder
        self._table = encoder.get_layer(embedding)
        self._vocabulary, self._share, self._seed = vocabulary, share, seed
        vector = keras.Input((width,), name="sequence")
        x = keras.layers.Dense(width, activation="gelu", name="dense")(vector)
        normalized = keras.layers.LayerNormalization(epsilon=1e-12, dtype="float32", name="norm")(x)
        self._transform = keras.Model(vector, normalized, name="transform")
        options: dict[str, Any] = {"initializer": "zeros", "dtype": "float32"}
        self._bias = self.add_weight(shape=(len(vocabulary),), name="token_bias", **options)
        counted: dict[str, Any] = {"initializer": "zeros", "dtype": "int32", "trainable": False}
        self._step = self.add_weight(shape=(), name="steps", **counted)
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> tf.Tensor:
        return self.encoder(inputs, training=training)

    def save(self, filepath: str | Path, overwrite: bool = True, zipped: bool | None = None, **kwargs: object) -> None:
        """Saves the encoder as Keras saves any model."""
        self.encoder.save(filepath, overwrite=overwrite, zipped=zipped, **kwargs)

    def perplexity(self, ids: np.ndarray, *, batch_size: int = 50) -> float:
        """``exp`` of the mean loss of hidden tokens, each token once, in inference mode; always of the same ones.

        Args:
            ids: token ids ``(texts, tokens)``, one text at least that has a word.
            batch_size: texts at once.

        Raises:
            ValueError: there is no word to hide.
        """
        spec = tf.TensorSpec((None, np.shape(ids)[1]), tf.int32)
        value = tf.function(lambda some: self._value(some, seed=self._drawn_from(some)), input_signature=[spec])
        found = [value(np.asarray(ids[at : at + batch_size], np.int32)) for at in range(0, len(ids), batch_size)]
        count = sum(float(number) for _, number in found)
        if not count:
            raise ValueError(f"Wanted texts with a word at least. Received: {len(ids)} texts without one.")
        return math.exp(sum(float(loss) * float(number) for loss, number in found) / count)

    def train_step(self, data: object) -> dict[str, Any]:
        ids, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        seed = tf.stack([tf.constant(self._seed & 0x7FFFFFFF, tf.int32), self._step.value])
        training_step.take(self, lambda: self._value(ids, seed=seed, training=True), what="A language model is")
        self._step.assign_add(1)
        return self.get_metrics_result()

    def test_step(self, data: object) -> dict[str, Any]:
        ids, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        value, count = self._value(ids, seed=self._drawn_from(ids))
        self._loss_tracker.update_state(value, sample_weight=count)
        return self.get_metrics_result()

    def _drawn_from(self, ids: tf.Tensor) -> tf.Tensor:
        """A seed that the texts themselves say."""
        return tf.stack([tf.constant(self._seed & 0x7FFFFFFF, tf.int32), tf.reduce_sum(tf.cast(ids, tf.int32))])

    def _value(self, ids: tf.Tensor, *, seed: tf.Tensor, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """The mean loss of hidden tokens, and how many there are."""
        masked = masked_language.mask_words(ids, self._vocabulary, seed=seed, share=self._share)
        there = tf.cast(tf.not_equal(masked.labels, _PADDING), tf.int32)
        fed = {"token_ids": masked.ids, "segment_ids": tf.zeros_like(masked.ids), "padding_mask": there}
        sequence = self.encoder(fed, training=training)
        hidden = self._transform(tf.boolean_mask(sequence, masked.mask), training=training)
        table = tf.cast(self._table.embeddings.value, hidden.dtype)
        logits = tf.matmul(hidden, table, transpose_b=True) + self._bias.value
        labels = tf.boolean_mask(masked.labels, masked.mask)[None]
        loss = masked_language.loss(labels, logits[None], mask=tf.ones_like(labels, tf.bool))
        return loss, tf.cast(tf.size(labels), tf.float32)


def _checked_width(encoder: keras.Model, embedding: str, tokens: int) -> int:
    """Raises `ValueError` unless an encoder is of BERT's kind, with a row of embeddings a token."""
    takes = sorted(tensor.name for tensor in encoder.inputs)
    shape: Any = encoder.output_shape
    layer = next((one for one in encoder.layers if one.name == embedding), None)
    table = tuple(getattr(getattr(layer, "embeddings", None), "shape", ()))
    wanted = ["padding_mask", "segment_ids", "token_ids"]
    if takes != wanted or not isinstance(shape, tuple) or len(shape) != 3 or table != (tokens, shape[-1]):
        raise ValueError(
            f"Wanted an encoder of {', '.join(wanted)} to (batch, tokens, width), whose layer {embedding!r} has "
            f"embeddings of {tokens:,} tokens. Received: {encoder.name!r} of {', '.join(takes)} to {shape}, "
            f"embeddings {table or 'of no such layer'}."
        )
    return int(shape[-1])
