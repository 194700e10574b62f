"""The loss of transcriptions in Keras, which saved models name."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from kerastl.tasks.decoding import BLANK, PADDING


@keras.saving.register_keras_serializable(package="kerastl")
class ConnectionistTemporalClassification(keras.losses.Loss):
    """``-log p(sequence | frames)`` over all ways to say the sequence in so many frames, per symbol.

    Graves et al. 2006, "Connectionist Temporal Classification: Labelling Unsegmented Sequence Data with Recurrent
    Neural Networks", equations 3 and 8; a frame answers with a symbol or with a blank, the first output.

    The sum over alignments is divided by the number of symbols, so that long sequences count as much as short ones. A
    sequence that does not fit into the frames (one a symbol, and one more between two that are the same) has an
    infinite loss, which the guard of training stops at, in words.

    Args:
        reduction, name, dtype: as for every loss of Keras.
    """

    def __init__(self, *, reduction: str = "sum_over_batch_size", name: str = "ctc", dtype: Any = None) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Sequences ``(batch, most)``, and logits ``(batch, frames, outputs)`` to the loss of each, ``(batch,)``."""
        labels, logits = tf.cast(y_true, tf.int32), tf.cast(y_pred, tf.float32)
        lengths = tf.reduce_sum(tf.cast(labels != PADDING, tf.int32), -1)
        frames = tf.fill(tf.shape(lengths), tf.shape(logits)[1])
        losses = tf.nn.ctc_loss(
            tf.maximum(labels, 0), logits, lengths, frames, logits_time_major=False, blank_index=BLANK
        )
        repeated = (labels[:, 1:] == labels[:, :-1]) & (labels[:, 1:] != PADDING)
        fits = lengths + tf.reduce_sum(tf.cast(repeated, tf.int32), -1) <= frames
        losses = tf.where(fits, losses, float("inf"))  # TensorFlow's own is about 700 for each symbol too many
        return losses / tf.cast(tf.maximum(lengths, 1), tf.float32)
