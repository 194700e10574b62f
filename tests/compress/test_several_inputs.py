"""Post-training quantization of files of several inputs and outputs, and whose kind of examples nobody may forget."""

from __future__ import annotations

import functools

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from kerastl import verify
from kerastl.compress import mixed_precision, ptq, rounding
from kerastl.export import tflite
from kerastl.inputs.named import Named
from kerastl.inputs.numbers import Numbers
from kerastl.tasks.agreement import Agreement
from kerastl.verify import benchmark
from tests.compress.test_ptq import PICTURES, PIXELS, float_model, run  # noqa: F401  a fixture
from tests.compress.test_ptq import float_file as converted  # noqa: F401  a fixture

BOTH = Named((("picture", PIXELS), ("row", Numbers((5,)))))
EXAMPLES = {
    "picture": PICTURES,
    "row": np.random.default_rng(4).normal(-300, 70, (len(PICTURES), 5)).astype("float32"),
}


@pytest.fixture(scope="module")
def two_inputs() -> bytes:
    """A picture and a row of numbers in, a vector and a picture out."""
    keras.utils.set_random_seed(3)
    layers = keras.layers
    given = {"picture": keras.Input((8, 8, 1), name="picture"), "row": keras.Input((5,), name="row")}
    x = layers.Conv2D(6, 3, padding="same", activation="relu", name="conv")(layers.Rescaling(1 / 255)(given["picture"]))
    row = layers.Dense(12, activation="relu", name="hidden")(layers.Rescaling(1 / 70, offset=300 / 70)(given["row"]))
    joined = layers.Concatenate(name="joined")([layers.GlobalAveragePooling2D(name="pool")(x), row])
    vector = layers.Dense(4, name="vector")(joined)
    outputs = {"vector": vector, "mask": layers.Conv2D(2, 3, padding="same", name="mask")(x)}
    return tflite.convert(keras.Model(given, outputs))


@pytest.mark.parametrize("technique", ["static_int8", "static_int16_activations"])
def test_a_file_of_several_inputs_and_outputs_becomes_integers_throughout(two_inputs, technique):
    some = {name: values[:64] for name, values in EXAMPLES.items()}
    result = getattr(ptq, technique)(two_inputs, calibration=some, inputs=BOTH)
    details = {one["name"]: one for one in Interpreter(model_content=result).get_input_details()}
    assert sorted(details) == ["picture", "row"]
    scale, zero_point = details["row"]["quantization"]
    lowest = float(some["row"].min())
    if technique == "static_int8":
        assert {one["dtype"] for one in details.values()} == {np.uint8}
        assert details["picture"]["quantization"] == (1.0, 0)
        assert -zero_point * scale == pytest.approx(lowest, rel=0.01)
    else:
        assert {one["dtype"] for one in details.values()} == {np.int16}
        assert scale * 32767 == pytest.approx(-lowest, rel=0.01)
    assert benchmark.inspect(result).operators.float == 0
    wanted, received = (verify.predict_tflite(file, EXAMPLES, kind=BOTH) for file in (two_inputs, result))
    assert sorted(received) == ["mask", "vector"]
    for name, table in wanted.items():
        gaps = np.sqrt(np.square(received[name] - table).mean()) / table.std()
        assert gaps < 0.04, name


def test_rounding_and_mixed_precision_take_several_inputs(two_inputs):
    some = {name: values[:64] for name, values in EXAMPLES.items()}
    target = Agreement.of(verify.predict_tflite(two_inputs, EXAMPLES, kind=BOTH))
    wanted = verify.predict_tflite(two_inputs, EXAMPLES, kind=BOTH)
    nearest, better = (
        target.difference(verify.predict_tflite(file, EXAMPLES, kind=BOTH), wanted).mean()
        for file in (
            ptq.int4_weights(two_inputs),
            ptq.int4_weights(two_inputs, calibration=some, inputs=BOTH),
        )
    )
    assert better < 0.7 * nearest
    measured = mixed_precision.sensitivities(
        two_inputs,
        answers=lambda file: verify.predict_tflite(file, EXAMPLES, kind=BOTH),
        target=target,
        calibration=some,
        inputs=BOTH,
    )
    assert len({one.operator.name for one in measured}) == 4
    assert all(one.error > 0 for one in measured)


