from __future__ import annotations

import keras
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from litert_quantizer import qtyping

from kerastl.compress import float_file, ptq
from tests.compress.test_ptq import convert


@pytest.fixture(scope="module")
def file() -> bytes:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    image = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(6, 3, strides=2, name="conv")(image)
    x = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="depthwise")(x)
    x = layers.Conv2DTranspose(4, 2, strides=2, name="up")(x)
    x = layers.Flatten(name="flatten")(x)
    return convert(keras.Model(image, layers.Dense(5, name="logits")(x)))


def test_every_kernel_with_its_kind_and_shape(file):
    found = float_file.operators(file)
    shapes = {operator.kind: operator.shape for operator in found}
    assert len(found) == 4
    assert shapes == {
        "CONV_2D": (6, 3, 3, 1),
        "DEPTHWISE_CONV_2D": (1, 3, 3, 12),
        "CONV_2D_TRANSPOSE": (4, 2, 2, 12),
        "FULLY_CONNECTED": (5, 6 * 6 * 4),
    }
    assert [operator.weights for operator in found] == [54, 108, 192, 720]
    assert [operator.channels for operator in found] == [6, 12, 4, 5]
    assert [operator.groups for operator in found] == [1, 1, 1, 1]


def test_only_whole_convolutions_and_dense_layers_do_with_one_scale(file):
    """LiteRT itself says so: it refuses to run the others at 4 bits and one scale."""
    assert [operator.may_have_one_scale for operator in float_file.operators(file)] == [True, False, False, True]
    image = keras.Input((8, 8, 4), name="image")
    grouped = convert(keras.Model(image, keras.layers.Conv2D(6, 3, groups=2, name="grouped")(image)))
    (operator,) = float_file.operators(grouped)
    assert (operator.groups, operator.shape, operator.may_have_one_scale) == (2, (6, 3, 3, 2), False)
    for made, chosen in ((grouped, operator), (file, float_file.operators(file)[0])):
        work = float_file.opened(made)
        one = qtyping.QuantGranularity.TENSORWISE
        work.add_dynamic_config(chosen.pattern, qtyping.TFLOperationName.CONV_2D, num_bits=4, granularity=one)
        interpreter = Interpreter(model_content=float_file.quantized(work))
        if chosen.may_have_one_scale:
            interpreter.allocate_tensors()
        else:
            with pytest.raises(RuntimeError, match="affine_quantization->scale->size"):
                interpreter.allocate_tensors()


@pytest.mark.parametrize("place", range(4))
def test_the_pattern_finds_that_operator_and_no_other(file, place):
    chosen = float_file.operators(file)[place]
    work = float_file.opened(file)
    work.add_dynamic_config(chosen.pattern, qtyping.TFLOperationName(chosen.kind), num_bits=8)
    whole = float_file.quantized(work)
    integers = [tensor for tensor in float_file.tensors(whole) if tensor.type == 9]  # INT8
    assert [tuple(tensor.shape) for tensor in integers] == [chosen.shape]


def test_kinds_are_the_names_of_the_quantizer():
    assert {qtyping.TFLOperationName(kind).value for kind in float_file.KINDS} == set(float_file.KINDS)


def test_a_product_of_two_activations_has_no_kernel():
    @tf.function(input_signature=[tf.TensorSpec((3, 4), tf.float32), tf.TensorSpec((4, 5), tf.float32)])
    def product(one, other):
        return tf.matmul(one, other)

    holder = tf.Module()
    holder.product = product
    converter = tf.lite.TFLiteConverter.from_concrete_functions([product.get_concrete_function()], holder)
    assert float_file.operators(converter.convert()) == ()


def test_what_is_no_file_is_refused():
    with pytest.raises(ValueError, match="bytes of a TFLite file"):
        float_file.operators(b"no file at all")
    with pytest.raises(ValueError, match="bytes of a TFLite file"):
        float_file.opened(b"no file at all")


@pytest.mark.parametrize("called", [b"", None, b"tensor"])
def test_tensors_without_names_of_their_own_get_some(file, called):
    """Packers leave names out, and converters call the tensors of a loop's bodies alike."""
    parsed = float_file.parsed(file)
    graph = parsed.subgraphs[0]
    for tensor in graph.tensors:
        tensor.name = called
    nameless = bytes(float_file.flatbuffer_utils.convert_object_to_bytearray(parsed))
    found = float_file.operators(nameless)
    assert [operator.shape for operator in found] == [operator.shape for operator in float_file.operators(file)]
    assert len({operator.name for operator in found}) == 4
    assert float_file.named(file) == file
    small = ptq.dynamic_int8(nameless)
    assert len(small) < 0.8 * len(file)
    names = [tensor.name for tensor in float_file.tensors(small)]
    assert len(set(names)) == len(names)


def test_a_file_that_is_asked_again_is_opened_once_and_changes_are_the_callers_own(file, monkeypatch):
    opened, really = [], float_file.flatbuffer_utils.read_model_from_bytearray

    def counted(data):
        opened.append(bytes(data))
        return really(data)

    monkeypatch.setattr(float_file.flatbuffer_utils, "read_model_from_bytearray", counted)
    float_file.read.cache_clear()
    for _ in range(2):
        assert float_file.named(file) == file
        assert len(float_file.operators(file)) == 4
        assert len(float_file.left_float(file, [float_file.operators(file)[0].name])) == 1
    assert opened == [file]
    float_file.parsed(file).subgraphs[0].tensors[0].name = b"another"
    assert b"another" not in [tensor.name for tensor in float_file.tensors(file)]
