"""Masked autoencoder: most patches of a picture are left out, and are to be drawn again from the few that are left."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from kerastl.distil import numerics

_VARIANCE_FLOOR = 1e-6
"""Added to a patch's variance, as in the authors' code: an even patch has none."""


class Masking(NamedTuple):
    """Which patches of each picture are seen.

    Attributes:
        kept: int32 ``(batch, kept)``, the places of those that the encoder sees, in ascending order.
        masked: int32 ``(batch, masked)``, the places of all others, in ascending order.
        mask: bool ``(batch, patches)``, True where a patch is left out.
    """

    kept: tf.Tensor
    masked: tf.Tensor
    mask: tf.Tensor


def random_masking(batch: Any, patches: int, *, seed: tf.Tensor, mask_ratio: float = 0.75) -> Masking:
    """Patches of each picture that are left out, drawn without replacement, each set of them as likely as any other.

    He et al. 2022, "Masked Autoencoders Are Scalable Vision Learners", section 3. Nothing is remembered: the same seed
    draws the same patches, in a graph and outside.

    Args:
        batch: number of pictures, a number or a scalar tensor.
        patches: of each, two or more.
        seed: two integers, see `tf.random.stateless_uniform`; another pair for every step.
        mask_ratio: share that is left out, above 0 and below 1; rounded so that the seen share is not larger. 0.75 in
            the paper.

    Raises:
        ValueError: no patch would be seen, or none left out.
    """
    seen = int(patches * (1 - mask_ratio) + 1e-9) if 0 < mask_ratio < 1 else 0
    if not 0 < seen < patches:
        raise ValueError(
            "Wanted a share of patches, above 0 and below 1, that leaves one in and one out at least. Received: "
            f"mask_ratio={mask_ratio} of {patches} patches."
        )
    order = tf.argsort(tf.random.stateless_uniform([batch, patches], seed), axis=-1, stable=True)
    kept, masked = tf.sort(order[:, :seen], axis=-1), tf.sort(order[:, seen:], axis=-1)
    places = tf.range(patches)
    mask = tf.reduce_any(masked[:, :, None] == places, axis=1)
    return Masking(kept, masked, mask)


def patches_of(pictures: tf.Tensor, *, size: int) -> tf.Tensor:
    """Pictures ``(batch, height, width, channels)`` as patches ``(batch, patches, size * size * channels)``.

    Row by row from the top left; within a patch by row, column and channel.

    Raises:
        ValueError: these are no pictures, or a side is no multiple of the patch's.
    """
    shape = tuple(pictures.shape)
    height, width, channels = (int(side or 0) for side in shape[1:]) if len(shape) == 4 else (0, 0, 0)
    if size < 1 or not height * width * channels or height % size or width % size:
        raise ValueError(
            f"Wanted pictures (batch, height, width, channels) whose sides are multiples of {size}; resize or pad "
            f"them, or choose another patch. Received: {shape}, size={size}."
        )
    cut = tf.reshape(pictures, [-1, height // size, size, width // size, size, channels])
    return tf.reshape(tf.transpose(cut, [0, 1, 3, 2, 4, 5]), [-1, height * width // size**2, size * size * channels])


def loss(patches: tf.Tensor, reconstructions: tf.Tensor, *, mask: tf.Tensor, normalized: bool = True) -> tf.Tensor:
    """The mean over masked patches of the mean squared error of their pixels.

    Each patch's own pixels are normalized to mean 0 and variance 1 first, ``(x - mean) / sqrt(var + 1e-6)``. He et al.
    2022, "Masked Autoencoders Are Scalable Vision Learners", section 3, "Reconstruction target"; the variance is the
    sample's, as in the authors' code. Neither brightness nor contrast of a patch then matters.

    Args:
        patches: ``(batch, patches, pixels)``, see `patches_of`; no gradient goes to them.
        reconstructions: what the decoder says, of the same shape.
        mask: bool ``(batch, patches)``, True for patches that were left out; the others count nothing.
        normalized: whether pixels are normalized; the paper's ablation has both.

    Returns:
        A scalar; 0 where nothing is masked.

    Raises:
        ValueError: the shapes are others.
    """
    patches, reconstructions = numerics.as_float(patches, reconstructions)
    mask = tf.convert_to_tensor(mask)
    fits = patches.shape.rank == 3 and patches.shape.is_compatible_with(reconstructions.shape)
    if not fits or not mask.shape.is_compatible_with(patches.shape[:2]):
        raise ValueError(
            "Wanted patches and reconstructions of one shape (batch, patches, pixels) and a mask (batch, patches). "
            f"Received: {patches.shape}, {reconstructions.shape} and {mask.shape}."
        )
    if normalized:
        centred = patches - tf.reduce_mean(patches, -1, keepdims=True)
        freedom = tf.cast(tf.maximum(tf.shape(patches)[-1] - 1, 1), patches.dtype)
        variances = tf.reduce_sum(tf.square(centred), -1, keepdims=True) / freedom
        patches = centred / tf.sqrt(variances + _VARIANCE_FLOOR)
    errors = tf.reduce_mean(tf.math.squared_difference(reconstructions, tf.stop_gradient(patches)), -1)
    counted = tf.cast(mask, errors.dtype)
    return tf.math.divide_no_nan(tf.reduce_sum(errors * counted), tf.reduce_sum(counted))
