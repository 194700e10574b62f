"""Versions of operators against those of TensorFlow's own converter, and of what the quantizers make."""

from __future__ import annotations

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from kerastl.compress import ptq
from kerastl.export import operator_versions, packing, tflite
from kerastl.inputs.image import Image

KIND = Image((12, 12, 3))


@functools.cache
def convolutional() -> keras.Model:
    """Every operator of a picture network that is ordinary, and some that are not."""
    image = keras.Input((12, 12, 3))
    x = layers.ZeroPadding2D(1)(layers.Rescaling(1 / 255)(image))
    x = layers.Conv2D(8, 3, activation="relu6")(x)
    x = layers.Add()([x, layers.Conv2D(8, 3, padding="same")(x)])
    x = layers.DepthwiseConv2D(3, strides=2, padding="same")(x)
    x = layers.Multiply()([x, layers.Activation("sigmoid")(x)])
    x = layers.Concatenate()([layers.AveragePooling2D(2)(x), layers.MaxPooling2D(2)(x)])
    x = layers.LeakyReLU()(layers.Conv2DTranspose(4, 2, strides=2)(x))
    x = layers.UpSampling2D(2, interpolation="bilinear")(x)
    x = layers.Subtract()([x, layers.Maximum()([x, layers.ReLU()(x)])])
    x = layers.Dense(16, activation="tanh")(layers.Flatten()(x))
    return keras.Model(image, layers.Dense(4, activation="softmax")(layers.LayerNormalization()(x)))


@functools.cache
def attending() -> keras.Model:
    rows = keras.Input((8, 12))
    x = layers.Activation("gelu")(layers.Permute((2, 1))(layers.MultiHeadAttention(2, 8)(rows, rows)))
    return keras.Model(rows, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))


def versions(data: bytes | packing.ModelT) -> dict[str, list[int]]:
    model = packing.unpack(data) if isinstance(data, bytes) else data
    found: dict[str, list[int]] = {}
    for code in model.operatorCodes:
        found.setdefault(operator_versions.name_of(code), []).append(code.version)
    return found


@pytest.mark.parametrize("way", ["float", "dynamic", "integer"])
@pytest.mark.parametrize("build", [convolutional, attending])
def test_they_are_those_of_the_converter(build, way):
    """Of which the tool is a part whose rules these are; all versions are set to 1 first."""
    model = build()
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if way != "float":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if way == "integer":
        random = np.random.default_rng(0)
        converter.representative_dataset = lambda: (
            [random.uniform(0, 1, (1, *model.input_shape[1:])).astype("float32")] for _ in range(4)
        )
    made = packing.unpack(converter.convert())
    wanted = versions(made)
    (entry,) = [one for one in made.metadata if one.name == b"min_runtime_version"]
    for code in made.operatorCodes:
        code.version = 1
    operator_versions.stamp(made)
    assert versions(made) == wanted
    assert len(wanted) >= (7 if build is attending else 20)
    said = bytes(made.buffers[entry.buffer].data).rstrip(b"\0").decode()
    assert operator_versions.minimum_runtime(made) == said


QUANTIZED = {
    "dynamic_int8": {"CONV_2D": [5], "DEPTHWISE_CONV_2D": [6], "FULLY_CONNECTED": [12]},
    "int4_weights": {"CONV_2D": [8], "DEPTHWISE_CONV_2D": [6], "FULLY_CONNECTED": [10]},
    "static_int8": {"CONV_2D": [3], "DEPTHWISE_CONV_2D": [3], "FULLY_CONNECTED": [4], "SOFTMAX": [2], "ADD": [2]},
    "float16": {"CONV_2D": [1], "DEQUANTIZE": [3]},
    "weight_only_int8": {"DEQUANTIZE": [5]},
}


@functools.cache
def small() -> bytes:
    keras.utils.set_random_seed(0)
    image = keras.Input((12, 12, 3))
    x = layers.Conv2D(8, 3, activation="relu", padding="same")(layers.Rescaling(1 / 255)(image))
    x = layers.Add()([x, layers.DepthwiseConv2D(3, padding="same")(x)])
    x = layers.Dense(64, activation="relu")(layers.GlobalAveragePooling2D()(x))
    return tflite.convert(keras.Model(image, layers.Dense(3, activation="softmax")(x)))


@pytest.mark.parametrize("technique", QUANTIZED)
def test_what_the_quantizers_make_says_what_it_needs(technique):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 12, 12, 3)).astype("uint8")
    options = {"calibration": pixels, "inputs": KIND} if technique == "static_int8" else {}
    options |= {"inputs": KIND} if technique == "int4_weights" else {}
    made = getattr(ptq, technique)(small(), **options)
    found = versions(made)
    assert {name: found[name] for name in QUANTIZED[technique]} == QUANTIZED[technique]
    assert versions(packing.shrink(made)) == found, "kept through packing"


def test_blocks_of_four_bits_ask_for_the_first_runtime_that_is_right():
    made = packing.unpack(ptq.int4_weights(small(), inputs=KIND, block_size=32))
    assert max(versions(made)["FULLY_CONNECTED"]) == 14
    assert operator_versions.minimum_runtime(made) == "2.21.0"


def test_a_version_is_never_lowered():
    model = packing.unpack(small())
    for code in model.operatorCodes:
        code.version = 9
    operator_versions.stamp(model)
    assert {version for found in versions(model).values() for version in found} == {9}