def test_calibration_of_several_inputs_is_checked_one_by_one(two_inputs):
    for changes, words in (
        ({"row": np.full((192, 5), np.nan)}, "finite numbers"),
        ({"picture": PICTURES / 255.0}, "raw pixels"),
        ({"row": EXAMPLES["row"][:9]}, r"as many examples of each input\. Received: \{'picture': 192, 'row': 9\}"),
        ({"rows": EXAMPLES["row"]}, r"of \['picture', 'row', 'rows'\], for a file of \['picture', 'row'\]"),
    ):
        with pytest.raises(ValueError, match=words):
            ptq.static_int8(two_inputs, calibration={**EXAMPLES, **changes}, inputs=BOTH)
    with pytest.raises(ValueError, match=r"the kind 'image' of \['image'\], for a file of"):
        ptq.static_int8(two_inputs, calibration=PICTURES, inputs=PIXELS)


def test_what_calibration_examples_are_cannot_be_forgotten(converted):  # noqa: F811
    """Numbers that happen to lie within 0..255 would pass for pixels, and 4 of 256 levels would be left of them."""
    given = {"calibration": PICTURES[:8] / 64.0}
    four = ptq.int4_weights(converted)
    for make in (ptq.static_int8, ptq.static_int16_activations, functools.partial(_rounded, quantized=four)):
        with pytest.raises(TypeError, match="inputs"):
            make(converted, **given)
    run_file = functools.partial(run, pictures=PICTURES[:8])
    measured = mixed_precision.sensitivities(converted, answers=run_file)
    assignment = mixed_precision.assignments(measured)[-1]
    for forgotten in (
        lambda: ptq.static_int8(converted, inputs=None, **given),
        lambda: ptq.int4_weights(converted, **given),
        lambda: ptq.quantize(converted, "static_wi8_ai8", **given),
        lambda: ptq.quantize(converted, "dynamic_wi8_afp32", **given),
        lambda: mixed_precision.sensitivities(converted, answers=run_file, **given),
        lambda: mixed_precision.apply(converted, assignment, **given),
        lambda: mixed_precision.search(converted, measured, score=lambda file: 1.0, least=0.5, **given),
    ):
        with pytest.raises(ValueError, match=r"Calibration needs inputs=, the kind of the examples.*inputs=None"):
            forgotten()


def _rounded(model: bytes, *, quantized: bytes, **options) -> bytes:
    return rounding.output_aware_rounding(model, quantized, **options)


@pytest.mark.parametrize("read_by", ["a reshape", "a softmax", "nobody, twice"])
def test_an_output_that_something_else_reads_is_no_integer_file(read_by):
    """The reader would take its bytes for integers of its own: answers were off by standard deviations."""
    keras.utils.set_random_seed(0)
    row = keras.Input((6,), name="row")
    embedding = keras.layers.Dense(4, name="embedding")(row)
    other = {
        "a reshape": lambda: keras.layers.Reshape((2, 2), name="square")(embedding),
        "a softmax": lambda: keras.layers.Softmax(name="shares")(embedding),
        "nobody, twice": lambda: keras.layers.Activation("linear", name="again")(embedding),
    }[read_by]()
    examples = np.random.default_rng(0).normal(size=(60, 6)).astype("float32")
    file = tflite.convert(keras.Model(row, [embedding, other]))
    with pytest.raises(ValueError, match=r"outputs that nothing else in the file reads\. Received: .*dynamic_int8"):
        ptq.static_int8(file, calibration=examples, inputs=Numbers((6,)))
    assert ptq.dynamic_int8(file)
