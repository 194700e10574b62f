from __future__ import annotations

import importlib

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from toy import softmax

from kerastl import verify
from kerastl.export import packing, serving, tflite
from kerastl.types import History
from kerastl.verify import benchmark
from tests.export.files import answers, operators


def test_float_file_answers_like_the_model(float_student, float_file, pictures):
    inputs, _ = pictures(32)
    wanted = softmax(float_student.predict(inputs.astype(np.float32), verbose=0).astype(np.float64))
    assert np.abs(answers(float_file, inputs) - wanted).max() < 1e-5
    assert wanted.std(0).max() > 0.05, "the test's own model must not be constant"


@pytest.mark.parametrize("kind", ["float_file", "integer_file"])
def test_input_is_raw_pixels_and_names_are_kept(kind, request):
    interpreter = Interpreter(model_content=request.getfixturevalue(kind))
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    assert (source["name"], target["name"]) == ("image", "probabilities")
    assert interpreter.get_signature_list() == {"serving_default": {"inputs": ["image"], "outputs": ["probabilities"]}}
    if kind == "integer_file":
        assert (source["dtype"], source["quantization"]) == (np.uint8, (1.0, 0))
        assert (target["dtype"], target["quantization"]) == (np.uint8, (1 / 256, 0))
    else:
        assert (source["dtype"], target["dtype"]) == (np.float32, np.float32)


def test_integer_file_answers_like_the_model(aware_student, integer_file, pictures):
    inputs, labels = pictures(128)
    wanted = softmax(aware_student.predict(inputs.astype(np.float32), verbose=0).astype(np.float64))
    got = answers(integer_file, inputs)
    assert np.abs(got - wanted).max() < 0.05
    assert (got.argmax(-1) == wanted.argmax(-1)).mean() >= 0.98
    assert (wanted.argmax(-1) == labels).mean() > 0.5, "the test's own model must have learnt something"


def test_student_is_small(integer_file):
    weights = 5 * 5 * 12 + 3 * 3 * (12 * 20 + 20 * 24 + 24 * 28) + 28 * 10
    assert len(integer_file) - weights < 4_500, "bytes beyond the int8 weights"


def test_post_training_integer_file(float_student, digits, tmp_path, pictures):
    inputs, _ = pictures(64)
    data = tflite.write(float_student, tmp_path / "model.tflite", digits, integer=True, calibration=inputs)
    assert (tmp_path / "model.tflite").read_bytes() == data
    interpreter = Interpreter(model_content=data)
    assert interpreter.get_input_details()[0]["quantization"] == (1.0, 0)
    wanted = softmax(float_student.predict(inputs.astype(np.float32), verbose=0).astype(np.float64))
    assert (answers(data, inputs).argmax(-1) == wanted.argmax(-1)).mean() >= 0.95


def test_model_is_left_as_it_was(float_student, digits, tmp_path):
    before = [np.array(weight) for weight in float_student.get_weights()]
    layers = [layer.name for layer in float_student.layers]
    tflite.write(float_student, tmp_path / "model.tflite", digits)
    assert layers == [layer.name for layer in float_student.layers]
    assert all(np.array_equal(a, b) for a, b in zip(before, float_student.get_weights(), strict=True))


def test_what_calibration_is_for(float_student, aware_student, digits, tmp_path, pictures):
    with pytest.raises(ValueError, match="quantization-aware"):
        tflite.write(float_student, tmp_path / "model.tflite", digits, integer=True)
    with pytest.raises(ValueError, match="Calibration is for"):
        tflite.write(float_student, tmp_path / "model.tflite", digits, calibration=pictures(8)[0])
    with pytest.raises(ValueError, match="Calibration is for"):
        tflite.write(aware_student, tmp_path / "model.tflite", digits, integer=True, calibration=pictures(8)[0])


def test_lost_weights_are_noticed(float_student, digits, integer_file):
    model = packing.unpack(integer_file)
    model.buffers[next(t.buffer for t in model.subgraphs[0].tensors if len(t.shape) == 4 and t.buffer)].data[:] = 0
    with pytest.raises(ValueError, match="all zeros"):
        tflite._check_answers(float_student, packing.pack(model), digits, integer=True)


