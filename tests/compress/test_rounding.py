from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from kerastl import verify
from kerastl.compress import float_file, gptq, ptq, rounding
from kerastl.export import metadata, packing
from kerastl.inputs.image import Image
from kerastl.inputs.numbers import Numbers
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Task
from tests.compress.test_ptq import LABELS, PICTURES, convert, float_model  # noqa: F401  a fixture
from tests.compress.test_ptq import PIXELS as BYTES
from tests.compress.test_ptq import float_file as trained  # noqa: F401  a fixture

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 9, 8, 3)).astype("uint8")
EXPANDED = PIXELS.astype("float64")
COLOURED = Image((9, 8, 3))


def noisy(layer: keras.layers.Layer) -> None:
    """Weights and biases of differing channels."""
    random = np.random.default_rng(layer.count_params())
    layer.set_weights([random.normal(0, 0.3, weight.shape) for weight in layer.get_weights()])


@pytest.fixture(scope="module")
def varied() -> bytes:
    """Every kind of kernel that is rounded: strides, dilations, both paddings, groups, channels multiplied."""
    layers = keras.layers
    image = keras.Input((9, 8, 3), name="image")
    x = layers.Rescaling(1 / 255, name="rescale")(image)
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="strided")(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", activation="relu", name="depthwise")(x)
    x = layers.Conv2D(12, (2, 3), groups=4, padding="same", name="grouped")(x)
    x = layers.Conv2D(6, (2, 2), dilation_rate=2, activation="relu", name="dilated")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(7, activation="relu", use_bias=False, name="unbiased")(x)
    model = keras.Model(image, layers.Dense(3, activation="softmax", name="logits")(x))
    for layer in model.layers:
        noisy(layer)
    return convert(model)


def held(file: bytes) -> dict[str, tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
    """By kernel, in the order of the file: kind, integers or floats as they lie, scales, bias."""
    model = packing.unpack(file)
    graph, found = model.subgraphs[0], {}
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        kind = max(code.builtinCode, code.deprecatedBuiltinCode)
        if kind not in [float_file.KINDS[name] for name in rounding.KINDS]:
            continue
        kernel = graph.tensors[operator.inputs[1]]
        data = model.buffers[kernel.buffer].data
        if kernel.type == schema.TensorType.INT4:
            halves = np.array([(byte & 15, byte >> 4) for byte in data.tolist()]).reshape(-1)[: np.prod(kernel.shape)]
            values = np.where(halves > 7, halves - 16, halves)
        else:
            values = data.view("int8" if kernel.type == schema.TensorType.INT8 else "float32")
        bias = operator.inputs[2] if len(operator.inputs) > 2 else -1
        found[graph.tensors[operator.outputs[0]].name.decode()] = (
            kind,
            values.reshape(kernel.shape),
            np.array([] if kernel.quantization is None else kernel.quantization.scale),
            np.array([]) if bias < 0 else model.buffers[graph.tensors[bias].buffer].data.view("float32"),
        )
    return found


def with_kernels(file: bytes, other: bytes) -> bytes:
    """The float file with kernels and biases of a quantized one, as the numbers they stand for."""
    model = packing.unpack(file)
    graph, kernels = model.subgraphs[0], held(other)
    for operator in graph.operators:
        name = graph.tensors[operator.outputs[0]].name.decode()
        if name not in kernels:
            continue
        kind, integers, scales, bias = kernels[name]
        axis = 3 if kind == schema.BuiltinOperator.DEPTHWISE_CONV_2D else 0
        shape = [1] * integers.ndim
        shape[axis] = -1
        values = integers * scales.reshape(shape)
        for place, numbers in zip(operator.inputs[1:], (values, bias), strict=False):
            if place >= 0:
                buffer = schema.BufferT()
                buffer.data = numbers.astype("float32").reshape(-1).view("uint8")
                graph.tensors[place].buffer = len(model.buffers)
                model.buffers.append(buffer)
    return packing.pack(model)


def read(file: bytes, inputs: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """What every operator with a kernel takes and gives, over all inputs, by plain kernels."""
    interpreter = Interpreter(
        model_content=file,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    operators = [row for row in interpreter._get_ops_details() if row["op_name"] in rounding.KINDS]
    taken, given = [[] for _ in operators], [[] for _ in operators]
    for example in inputs:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], example[None].astype("float32"))
        interpreter.invoke()
        for place, row in enumerate(operators):
            taken[place].append(interpreter.get_tensor(row["inputs"][0]).copy())
            given[place].append(interpreter.get_tensor(row["outputs"][0]).copy())
    return [np.concatenate(one) for one in taken], [np.concatenate(one) for one in given]


def given_to_the_last(file: bytes) -> np.ndarray:
    """What the last operator with a kernel takes, as a phone computes it: with XNNPACK."""
    model = packing.unpack(file)
    graph = model.subgraphs[0]
    kinds = [float_file.KINDS[name] for name in rounding.KINDS]
    last = [one for one in graph.operators if packing.code_of(model, one) in kinds][-1]
    graph.outputs, model.signatureDefs = [last.inputs[0]], None
    interpreter = Interpreter(model_content=packing.pack(model))
    interpreter.allocate_tensors()
    rows = []
    for example in PIXELS:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], example[None].astype("float32"))
        interpreter.invoke()
        rows.append(interpreter.get_tensor(int(graph.outputs[0])))
    return np.concatenate(rows)


