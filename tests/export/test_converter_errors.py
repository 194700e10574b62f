"""Models that TensorFlow's converter does not take are refused in a sentence, never in pages of its own."""

from __future__ import annotations

import importlib

import keras
import pytest
import tensorflow as tf

from kerastl.export import converter_errors, tflite
from kerastl.training import precision


class Applied(keras.layers.Layer):
    """A function as a layer."""

    def __init__(self, function, **options):
        super().__init__(**options)
        self.function = function

    def call(self, inputs):
        return self.function(inputs)

    def compute_output_shape(self, input_shape):
        return input_shape


def refused(layer, *, library=keras) -> str:
    """What is said of a model with a layer between two others."""
    numbers = library.Input((4,), name="numbers")
    value = layer(library.layers.Dense(4, name="first")(numbers))
    model = library.Model(numbers, library.layers.Dense(2, name="last")(value), name="mine")
    with pytest.raises(ValueError, match="'mine'") as found:
        tflite.convert(model)
    said = str(found.value)
    assert len(said.splitlines()) == 1
    assert len(said) < 600
    return said


@pytest.mark.parametrize(
    ("policy", "kind", "library"),
    [("float16", "float16", "keras"), ("float64", "float64", "keras"), ("mixed_bfloat16", "bfloat16", "tf_keras")],
)
def test_layers_of_another_precision_are_named(policy, kind, library):
    library = importlib.import_module(library)
    said = refused(library.layers.Dense(4, dtype=policy, name="half"), library=library)
    assert f"where half computes in {kind}." in said
    assert "training.precision.as_float32" in said


def test_what_the_refusal_advises_works():
    numbers = keras.Input((4,), name="numbers")
    value = keras.layers.Dense(4, dtype="mixed_float16", name="first")(numbers)
    model = keras.Model(numbers, keras.layers.Dense(2, dtype="mixed_bfloat16", name="last")(value))
    with pytest.raises(ValueError, match="first, last compute in bfloat16 and float16"):
        tflite.convert(model)
    assert tflite.convert(precision.as_float32(model))


def test_an_operator_that_is_not_built_in_is_named_with_its_layer():
    said = refused(Applied(lambda value: tf.linalg.det(value[:, :2, None] * value[:, None, :2])[:, None] * value))
    assert "which needs MatrixDeterminant of float32 at 'applied'" in said
    assert "Build the model of other operations" in said


def test_the_place_of_the_largest_is_for_the_app_to_find():
    numbers = keras.Input((4,), name="numbers")
    model = keras.Model(numbers, keras.ops.argmax(keras.layers.Dense(3)(numbers), -1))
    with pytest.raises(ValueError, match=r"needs BitwiseAnd of int32 .*argmax and argmin.* the app") as found:
        tflite.convert(model)
    assert "\n" not in str(found.value)


def test_an_operator_that_the_converter_itself_fails_at_is_named():
    said = refused(Applied(lambda value: tf.atan2(value[:, :1], value), name="angle"))  # of one shape it has a kernel
    assert "which needs Atan2 at 'angle'. Build the model of other operations" in said


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda value: tf.compat.v1.placeholder_with_default(value, None), "nobody knows the shape; keras.ops.reshape"),
        (lambda value: value.rows, "has no attribute 'rows'"),
        (lambda value: value if value[0, 0] > 0 else -value, "a symbolic `tf.Tensor` as a Python `bool`"),
    ],
    ids=["shape", "attribute", "branch"],
)
def test_what_is_wrong_in_a_graph_alone_is_said_in_a_sentence(function, words):
    said = refused(Applied(function))
    assert "a model that can be traced as a graph" in said
    assert words in said
    assert "\x1b" not in said


def test_a_file_that_the_runtime_does_not_open_is_refused_with_what_helps():
    said = refused(Applied(lambda value: value * tf.math.real(tf.signal.rfft(value[:, :1] * value, [7]))))
    assert "a model whose file LiteRT runs" in said
    assert "IsPowerOfTwo" in said
    assert "fft_length=8, 16, 32" in said


def test_other_words_of_the_converter_are_cut_behind_the_first_line():
    def branches(value):
        place = tf.cast(tf.reduce_sum(value) > 0, tf.int32)
        return tf.switch_case(place, [lambda: value * 2, lambda: value * value])

    assert "of which it says: Inconsistent values for attr 'Tcond'" in refused(Applied(branches))


def test_what_says_nothing_about_the_model_is_no_refusal():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)], name="sequential")
    assert converter_errors.refusal(MemoryError("no room"), model) is None
    found = converter_errors.refusal(RuntimeError("Quantization not yet supported for op: 'FLOOR'.\nmore"), model)
    assert "integer kernels. Received: 'sequential'" in str(found)
    assert "FLOOR" in str(found)
    assert "more" not in str(found)
