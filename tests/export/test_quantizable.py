from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastl import verify
from kerastl.compress import ptq
from kerastl.export import quantizable, tflite
from kerastl.inputs.image import Image
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Task
from kerastl.verify import benchmark

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 12, 12, 3)).astype("uint8")


def file_of(function, shape=(1, 6, 6, 4)) -> bytes:
    """A file as the converter writes it."""
    signature = [tf.TensorSpec(shape, tf.float32, name="values")]
    concrete = tf.function(lambda values: {"result": function(values)}, input_signature=signature, autograph=False)
    return tf.lite.TFLiteConverter.from_concrete_functions([concrete.get_concrete_function()], tf.Module()).convert()


def padded(values, *, pad=1, pool=3, value=-np.inf):
    values = tf.pad(values, [[0, 0], [pad, pad], [pad, pad], [0, 0]], constant_values=value)
    return tf.nn.max_pool2d(values, pool, 2, "VALID")


def operators(data: bytes) -> dict[str, int]:
    return dict(benchmark.inspect(data).operators.by_type)


@pytest.mark.parametrize(
    ("function", "before", "after"),
    [
        (lambda values: -values, {"NEG"}, {"MUL"}),
        (lambda values: tf.nn.leaky_relu(values, 0.3), {"LEAKY_RELU"}, {"MUL", "MAXIMUM"}),
        (padded, {"PADV2", "MAX_POOL_2D"}, {"MIRROR_PAD", "MAX_POOL_2D"}),
    ],
)
def test_an_operator_becomes_others_that_answer_the_same(function, before, after):
    old = file_of(function)
    new = quantizable.as_quantizable(old)
    assert set(operators(old)) == before
    assert set(operators(new)) == after
    values = np.random.default_rng(1).normal(-3, 2, (1, 6, 6, 4)).astype("float32")
    np.testing.assert_allclose(verify.predict_tflite(new, values), function(tf.constant(values)), rtol=1e-6)


@pytest.mark.parametrize(
    "function",
    [
        lambda values: tf.nn.leaky_relu(values, 1.5),
        lambda values: padded(values, pad=2),  # windows that would see what they have not seen
        lambda values: padded(values, value=-7.0),
        lambda values: tf.nn.relu(values),
    ],
)
def test_what_would_change_stays(function):
    old = file_of(function)
    assert quantizable.as_quantizable(old) is old


def classes(size: tuple[int, int, int]) -> Task:
    return Task("toy", Image(size), SingleLabel(("a", "b", "c")))


def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    image = keras.Input((12, 12, 3), name="image")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="rescale")(image)
    x = keras.layers.Conv2D(8, 3, name="conv")(x)
    x = keras.ops.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], constant_values=float("-inf"))
    x = keras.layers.MaxPooling2D(3, 2, name="pool")(x)
    x = keras.layers.LeakyReLU(0.2, name="leaky")(x)
    x = keras.layers.LayerNormalization(name="norm")(x)
    x = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    return keras.Model(image, keras.layers.Dense(3, name="logits")(x))


def test_a_model_of_them_becomes_integers_throughout():
    """Without this the first operator ends the process, and the others stay float."""
    model = network()
    float32 = tflite.convert(model, classes((12, 12, 3)))
    integers = ptq.static_int8(float32, calibration=PIXELS, inputs=Image((12, 12, 3)))
    wanted = tf.nn.softmax(model(PIXELS.astype("float32"))).numpy()
    np.testing.assert_allclose(verify.predict_tflite(float32, PIXELS), wanted, atol=1e-5)
    np.testing.assert_allclose(verify.predict_tflite(integers, PIXELS), wanted, atol=0.05)
    assert verify.layer_errors(integers, float32, inputs=PIXELS[:5])


def test_an_endless_padding_that_stays_is_refused_and_not_the_end_of_the_process():
    data = file_of(lambda values: padded(values, pad=2), shape=(1, 12, 12, 3))
    with pytest.raises(ValueError, match=r"paddings that 8 bits can hold\. Received: the operator PADV2 of .*-3.4"):
        ptq.static_int8(data, calibration=PIXELS, inputs=Image((12, 12, 3)))


def test_a_layer_normalization_becomes_integer_throughout():
    """Keras negates a mean in it, with an operator that quantizers leave in float."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1, name="rescale")(image)
    x = keras.layers.Conv2D(16, 4, strides=4, name="patches")(x)
    x = keras.layers.LayerNormalization(name="norm")(keras.layers.Reshape((4, 16), name="tokens")(x))
    model = keras.Model(image, keras.layers.Dense(3, name="logits")(keras.layers.Flatten(name="pool")(x)))
    pictures = np.random.default_rng(0).integers(0, 256, (64, 8, 8, 3)).astype("float32")
    data = tflite.convert(model, classes((8, 8, 3)))
    assert "NEG" not in operators(data)
    small = ptq.static_int8(data, calibration=pictures, inputs=Image((8, 8, 3)))
    assert benchmark.inspect(small).operators.float == 0
    wanted = keras.ops.convert_to_numpy(keras.ops.softmax(model.predict(pictures, verbose=0)))
    np.testing.assert_allclose(verify.predict_tflite(small, pictures.astype("uint8")), wanted, atol=0.05)