def layers_of(file: bytes, quantized: bytes) -> list[rounding._Layer]:
    return rounding._layers(float_file.parsed(file), float_file.parsed(quantized))


def test_patches_times_rows_are_what_the_interpreter_computes(varied):
    layers = layers_of(varied, ptq.int4_weights(varied))
    assert [layer.weights.shape for layer in layers] == [one.shape for one in float_file.operators(varied)]
    for layer, inputs, wanted in zip(layers, *read(varied, PIXELS[:5]), strict=True):
        patches = layer.patches(inputs)
        sums = patches @ layer.rows(len(patches)).mT  # (groups, places, rows)
        sums = sums.transpose(1, 0, 2).reshape(wanted.shape) + (0 if layer.bias is None else layer.bias)
        if layer.options.fusedActivationFunction == schema.ActivationFunctionType.RELU:
            sums = np.maximum(sums, 0)
        np.testing.assert_allclose(sums, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())


@pytest.mark.parametrize("per_channel", [True, False])
def test_the_file_computes_with_what_its_integers_stand_for(varied, per_channel):
    result = ptq.int4_weights(varied, calibration=PIXELS, inputs=COLOURED, per_channel=per_channel)
    received, wanted = (read(file, PIXELS)[1] for file in (result, with_kernels(varied, result)))
    for one, other in zip(received, wanted, strict=True):
        assert np.square(one - other).mean() < 0.02**2 * np.square(other).mean()  # activations are rounded to 8 bits
    for name, (kind, integers, scales, _) in held(result).items():
        depthwise = kind == schema.BuiltinOperator.DEPTHWISE_CONV_2D
        assert np.abs(integers).max() <= (127 if depthwise else 7), name
        one_scale = not per_channel and not depthwise and "grouped" not in name
        assert len(scales) == (1 if one_scale else integers.shape[3 if depthwise else 0]), name


def test_the_first_kernel_is_that_of_an_independent_calculation(varied):
    """A strided convolution's patches by loops, their covariance, the surgeon's integers, and the bias that is left."""
    (_, kernel, _, bias), *_ = held(varied).values()
    (_, integers, scales, corrected), *_ = held(ptq.int4_weights(varied, calibration=PIXELS, inputs=COLOURED)).values()
    rows = []
    taken, _ = read(varied, PIXELS)
    framed = np.pad(taken[0].astype("float64"), ((0, 0), (1, 1), (0, 1), (0, 0)))  # 9 x 8 in steps of 2: 5 x 4
    for picture, y, x in itertools.product(framed, range(5), range(4)):
        rows.append(picture[2 * y : 2 * y + 3, 2 * x : 2 * x + 3].reshape(-1))
    mean, covariance = np.mean(rows, 0), np.cov(np.transpose(rows), bias=True)
    covariance += np.eye(27) * 0.01 * np.trace(covariance) / 27
    flat = kernel.reshape(8, 27).astype("float64")
    wanted = gptq.rounded(flat[None], covariance[None], largest=7)
    np.testing.assert_array_equal(integers.reshape(8, 27), wanted.integers[0])
    np.testing.assert_allclose(scales, wanted.scales[0], rtol=1e-6)
    np.testing.assert_allclose(corrected, bias + (flat - wanted.weights[0]) @ mean, rtol=1e-4, atol=1e-5)


