"""A small vision transformer: a picture as a row of patches, each of which looks at all others.

After Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words" (https://arxiv.org/abs/2010.11929), with the mean of the
patches in place of a class token. From nothing it learns less than a convolutional net of its size; it is what a masked
autoencoder pretrains.
"""

from __future__ import annotations

import keras
import keras_hub
from keras import layers

from kerastl.models import heads
from kerastl.types import Task


def build(
    task: Task,
    *,
    patch: int = 4,
    width: int = 96,
    depth: int = 4,
    num_heads: int = 4,
    dropout: float = 0.0,
    name: str = "small_vit",
) -> keras.Model:
    """A functional model: pictures ``(batch, *task.inputs.shape)`` of raw pixels to logits ``(batch,
    task.target.outputs)``.

    Args:
        task: gives the input shape and the number of classes.
        patch: side in pixels; height and width are multiples of it.
        width: numbers a patch, a multiple of ``num_heads``.
        depth: blocks, each an attention and two dense layers, normalized first.
        num_heads: of an attention.
        dropout: share dropped before the logits.
        name: of the model. Its layer ``tokens`` gives the patches ``(batch, patches, width)`` with their positions;
            from there to ``pool`` any number of them may go through.

    Raises:
        ValueError: patches do not fill the picture, or heads the width.
    """
    height, side, _ = task.inputs.shape
    if patch < 1 or height % patch or side % patch or num_heads < 1 or width % num_heads:
        raise ValueError(
            "Wanted a height and a width that are multiples of the patch, and a width of tokens that is one of the "
            f"heads. Received: pictures {task.inputs.shape}, patch={patch}, width={width}, num_heads={num_heads}."
        )
    image = keras.Input(task.inputs.shape, name="image")
    x = layers.Rescaling(1 / 255, name="rescale")(image)
    x = layers.Conv2D(width, patch, strides=patch, name="patches")(x)
    x = layers.Reshape((height * side // patch**2, width), name="row")(x)
    positions = keras_hub.layers.PositionEmbedding(x.shape[1], name="positions")(x)
    x = layers.Add(name="tokens")([x, positions])
    for number in range(1, depth + 1):
        x = _block(x, width, num_heads=num_heads, name=f"block{number}")
    x = layers.LayerNormalization(epsilon=1e-6, name="norm")(x)
    x = layers.GlobalAveragePooling1D(name="pool")(x)
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(image, heads.outputs(x, task), name=name)


def _block(x: keras.KerasTensor, width: int, *, num_heads: int, name: str) -> keras.KerasTensor:
    """An attention and two dense layers, each around a shortcut and behind a normalization of its own."""
    inside = layers.LayerNormalization(epsilon=1e-6, name=f"{name}_norm1")(x)
    attention = layers.MultiHeadAttention(num_heads, width // num_heads, name=f"{name}_attention")
    x = layers.Add(name=f"{name}_add1")([x, attention(inside, inside)])
    inside = layers.LayerNormalization(epsilon=1e-6, name=f"{name}_norm2")(x)
    inside = layers.Dense(4 * width, activation="gelu", name=f"{name}_dense1")(inside)
    return layers.Add(name=f"{name}_add2")([x, layers.Dense(width, name=f"{name}_dense2")(inside)])
