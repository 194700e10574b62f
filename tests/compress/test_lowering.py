from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from ai_edge_litert.interpreter import Interpreter

from kerastl import verify
from kerastl.compress import lowering, qat, quantize_scheme
from kerastl.compress.tf_keras import tf_keras_layers
from kerastl.export import tflite
from kerastl.inputs.image import Image
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Task
from kerastl.verify import benchmark

layers = tf_keras.layers
CLASSES = 3
PIXELS = np.random.default_rng(0).integers(0, 256, (48, 8, 8, 3)).astype("float32")
PIXELS[0, 0, 0], PIXELS[0, 0, 1] = 0, 255
LABELS = np.arange(48) % CLASSES
TASK = Task("noise", Image((8, 8, 3)), SingleLabel(("a", "b", "c")))


def test_what_is_replaced_and_what_is_not():
    """Of what would be a float operator a depthwise convolution of the same values is made, and of nothing else."""
    layers, generator = tf_keras.layers, np.random.default_rng(3)
    image = x = tf_keras.Input((6, 6, 3), name="image")
    x = layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0], name="normalization")(x)
    x = layers.Rescaling([1 / 255, 1 / 127, 1 / 63], name="a_factor_a_channel")(x)
    x = layers.Conv2D(4, 3, activation="relu", name="rectified")(x)
    x = layers.BatchNormalization(scale=False, name="behind_a_relu")(x)
    x = layers.Conv2D(4, 1, name="linear")(x)
    x = layers.BatchNormalization(name="behind_a_kernel")(x)
    x = layers.BatchNormalization(center=False, name="frozen", trainable=False)(x)
    x = layers.Dense(5, name="hidden")(layers.Flatten(name="flat")(x))
    x = layers.BatchNormalization(name="of_vectors")(x)
    model = tf_keras.Model(image, layers.Dense(CLASSES, name="logits")(x))
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([generator.uniform(0.5, 2, weight.shape) for weight in layer.get_weights()])
    replaced = lowering.to_quantizable_layers(model)
    trainable = {
        layer.name: layer.trainable
        for layer in replaced.layers
        if type(layer) is layers.DepthwiseConv2D and type(model.get_layer(layer.name)) is not type(layer)
    }
    assert trainable == {
        "normalization": False, "a_factor_a_channel": False, "behind_a_relu": True, "frozen": False, "of_vectors": True,
    }  # fmt: skip
    assert len(replaced.layers) == len(model.layers) + 2  # the vectors are made pictures of, and back
    pictures = generator.uniform(0, 255, (7, 6, 6, 3)).astype("float32")
    np.testing.assert_allclose(replaced(pictures), model(pictures), rtol=1e-4, atol=1e-4)


def around(middle, *, kernel=True) -> tf_keras.Model:
    """A network in which some layers stand between a convolution and another; weights that no initializer gives."""
    tf_keras.utils.set_random_seed(0)
    image = tf_keras.Input((8, 8, 3), name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="rescale")(image)
    x = layers.Conv2D(6, 3, padding="same", name="first")(x) if kernel else x
    x = layers.GlobalAveragePooling2D(name="pool")(middle(x))
    model = tf_keras.Model(image, layers.Dense(CLASSES, name="logits")(x))
    generator = np.random.default_rng(1)
    for weight in model.weights:
        values = generator.normal(0, 0.5, weight.shape)
        positive = any(part in weight.name for part in ("variance", "gamma", "alpha"))
        weight.assign(np.abs(values) + 0.3 if positive else values)
    return model


def squeezed(x, activation):
    gate = layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(x)
    gate = layers.Conv2D(4, 1, activation="silu", name="reduce")(gate)
    gate = layers.Conv2D(6, 1, activation=activation, name="expand")(gate)
    return layers.Multiply(name="excite")([x, gate])


def padded(x):
    x = tf_keras_layers.Pad(((0, 0), (1, 1), (1, 1), (0, 0)), -np.inf, name="pad")(x)
    return layers.MaxPooling2D(3, 2, name="max_pool")(x)


