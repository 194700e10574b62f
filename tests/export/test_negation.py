from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastl import benchmark, verify
from kerastl.compress import ptq
from kerastl.export import negation, packing, tflite


def negates(dtype=tf.float32, *, multiplies: bool = False) -> bytes:
    @tf.function(input_signature=[tf.TensorSpec((1, 6), dtype, name="x")], autograph=False)
    def function(x):
        y = tf.negative(x)
        return {"y": tf.negative(y * x) if multiplies else y}

    return tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], tf.Module()).convert()


def operators(data: bytes) -> dict[str, int]:
    return dict(benchmark.facts(data).operators.by_type)


@pytest.mark.parametrize(("multiplies", "before", "after"), [(False, {"NEG": 1}, 1), (True, {"NEG": 2, "MUL": 1}, 3)])
def test_a_negation_is_a_product_and_answers_the_same(multiplies, before, after):
    data = negates(multiplies=multiplies)
    changed = negation.as_products(data)
    assert operators(data) == before
    assert operators(changed) == {"MUL": after}
    x = np.random.default_rng(0).normal(0, 100, (1, 6)).astype("float32")
    x[0, 0] = 0
    answers = []
    for file in (data, changed):
        interpreter = packing.Interpreter(model_content=file)
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
        interpreter.invoke()
        answers.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    np.testing.assert_array_equal(*answers)
    np.testing.assert_allclose(answers[0], x * x if multiplies else -x, rtol=1e-6)


def test_integers_and_files_without_negations_stay_as_they_are(tiny_files):
    integers = negates(tf.int32)
    assert negation.as_products(integers) is integers
    assert negation.as_products(tiny_files.float32) is tiny_files.float32


def test_a_layer_normalization_becomes_integer_throughout():
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1, name="rescale")(image)
    x = keras.layers.Conv2D(16, 4, strides=4, name="patches")(x)
    x = keras.layers.LayerNormalization(name="norm")(keras.layers.Reshape((4, 16), name="tokens")(x))
    x = keras.layers.Flatten(name="pool")(x)
    model = keras.Model(image, keras.layers.Dense(3, name="logits")(x))
    pictures = np.random.default_rng(0).integers(0, 256, (64, 8, 8, 3)).astype("float32")
    data = tflite.convert(model)
    assert "NEG" not in operators(data)
    small = ptq.static_int8(data, calibration=pictures)
    assert benchmark.facts(small).operators.float == 0
    wanted = keras.ops.convert_to_numpy(keras.ops.softmax(model.predict(pictures, verbose=0)))
    received = verify.run_file(small, pictures.astype("uint8"))
    print(np.abs(received - wanted).max())
    np.testing.assert_allclose(received, wanted, atol=0.05)
