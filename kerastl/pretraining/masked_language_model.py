"""A Keras model that trains an encoder of BERT's kind to tell hidden words from those around them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerastl.pretraining import masked_language, training_step


class MaskedLanguageModel(keras.Model):
    """Trains ``encoder`` on texts without labels: `masked_language.mask_words`, and the loss of what is hidden.

    The head is BERT's: a dense layer, GELU, layer normalization, and then the embeddings of the tokens themselves,
    tied, with a bias of their own (Devlin et al. 2019, and the authors' code). Logits are of hidden tokens alone. Other
    words are hidden at every step, and the count of steps, which says which, is in checkpoints; texts that are
    evaluated have the same words hidden whenever they come in the same batches.

    `training.fitting.fit` trains it without a loss of its own; labels in batches are not looked at. Calling and saving
    go to the encoder.

    Args:
        encoder: functional; takes ``token_ids``, ``padding_mask`` and, where it tells two texts apart,
            ``segment_ids``, int32 ``(batch, tokens)`` each, to ``(batch, tokens, width)``; trained in place.
            `minilm_l6.headed` has it as its layer ``"encoder"``.
        vocabulary: the token of each id, with the special ones of ``marks``.
        marks: of the vocabulary, see `masked_language.Marks`.
        embedding: name of the encoder's layer whose ``embeddings`` are ``(vocabulary, numbers)``; where they are
            narrower than the encoder, as ALBERT's, so is the head (Lan et al. 2020, and the authors' code).
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
        marks: masked_language.Marks = masked_language.WORDPIECE,
        embedding: str = "token_embedding",
        share: float = 0.15,
        seed: int = 0,
        name: str = "masked_language_model",
    ) -> None:
        if not 0 < share < 1:
            raise ValueError(f"The share of hidden words is above 0 and below 1. Received: share={share}.")
        width, narrow = _checked_widths(encoder, embedding, len(vocabulary))
        super().__init__(name=name, dtype=encoder.dtype_policy, autocast=False)
        self.encoder = encoder
        self._table = encoder.get_layer(embedding)
        self._vocabulary, self._marks, self._share, self._seed = vocabulary, marks, share, seed
        self._padding = vocabulary.index(marks.padding)
        vector = keras.Input((width,), name="sequence")
        x = keras.layers.Dense(narrow, activation="gelu", name="dense")(vector)
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
        hiding: dict[str, Any] = {"marks": self._marks, "share": self._share}
        masked = masked_language.mask_words(ids, self._vocabulary, seed=seed, **hiding)
        there = tf.cast(tf.not_equal(masked.labels, self._padding), tf.int32)
        fed = {"token_ids": masked.ids, "padding_mask": there}
        if "segment_ids" in self.encoder.input:
            fed["segment_ids"] = tf.zeros_like(masked.ids)
        sequence = self.encoder(fed, training=training)
        hidden = self._transform(tf.boolean_mask(sequence, masked.mask), training=training)
        table = tf.cast(self._table.embeddings.value, hidden.dtype)
        logits = tf.matmul(hidden, table, transpose_b=True) + self._bias.value
        labels = tf.boolean_mask(masked.labels, masked.mask)[None]
        loss = masked_language.loss(labels, logits[None], mask=tf.ones_like(labels, tf.bool))
        return loss, tf.cast(tf.size(labels), tf.float32)


def _checked_widths(encoder: keras.Model, embedding: str, tokens: int) -> tuple[int, int]:
    """Widths of an encoder and of its embeddings.

    Raises `ValueError` unless it is of BERT's kind, with a row of embeddings a token.
    """
    takes = {tensor.name for tensor in encoder.inputs}
    shape: Any = encoder.output_shape
    layer = next((one for one in encoder.layers if one.name == embedding), None)
    table = tuple(getattr(getattr(layer, "embeddings", None), "shape", ()))
    wanted = {"padding_mask", "segment_ids", "token_ids"}
    fits = takes in (wanted, wanted - {"segment_ids"}) and isinstance(shape, tuple) and len(shape) == 3
    if not fits or len(table) != 2 or table[0] != tokens:
        raise ValueError(
            f"Wanted an encoder of {', '.join(sorted(wanted))} to (batch, tokens, width), whose layer {embedding!r} "
            f"has embeddings of {tokens:,} tokens. Received: {encoder.name!r} of {', '.join(sorted(takes))} to {shape},"
            f" embeddings {table or 'of no such layer'}."
        )
    return int(shape[-1]), int(table[1])