def test_wrong_answers_are_noticed(float_student, digits, float_file):
    for value in (np.nan, 0.5):
        model = packing.unpack(float_file)
        kernel = next(t.buffer for t in model.subgraphs[0].tensors if len(t.shape) == 4 and t.buffer)
        model.buffers[kernel].data.view(np.float32)[:] = value
        with pytest.raises(ValueError, match="does not answer like"):
            tflite._check_answers(float_student, packing.pack(model), digits, integer=False)


def test_operator_outside_the_builtins_is_refused(tmp_path):
    import keras
    import tensorflow as tf

    class Outside(keras.layers.Layer):
        def call(self, value):
            return tf.linalg.inv(value[..., 0])[..., None]

    image = keras.Input((4, 4, 1), name="image")
    value = Outside()(keras.layers.Rescaling(1 / 255)(image))
    model = keras.Model(image, keras.layers.Dense(3, name="logits")(keras.layers.Flatten()(value)))
    with pytest.raises(ValueError, match=r"(?s)built in.*MatrixInverse"):
        tflite.write(model, tmp_path / "model.tflite")
    assert not list(tmp_path.iterdir())


def test_a_file_and_its_curves_come_back_from_a_stage(tmp_path, integer_file):
    converted = tflite.Converted(integer_file, History("quantized", {"loss": (0.5, 0.25), "accuracy": (0.1, 1 / 3)}))
    tflite.save(converted, tmp_path)
    assert tflite.load(tmp_path) == converted


def test_folder_must_exist(float_student, tmp_path):
    with pytest.raises(ValueError, match="folder that exists"):
        tflite.write(float_student, tmp_path / "absent" / "model.tflite")


def test_probabilities_are_not_softened_twice(float_student, float_file, digits, tmp_path, pictures):
    data = tflite.write(serving.with_answers(float_student, digits), tmp_path / "model.tflite", digits)
    inputs, _ = pictures(8)
    assert np.abs(answers(data, inputs) - answers(float_file, inputs)).max() < 1e-6


def test_token_ids_stay_integers(tiny_text):
    facts = benchmark.inspect(tiny_text.float32)
    assert (facts.input.name, facts.input.dtype, facts.input.shape) == ("ids", "int32", (1, 8))
    assert facts.operators.flex == 0
    found = verify.predict_tflite(tiny_text.float32, tiny_text.inputs, kind=tiny_text.task.inputs)
    np.testing.assert_allclose(found, tiny_text.expected, atol=1e-5)
    with pytest.raises(ValueError, match=r"as token ids; compress.ptq.dynamic_int8"):
        tflite.convert(tiny_text.model, tiny_text.task, integer=True, calibration=tiny_text.inputs)


def test_a_text_takes_what_mediapipe_feeds(tiny_text):
    """BERT's three inputs, in the order of their names; a token that is masked is padding, whatever its id."""
    interpreter = packing.Interpreter(model_content=tiny_text.float32)
    interpreter.allocate_tensors()
    sources = interpreter.get_input_details()
    assert [source["name"] for source in sources] == ["ids", "mask", "segment_ids"]
    assert interpreter.get_signature_list()["serving_default"]["inputs"] == ["ids", "mask", "segment_ids"]
    assert {(source["dtype"], *source["shape"]) for source in sources} == {(np.int32, 1, 8)}

    def answer(ids, mask, segments):
        for source, values in zip(sources, (ids, mask, segments), strict=True):
            interpreter.set_tensor(source["index"], np.asarray([values], np.int32))
        interpreter.invoke()
        return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0].tolist()

    zeros = [0] * 8
    padded = answer([2, 5, 7, 3, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0, 0, 0], zeros)
    assert answer([2, 5, 7, 3, 6, 6, 6, 6], [1, 1, 1, 1, 0, 0, 0, 0], zeros) == padded
    assert answer([2, 5, 7, 3, 6, 6, 6, 6], [1] * 8, zeros) != padded
    assert answer([2, 5, 7, 3, 0, 0, 0, 0], [1] * 8, [1] * 8) == padded


