"""Masked features: some numbers of a row are swapped for those of other rows, and are to be told from the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from kerastl.distil import numerics
from kerastl.pretraining import training_step


class Corrupted(NamedTuple):
    """Rows as a model sees them, and what it is asked.

    Attributes:
        values: float32 ``(batch, features)``, with some numbers swapped.
        mask: bool ``(batch, features)``, True for what was swapped.
    """

    values: tf.Tensor
    mask: tf.Tensor


def corrupt(values: tf.Tensor, *, seed: tf.Tensor, share: float = 0.3) -> Corrupted:
    """Swaps numbers of every row for those that other rows of the batch have in the same column.

    Yoon et al. 2020, "VIME: Extending the Success of Self- and Semi-supervised Learning to Tabular Domain", section
    4.1: what takes a number's place is as likely as any other of its column, so that nothing but the other columns says
    that it is wrong. Every number is drawn by itself; the share holds on average. Nothing is remembered: the same seed
    swaps the same.

    Args:
        values: ``(batch, features)``.
        seed: two integers, see `tf.random.stateless_uniform`; another pair for every step.
        share: of numbers that are swapped, above 0 and below 1; 0.3 in the paper.

    Raises:
        ValueError: these are no rows of numbers, or the share is out of range.
    """
    values = tf.cast(tf.convert_to_tensor(values), tf.float32)
    if values.shape.rank != 2 or not 0 < share < 1:
        raise ValueError(
            f"Wanted rows (batch, features) and a share above 0 and below 1. Received: {values.shape}, share={share}."
        )
    seeds = tf.unstack(tf.random.split(seed, num=2))
    mask = tf.random.stateless_uniform(tf.shape(values), seeds[0]) < share
    # each column in an order of its own
    order = tf.argsort(tf.random.stateless_uniform(tf.shape(values), seeds[1]), axis=0, stable=True)
    other = tf.transpose(tf.gather(tf.transpose(values), tf.transpose(order), batch_dims=1))
    return Corrupted(tf.where(mask, other, values), mask)


def loss(values: tf.Tensor, estimates: tf.Tensor, *, mask: tf.Tensor) -> tf.Tensor:
    """The mean over masked numbers of ``(estimate - value)^2``.

    Yoon et al. 2020, "VIME: Extending the Success of Self- and Semi-supervised Learning to Tabular Domain", section
    4.1, eq. 6, of the numbers that were swapped alone, as `masked_autoencoder.loss` is of patches. Columns count by
    their size: hand in numbers in standard deviations.

    Args:
        values: as they were, ``(batch, features)``; no gradient goes to them.
        estimates: of the same shape.
        mask: bool ``(batch, features)``, True for what is asked for; the others count nothing.

    Returns:
        A scalar; 0 where nothing is masked.

    Raises:
        ValueError: the shapes are others.
    """
    values, estimates = numerics.as_float(values, estimates)
    mask = tf.convert_to_tensor(mask)
    fits = values.shape.rank == 2 and values.shape.is_compatible_with(estimates.shape)
    if not fits or not mask.shape.is_compatible_with(values.shape):
        raise ValueError(
            "Wanted numbers, estimates and a mask of one shape (batch, features). Received: "
            f"{values.shape}, {estimates.shape} and {mask.shape}."
        )
    errors, counted = tf.math.squared_difference(estimates, tf.stop_gradient(values)), tf.cast(mask, estimates.dtype)
    return tf.math.divide_no_nan(tf.reduce_sum(errors * counted), tf.reduce_sum(counted))


class MaskedFeatures(keras.Model):
    """Trains ``encoder`` on rows without labels: `corrupt`, and the `loss` of what a dense layer makes of its features.

    Other numbers are swapped at every step, and the count of steps, which says which, is in checkpoints.
    `training.fitting.fit` trains it without a loss of its own; labels in batches are not looked at. Calling and saving
    go to the encoder.

    Args:
        encoder: functional, of rows ``(batch, features)`` to ``(batch, width)``; trained in place.
        scale, offset: bring a column to the size of one, ``x * scale + offset``: what `types.Inputs.scaling` says.
        share: of numbers that are swapped.
        seed: of which.

    Attributes:
        encoder: the caller's model.

    Raises:
        ValueError: the encoder takes or gives something else, or the share is out of range; in training, there are
            several replicas.
    """

    objective = staticmethod(loss)

    def __init__(
        self,
        encoder: keras.Model,
        *,
        scale: Any = 1.0,
        offset: Any = 0.0,
        share: float = 0.3,
        seed: int = 0,
        name: str = "masked_feature_model",
    ) -> None:
        taken, given = encoder.input_shape, encoder.output_shape
        if not isinstance(taken, tuple) or len(taken) != 2 or len(given) != 2 or not 0 < share < 1:
            raise ValueError(
                "Wanted an encoder of rows (batch, features) to (batch, width), and a share above 0 and below 1. "
                f"Received: {encoder.name!r} from {taken} to {given}, share={share}."
            )
        super().__init__(name=name, dtype=encoder.dtype_policy, autocast=False)
        self.encoder = encoder
        self._estimate = keras.layers.Dense(taken[1], dtype="float32", name="estimate")
        self._estimate.build((None, given[1]))
        counted: dict[str, Any] = {"initializer": "zeros", "dtype": "int32", "trainable": False}
        self._step = self.add_weight(shape=(), name="steps", **counted)
        self._scale, self._offset = tf.constant(scale, tf.float32), tf.constant(offset, tf.float32)
        self._share, self._seed = share, seed
        self.built = True

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        return self.encoder(inputs, training=training)

    def save(self, filepath: str | Path, overwrite: bool = True, zipped: bool | None = None, **kwargs: object) -> None:
        """Saves the encoder as Keras saves any model."""
        self.encoder.save(filepath, overwrite=overwrite, zipped=zipped, **kwargs)

    def train_step(self, data: object) -> dict[str, Any]:
        rows, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        training_step.take(
            self,
            lambda: (self._value(rows, step=self._step.value, training=True), tf.shape(rows)[0]),
            what="Masked features are",
        )
        self._step.assign_add(1)
        return self.get_metrics_result()

    def test_step(self, data: object) -> dict[str, Any]:
        rows, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        value = self._value(rows, step=tf.constant(-1, tf.int32), training=False)
        self._loss_tracker.update_state(value, sample_weight=tf.shape(rows)[0])
        return self.get_metrics_result()

    def _value(self, rows: tf.Tensor, *, step: tf.Tensor, training: bool) -> tf.Tensor:
        rows = tf.cast(rows, tf.float32)
        found = corrupt(rows, seed=tf.stack([tf.constant(self._seed & 0x7FFFFFFF, tf.int32), step]), share=self._share)
        estimates = self._estimate(self.encoder(found.values, training=training))
        return loss(rows * self._scale + self._offset, estimates, mask=found.mask)
