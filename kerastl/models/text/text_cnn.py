"""Words looked up, their neighbourhoods looked at once, the strongest and the mean kept: two thirds of a megabyte.

After Kim 2014, "Convolutional Neural Networks for Sentence Classification" (https://arxiv.org/abs/1408.5882), with one
width of convolution, and the mean beside the maximum: the maximum tells whether something was said, the mean how much
of the text says it. Nearly all of its weights are the table of words.
"""

from __future__ import annotations

import keras
from keras import layers

from kerastl.inputs import text
from kerastl.models import heads
from kerastl.types import Task


def build(
    task: Task,
    *,
    width: int = 64,
    filters: int = 96,
    kernel_size: int = 5,
    dropout: float = 0.3,
    word_dropout: float = 0.0,
    name: str = "text_cnn",
) -> keras.Model:
    """A functional model: token ids int32 ``(batch, *task.inputs.shape)`` to logits ``(batch, task.target.outputs)``.

    Args:
        task: of texts; gives sequence length, classes and the size of the vocabulary.
        width: numbers that stand for a token.
        filters: patterns that are looked for.
        kernel_size: tokens that a pattern spans.
        dropout: share of the tokens' numbers dropped in a whole text, and of the features dropped before the logits.
        word_dropout: share of the tokens dropped whole, other ones each time: a text has to be understood without some
            of its words (Iyyer et al. 2015, "Deep Unordered Composition Rivals Syntactic Methods", section 4).
        name: of the model.

    Raises:
        ValueError: if the task is not of texts.
    """
    kind = text.of(task)
    ids = keras.Input(kind.shape, dtype="int32", name="token_ids")
    real = keras.ops.expand_dims(keras.ops.cast(keras.ops.not_equal(ids, kind.padding), "float32"), -1)
    x = layers.Embedding(len(kind.vocabulary), width, name="words")(ids)
    x = layers.SpatialDropout1D(dropout, name="words_dropout")(x)
    if word_dropout:
        x = layers.Dropout(word_dropout, noise_shape=(None, *kind.shape, 1), name="whole_words_dropout")(x)
    x = layers.Multiply(name="real_words")([x, real])  # a pattern at the end of a text sees nothing behind it
    x = layers.Conv1D(filters, kernel_size, padding="same", activation="relu", name="patterns")(x)
    x = layers.Multiply(name="real_patterns")([x, real])
    strongest = layers.GlobalMaxPooling1D(name="strongest")(x)
    mean = keras.ops.sum(x, 1) / keras.ops.maximum(keras.ops.sum(real, 1), 1.0)
    x = layers.Concatenate(name="pool")([strongest, mean])
    x = layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(ids, heads.outputs(x, task), name=name)
