from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from litert_quantizer import quantizer, recipe

from kerastl import verify
from kerastl.compress import mixed_precision, ptq
from kerastl.compress.float_file import operators, tensors
from kerastl.export import tflite
from kerastl.inputs.image import Image
from kerastl.inputs.numbers import Numbers
from kerastl.tasks.agreement import Agreement

PIXELS = Image((8, 8, 1))
TECHNIQUES = {
    "dynamic_int8": ptq.dynamic_int8,
    "static_int8": lambda model: ptq.static_int8(model, calibration=PICTURES[:64], inputs=PIXELS),
    "static_int16_activations": lambda model: ptq.static_int16_activations(
        model, calibration=PICTURES[:64], inputs=PIXELS
    ),
    "weight_only_int8": ptq.weight_only_int8,
    "int4_weights": ptq.int4_weights,
    "float16": ptq.float16,
}
CLASSES = 3
INDICES = {schema.TensorType.INT32}
"""Types of shapes and axes."""


def blobs(count: int = 192) -> tuple[np.ndarray, np.ndarray]:
    """Pictures 8x8 with a bright blob whose place is the class; no pixel is 0 or 255."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, CLASSES, count)
    pictures = generator.integers(10, 100, (count, 8, 8, 1))
    for picture, label in zip(pictures, labels, strict=True):
        picture[2 * label : 2 * label + 3, 2 * label : 2 * label + 3] += 120
    return pictures.astype("uint8"), labels


PICTURES, LABELS = blobs()
DARK = PICTURES[:16] // 4


def convert(model: keras.Model, *, batch: int | None = 1) -> bytes:
    signature = [tf.TensorSpec((batch, *model.input_shape[1:]), tf.float32, name="image")]
    holder = tf.Module()
    holder.variables_of_model = [variable.value for variable in model.variables]
    holder.serve = tf.function(lambda image: {"probabilities": model(image, training=False)}, input_signature=signature)
    function = holder.serve.get_concrete_function()
    return tf.lite.TFLiteConverter.from_concrete_functions([function], holder).convert()


@pytest.fixture(scope="module")
def float_model() -> keras.Model:
    keras.utils.set_random_seed(1)
    layers = keras.layers
    image = keras.Input((8, 8, 1), name="image")
    x = layers.Rescaling(1 / 255, name="rescale")(image)
    x = layers.Conv2D(16, 3, padding="same", use_bias=False, name="conv")(x)
    x = layers.BatchNormalization(momentum=0.8, name="norm")(x)
    x = layers.ReLU(name="relu")(x)
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = layers.MaxPooling2D(2, name="pool")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(32, activation="relu", name="hidden")(x)
    x = layers.Dense(CLASSES, name="logits")(x)
    model = keras.Model(image, layers.Softmax(name="probabilities")(x))
    model.compile(keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy")
    model.fit(PICTURES.astype("float32"), LABELS, batch_size=16, epochs=6, verbose=0)
    return model


@pytest.fixture(scope="module")
def float_file(float_model) -> bytes:
    return convert(float_model)


def run(model: bytes, pictures: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(model_content=model)
    image, output = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    interpreter.allocate_tensors()
    answers = []
    for picture in pictures:
        interpreter.set_tensor(image["index"], picture[None].astype(image["dtype"]))
        interpreter.invoke()
        answers.append(interpreter.get_tensor(output["index"])[0])
    scale, zero_point = output["quantization"]
    answers = np.array(answers, "float32")
    return (answers - zero_point) * scale if scale else answers


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("dynamic_int8", 0.02),
        ("static_int8", 0.05),
        ("static_int16_activations", 0.01),
        ("weight_only_int8", 0.01),
        ("float16", 0.001),
    ],
)
def test_answers_stay_close_and_files_shrink(float_model, float_file, name, tolerance):
    result = TECHNIQUES[name](float_file)
    wanted = float_model.predict(PICTURES.astype("float32"), verbose=0)
    received = run(result, PICTURES)
    assert np.mean(wanted.argmax(1) == LABELS) > 0.95
    assert np.max(np.abs(received - wanted)) < tolerance
    assert np.mean(received.argmax(1) == wanted.argmax(1)) >= 0.99
    assert len(result) < len(float_file) * (0.75 if name == "float16" else 0.6)


def test_int4_is_the_smallest_and_still_answers(float_file):
    result = ptq.int4_weights(float_file)
    assert len(result) < len(ptq.dynamic_int8(float_file)) - 2000  # 32 * 256 weights of half a byte less
    assert np.mean(run(result, PICTURES).argmax(1) == LABELS) > 0.9
    assert schema.TensorType.INT4 in {tensor.type for tensor in tensors(result)}


def test_static_files_take_raw_bytes_and_compute_in_integers(float_file):
    interpreter = Interpreter(model_content=TECHNIQUES["static_int8"](float_file))
    image, output = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    assert image["dtype"] == np.uint8
    assert image["quantization"] == (1.0, 0)  # although no calibration pixel is 0 or 255
    assert output["dtype"] == np.uint8
    assert output["quantization"] == (1 / 256, 0)
    assert {detail["dtype"] for detail in interpreter.get_tensor_details()} <= {np.int8, np.uint8, np.int32}


def test_sixteen_bits_take_raw_bytes_and_give_scaled_integers(float_file):
    interpreter = Interpreter(model_content=TECHNIQUES["static_int16_activations"](float_file))
    image, output = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    assert (image["dtype"], image["quantization"]) == (np.uint8, (1.0, 0))
    assert (output["dtype"], output["quantization"]) == (np.int16, (1 / 32768, 0))
    kinds = {detail["dtype"] for detail in interpreter.get_tensor_details()}
    assert kinds == {np.uint8, np.int8, np.int16, np.int32, np.int64}


def test_weights_alone_are_rounded_and_nothing_else(float_model, float_file):
    """The answers are those of the float model with its kernels rounded to 127 steps a channel."""
    rounded = keras.models.clone_model(float_model)
    rounded.set_weights(float_model.get_weights())
    for name, axes in (("hidden", 0), ("logits", 0)):
        kernel = float_model.get_layer(name).kernel.numpy()
        steps = np.abs(kernel).max(axes) / 127
        rounded.get_layer(name).kernel.assign(np.rint(kernel / steps) * steps)
    work = tensors(ptq.weight_only_int8(float_file))
    assert {tensor.type for tensor in work} == {schema.TensorType.FLOAT32, schema.TensorType.INT8, *INDICES}
    wanted = rounded.predict(PICTURES.astype("float32"), verbose=0)
    assert np.abs(run(ptq.weight_only_int8(float_file), PICTURES) - wanted).max() < 0.004  # two convolutions are left


@pytest.fixture(scope="module")
def dense_file() -> bytes:
    """Logits of random kernels with rows of 64 and of 40 weights."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Dense(40, activation="relu", name="hidden")(keras.layers.Flatten(name="flatten")(image))
    return convert(keras.Model(image, keras.layers.Dense(3, name="logits")(x)))


