"""Which runtimes a file needs: what its operators say, and what was measured where they cannot say it."""

from __future__ import annotations

import keras
import pytest
from keras import layers

from kerastl.compress import ptq
from kerastl.export import packing, runtimes, tflite
from kerastl.inputs.image import Image
from kerastl.types import Runtime


@pytest.fixture(scope="module")
def float32() -> bytes:
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3))
    x = layers.DepthwiseConv2D(3)(layers.Conv2D(64, 3, activation="relu")(image))
    return tflite.convert(keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(x))))


@pytest.fixture(scope="module")
def dense() -> bytes:
    keras.utils.set_random_seed(0)
    image = keras.Input((4, 4, 3))
    return tflite.convert(keras.Model(image, layers.Dense(3)(layers.Dense(64)(layers.Flatten()(image)))))


ANYWHERE = {"litert": "1.0.1", "android": "1.4.2", "pod": "2.17.0"}


@pytest.mark.parametrize(
    ("technique", "wanted"),
    [
        ("float32", ANYWHERE),
        ("dynamic_int8", ANYWHERE),
        ("float16", {"litert": "1.4.0", "android": "1.4.2", "pod": "2.17.0"}),
        ("int4_weights", {"litert": "1.1.2", "android": "1.4.2", "pod": ""}),
        ("blocks", {"litert": "2.1.0", "android": "2.1.0", "pod": ""}),
    ],
)
def test_convolutions(technique, wanted, float32):
    makes = {
        "float32": lambda: float32,
        "int4_weights": lambda: ptq.int4_weights(float32, inputs=Image((8, 8, 3))),
        "blocks": lambda: ptq.int4_weights(float32, inputs=Image((8, 8, 3)), block_size=32),
    }
    made = makes.get(technique, lambda: getattr(ptq, technique)(float32))()
    found = runtimes.needed(packing.unpack(made))
    assert found == Runtime(tensorflow=found.tensorflow, **wanted)


@pytest.mark.parametrize("technique", ["float16", "int4_weights"])
def test_without_convolutions_the_first_runtime_will_do(technique, dense):
    options = {"inputs": Image((4, 4, 3))} if technique == "int4_weights" else {}
    found = runtimes.needed(packing.unpack(getattr(ptq, technique)(dense, **options)))
    assert found == Runtime(tensorflow=found.tensorflow, **ANYWHERE)


def test_an_operator_that_the_second_generation_knows_first(dense):
    """Its first releases have no Interpreter for Android."""
    model = packing.unpack(dense)
    model.operatorCodes[0].builtinCode = model.operatorCodes[0].deprecatedBuiltinCode = 34  # PAD
    model.operatorCodes[0].version = 5
    assert runtimes.needed(model) == Runtime(tensorflow="2.20.0", litert="2.0.2", android="2.1.0", pod="")


def test_versions_are_compared_as_numbers():
    assert runtimes._numbers("1.10.0") > runtimes._numbers("1.4.0")
