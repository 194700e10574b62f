"""How TF-MOT quantizes each layer to 8 bits, where its own default scheme is not good enough.

- activation ranges start at what calibration batches show (TF-MOT: at -6..6, from which they need thousands of steps);
- depthwise kernels are quantized a channel each (TF-MOT: one scale for all of them);
- a clustered kernel can have one range for all of its channels, in which a cluster is one integer;
- a kernel before a ReLU layer is quantized at all (TF-MOT: it is left float while training, and rounded in the file).
"""

from __future__ import annotations

import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras
from tensorflow_model_optimization.python.core.keras.utils import smart_cond
from tensorflow_model_optimization.python.core.quantization.keras import quant_ops
from tensorflow_model_optimization.python.core.quantization.keras.default_8bit import (
    default_8bit_quantize_configs,
    default_8bit_quantize_layout_transform,
    default_8bit_quantize_registry,
    default_8bit_quantize_scheme,
)

from kerastl.compress.tf_keras import tf_keras_layers

quantizers = tfmot.quantization.keras.quantizers
CONVOLUTIONS = (tf_keras.layers.Conv2D, tf_keras.layers.DepthwiseConv2D, tf_keras.layers.SeparableConv2D)
KERNELS = (*CONVOLUTIONS, tf_keras.layers.Dense)


class ActivationRange(quantizers.MovingAverageQuantizer):
    """8-bit range of an activation: observed on calibration batches first, then a moving average while training.

    The average forgets in about 100 steps, so that a short run ends with the ranges of its last weights.
    """

    def __init__(self):
        super().__init__(num_bits=8, per_axis=False, symmetric=False, narrow_range=False)
        self.observing = False

    def __call__(self, inputs, training, weights, **kwargs):
        """``inputs`` on the 256 levels between ``weights["min_var"]`` and ``weights["max_var"]``."""
        if self.observing:
            weights["min_var"].assign(tf.minimum(weights["min_var"], tf.reduce_min(inputs)))
            weights["max_var"].assign(tf.maximum(weights["max_var"], tf.reduce_max(inputs)))
            return inputs
        return quant_ops.MovingAvgQuantize(
            inputs, weights["min_var"], weights["max_var"], ema_decay=0.99, is_training=training, num_bits=8
        )

    def get_config(self):
        """No settings."""
        return {}


class DepthwiseKernelRange(quantizers.LastValueQuantizer):
    """Symmetric 8-bit range of every channel of a depthwise kernel ``(height, width, channels, multiplier)``."""

    def __init__(self):
        super().__init__(num_bits=8, per_axis=True, symmetric=True, narrow_range=True)

    def build(self, tensor_shape, name, layer):
        """Ranges of shape ``(channels * multiplier,)``."""
        shape = (int(tensor_shape[2]) * int(tensor_shape[3]),)
        return {
            f"{end}_var": layer.add_weight(f"{name}_{end}", shape=shape, initializer="zeros", trainable=False)
            for end in ("min", "max")
        }

    def __call__(self, inputs, training, weights, **kwargs):
        """``inputs`` on 255 levels a channel."""
        height, width, channels, multiplier = inputs.shape
        flat = tf.reshape(inputs, (height, width, 1, channels * multiplier))  # TF quantizes along the last axis only
        return tf.reshape(super().__call__(flat, training, weights, **kwargs), inputs.shape)

    def get_config(self):
        """No settings."""
        return {}


class OneRange(quantizers.LastValueQuantizer):
    """Symmetric 8-bit range of a whole kernel, also where another quantizer has one a channel.

    Args:
        inner: that quantizer, whose ranges are used.
    """

    def __init__(self, inner):
        super().__init__(num_bits=8, per_axis=inner.per_axis, symmetric=True, narrow_range=True)
        self.inner = inner

    def __call__(self, inputs, training, weights, **kwargs):
        """``inputs`` on the same 255 levels in every channel."""
        if training:
            largest = tf.reduce_max(tf.abs(inputs))
            for end, sign in (("min_var", -1.0), ("max_var", 1.0)):
                weights[end].assign(tf.fill(weights[end].shape, sign * largest))
        return self.inner(inputs, False, weights, **kwargs)

    def get_config(self):
        """The quantizer inside."""
        return {"inner": self.inner}


class DepthwiseConfig(default_8bit_quantize_registry.Default8BitQuantizeConfig):
    """How a DepthwiseConv2D is quantized."""

    def __init__(self):
        super().__init__(["depthwise_kernel"], ["activation"], False)
        self.weight_quantizer = DepthwiseKernelRange()

    def get_config(self):
        """No settings."""
        return {}


