"""A Keras model that trains an encoder on two views of each example, without labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from kerastl.distil import schedules, teachers
from kerastl.pretraining import byol, dino, training_step

Objective = Callable[..., tf.Tensor]
"""Takes the embeddings ``(batch, width)`` of the one view and of the other, and ``center=`` where there is one; returns
a scalar."""


class TwoViews(keras.Model):
    """Trains ``encoder`` so that two random views of an example have embeddings that an objective holds for alike.

    The objectives of this room that take two batches of embeddings fit, each with what it needs:

    | | ``objective`` | ``predictor`` | ``target_decay`` | ``center_momentum`` |
    |---|---|---|---|---|
    | SimCLR | ``simclr.loss`` | | | |
    | Barlow Twins | ``barlow_twins.loss`` | | | |
    | VICReg | ``vicreg.loss`` | | | |
    | BYOL | ``byol.loss`` | ``byol.predictor(width)`` | ``schedules.cosine(0.996, 1.0, steps=...)`` | |
    | DINO | ``dino.loss`` | | ``schedules.cosine(0.996, 1.0, steps=...)`` | 0.9 |
    | SimCSE, of sentences | ``simcse.loss`` | | | |

    With a target, the loss is the mean over both directions: each view's embedding (what the predictor makes of it)
    against the target's embedding of the other view. The target is the exponential moving average of encoder and
    projector, statistics of normalizations included, and answers in inference mode; it stands in checkpoints and is
    changed by nothing else. `training.fitting.fit` trains this model without a loss of its own, on batches with labels,
    which are not looked at, or without.

    Calling and saving go to the encoder. Put a `collapse.CollapseGuard` with ``embed=`` this model's `embed` among the
    callbacks; of DINO it looks at `dino.probabilities` of these and of ``center``.

    Args:
        encoder: functional or sequential, of inputs to features ``(batch, features)``; trained in place.
            `training.transfer.feature_extractor` makes it of a classifier.
        projector: of features to embeddings ``(batch, width)``; trained, and thrown away after.
        augment: makes a random view of a batch of inputs in float32, of token ids as they are, another one at every
            call. A Keras model or layer is called with ``training=True``, and its random state is in checkpoints;
            `inputs.augmentation` builds one. ``None`` where the encoder's dropout alone makes two views of an example.
        objective: see the table; ``functools.partial`` gives it its settings.
        predictor: of embeddings to embeddings of the same width, on the online side alone.
        target_decay: of the moving average, 0 to 1, or a schedule of the step; ``None`` where there is no target.
        center_momentum: of the mean of the target's embeddings, which the objective takes as ``center=``.

    Attributes:
        encoder: the caller's model.
        objective: the caller's function.
        center: ``(width,)``, a variable; ``None`` without ``center_momentum``.

    Raises:
        ValueError: a model does not say its shapes, or they do not fit; there is a predictor or a centre without a
            target; a number is out of range; or, in training, there are several replicas, for which an objective that
            compares examples is another one.
    """

    def __init__(
        self,
        encoder: keras.Model,
        *,
        projector: keras.Model,
        augment: Callable[..., tf.Tensor] | None,
        objective: Objective,
        predictor: keras.Model | None = None,
        target_decay: schedules.Scheduled | None = None,
        center_momentum: float | None = None,
        name: str = "two_views",
    ) -> None:
        width = _checked_width(encoder, projector, predictor)
        _check_target(predictor, target_decay, center_momentum)
        super().__init__(name=name, dtype=encoder.dtype_policy, autocast=False)
        self.encoder, self.projector, self.predictor = encoder, projector, predictor
        self.objective, self._augment = objective, augment
        self._decay, self._momentum = target_decay, center_momentum
        self._target_encoder = self._target_projector = self.center = None
        if target_decay is not None:
            self._target_encoder, self._target_projector = teachers.clone(encoder), teachers.clone(projector)
        if center_momentum is not None:
            options: dict[str, Any] = {"initializer": "zeros", "dtype": "float32", "trainable": False}
            self.center = self.add_weight(shape=(width,), name="center", **options)
        self.built = True

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        return self.encoder(inputs, training=training)

    def embed(self, inputs: tf.Tensor) -> tf.Tensor:
        """Embeddings ``(batch, width)`` in inference mode: what the objective compares, for a guard to look at."""
        return self.projector(self.encoder(inputs, training=False), training=False)

    def save(self, filepath: str | Path, overwrite: bool = True, zipped: bool | None = None, **kwargs: object) -> None:
        """Saves the encoder as Keras saves any model."""
        self.encoder.save(filepath, overwrite=overwrite, zipped=zipped, **kwargs)

    def train_step(self, data: object) -> dict[str, Any]:
        views = self._views(data)
        targets = self._targets(views)
        step = tf.identity(keras.ops.convert_to_tensor(self.optimizer.iterations))
        training_step.take(
            self,
            lambda: (self._value(views, targets, training=True), tf.shape(views[0])[0]),
            what="Two views are",
        )
        self._move(targets, step)
        return self.get_metrics_result()

    def test_step(self, data: object) -> dict[str, Any]:
        views = self._views(data)
        value = self._value(views, self._targets(views), training=False)
        self._loss_tracker.update_state(value, sample_weight=tf.shape(views[0])[0])
        return self.get_metrics_result()

    def _views(self, data: object) -> tuple[tf.Tensor, tf.Tensor]:
        inputs, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        inputs = tf.cast(inputs, tf.int32 if self.encoder.inputs[0].dtype.startswith("int") else tf.float32)
        if self._augment is None:
            return inputs, inputs
        if isinstance(self._augment, keras.Layer):
            return self._augment(inputs, training=True), self._augment(inputs, training=True)
        return self._augment(inputs), self._augment(inputs)

    def _targets(self, views: tuple[tf.Tensor, tf.Tensor]) -> list[tf.Tensor] | None:
        if self._target_encoder is None or self._target_projector is None:
            return None
        return [self._target_projector(self._target_encoder(view, training=False), training=False) for view in views]

    def _value(
        self, views: tuple[tf.Tensor, tf.Tensor], targets: list[tf.Tensor] | None, *, training: bool
    ) -> tf.Tensor:
        said = [self.projector(self.encoder(view, training=training), training=training) for view in views]
        if targets is None:
            return self.objective(*said)
        if self.predictor is not None:
            said = [self.predictor(one, training=training) for one in said]
        more = {} if self.center is None else {"center": self.center.value}
        return 0.5 * (self.objective(said[0], targets[1], **more) + self.objective(said[1], targets[0], **more))

    def _move(self, targets: list[tf.Tensor] | None, step: tf.Tensor) -> None:
        """Moves target and centre, where the optimizer has moved: not while it only gathers gradients."""
        if targets is None or self._target_encoder is None or self._target_projector is None:
            return
        moved = tf.not_equal(keras.ops.convert_to_tensor(self.optimizer.iterations), step)
        decay = tf.cast(schedules.value_at(self._decay or 0.0, step), tf.float32)
        pairs = [(self._target_encoder, self.encoder), (self._target_projector, self.projector)]
        old = [variable for target, _ in pairs for variable in target.weights]
        new = [variable.value for _, online in pairs for variable in online.weights]
        found = byol.moving_average([variable.value for variable in old], new, decay=tf.where(moved, decay, 1.0))
        for variable, value in zip(old, found, strict=True):
            variable.assign(value)
        if self.center is not None and self._momentum is not None:
            every = tf.concat(targets, 0)
            self.center.assign(dino.moved_center(self.center.value, every, momentum=self._momentum))


def _checked_width(encoder: keras.Model, projector: keras.Model, predictor: keras.Model | None) -> int:
    for model in (encoder, projector, *([] if predictor is None else [predictor])):
        teachers.check_outputs(model)
    features, (taken, embedded) = encoder.output_shape, (projector.input_shape, projector.output_shape)
    if len(features) != 2 or tuple(taken[1:]) != tuple(features[1:]) or len(embedded) != 2:
        raise ValueError(
            "Wanted an encoder of features (batch, features), pooled, and a projector from these to (batch, width). "
            f"Received: an encoder to {features}, a projector from {taken} to {embedded}."
        )
    if predictor is not None and not tuple(predictor.input_shape) == tuple(predictor.output_shape) == tuple(embedded):
        raise ValueError(
            f"Wanted a predictor from embeddings to embeddings, {embedded}. Received: one from "
            f"{predictor.input_shape} to {predictor.output_shape}."
        )
    return int(embedded[1])


def _check_target(predictor: keras.Model | None, decay: schedules.Scheduled | None, momentum: float | None) -> None:
    if decay is None and (predictor is not None or momentum is not None):
        raise ValueError(
            "A predictor and a centre are for an objective with a target: wanted target_decay= beside them, 0.996 say. "
            "Received: target_decay=None."
        )
    ends = [decay.start, decay.end] if isinstance(decay, schedules.Ramp) else [decay]
    if any(not callable(one) and one is not None and not 0 <= one <= 1 for one in ends):
        raise ValueError(f"A decay of a moving average lies in 0..1. Received: target_decay={decay}.")
    if momentum is not None and not 0 <= momentum < 1:
        raise ValueError(f"The momentum of a centre is 0 or more and below 1. Received: center_momentum={momentum}.")