def test_blocks_of_a_row_have_scales_of_their_own(dense_file):
    wanted = run(dense_file, PICTURES)
    whole, blocks = ptq.int4_weights(dense_file), ptq.int4_weights(dense_file, block_size=32)
    errors = [np.square(run(file, PICTURES) - wanted).mean() for file in (whole, blocks)]
    assert errors[1] < 0.8 * errors[0]
    with pytest.raises(ValueError, match=r"32, 64, 128, 256\. Received: 48"):
        ptq.int4_weights(dense_file, block_size=48)


def test_rows_that_are_no_multiple_of_a_block_keep_a_scale_a_channel(dense_file):
    details = {
        tuple(tensor.shape): tensor.quantization.details
        for tensor in tensors(ptq.int4_weights(dense_file, block_size=64))
        if tensor.type == schema.TensorType.INT4
    }
    assert set(details) == {(40, 64), (3, 40)}
    assert details[40, 64] is not None
    assert details[3, 40] is None


@pytest.mark.parametrize("name", ptq.BY_NAME)
def test_the_quantizers_own_names(float_file, name):
    """Every recipe of litert-quantizer that is named here gives the answers of its own, or nearer ones."""
    some = PICTURES[:64] if name.startswith(("static", "dynamic_wi4")) else None
    result = ptq.quantize(float_file, name, calibration=some, inputs=PIXELS)
    assert np.abs(run(result, PICTURES) - run(float_file, PICTURES)).max() < (0.3 if "wi4" in name else 0.05)
    if name.startswith(("dynamic", "weight_only")) and not name.startswith("dynamic_wi4"):
        work = quantizer.Quantizer(float_file)
        work.load_quantization_recipe(getattr(recipe, name)())
        theirs = work.quantize(enable_progress_bar=False, enable_progress_report=False).quantized_model
        np.testing.assert_array_equal(run(result, PICTURES), run(bytes(theirs), PICTURES))