@tf_keras.utils.register_keras_serializable("kerastl")
class SteppedNormalization(tf_keras.layers.Layer):
    """Mean zero and variance one along the last axis, as a layer norm has before its factors, step by step.

    Every step is an operator in the file and needs a range; each is an attribute, an activation that does nothing.

    Args:
        epsilon: added to the variance.
    """

    STEPS = ("mean", "centred", "squares", "variance", "lifted", "inverse", "normal")

    def __init__(self, epsilon: float, **options):
        super().__init__(**options)
        self.epsilon = epsilon
        for step in self.STEPS:
            setattr(self, step, tf_keras.activations.linear)

    def call(self, inputs, training=None):
        """``(inputs - mean) / sqrt(variance + epsilon)``."""
        centred = self.centred(inputs - self.mean(tf.reduce_mean(inputs, -1, keepdims=True)))
        variance = self.variance(tf.reduce_mean(self.squares(centred * centred), -1, keepdims=True))
        lifted = self.lifted(variance + self.epsilon)
        # In 8 bits a small variance is zero. The range of `inverse` cuts off what becomes of it, but a gradient is
        # infinite there, and so is what a moving range would learn.
        learns = False if training is None else training
        lifted = smart_cond(learns, lambda: tf.maximum(lifted, tf.reduce_max(lifted) / 255), lambda: lifted)
        return self.normal(centred * self.inverse(tf.math.rsqrt(lifted)))

    def get_config(self):
        """Epsilon."""
        return {**super().get_config(), "epsilon": self.epsilon}


class SteppedConfig(default_8bit_quantize_registry.Default8BitQuantizeConfig):
    """How a SteppedNormalization is quantized: after each of its steps."""

    def __init__(self):
        super().__init__([], list(SteppedNormalization.STEPS), False)

    def get_config(self):
        """No settings."""
        return {}


class ActivationConfig(default_8bit_quantize_registry.Default8BitActivationQuantizeConfig):
    """How an Activation is quantized: what comes out of it, unless its kernel has a range of its own."""

    _OWN_RANGE = ("sigmoid", "tanh", "softmax", "linear")
    _OBSERVED = ("relu", "silu", "swish", "gelu", "hard_silu")

    def get_output_quantizers(self, layer):
        """None, or one moving range.

        Raises:
            ValueError: naming the layer, for a function without an integer kernel.
        """
        name = getattr(layer.activation, "__name__", str(layer.activation))
        if not self.quantize_output or name in self._OWN_RANGE:
            return []
        if name in self._OBSERVED:
            return [ActivationRange()]
        raise ValueError(
            f"layer {layer.name!r} of class Activation, {name!r}, which has no integer kernel. Available: "
            f"{sorted((*self._OWN_RANGE, *self._OBSERVED, 'relu6', 'leaky_relu', 'hard_sigmoid', 'hard_tanh'))}; or "
            "take compress.ptq.dynamic_int8, which keeps activations float."
        )


class Registry(default_8bit_quantize_registry.Default8BitQuantizeRegistry):
    def __init__(self):
        super().__init__()
        output, nothing = (
            default_8bit_quantize_configs.Default8BitOutputQuantizeConfig,
            default_8bit_quantize_configs.NoOpQuantizeConfig,
        )
        layers = tf_keras.layers
        self._layer_quantize_map |= {
            layers.DepthwiseConv2D: DepthwiseConfig(),
            layers.Activation: ActivationConfig(),
            layers.Rescaling: nothing(),
            layers.Resizing: nothing(),
            SteppedNormalization: SteppedConfig(),
            tf_keras_layers.Pad: nothing(),
            tf_keras_layers.Channels: nothing(),
            # The file's kernel has one scale for what comes in and goes out; a range of its own would contradict it.
            layers.AveragePooling2D: nothing(),
        }
        for kind in (layers.Multiply, layers.Subtract, layers.Maximum, layers.Minimum):
            self._layer_quantize_map[kind] = output()


KINDS = (
    ActivationConfig, ActivationRange, DepthwiseConfig, DepthwiseKernelRange, SteppedConfig, SteppedNormalization,
    tf_keras_layers.Channels, tf_keras_layers.Pad,
)  # fmt: skip
"""What TF-MOT has to know to make copies of a network."""


class Layout(default_8bit_quantize_layout_transform.Default8BitQuantizeLayoutTransform):
    """TF-MOT's own, but for two kernels.

    One before a ReLU layer is quantized: TF-MOT leaves it float, and the file rounds it. A depthwise one has a scale a
    channel also before a Concatenate, where TF-MOT looks in a registry of its own.
    """

    def apply(self, model, layer_quantize_map):
        changed, configs = super().apply(model, layer_quantize_map)
        for layer in changed.layers:
            config = configs.get(layer.name, {}).get("quantize_config")
            if isinstance(config, default_8bit_quantize_configs.NoOpQuantizeConfig) and isinstance(layer, KERNELS):
                configs[layer.name]["quantize_config"] = kernel = Registry().get_quantize_config(layer)
                kernel.activation_attrs = []  # its output has the range of the ReLU behind it
            elif isinstance(layer, tf_keras.layers.DepthwiseConv2D) and not isinstance(config, DepthwiseConfig | None):
                configs[layer.name]["quantize_config"] = kernel = DepthwiseConfig()
                kernel.activation_attrs = config.activation_attrs
        return changed, configs


class Scheme(default_8bit_quantize_scheme.Default8BitQuantizeScheme):
    def get_layout_transformer(self):
        return Layout()

    def get_quantize_registry(self):
        return Registry()
