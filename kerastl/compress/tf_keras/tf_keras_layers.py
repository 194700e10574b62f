"""What Keras 3 has and tf_keras lacks: functions and layers of the same numbers, which TF-MOT can make copies of.

The order of operations in `hard_silu` is the one that TFLite's converter knows as its HARD_SWISH.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import tensorflow as tf
import tf_keras

_register = tf_keras.utils.register_keras_serializable("kerastl")


@_register
def hard_sigmoid(x):
    """``relu6(x + 3) / 6``, Keras 3's slope; tf_keras' own function of this name has 1/5."""
    return tf.nn.relu6(x + 3.0) * (1.0 / 6.0)


@_register
def hard_silu(x):
    """``x * relu6(x + 3) / 6`` (Howard et al. 2019, "Searching for MobileNetV3", section 5.2)."""
    return x * tf.nn.relu6(x + 3.0) * (1.0 / 6.0)


@_register
def hard_tanh(x):
    """``min(max(x, -1), 1)``."""
    return tf.clip_by_value(x, -1.0, 1.0)


@_register
def relu6(x):
    """``min(max(x, 0), 6)``."""
    return tf.nn.relu6(x)


@_register
def leaky_relu(x):
    """``max(x, 0.2 x)``, as Keras 3's function of this name without settings."""
    return tf.nn.leaky_relu(x, alpha=0.2)


@_register
def natural_logarithm(x):
    """``log(x)``, of what is positive."""
    return tf.math.log(x)


ACTIVATIONS = {
    "hard_sigmoid": hard_sigmoid,
    "hard_silu": hard_silu,
    "hard_tanh": hard_tanh,
    "relu6": relu6,
    "leaky_relu": leaky_relu,
}
"""Keras 3's name -> the function."""


@_register
class Scale(tf_keras.layers.Layer):
    """One learnt factor a channel: Keras' LayerScale (Touvron et al. 2021, https://arxiv.org/abs/2103.17239)."""

    def build(self, input_shape):
        """One weight, ``gamma``, of shape ``(channels,)``."""
        self.gamma = self.add_weight("gamma", shape=(int(input_shape[-1]),), initializer="ones")

    def call(self, inputs):
        """``inputs * gamma``."""
        return inputs * self.gamma


@_register
class Channels(tf_keras.layers.Layer):
    """Some of the channels: those from ``first`` up to ``last``, which is left out."""

    def __init__(self, first: int, last: int, **options):
        super().__init__(**options)
        self.first, self.last = first, last

    def call(self, inputs):
        """``inputs[..., first:last]``."""
        return inputs[..., self.first : self.last]

    def get_config(self):
        """Both ends."""
        return {**super().get_config(), "first": self.first, "last": self.last}


@_register
class Pad(tf_keras.layers.Layer):
    """Rows and columns around a picture.

    Args:
        paddings: ``((before, after), ...)``, one pair an axis, the batch's included.
        value: what they hold; with ``None`` the picture goes on as in a mirror, its edge included.
    """

    def __init__(self, paddings: Iterable[Sequence[int]], value: float | None = 0.0, **options):
        super().__init__(**options)
        self.paddings, self.value = tuple(tuple(pair) for pair in paddings), value

    def call(self, inputs):
        """``inputs``, larger by the paddings."""
        if self.value is None:
            return tf.pad(inputs, self.paddings, mode="SYMMETRIC")
        return tf.pad(inputs, self.paddings, constant_values=self.value)

    def get_config(self):
        """Paddings and value."""
        return {**super().get_config(), "paddings": self.paddings, "value": self.value}