def test_a_name_that_there_is_not_and_a_calibration_that_is_missing(float_file):
    with pytest.raises(ValueError, match=r"Received: 'dynamic_wi3_afp32'\. Available: dynamic_wi8_afp32, "):
        ptq.quantize(float_file, "dynamic_wi3_afp32")
    with pytest.raises(ValueError, match="static_wi8_ai8 needs calibration examples"):
        ptq.quantize(float_file, "static_wi8_ai8")


@pytest.mark.parametrize("name", ptq.BY_NAME)
def test_calibration_is_used_or_refused_and_never_ignored(float_file, name):
    if name in ("dynamic_wi8_afp32", "weight_only_wi8_afp32", "float16"):
        with pytest.raises(ValueError, match=f"{name} has nothing that calibration could set"):
            ptq.quantize(float_file, name, calibration=PICTURES[:16], inputs=PIXELS)
        return
    one, other = (ptq.quantize(float_file, name, calibration=some, inputs=PIXELS) for some in (PICTURES[:16], DARK))
    assert one != other


def test_a_free_batch_axis_is_refused_where_it_leaves_float_operators(float_model):
    with pytest.raises(ValueError, match=r"fixed batch axis.* SHAPE would stay float, at .*flatten"):
        TECHNIQUES["static_int8"](convert(float_model, batch=None))


def test_a_batch_of_several_is_calibrated(float_model):
    interpreter = Interpreter(model_content=TECHNIQUES["static_int8"](convert(float_model, batch=4)))
    image, output = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    interpreter.allocate_tensors()
    interpreter.set_tensor(image["index"], PICTURES[:4])
    interpreter.invoke()
    np.testing.assert_array_equal(interpreter.get_tensor(output["index"]).argmax(1), LABELS[:4])


def test_kernels_have_a_scale_a_channel(float_model, float_file):
    kernel = float_model.get_layer("hidden").kernel.numpy()
    interpreter = Interpreter(model_content=TECHNIQUES["static_int8"](float_file))
    (found,) = (detail for detail in interpreter.get_tensor_details() if tuple(detail["shape"]) == (32, 256))
    scales = found["quantization_parameters"]["scales"]
    np.testing.assert_allclose(scales, np.abs(kernel).max(0) / 127, rtol=1e-3)