def halves(x):
    one, other = tf_keras_layers.Channels(0, 2, name="one")(x), tf_keras_layers.Channels(2, 6, name="other")(x)
    other = layers.Conv2D(4, 1, activation="relu", name="conv_of_other")(other)
    return layers.Concatenate(name="joined")([other, one, layers.AveragePooling2D(1, name="average_pool")(one)])


def hidden(x):
    x = layers.Dense(5, name="hidden")(layers.Flatten(name="flat")(x))
    x = layers.Activation(tf_keras_layers.hard_silu, name="hard_silu")(
        layers.BatchNormalization(name="norm_of_vectors")(x)
    )
    x = layers.Rescaling(2.0, offset=0.5, name="rescaled_vectors")(x)
    return layers.Reshape((1, 1, 5), name="picture_of_vectors")(x)


MIDDLES = {
    "silu": layers.Activation("silu", name="silu"),
    "gelu": layers.Activation("gelu", name="gelu"),
    "hard_silu": layers.Activation(tf_keras_layers.hard_silu, name="hard_silu"),
    "hard_sigmoid": layers.Activation(tf_keras_layers.hard_sigmoid, name="hard_sigmoid"),
    "hard_tanh": layers.Activation(tf_keras_layers.hard_tanh, name="hard_tanh"),
    "relu6": layers.Activation(tf_keras_layers.relu6, name="relu6"),
    "leaky_relu": layers.Activation(tf_keras_layers.leaky_relu, name="leaky_relu"),
    "sigmoid": layers.Activation("sigmoid", name="sigmoid"),
    "tanh": layers.Activation("tanh", name="tanh"),
    "linear": layers.Activation("linear", name="identity"),
    "lone batch norm": lambda x: layers.BatchNormalization(name="norm")(layers.ReLU(name="relu")(x)),
    "normalization": layers.Normalization(mean=[0.1] * 6, variance=[2.0] * 6, name="normalization"),
    "factors and offsets": layers.Rescaling([0.5] * 6, offset=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6], name="factors"),
    "scale": tf_keras_layers.Scale(name="scale"),
    "dense over a picture": layers.Dense(4, activation="gelu", name="pointwise"),
    "layer norm": layers.LayerNormalization(epsilon=1e-3, name="layer_norm"),
    "squeeze and excite": lambda x: squeezed(x, "sigmoid"),
    "hard squeeze and excite": lambda x: squeezed(x, tf_keras_layers.hard_sigmoid),
    "average": lambda x: layers.Average(name="average")([x, layers.ReLU(name="relu")(x)]),
    "subtract": lambda x: layers.Subtract(name="subtract")([x, layers.ReLU(name="relu")(x)]),
    "maximum": lambda x: layers.Maximum(name="maximum")([x, layers.Conv2D(6, 1, name="second")(x)]),
    "minus infinity": padded,
    "halves": halves,
    "separable": layers.SeparableConv2D(5, 3, activation="silu", name="separable"),
    "vectors": hidden,
}


@pytest.mark.parametrize("name", sorted(MIDDLES))
def test_a_layer_becomes_a_full_integer_file_that_answers_alike(name):
    """The same function before it is quantized; then nothing but integers, and answers a few steps apart."""
    model = around(MIDDLES[name])
    before = model.get_weights()
    replaced = lowering.to_quantizable_layers(model)
    np.testing.assert_allclose(replaced(PIXELS), model(PIXELS), rtol=1e-4, atol=1e-4)
    batches = tf.data.Dataset.from_tensor_slices((PIXELS, LABELS)).batch(16)
    aware = qat.train(model, batches, epochs=0)
    file = tflite.convert(aware, TASK, integer=True)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    interpreter = Interpreter(model_content=file)
    assert {detail["dtype"] for detail in interpreter.get_tensor_details()} <= {np.int8, np.uint8, np.int32}
    answers = verify.predict_tflite(file, PIXELS)
    wanted = tf.nn.softmax(model(PIXELS)).numpy()
    spread = np.sqrt(np.mean((wanted - wanted.mean(0)) ** 2))
    assert np.sqrt(np.mean((answers - wanted) ** 2)) < 0.25 * spread + 0.004  # 1/256 is one step of the output


