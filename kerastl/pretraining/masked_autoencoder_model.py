"""A Keras model that trains a vision transformer to draw the patches of a picture that were left out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import keras_hub
import tensorflow as tf

from kerastl.pretraining import masked_autoencoder, training_step
from kerastl.system import layer_graph


class MaskedAutoencoder(keras.Model):
    """Trains ``model``'s body on pictures without labels: most patches are left out, a small decoder draws them.

    The encoder sees the patches that are kept and nothing in the others' place, which is what makes it quick; the
    decoder sees what it says of them and, for every other patch, one learnt token with its position (He et al. 2022,
    "Masked Autoencoders Are Scalable Vision Learners", section 3). The decoder is thrown away. Other patches are left
    out at every step, and the count of steps, which says which, is in checkpoints.

    `training.fitting.fit` trains it without a loss of its own; labels in batches are not looked at. Calling and saving
    go to the encoder.

    Args:
        model: functional; its layer ``tokens`` gives patches ``(batch, patches, width)`` with their positions, row by
            row, and its layer ``pool`` their mean; between the two any number of patches may go through. Its weights
            are trained in place; `models.small_vit` is such a model.
        patch: side of a patch in pixels.
        augment: makes a random view of a batch of pictures, as of `two_views.TwoViews`; ``None`` leaves them.
        mask_ratio: share of patches that are left out.
        decoder_width, decoder_depth, decoder_heads: of the decoder's tokens, blocks and attentions.
        seed: of what is left out.

    Attributes:
        encoder: from pictures to the mean of all patches ``(batch, width)``; it shares the model's layers.

    Raises:
        ValueError: the model has no such layers, or its pictures another number of patches; the share is out of range;
            in training, there are several replicas.
    """

    objective = staticmethod(masked_autoencoder.loss)

    def __init__(
        self,
        model: keras.Model,
        *,
        patch: int,
        augment: Callable[..., tf.Tensor] | None = None,
        mask_ratio: float = 0.75,
        decoder_width: int = 64,
        decoder_depth: int = 1,
        decoder_heads: int = 4,
        seed: int = 0,
        name: str = "masked_autoencoder",
    ) -> None:
        count, pixels = _checked_patches(model, patch)
        masked_autoencoder.random_masking(1, count, seed=tf.constant([0, 0]), mask_ratio=mask_ratio)  # raises
        super().__init__(name=name, dtype=model.dtype_policy, autocast=False)
        tokens, pool = model.get_layer("tokens").output, model.get_layer("pool")
        self.encoder = keras.Model(model.input, pool.output, name="encoder")
        self._front = keras.Model(model.input, tokens, name="front")
        self._blocks = _of_any_number(keras.Model(tokens, pool.input, name="blocks"))
        self._narrow = keras.layers.Dense(decoder_width, name="narrow")
        self._narrow.build((None, None, tokens.shape[-1]))
        self._decoder = _decoder(count, pixels, decoder_width, depth=decoder_depth, heads=decoder_heads)
        self._hidden = self.add_weight(shape=(decoder_width,), initializer="random_normal", name="hidden_patch")
        counted: dict[str, Any] = {"initializer": "zeros", "dtype": "int32", "trainable": False}
        self._step = self.add_weight(shape=(), name="steps", **counted)
        self._patch, self._count, self._ratio, self._seed, self._augment = patch, count, mask_ratio, seed, augment
        self.built = True

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        return self.encoder(inputs, training=training)

    def save(self, filepath: str | Path, overwrite: bool = True, zipped: bool | None = None, **kwargs: object) -> None:
        """Saves the encoder as Keras saves any model."""
        self.encoder.save(filepath, overwrite=overwrite, zipped=zipped, **kwargs)

    def train_step(self, data: object) -> dict[str, Any]:
        pictures, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        if self._augment is not None:
            options = {"training": True} if isinstance(self._augment, keras.Layer) else {}
            pictures = self._augment(tf.cast(pictures, tf.float32), **options)
        training_step.take(
            self,
            lambda: (self._value(pictures, step=self._step.value, training=True), tf.shape(pictures)[0]),
            what="An autoencoder is",
            idle=True,
        )
        self._step.assign_add(1)
        return self.get_metrics_result()

    def test_step(self, data: object) -> dict[str, Any]:
        pictures, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        value = self._value(pictures, step=tf.constant(-1, tf.int32), training=False)
        self._loss_tracker.update_state(value, sample_weight=tf.shape(pictures)[0])
        return self.get_metrics_result()

    def reconstructed(
        self, pictures: tf.Tensor, masking: masked_autoencoder.Masking, training: bool = False
    ) -> tf.Tensor:
        """What the decoder draws, patches ``(batch, patches, pixels)``: each normalized by its own mean and variance.

        Args:
            pictures: ``(batch, height, width, channels)``, pixels 0..255.
            masking: which patches are seen.
        """
        tokens = tf.gather(self._front(pictures, training=training), masking.kept, batch_dims=1)
        seen = self._narrow(self._blocks(tokens, training=training))
        shape = tf.concat([tf.shape(masking.masked), tf.shape(self._hidden.value)], 0)
        every = tf.concat([seen, tf.broadcast_to(tf.cast(self._hidden.value, seen.dtype), shape)], 1)
        places = tf.argsort(tf.concat([masking.kept, masking.masked], 1), axis=-1)
        return self._decoder(tf.gather(every, places, batch_dims=1), training=training)

    def _value(self, pictures: tf.Tensor, *, step: tf.Tensor, training: bool) -> tf.Tensor:
        pictures = tf.cast(pictures, tf.float32)
        seed = tf.stack([tf.constant(self._seed & 0x7FFFFFFF, tf.int32), step])
        masking = masked_autoencoder.random_masking(
            tf.shape(pictures)[0], self._count, seed=seed, mask_ratio=self._ratio
        )
        drawn = self.reconstructed(pictures, masking, training=training)
        patches = masked_autoencoder.patches_of(pictures, size=self._patch)
        return masked_autoencoder.loss(patches, drawn, mask=masking.mask)


def _checked_patches(model: keras.Model, patch: int) -> tuple[int, int]:
    """The number of patches, and of pixels in one."""
    names, shape = {layer.name for layer in model.layers}, tuple(model.input_shape[1:])
    there = {"tokens", "pool"} <= names and len(shape) == 3 and patch > 0
    count = shape[0] * shape[1] // patch**2 if there else 0
    tokens = tuple(model.get_layer("tokens").output.shape) if there else ()
    if not there or len(tokens) != 3 or tokens[1] != count:
        raise ValueError(
            f"Wanted a model of pictures with a layer 'tokens' to (batch, {count or 'patches'}, width) and a layer "
            f"'pool' behind it, as models.small_vit builds one. Received: {model.name!r} of pictures {shape}, tokens "
            f"{tokens}, patch={patch}."
        )
    return count, patch * patch * int(shape[2])


def _of_any_number(blocks: keras.Model) -> keras.Model:
    """The same layers, called on tokens of any number."""
    tokens = keras.Input((None, blocks.input_shape[-1]), name="some_tokens")
    (output,) = layer_graph.replayed(
        blocks, [tokens], lambda layer, arguments, options, _: layer(*arguments, **options)
    )
    return keras.Model(tokens, output, name="blocks")


def _decoder(count: int, pixels: int, width: int, *, depth: int, heads: int) -> keras.Model:
    tokens = keras.Input((count, width), name="patches")
    x = keras.layers.Add(name="placed")([tokens, keras_hub.layers.PositionEmbedding(count, name="positions")(tokens)])
    for number in range(depth):
        options: dict[str, Any] = {"normalize_first": True, "activation": "gelu", "name": f"block{number}"}
        x = keras_hub.layers.TransformerEncoder(4 * width, heads, **options)(x)
    x = keras.layers.LayerNormalization(epsilon=1e-6, name="norm")(x)
    return keras.Model(tokens, keras.layers.Dense(pixels, dtype="float32", name="pixels")(x), name="decoder")