def test_channels_that_answer_a_constant_keep_it():
    """Weight decay leaves kernels of 1e-20 beside biases that later layers count on."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Rescaling(1 / 255, name="rescale")(image)
    x = keras.layers.Conv2D(4, 3, activation="relu", name="conv")(x)
    x = keras.layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(image, keras.layers.Dense(3, name="logits")(x))
    model.get_layer("conv").bias.assign([0.5, 2.5, -1.0, 0.1])
    model.get_layer("depthwise").bias.assign([0.1, 0.2, -3.0, 0.3])
    for name, dead in (("conv", (..., 1)), ("depthwise", (..., 2, slice(None)))):
        kernel = np.array(model.get_layer(name).kernel)
        kernel[dead] *= 1e-19
        model.get_layer(name).kernel.assign(kernel)
    file = convert(model)
    wanted = run(file, PICTURES[:64].astype("float32"))
    received = run(ptq.static_int8(file, calibration=PICTURES[:64], inputs=PIXELS), PICTURES[:64])
    assert np.abs(received - wanted).max() < 0.03 * np.abs(wanted).max()


@pytest.mark.parametrize("first", TECHNIQUES)
def test_quantizing_twice_is_refused(float_file, first):
    once = TECHNIQUES[first](float_file)
    for second in TECHNIQUES.values():
        with pytest.raises(ValueError, match="is quantized already"):
            second(once)


@pytest.mark.parametrize("name", TECHNIQUES)
def test_other_bytes_are_refused(name):
    with pytest.raises(ValueError, match="needs the bytes of a TFLite file"):
        TECHNIQUES[name](b"no such file, and long enough")


@pytest.mark.parametrize(
    ("calibration", "received"),
    [
        (np.zeros_like(PICTURES), "values from 0 to 0"),
        (PICTURES / 255.0, "values from 0.039"),
        (PICTURES.astype("float32") - 100, "values from -90"),
        (PICTURES * 2.0, "to 438"),
        (np.full(PICTURES.shape, np.nan), "values from nan"),
        (PICTURES[:0], r"Received: \(0, 8, 8, 1\)"),
        (PICTURES[..., 0], r"pictures \(examples, 8, 8, 1\). Received: \(192, 8, 8\)"),
    ],
)
def test_calibration_that_is_no_pixels_is_refused(float_file, calibration, received):
    with pytest.raises(ValueError, match=f"Calibration needs .*{received}"):
        ptq.static_int8(float_file, calibration=calibration, inputs=PIXELS)


KINDS = {"positive": (0.0, 3.1), "both": (-40.0, 2.5), "negative": (-9.0, -2.0), "far": (900.0, 1500.0)}


@pytest.mark.parametrize("technique", ["static_int8", "static_int16_activations"])
@pytest.mark.parametrize("name", KINDS)
def test_numbers_of_any_finite_range_are_taken_and_measured(name, technique):
    """A spectrogram of 0 to 3.1 is no picture: taken for pixels, four of 256 levels would be left of it."""
    low, high = KINDS[name]
    numbers = PICTURES[:64].astype("float32")
    numbers = (numbers - numbers.min()) / float(np.ptp(numbers)) * (high - low) + low
    keras.utils.set_random_seed(2)
    series = keras.Input((8, 8, 1), name="numbers")
    x = keras.layers.Rescaling(2 / (high - low), offset=-(high + low) / (high - low), name="standard")(series)
    x = keras.layers.Conv2D(8, 3, activation="relu", name="conv")(x)
    model = keras.Model(series, keras.layers.Dense(3, name="values")(keras.layers.Flatten(name="flat")(x)))
    wanted = model.predict(numbers, verbose=0)
    make = getattr(ptq, technique)
    content = make(convert(model), calibration=numbers, inputs=Numbers((8, 8, 1)))
    interpreter = Interpreter(model_content=content)
    (source,) = interpreter.get_input_details()
    scale, zero_point = source["quantization"]
    least, most = min(low, 0.0), max(high, 0.0)
    if technique == "static_int8":
        assert source["dtype"] == np.uint8
        assert scale * 255 == pytest.approx(most - least, rel=0.02)
        assert -zero_point * scale == pytest.approx(least, abs=scale)
    else:
        assert (source["dtype"], zero_point) == (np.int16, 0)
        assert scale * 32767 == pytest.approx(max(-least, most), rel=0.02)
    received = answered(interpreter, numbers)
    share = 0.03 if name in ("positive", "both") else 0.3  # what zero in the range costs numbers that are far from it
    assert np.abs(received - wanted).max() < (0.02 if technique != "static_int8" else share) * np.ptp(wanted)
    if low < 0 or high > 255:  # no pixels
        with pytest.raises(ValueError, match=r"raw pixels.*inputs="):
            make(convert(model), calibration=numbers, inputs=PIXELS)


def answered(interpreter: Interpreter, numbers: np.ndarray) -> np.ndarray:
    """Answers of an integer file in real numbers, its input quantized by its own scale."""
    interpreter.allocate_tensors()
    (source,), (end,) = interpreter.get_input_details(), interpreter.get_output_details()
    scale, zero_point = source["quantization"]
    limits = np.iinfo(source["dtype"])
    found = []
    for one in numbers:
        integers = np.clip(np.rint(one / scale) + zero_point, limits.min, limits.max)
        interpreter.set_tensor(source["index"], integers.astype(source["dtype"])[None])
        interpreter.invoke()
        found.append(interpreter.get_tensor(end["index"])[0])
    scale, zero_point = end["quantization"]
    return (np.asarray(found, "float64") - zero_point) * scale


@pytest.mark.parametrize(
    ("calibration", "received"),
    [
        (np.zeros((4, 8, 8, 1)), "values from 0 to 0"),
        (np.full((4, 8, 8, 1), np.nan), "values from nan"),
        (np.full((4, 8, 8, 1), np.inf), "values from inf"),
        (np.zeros((0, 8, 8, 1)), r"Received: \(0, 8, 8, 1\)"),
        (np.ones((4, 8, 8)), r"numbers \(examples, 8, 8, 1\)\. Received: \(4, 8, 8\)"),
    ],
)
def test_numbers_that_calibrate_nothing_are_refused(float_file, calibration, received):
    for make in (ptq.static_int8, ptq.static_int16_activations):
        with pytest.raises(ValueError, match=f"Calibration needs .*{received}"):
            make(float_file, calibration=calibration, inputs=Numbers((8, 8, 1)))


@pytest.mark.parametrize(
    ("function", "named"),
    [
        (keras.ops.sin, "2. SIN"),
        (lambda value: keras.ops.where(value > 0.1, value, 0.0), "2. GREATER"),  # which reads floats and writes none
    ],
    ids=["what it writes", "what it reads"],
)
def test_an_operator_without_an_integer_version_is_named_and_may_be_left_float(function, named):
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 1), name="image")
    value = function(keras.layers.Conv2D(2, 3, name="conv")(keras.layers.Rescaling(1 / 255)(image)))
    file = convert(keras.Model(image, keras.layers.Conv2D(2, 3, name="last")(value)))
    with pytest.raises(ValueError, match=rf"{named[3:]} would stay float, at .*{named}.*keep_float"):
        TECHNIQUES["static_int8"](file)
    mixed = ptq.static_int8(file, calibration=PICTURES[:128], inputs=PIXELS, keep_float=[named])
    held = {tensor.type for tensor in tensors(mixed)}
    assert {schema.TensorType.INT8, schema.TensorType.FLOAT32} <= held


def test_ranges_hold_every_calibration_picture_in_any_order(float_model, float_file):
    """The one that needs the widest range may come first: a moving average would have forgotten it at the end."""
    logits = keras.Model(float_model.inputs, float_model.get_layer("logits").output)
    values = logits.predict(PICTURES[:128].astype("float32"), verbose=0)
    widest = int(np.abs(values).max(1).argmax())
    order = np.r_[widest, np.delete(np.arange(128), widest)]
    low, high = min(values.min(), 0.0), max(values.max(), 0.0)
    for pictures in (PICTURES[:128][order], PICTURES[:128][order[::-1]]):
        result = ptq.static_int8(float_file, calibration=pictures, inputs=PIXELS)
        softmax = next(op for op in Interpreter(model_content=result)._get_ops_details() if op["op_name"] == "SOFTMAX")
        details = {tensor["index"]: tensor for tensor in Interpreter(model_content=result).get_tensor_details()}
        scale, zero_point = details[softmax["inputs"][0]]["quantization"]
        assert scale * 255 == pytest.approx(high - low, rel=0.01)
        assert (-128 - zero_point) * scale == pytest.approx(low, abs=scale)


def test_integers_throughout_are_for_pictures(tiny_text):
    with pytest.raises(ValueError, match=r"takes int32 ids, mask, segment_ids: .* see dynamic_int8"):
        ptq.static_int8(tiny_text.float32, calibration=tiny_text.inputs, inputs=tiny_text.task.inputs)
    for made in (ptq.dynamic_int8(tiny_text.float32), ptq.float16(tiny_text.float32)):
        np.testing.assert_allclose(
            verify.predict_tflite(made, tiny_text.inputs, kind=tiny_text.task.inputs), tiny_text.expected, atol=0.02
        )


def test_a_loop_keeps_float_activations():
    """An LSTM is a graph that others are called from: its kernels are quantized, and no range in it can be measured."""
    keras.utils.set_random_seed(0)
    series = keras.Input((6, 3), name="series")
    model = keras.Model(series, keras.layers.Dense(2, name="values")(keras.layers.LSTM(16, name="lstm")(series)))
    file, kind = tflite.convert(model), Numbers((6, 3))
    names = [tensor.name for tensor in tensors(file)]
    assert len(set(names)) == len(names), "names are unique over all graphs, or no quantizer finds its way"
    examples = np.random.default_rng(0).normal(size=(60, 6, 3)).astype("float32")
    wanted = model.predict(examples, verbose=0)
    for name in ("dynamic_int8", "weight_only_int8", "float16", "int4_weights"):
        small = getattr(ptq, name)(file)
        assert len(small) < 0.9 * len(file)
        most = 0.2 if name == "int4_weights" else 0.05
        assert np.abs(verify.predict_tflite(small, examples) - wanted).max() < most * np.abs(wanted).max()
    assert {one.graph > 0 for one in operators(file)} == {True, False}
    with pytest.raises(ValueError, match=r"without loops: .*a file of \d graphs, as LSTM.*unroll=True"):
        ptq.static_int8(file, calibration=examples, inputs=kind)
    measured = mixed_precision.sensitivities(
        file,
        answers=lambda content: verify.predict_tflite(content, examples),
        target=Agreement.of(wanted),
        calibration=examples,
        inputs=kind,
    )
    assert {one.operator.graph > 0 for one in measured} == {True, False}
