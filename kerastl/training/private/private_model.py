"""A Keras model that trains another one with differential privacy: gradients are clipped example by example, and noisy.

Abadi et al. 2016, "Deep learning with differential privacy", algorithm 1 (https://arxiv.org/abs/1607.00133).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from kerastl.training.private import accountant, clipping
from kerastl.training.private.guarantee import Mechanism

BLOCK = 32
"""Examples that a batch is a multiple of, some of which may be nothing."""


def under(mechanism: Mechanism, batches: tf.data.Dataset, *, seed: int) -> Callable[[keras.Model], Private]:
    """What makes a training private, for ``training.train(build, batches, under=private_model.under(...))``.

    Args:
        mechanism: see `guarantee.mechanism`.
        batches: that will be trained on, of `data.pipeline.poisson_batches`.
        seed: of the noise.

    Raises:
        ValueError: batches are drawn in another way, for which no amplification by sampling is counted, or at another
            rate than the mechanism's.
    """
    rate = getattr(batches, "sampling_rate", None)
    if rate != mechanism.sampling_rate:
        raise ValueError(
            "A private training counts on batches into which every example comes by chance alone: wanted those of "
            f"data.pipeline.poisson_batches at a sampling rate of {mechanism.sampling_rate:.6g}. Received: "
            f"{'others' if rate is None else f'a rate of {rate:.6g}'}."
        )
    return lambda model: Private(model, mechanism, seed=seed)


def momentum(rate: Any, *, weight_decay: float = 0.0) -> keras.optimizers.Optimizer:
    """Gradient descent with a momentum of 0.9, which averages noise: for ``training.train(..., optimizer=...)``."""
    return keras.optimizers.SGD(rate, momentum=0.9, weight_decay=weight_decay or None)


class Private(keras.Model):
    """Trains one model of one output with noisy sums of clipped gradients, on batches of Poisson sampling.

    The mechanism's cost is counted step by step in a variable of its own, which checkpoints hold: a training that goes
    on counts on. Curves of the training are ``epsilon`` alone, what was spent so far; a loss or a score of training
    examples would be an answer without noise. Calling, evaluating and saving go to the model.

    Args:
        model: functional or sequential, float32; trained in place.
        mechanism: see `guarantee.Mechanism`.
        seed: of the noise, which is as secret as this is.

    Attributes:
        student: the caller's model.
        mechanism: as given.

    Raises:
        ValueError: the gradient of one example does not exist, see `clipping.layers_of`; the model has several outputs
            or another number format; in training, on several devices, with weights of examples or classes, or with
            regularizers, whose losses see all examples at once.
    """

    def __init__(self, model: keras.Model, mechanism: Mechanism, *, seed: int, name: str = "private") -> None:
        if len(model.outputs) != 1:
            raise ValueError(f"Wanted a model of one output. Received: {len(model.outputs)} of {model.name!r}.")
        if any(layer.compute_dtype != "float32" for layer in model._flatten_layers() if layer.variables):
            raise ValueError(
                "Gradients are clipped and made noisy in float32. Received: another number format in "
                f"{model.name!r}; build it without in_fastest_dtype."
            )
        super().__init__(name=name, dtype=model.dtype_policy, autocast=False)
        self.student, self.mechanism = model, mechanism
        clipping.layers_of(model)  # refuses what has no gradients of single examples
        self._seed = int(seed)
        zero = {"initializer": "zeros", "trainable": False}
        self._steps = self.add_weight(name="private_steps", shape=(), dtype="int64", **zero)
        orders = len(accountant.ORDERS)
        self._spent = self.add_weight(name="renyi_spent", shape=(orders,), dtype="float64", **zero)
        self._cost = accountant.renyi(mechanism.sampling_rate, mechanism.noise_multiplier)
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return self.student(inputs, training=training)

    def save(self, filepath: str | Path, overwrite: bool = True, zipped: bool | None = None, **kwargs: object) -> None:
        """Saves the model as Keras saves any model; nothing of the secret is in it."""
        self.student.save(filepath, overwrite=overwrite, zipped=zipped, **kwargs)

    @property
    def steps(self) -> int:
        """Steps taken so far, those before an interruption included."""
        return int(keras.ops.convert_to_numpy(self._steps))

    @property
    def epsilon(self) -> float:
        """What was spent so far."""
        return accountant.epsilon_of(keras.ops.convert_to_numpy(self._spent), delta=self.mechanism.delta)

    def train_step(self, data: object) -> dict[str, Any]:
        if tf.distribute.get_strategy().num_replicas_in_sync > 1:
            raise ValueError("Private models are trained on one device. Received: a strategy of several.")
        inputs, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if sample_weight is not None:
            raise ValueError(
                "Weights of examples or classes change how much one example may show, and those of classes are counted "
                "from the training labels. Wanted none. Received: sample_weight or class_weight."
            )
        total = self._clipped_sum(*_filled_up(inputs, labels))
        noisy = [one + noise for one, noise in zip(total, self._noise(total), strict=True)]
        self._steps.assign_add(1)
        self._spent.assign_add(self._cost)
        gradients = [one / self.mechanism.lot for one in noisy]
        self.optimizer.apply(gradients, self.student.trainable_variables)
        return {"epsilon": self._epsilon()}

    def _clipped_sum(self, inputs: Any, labels: Any, real: tf.Tensor) -> list[tf.Tensor]:
        """The sum of the clipped gradients of ``real`` examples, a tensor for each trainable variable in order."""
        with clipping.watching(clipping.layers_of(self.student)) as watched, tf.GradientTape() as tape:
            answers = self.student(inputs, training=True)
            if self.student.losses:
                raise ValueError(
                    "Wanted a model without regularizers and losses of its layers; an optimizer's weight decay asks "
                    f"nothing of the data. Received: {len(self.student.losses)} losses in {self.student.name!r}."
                )
            loss = tf.reduce_sum(tf.where(real, self._example_losses(labels, answers), 0.0))
        metrics = self._compile_metrics
        if metrics is not None and not metrics.built:  # Keras looks at them, though no training example goes into any
            metrics.build(labels, answers)
        gradients = tape.gradient(
            loss, [one.outputs for one in watched], unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        found = [clipping.squares_and_sum(one, part) for one, part in zip(watched, gradients, strict=True)]
        factors = clipping.factors(tf.add_n([squares for squares, _ in found]), longest=self.mechanism.clip)
        factors = tf.where(real, factors, 0.0)
        by_variable = {
            id(variable): part
            for one, (_, total) in zip(watched, found, strict=True)
            for variable, part in zip(one.layer.trainable_variables, total(factors), strict=True)
        }
        return [by_variable[id(variable)] for variable in self.student.trainable_variables]

    def _example_losses(self, labels: Any, answers: tf.Tensor) -> tf.Tensor:
        """The loss of each example, float32 ``(examples,)``."""
        asked: Any = self.loss
        if not isinstance(asked, keras.losses.Loss):
            raise ValueError(f"Wanted one keras.losses.Loss. Received: {asked!r}.")
        found = tf.cast(asked.call(labels, answers), tf.float32)
        return tf.reduce_mean(found, axis=list(range(1, found.shape.rank))) if found.shape.rank > 1 else found

    def _noise(self, like: list[tf.Tensor]) -> list[tf.Tensor]:
        """Gaussian noise of this step; stateless: a step that is taken again has the same."""
        # below 2 ** 32, where the seeds of `data.orders.poisson` begin: noise and batches have one secret
        begin = tf.convert_to_tensor(self._steps.value) * len(like)
        deviation = self.mechanism.noise_multiplier * self.mechanism.clip
        return [
            deviation
            * tf.random.stateless_normal(
                tf.shape(one), tf.stack([tf.constant(self._seed, tf.int64), begin + place]), alg="philox"
            )
            for place, one in enumerate(like)
        ]

    def _epsilon(self) -> tf.Tensor:
        """`accountant.epsilon_of` inside the graph, float32."""
        spent = tf.convert_to_tensor(self._spent.value)
        found = spent + accountant.constants(self.mechanism.delta)
        found = tf.where(self.mechanism.delta**2 + tf.math.expm1(-spent) > 0, tf.zeros_like(found), found)
        return tf.cast(tf.maximum(tf.reduce_min(found), 0.0), tf.float32)


def _filled_up(inputs: Any, labels: Any) -> tuple[Any, Any, tf.Tensor]:
    """Inputs and labels, with zeros after them to a multiple of `BLOCK` examples, and which of them are real.

    TensorFlow prepares a convolution anew for every size of a batch, which takes as long as ten steps, and knows none
    of nothing, which chance may draw.
    """
    count = tf.shape(keras.tree.flatten(labels)[0])[0]
    blocks = tf.maximum((count + BLOCK - 1) // BLOCK, 1)
    lacking = blocks * BLOCK - count

    def filled(part: tf.Tensor) -> tf.Tensor:
        ends: Any = [[0, lacking], *([0, 0] for _ in part.shape[1:])]
        return tf.pad(part, ends)

    inputs, labels = keras.tree.map_structure(filled, (inputs, labels))
    return inputs, labels, tf.range(blocks * BLOCK) < count
