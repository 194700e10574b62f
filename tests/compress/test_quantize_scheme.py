from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from ai_edge_litert.interpreter import Interpreter
from tensorflow_model_optimization.python.core.quantization.keras import quantize_wrapper

from kerastl.compress import qat, quantize_scheme
from kerastl.compress.tf_keras import bridge
from kerastl.export import tflite
from kerastl.inputs.image import Image
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Task

TASK = Task("noise", Image((8, 8, 1)), SingleLabel(("a", "b", "c")))
LAYERS = {
    "Conv2D": lambda: keras.layers.Conv2D(4, 3, name="kernel"),
    "DepthwiseConv2D": lambda: keras.layers.DepthwiseConv2D(3, depth_multiplier=2, name="kernel"),
    "Dense": lambda: keras.layers.Dense(6, name="kernel"),
}


@pytest.mark.parametrize("activation", ["layer", "relu activation"])
@pytest.mark.parametrize("kind", sorted(LAYERS))
def test_a_kernel_before_a_relu_is_quantized_in_training_and_file_alike(kind, activation):
    """TF-MOT gives it no quantizer: the training would see numbers that no file can hold."""
    keras.utils.set_random_seed(2)
    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Rescaling(1 / 255, name="rescale")(image)
    x = keras.layers.Flatten(name="flat")(x) if kind == "Dense" else x
    x = LAYERS[kind]()(x)
    relu = keras.layers.ReLU(name="relu") if activation == "layer" else keras.layers.Activation("relu", name="relu")
    x = keras.layers.Flatten(name="flatten")(relu(x))
    model = keras.Model(image, keras.layers.Dense(3, name="logits")(x))
    pictures = np.random.default_rng(0).integers(0, 256, (64, 8, 8, 1)).astype("float32")
    twin = bridge.to_tf_keras(model, probe=pictures)
    batches = tf.data.Dataset.from_tensor_slices((pictures, np.zeros(64, "int32"))).batch(16)
    aware = qat.train(twin, batches, epochs=0)
    wrappers = [layer for layer in aware.layers if isinstance(layer, quantize_wrapper.QuantizeWrapper)]
    quantized = {weight.name.split("/")[0] for wrapper in wrappers for weight, _, _ in wrapper._weight_vars}
    assert quantized == {"kernel", "logits"}
    (before_relu,) = (wrapper for wrapper in wrappers if wrapper.layer.name == "kernel")
    assert not before_relu._quantize_activations, "its output is rounded once, behind the ReLU"
    shapes = [
        tuple(ranges["min_var"].shape)
        for wrapper in wrappers
        for weight, _, ranges in wrapper._weight_vars
        if weight.name.startswith("kernel/")
    ]
    assert shapes == [{"Conv2D": (4,), "DepthwiseConv2D": (2,), "Dense": ()}[kind]]  # a scale a channel
    content = tflite.convert(aware, TASK, integer=True)
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    answers = []
    for picture in pictures.astype("uint8"):
        interpreter.set_tensor(source["index"], picture[None])
        interpreter.invoke()
        answers.append(interpreter.get_tensor(target["index"])[0])
    wanted = tf.nn.softmax(aware(pictures, training=False)).numpy()
    assert np.abs(np.array(answers) / 256 - wanted).max() < 0.02  # a step of a logit, and one of 1/256
    float_answers = tf.nn.softmax(model(pictures)).numpy()
    assert np.abs(wanted - float_answers).max() < 0.05


def test_depthwise_kernels_have_a_scale_a_channel():
    kernel = np.random.default_rng(2).normal(size=(3, 3, 4, 2)).astype("float32")
    kernel *= np.array([1.0, 10.0, 0.1, 5.0], "float32")[:, None]
    layer = tf_keras.layers.Layer()
    quantizer = quantize_scheme.DepthwiseKernelRange()
    variables = quantizer.build(kernel.shape, "kernel", layer)
    received = quantizer(tf.constant(kernel), True, weights=variables).numpy()
    scale = np.abs(kernel).max((0, 1)) / 127
    np.testing.assert_allclose(received, np.round(kernel / scale) * scale, rtol=1e-4, atol=1e-6)


def test_a_depthwise_kernel_before_a_concatenation_has_a_scale_a_channel_too():
    """There TF-MOT looks in its own registry. A batch norm behind a ReLU becomes such a kernel."""
    keras.utils.set_random_seed(2)
    image = keras.Input((8, 8, 1), name="image")
    scaled = keras.layers.Rescaling(1 / 255, name="rescale")(image)
    branches = []
    for name in ("one", "two"):
        x = keras.layers.Conv2D(8, 3, activation="relu", name=name)(scaled)
        branches.append(keras.layers.BatchNormalization(name=f"{name}_norm")(x))
    x = keras.layers.Flatten(name="flatten")(keras.layers.Concatenate(name="both")(branches))
    model = keras.Model(image, keras.layers.Dense(3, name="logits")(x))
    pictures = np.random.default_rng(0).integers(0, 256, (32, 8, 8, 1)).astype("float32")
    batches = tf.data.Dataset.from_tensor_slices((pictures, np.zeros(32, "int32"))).batch(16)
    aware = qat.train(bridge.to_tf_keras(model, probe=pictures), batches, epochs=0)
    for name in ("one", "two"):
        ((_, _, ranges),) = aware.get_layer(f"quant_{name}_norm")._weight_vars
        assert tuple(ranges["min_var"].shape) == (8,)
        assert not aware.get_layer(f"quant_{name}_norm")._output_quantizers, "the concatenation has the range"
    tflite.convert(aware, TASK, integer=True)


def test_an_activation_range_is_observed_first_and_averaged_then():
    variables = {"min_var": tf.Variable(0.0), "max_var": tf.Variable(0.0)}
    quantizer = quantize_scheme.ActivationRange()
    quantizer.observing = True
    for values in ([-1.0, 0.3], [0.123, 3.0]):
        np.testing.assert_array_equal(quantizer(tf.constant(values), False, weights=variables), np.float32(values))
    quantizer.observing = False
    assert [float(variables[name]) for name in ("min_var", "max_var")] == [-1.0, 3.0]
    values = np.linspace(-0.9, 2.9, 50, dtype="float32")
    received = quantizer(tf.constant(values), False, weights=variables).numpy()
    np.testing.assert_allclose(received, np.round(values / (4 / 255)) * (4 / 255), atol=0.6 * 4 / 255)
    assert not np.array_equal(received, values)
    assert [float(variables[name]) for name in ("min_var", "max_var")] == [-1.0, 3.0], "answering moves no range"
    quantizer(tf.constant([-10.0, 20.0]), True, weights=variables)
    found = [float(variables[name]) for name in ("min_var", "max_var")]
    np.testing.assert_allclose(found, [0.99 * -1 + 0.01 * -10, 0.99 * 3 + 0.01 * 20], rtol=1e-5)