def test_files_for_several_classes_answer_like_the_model(float_student, aware_student, several_digits, pictures):
    inputs, _ = pictures(64)
    for student, options in (
        (float_student, {}),
        (serving.with_answers(float_student, several_digits), {}),
        (float_student, {"integer": True, "calibration": inputs}),
        (aware_student, {"integer": True}),
    ):
        logits = student.predict(inputs.astype(np.float32), verbose=0).astype(np.float64)
        wanted = logits if student.layers[-1].name == "probabilities" else 1 / (1 + np.exp(-logits))
        data = tflite.convert(student, several_digits, **options)
        assert operators(data)[-2 if options else -1] == "LOGISTIC"
        assert np.abs(answers(data, inputs) - wanted).max() < (0.1 if options else 1e-5)
        if options:
            target = Interpreter(model_content=data).get_output_details()[0]
            assert (target["dtype"], target["quantization"]) == (np.uint8, (1 / 256, 0))


# ---------------------------------------------------------------------------------------------------- without a task


def test_nothing_stands_behind_a_model_without_a_task(float_student, pictures):
    data, (inputs, _) = tflite.convert(float_student), pictures(16)
    assert operators(data) == ["CONV_2D"] * 4 + ["MEAN", "FULLY_CONNECTED"]
    wanted = float_student.predict(inputs.astype(np.float32), verbose=0)
    np.testing.assert_allclose(answers(data, inputs), wanted, rtol=1e-4, atol=1e-4)
    signature = Interpreter(model_content=data).get_signature_list()["serving_default"]
    assert signature == {"inputs": ["image"], "outputs": ["logits"]}


@pytest.mark.parametrize("library", ["keras", "tf_keras"])
def test_several_inputs_and_outputs_keep_their_names_and_their_order(library):
    library = importlib.import_module(library)
    library.utils.set_random_seed(0)
    layers = library.layers
    table, picture = layers.Input((6,), name="table"), layers.Input((8, 8, 3), name="picture")
    words = layers.Input((5,), dtype="int32", name="words")
    seen = layers.Flatten()(layers.Conv2D(2, 3, activation="relu")(layers.Rescaling(1 / 255)(picture)))
    read = layers.Flatten()(layers.Embedding(9, 3)(words))
    value = layers.Dense(8, activation="relu")(layers.Concatenate()([layers.Dense(4)(table), seen, read]))
    outputs = [
        layers.Dense(2, name="z")(value),
        layers.Dense(1, activation="sigmoid", name="y")(value),
        layers.Reshape((2, 2, 1), name="map")(layers.Dense(4)(value)),
    ]
    model = library.Model([picture, table, words], outputs)
    random = np.random.default_rng(0)
    fed = {
        "picture": random.integers(0, 256, (7, 8, 8, 3)).astype(np.float32),
        "table": random.normal(size=(7, 6)).astype(np.float32),
        "words": random.integers(0, 9, (7, 5)).astype(np.int32),
    }
    data = tflite.convert(model)
    facts = benchmark.inspect(data)
    assert [end.name for end in facts.inputs] == list(fed)
    assert [(end.name, end.shape) for end in facts.outputs] == [("z", (1, 2)), ("y", (1, 1)), ("map", (1, 2, 2, 1))]
    found = verify.predict_tflite(data, fed)
    for end, wanted in zip(facts.outputs, model.predict(list(fed.values()), verbose=0), strict=True):
        np.testing.assert_allclose(found[end.name], wanted, atol=1e-5)


@pytest.mark.parametrize("library", ["keras", "tf_keras"])
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers_are_refused_by_name(library, number):
    keras = importlib.import_module(library)
    row = keras.Input((4,), name="row")
    model = keras.Model(row, keras.layers.Dense(2, name="last")(keras.layers.Dense(3, name="broken")(row)))
    kernel, bias = model.get_layer("broken").get_weights()
    kernel[1, 2] = number
    model.get_layer("broken").set_weights([kernel, bias])
    for options in ({}, {"integer": True, "calibration": np.ones((4, 4), np.float32)}):
        with pytest.raises(ValueError, match=r"where 1 of 12 numbers of broken/kernel.* are NaN or infinite"):
            tflite.convert(model, **options)