def test_halves_of_a_separable_convolution_take_nobodys_name():
    """TF-MOT calls its own "depthwise_conv2d" and "conv2d", as Keras calls layers that nobody has named."""
    tf_keras.backend.clear_session()
    image = tf_keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(6, 3, name="conv2d")(layers.Rescaling(1 / 255, name="rescaling")(image))
    x = layers.SeparableConv2D(5, 3, activation="relu", name="separable_conv2d")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    model = tf_keras.Model(image, layers.Dense(CLASSES, name="dense")(x))
    aware = qat.train(model, tf.data.Dataset.from_tensor_slices((PIXELS, LABELS)).batch(16), epochs=0)
    kernels = {layer.layer.name for layer in aware.layers if hasattr(layer, "layer") and layer.weights}
    assert {"conv2d", "separable_conv2d_depthwise", "separable_conv2d", "dense"} <= kernels
    wanted = tf.nn.softmax(model(PIXELS)).numpy()
    assert np.abs(verify.predict_tflite(tflite.convert(aware, TASK, integer=True), PIXELS) - wanted).max() < 0.02


def test_constants_of_lowering_are_no_clusters():
    batches = tf.data.Dataset.from_tensor_slices((PIXELS, LABELS)).batch(16)
    with pytest.raises(ValueError, match="at most 4 distinct values"):
        qat.train(around(MIDDLES["hard squeeze and excite"]), batches, epochs=0, preserve_clusters=4)


def test_a_hard_swish_is_one_operator():
    batches = tf.data.Dataset.from_tensor_slices((PIXELS, LABELS)).batch(16)
    file = tflite.convert(qat.train(around(MIDDLES["hard_silu"]), batches, epochs=0), TASK, integer=True)
    kinds = dict(benchmark.inspect(file).operators.by_type)
    assert kinds["HARD_SWISH"] == 1
    assert "MUL" not in kinds


@pytest.mark.parametrize("name", ["layer norm", "squeeze and excite", "lone batch norm", "scale"])
def test_what_was_replaced_learns(name):
    batches = tf.data.Dataset.from_tensor_slices((PIXELS, LABELS)).batch(16)
    learnt = {"layer norm": "layer_norm", "squeeze and excite": "expand", "lone batch norm": "norm", "scale": "scale"}
    before = qat.train(around(MIDDLES[name]), batches, epochs=0).get_layer(f"quant_{learnt[name]}").get_weights()
    after = qat.train(around(MIDDLES[name]), batches, epochs=1, learning_rate=1e-2)
    kernel, *_ = after.get_layer(f"quant_{learnt[name]}").get_weights()
    assert any(old.shape == kernel.shape and not np.allclose(old, kernel, rtol=1e-3) for old in before[:1])


def test_steps_of_a_layer_norm_are_the_layer_norm():
    values = np.random.default_rng(3).normal(3, 2, (2, 4, 4, 6)).astype("float32")
    layer = tf_keras.layers.deserialize(tf_keras.layers.serialize(quantize_scheme.SteppedNormalization(1e-3)))
    centred = values - values.mean(-1, keepdims=True)
    wanted = centred / np.sqrt(np.square(centred).mean(-1, keepdims=True) + 1e-3)
    np.testing.assert_allclose(layer(values), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("activation", ["elu", "softplus"])
def test_an_activation_without_an_integer_kernel_is_named(activation):
    model = around(layers.Conv2D(4, 3, activation=activation, name="strange"))
    wanted = f"layer 'strange_activation' of class Activation, '{activation}'.*Available: .*'silu'"
    with pytest.raises(ValueError, match=wanted):
        qat.train(model, tf.data.Dataset.from_tensor_slices((PIXELS, LABELS)).batch(16), epochs=0)


@pytest.mark.parametrize(("pads", "value", "pool"), [(1, 0.5, 3), (2, -np.inf, 3), (1, -np.inf, None)])
def test_a_padding_that_integers_cannot_hold_is_named(pads, value, pool):
    def middle(x):
        x = tf_keras_layers.Pad(((0, 0), (pads, pads), (pads, pads), (0, 0)), value, name="pad")(x)
        return layers.MaxPooling2D(pool, name="max_pool")(x) if pool else layers.ReLU(name="relu")(x)

    with pytest.raises(ValueError, match=f"layer 'pad' of class Pad, with {value} around it"):
        lowering.to_quantizable_layers(around(middle))