def test_the_last_kernel_makes_most_of_what_those_before_hand_it(varied):
    """Its integers are those of the kernel that is the least-squares answer to the float file's sums."""
    result = ptq.int4_weights(varied, calibration=PIXELS, inputs=COLOURED)
    *_, (_, kernel, _, bias) = held(varied).values()
    *_, (_, integers, scales, corrected) = held(result).values()
    wanted, given = (given_to_the_last(file).astype("float64") for file in (varied, result))
    about, apart = given - given.mean(0), wanted - wanted.mean(0) - (given - given.mean(0))
    covariance = np.cov(given.T, bias=True)
    covariance += np.eye(7) * 0.01 * np.trace(covariance) / 7
    meant = kernel + kernel @ (apart.T @ about / len(given)) @ np.linalg.inv(covariance)
    found = gptq.rounded(meant[None], covariance[None], largest=7)
    np.testing.assert_array_equal(integers, found.integers[0])
    np.testing.assert_allclose(scales, found.scales[0], rtol=1e-5)
    missed = kernel @ wanted.mean(0) - found.weights[0] @ given.mean(0)
    np.testing.assert_allclose(corrected, bias + missed, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("per_channel", [True, False])
def test_sums_come_nearer_to_the_float_files_and_have_their_mean(varied, per_channel):
    """The sums of every layer behind layers that are rounded already: the error of nearest rounding piles up there."""
    plain, better = (
        ptq.int4_weights(varied, calibration=calibration, inputs=COLOURED, per_channel=per_channel)
        for calibration in (None, PIXELS)
    )
    assert len(better) == len(plain)
    wanted, before, after = (read(file, PIXELS)[1] for file in (varied, plain, better))
    for place, (meant, one, other) in enumerate(zip(wanted, before, after, strict=True)):
        errors = [np.square(values - meant).mean() for values in (one, other)]
        assert errors[1] < (1.0 if place == 1 else 0.5) * errors[0]
    biased = 2  # the grouped convolution, which has no activation to bend its mean
    axes = (0, 1, 2)
    missed = np.abs((after[biased] - wanted[biased]).mean(axes)).max()
    assert missed < 0.01 * wanted[biased].std()
    assert missed < 0.1 * np.abs((before[biased] - wanted[biased]).mean(axes)).max()


def test_a_pruned_kernel_stays_pruned():
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Flatten(name="flatten")(image)
    model = keras.Model(image, keras.layers.Dense(3, activation="softmax", name="logits")(x))
    kernel = np.array(model.get_layer("logits").kernel)
    kernel[::2] = 0
    model.get_layer("logits").kernel.assign(kernel)
    ((_, integers, _, _),) = held(ptq.int4_weights(convert(model), calibration=PICTURES[:64], inputs=BYTES)).values()
    assert (integers[:, ::2] == 0).all()
    assert (integers[:, 1::2] != 0).mean() > 0.7


def test_eight_bits_are_rounded_as_well(trained):  # noqa: F811
    plain = ptq.dynamic_int8(trained)
    result = rounding.output_aware_rounding(trained, plain, calibration=PICTURES[:64], inputs=BYTES)
    assert len(result) == len(plain)
    wanted, *received = (verify.predict_tflite(file, PICTURES) for file in (trained, plain, result))
    errors = [np.abs(answers - wanted).mean() for answers in received]
    assert errors[1] < 1.1 * errors[0]
    pairs = list(zip(held(plain).values(), held(result).values(), strict=True))
    assert pairs
    assert all(not np.array_equal(one[1], other[1]) for one, other in pairs)
    assert max(np.abs(integers).max() for _, integers, _, _ in held(result).values()) == 127


def test_examples_that_were_not_seen_are_answered_better(trained):  # noqa: F811
    wanted, held_out = verify.predict_tflite(trained, PICTURES[64:]), PICTURES[64:]
    files = [ptq.int4_weights(trained, calibration=calibration, inputs=BYTES) for calibration in (None, PICTURES[:64])]
    errors = [np.square(verify.predict_tflite(file, held_out) - wanted).mean() for file in files]
    assert errors[1] < 0.5 * errors[0]
    assert (verify.predict_tflite(files[1], held_out).argmax(1) == LABELS[64:]).mean() > 0.95
    assert len(files[0]) == len(files[1])


def test_a_bias_of_two_layers_stays_and_others_are_corrected():
    """The converter stores equal constants once: here the biases of two dense layers."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Flatten(name="flatten")(keras.layers.Rescaling(1 / 255, name="rescale")(image))
    x = keras.layers.Dense(6, activation="relu", bias_initializer="ones", name="first")(x)
    x = keras.layers.Dense(6, activation="relu", bias_initializer="ones", name="second")(x)
    file = convert(keras.Model(image, keras.layers.Dense(3, bias_initializer="ones", name="logits")(x)))
    plain, better = (
        ptq.int4_weights(file, calibration=calibration, inputs=BYTES) for calibration in (None, PICTURES[:64])
    )
    assert [layer.bias is None for layer in layers_of(file, plain)] == [True, True, False]
    first, second, last = (bias for *_, bias in held(better).values())
    assert (first == 1).all()
    assert (second == 1).all()
    assert (last != 1).all()
    wanted, before, after = (read(one, PICTURES[:64])[1][-1] for one in (file, plain, better))
    assert np.abs((wanted - after).mean(0)).max() < 0.02 * wanted.std()
    assert np.square(wanted - after).mean() < 0.5 * np.square(wanted - before).mean()


def test_a_buffer_that_others_read_is_left_to_them(varied):
    model = packing.unpack(varied)
    tensors = model.subgraphs[0].tensors
    one, other = (int(operator.inputs[2]) for operator in model.subgraphs[0].operators[:2])
    tensors[one].buffer = tensors[other].buffer
    before, count = model.buffers[tensors[other].buffer].data.tobytes(), len(model.buffers)
    for value in (1, 2):
        rounding._write(model, one, np.full(8, value, "float32"))
        assert model.buffers[tensors[other].buffer].data.tobytes() == before
        assert (model.buffers[tensors[one].buffer].data.view("float32") == value).all()
        assert len(model.buffers) == count + 1


def test_kernels_of_two_readers_keep_their_integers_and_blocks_are_rounded():
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 1), name="image")
    shared = keras.layers.Dense(32, use_bias=False, name="shared")
    x = keras.layers.Dense(32, activation="relu", name="first")(keras.layers.Flatten(name="flatten")(image))
    x = keras.layers.Dense(32, activation="relu", name="other")(shared(shared(x)))
    file = convert(keras.Model(image, keras.layers.Dense(3, activation="softmax", name="logits")(x)))
    plain, result = (
        held(ptq.int4_weights(file, block_size=64, calibration=one, inputs=BYTES)) for one in (None, PICTURES[:32])
    )
    kept = [np.array_equal(one[1], other[1]) for one, other in zip(plain.values(), result.values(), strict=True)]
    # one of rows of 64 in a block, the shared one twice, and two of a scale a channel
    assert kept == [False, True, True, False, False]


def table_of(file: bytes) -> bytes:
    """The 4-bit rows of a text's embeddings."""
    model = packing.unpack(file)
    lookup = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes].index(
        schema.BuiltinOperator.EMBEDDING_LOOKUP
    )
    (place,) = (one.inputs[1] for one in model.subgraphs[0].operators if one.opcodeIndex == lookup)
    return model.buffers[model.subgraphs[0].tensors[place].buffer].data.tobytes()