def test_a_kernel_that_is_all_zeros_in_the_model_was_not_lost():
    import keras

    keras.utils.set_random_seed(0)
    picture = keras.Input((6, 6, 1), name="picture")
    kept = keras.layers.Conv2D(4, 3, name="kept")(picture)
    gone = keras.layers.Conv2D(4, 3, name="gone", kernel_initializer="zeros", bias_initializer="ones")(kept)
    model = keras.Model(picture, [keras.layers.Flatten(name="a")(kept), keras.layers.Flatten(name="b")(gone)])
    some = np.random.default_rng(0).normal(size=(20, 6, 6, 1)).astype(np.float32)
    data = tflite.convert(model, integer=True, calibration=some)
    np.testing.assert_allclose(verify.predict_tflite(data, some)["b"], 1, atol=0.02)


def test_an_input_that_is_passed_on_has_a_name_of_its_own():
    import keras

    keras.utils.set_random_seed(0)
    row, inputs = keras.Input((4,), name="row"), np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    dense = keras.layers.Dense(2, name="dense")(row)
    for outputs, names in (([row, dense], ["row_1", "dense"]), ({"row": dense, "row_1": row}, ["row_2", "row_1"])):
        data = tflite.convert(keras.Model(row, outputs))
        assert [end.name for end in benchmark.inspect(data).outputs] == names
        np.testing.assert_array_equal(verify.predict_tflite(data, inputs)["row_1"], inputs)


def test_an_output_that_is_there_twice_or_was_put_in_is_copied():
    import keras

    keras.utils.set_random_seed(0)
    steps = keras.Input((5, 2), name="steps")
    states = keras.layers.LSTM(3, return_state=True, unroll=True, name="lstm")(steps)
    model = keras.Model(steps, [*states, keras.layers.Identity(name="same")(steps)])
    inputs = np.random.default_rng(0).normal(size=(4, 5, 2)).astype(np.float32)
    data = tflite.convert(model)
    names = [end.name for end in benchmark.inspect(data).outputs]
    assert names == ["lstm", "lstm_1", "lstm_2", "same"]
    found = verify.predict_tflite(data, inputs)
    for name, wanted in zip(names, model.predict(inputs, verbose=0), strict=True):
        np.testing.assert_allclose(found[name], wanted, atol=1e-5)
    np.testing.assert_array_equal(found["same"], inputs)


@pytest.mark.parametrize("name", ["z", "y"])
def test_every_output_is_compared_with_the_models(name):
    import keras

    keras.utils.set_random_seed(0)
    numbers = keras.Input((4,), name="numbers")
    outputs = [keras.layers.Dense(2, name="z")(numbers), keras.layers.Dense(3, name="y")(numbers)]
    model = keras.Model(numbers, outputs)
    data = tflite.convert(model)
    kernel = model.get_layer(name).kernel
    kernel.assign(kernel + 0.1)
    with pytest.raises(ValueError, match=rf"wanted {name} within 0\.001"):
        tflite._check_answers(model, data, integer=False)


@pytest.mark.parametrize("size", [1e5, 1.0, 1e-2])
def test_numbers_are_compared_by_their_size(size):
    wanted = size * np.linspace(-1, 1, 9)
    assert tflite._alike(wanted * 1.0005, wanted, shares=False)
    assert not tflite._alike(wanted * 1.002, wanted, shares=False)
    assert not tflite._alike(wanted * np.nan, wanted, shares=False)
    assert not tflite._alike(wanted[:8], wanted, shares=False)


def test_where_a_model_has_no_number_nothing_is_compared_and_of_shares_none_is_missing():
    wanted = np.array([np.nan, 1.0])
    assert tflite._alike(np.array([5.0, 1.0]), wanted, shares=False)
    assert not tflite._alike(np.array([5.0, 1.2]), wanted, shares=False)
    assert not tflite._alike(wanted, wanted, shares=True)


def test_a_shortcut_of_one_channel_is_a_sum():
    """Of a batch of one Keras takes it for a bias on the axis of time, which the converter refused."""
    series = keras.Input((16, 1), name="series")
    model = keras.Model(series, keras.layers.Conv1D(1, 3, padding="same")(series) + series)
    content = tflite.convert(model)
    rows = np.random.default_rng(0).normal(size=(3, 16, 1)).astype("float32")
    runner = Interpreter(model_content=content).get_signature_runner()
    (name,) = runner.get_output_details()
    for row in rows:
        np.testing.assert_allclose(runner(series=row[None])[name][0], model(row[None])[0], atol=1e-5)