def test_a_text_is_calibrated_by_its_ids(tiny_text):
    file, ids = tiny_text.float32, tiny_text.inputs
    kind = tiny_text.task.inputs
    plain, result = (ptq.int4_weights(file, calibration=known, inputs=kind) for known in (None, ids[:60]))
    assert len(plain) == len(result)
    tables = [table_of(one) for one in (plain, result)]
    assert tables[0] == tables[1]
    errors = [
        np.square(verify.predict_tflite(one, ids[60:], kind=kind) - tiny_text.expected[60:]).mean()
        for one in (plain, result)
    ]
    assert errors[1] <= errors[0]
    with pytest.raises(ValueError, match=r"whole numbers \(examples, \d+\)\. Received: \(60, \d+\) of float32"):
        ptq.int4_weights(file, calibration=ids[:60].astype("float32"), inputs=kind)
    with pytest.raises(ValueError, match=r"Calibration needs inputs=.*Received: inputs=None"):
        ptq.int4_weights(file, calibration=ids[:60])
    with pytest.raises(ValueError, match="Received: the kind 'numbers'"):
        ptq.int4_weights(file, calibration=ids[:60], inputs=Numbers((ids.shape[1],)))


def test_numbers_of_any_finite_range_choose_the_integers(varied):
    numbers = (PIXELS / 255 * 7.1 - 4).astype("float32")
    result = ptq.int4_weights(varied, calibration=numbers, inputs=Numbers((9, 8, 3)))
    plain, other = ptq.int4_weights(varied), ptq.int4_weights(varied, calibration=PIXELS, inputs=COLOURED)
    wanted = read(varied, numbers)[1][-1]
    errors = [np.square(read(one, numbers)[1][-1] - wanted).mean() for one in (result, plain, other)]
    assert errors[0] < min(errors[1:])
    with pytest.raises(ValueError, match=r"raw pixels.*inputs="):
        ptq.int4_weights(varied, calibration=numbers, inputs=COLOURED)
    with pytest.raises(ValueError, match="finite numbers"):
        ptq.int4_weights(varied, calibration=numbers * np.nan, inputs=Numbers((9, 8, 3)))


def test_a_batch_of_several_takes_whole_batches(float_model):  # noqa: F811
    file, alone = convert(float_model, batch=4), convert(float_model)
    one, other = (held(ptq.int4_weights(each, calibration=PICTURES[:10], inputs=BYTES)) for each in (file, alone))
    eight = held(ptq.int4_weights(alone, calibration=PICTURES[:8], inputs=BYTES))
    first, second, third = (next(iter(kernels.values()))[3] for kernels in (one, eight, other))
    np.testing.assert_allclose(first, second, rtol=1e-5)
    assert np.abs(first - third).max() > 1e-6
    with pytest.raises(ValueError, match=r"needs 4 examples or more\. Received: 3"):
        ptq.int4_weights(file, calibration=PICTURES[:3], inputs=BYTES)


def test_what_cannot_be_rounded_is_refused(varied, trained):  # noqa: F811
    four = ptq.int4_weights(trained)
    with pytest.raises(ValueError, match="one of other operators"):
        rounding.output_aware_rounding(varied, four, calibration=PIXELS, inputs=COLOURED)
    for kept in (trained, ptq.static_int8(trained, calibration=PICTURES[:16], inputs=BYTES)):
        with pytest.raises(ValueError, match=r"with no such kernel|one of other operators"):
            rounding.output_aware_rounding(trained, kept, calibration=PICTURES, inputs=BYTES)
    integers = float_file.parsed(four)
    for operator in integers.subgraphs[0].operators:
        integers.subgraphs[0].tensors[operator.inputs[0]].type = schema.TensorType.INT8
    with pytest.raises(ValueError, match=r"float32 activations\. Received: one with no such"):
        rounding._layers(float_file.parsed(trained), integers)
    with pytest.raises(ValueError, match="bytes of a TFLite file"):
        rounding.output_aware_rounding(trained, b"no such file, and long enough", calibration=PICTURES, inputs=BYTES)
    for wrong, words in ((PICTURES / 255.0, "raw pixels"), (PICTURES[:0], "pictures"), (PICTURES[:, 1:], "pictures")):
        with pytest.raises(ValueError, match=f"Calibration needs {words}"):
            rounding.output_aware_rounding(trained, four, calibration=wrong, inputs=BYTES)


def test_too_many_inputs_for_their_moments_are_left(trained, monkeypatch):  # noqa: F811
    monkeypatch.setattr(rounding, "_MOST_INPUTS", 255)
    plain, result = (held(ptq.int4_weights(trained, calibration=one, inputs=BYTES)) for one in (None, PICTURES[:16]))
    kept = [np.array_equal(one[1], other[1]) for one, other in zip(plain.values(), result.values(), strict=True)]
    assert kept == [False, False, True, False]  # the row of 256


def test_files_of_both_granularities_take_their_labels_and_stay_small(trained):  # noqa: F811
    task = Task("blobs", Image((8, 8, 1)), SingleLabel(("0", "1", "2")))
    files = [
        metadata.add(content, task, description="")
        for content in (
            ptq.int4_weights(trained),
            ptq.int4_weights(trained, calibration=PICTURES[:32], inputs=BYTES),
            ptq.int4_weights(trained, calibration=PICTURES[:32], inputs=BYTES, per_channel=False),
        )
    ]
    assert len(files[1]) <= len(files[0])
    # kernels of 16, 32 and 3 channels: a scale of 4 bytes and a zero point of 8 for each, and two of each stay
    assert len(files[2]) < len(files[0]) - 4 * (32 + 3 - 2) - 8 * (32 - 1)
