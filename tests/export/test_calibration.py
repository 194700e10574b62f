"""Full-integer files: what calibration may be, what it sets, and which operators are refused."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastl import verify
from kerastl.export import calibration as ranges
from kerastl.export import serving, tflite
from kerastl.inputs.image import Image
from kerastl.inputs.numbers import Numbers
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Task
from kerastl.verify import benchmark

TABLE = Task("table", Numbers((6,)), SingleLabel(("a", "b", "c")))


@dataclasses.dataclass(frozen=True)
class Plain(SingleLabel):
    """Numbers that are answers as they are."""

    output_name = "numbers_out"

    def served(self, outputs: tf.Tensor) -> tf.Tensor:
        return outputs

    def served_activation(self) -> str:
        return "linear"


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return (40 * np.random.default_rng(0).normal(size=(300, 6)) + 70).astype(np.float32)


@pytest.fixture(scope="module")
def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    numbers = keras.Input((6,), name="table")
    value = keras.layers.Rescaling(1 / 100)(numbers)  # the input's scale is measured in its own unit all the same
    value = keras.layers.Dense(16, activation="relu")(value)
    return keras.Model(numbers, keras.layers.Dense(3, name="last")(value), name="network")


@pytest.mark.parametrize(
    ("calibration", "message"),
    [
        (np.zeros((8, 28, 28, 1)), "all zero"),
        (np.random.default_rng(0).random((8, 28, 28, 1)), "not scaled"),
        (np.full((8, 28, 28, 1), 300.0), "0..255"),
        (np.full((8, 28, 28), 200.0), "examples, 28, 28, 1"),
    ],
)
def test_calibration_must_be_raw_pixels(calibration, message, float_student, digits, tmp_path):
    with pytest.raises(ValueError, match=message):
        tflite.write(float_student, tmp_path / "model.tflite", digits, integer=True, calibration=calibration)
    assert not list(tmp_path.iterdir())


def test_pixels_show_both_ends_of_their_range(float_student, digits, pictures):
    given = pictures(4)[0] // 2
    found = ranges.checked(float_student, digits, given)["image"]
    assert (found.min(), found.max()) == (0, 255)
    np.testing.assert_array_equal(found[1:], given[1:])
    assert given.max() < 128, "what the caller holds stays as it is"


def test_the_range_of_numbers_is_measured(network, rows):
    data = tflite.convert(network, TABLE, integer=True, calibration=rows)
    facts = benchmark.inspect(data)
    (source,), (target,) = facts.inputs, facts.outputs
    assert (source.name, source.dtype, target.name, target.dtype) == ("numbers", "uint8", "probabilities", "uint8")
    assert source.scale == pytest.approx(np.ptp(rows) / 255, rel=0.01)
    assert source.zero_point == pytest.approx(-rows.min() / source.scale, abs=1)
    assert facts.operators.float == 0
    wanted = serving.with_answers(network, TABLE).predict(rows, verbose=0)
    assert np.abs(verify.predict_tflite(data, rows) - wanted).max() < 0.02
    assert wanted.std(0).max() > 0.02


def test_the_range_of_other_answers_than_probabilities_is_measured(network, rows):
    task = Task("table", TABLE.inputs, Plain(TABLE.target.names))
    data = tflite.convert(network, task, integer=True, calibration=rows)
    (target,), wanted = benchmark.inspect(data).outputs, network.predict(rows, verbose=0)
    assert (target.name, target.dtype) == ("numbers_out", "uint8")
    assert target.scale == pytest.approx(np.ptp(np.r_[wanted.ravel(), 0]) / 255, rel=0.05)
    assert np.abs(verify.predict_tflite(data, rows) - wanted).max() < 4 * target.scale


def two_inputs() -> keras.Model:
    keras.utils.set_random_seed(0)
    picture, table = keras.Input((4, 4, 1), name="picture"), keras.Input((6,), name="table")
    seen = keras.layers.Dense(4)(keras.layers.Flatten()(picture))  # a concatenation's inputs have to share a scale
    value = keras.layers.Concatenate()([seen, keras.layers.Dense(4)(table)])
    outputs = [keras.layers.Dense(2, name="z")(value), keras.layers.Dense(1, name="y")(value)]
    return keras.Model([picture, table], outputs)


def test_every_input_and_output_has_a_range_of_its_own(rows):
    model, picture = two_inputs(), np.random.default_rng(1).uniform(0, 3.1, (300, 4, 4, 1)).astype(np.float32)
    data = tflite.convert(model, integer=True, calibration={"table": rows, "picture": picture})
    facts = benchmark.inspect(data)
    assert facts.operators.float == 0
    assert [(end.name, end.dtype) for end in (*facts.inputs, *facts.outputs)] == [
        ("picture", "uint8"), ("table", "uint8"), ("z", "uint8"), ("y", "uint8"),
    ]  # fmt: skip
    assert facts.inputs[0].scale == pytest.approx(3.1 / 255, rel=0.02)
    found = verify.predict_tflite(data, {"picture": picture, "table": rows})
    for end, wanted in zip(facts.outputs, model.predict([picture, rows], verbose=0), strict=True):
        assert np.abs(found[end.name] - wanted).max() < 5 * end.scale


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda given: {"table": given["table"]}, r"examples for each of picture, table\. Received: table"),
        (lambda given: given["table"], r"examples for each of picture, table\. Received: picture"),
        (lambda given: given | {"table": given["table"][:, :5]}, r"\(examples, 6\)\. Received: \(300, 5\) for 'table'"),
        (lambda given: given | {"table": given["table"][:9]}, r"as many examples for every input\. Received: 300 for"),
        (lambda given: given | {"table": given["table"] * np.nan}, r"finite numbers\. Received: others for 'table'"),
    ],
)
def test_calibration_is_for_every_input(rows, change, message):
    given = {"picture": np.zeros((300, 4, 4, 1)), "table": rows}
    with pytest.raises(ValueError, match=message):
        tflite.convert(two_inputs(), integer=True, calibration=change(given))


class Wave(keras.layers.Layer):
    def call(self, values):
        return keras.ops.sin(values)


def test_an_operator_that_stays_float_is_refused_by_name(rows):
    numbers = keras.Input((6,), name="table")
    model = keras.Model(numbers, keras.layers.Dense(3)(Wave(name="wave")(numbers)), name="odd")
    with pytest.raises(ValueError, match=r"operators that stay float, .*SIN \(.*wave.*\).* in 'odd'.*dynamic_int8"):
        tflite.convert(model, TABLE, integer=True, calibration=rows)


def test_two_classes_by_one_logit_are_integers_throughout(rows):
    keras.utils.set_random_seed(0)
    numbers = keras.Input((6,), name="table")
    value = keras.layers.Dense(8, activation="relu")(keras.layers.Rescaling(1 / 100)(numbers))
    model = keras.Model(numbers, keras.layers.Dense(1, activation="sigmoid")(value))
    task = Task("two", TABLE.inputs, SingleLabel(("no", "yes")))
    wanted = model.predict(rows, verbose=0)
    wanted = np.c_[1 - wanted, wanted]
    integers = tflite.convert(model, task, integer=True, calibration=rows)
    assert benchmark.inspect(integers).operators.float == 0
    assert np.abs(verify.predict_tflite(integers, rows) - wanted).max() < 0.02
    assert np.abs(verify.predict_tflite(tflite.convert(model, task), rows) - wanted).max() < 1e-6
    assert wanted.std() > 0.01


def test_quantization_aware_training_says_the_range_where_no_task_does():
    import tensorflow_model_optimization as tfmot
    import tf_keras

    random = np.random.default_rng(0)
    image = tf_keras.layers.Input((8, 8, 1), name="image")
    value = tf_keras.layers.Flatten()(tf_keras.layers.Conv2D(4, 3, activation="relu")(image))
    logit = tf_keras.Model(image, tf_keras.layers.Dense(1)(value))
    task = Task("two", Image((8, 8, 1)), SingleLabel(("no", "yes")))
    pixels, labels = random.integers(0, 256, (32, 8, 8, 1)).astype(np.float32), np.zeros((32, 2))

    def aware(model):
        trained = tfmot.quantization.keras.quantize_model(model)
        trained.compile("sgd", "mse")
        trained.fit(pixels, labels[:, : model.output_shape[-1]], verbose=0)
        return trained

    one = aware(logit)
    (source,) = benchmark.inspect(tflite.convert(one, integer=True)).inputs
    assert (source.dtype, round(source.scale, 3), source.zero_point) == ("uint8", 1.0, 0)
    with pytest.raises(ValueError, match=r"stay float, .*two_logits"):  # which nobody trained
        tflite.convert(one, task, integer=True)
    two = aware(serving.with_two_logits(logit))
    assert benchmark.inspect(tflite.convert(two, task, integer=True)).operators.float == 0


def test_token_ids_of_nobodys_task_stay_integers(rows):
    keras.utils.set_random_seed(0)
    ids, table = keras.Input((5,), dtype="int32", name="ids"), keras.Input((6,), name="table")
    value = keras.layers.Flatten()(keras.layers.Embedding(9, 3)(ids))
    model = keras.Model([ids, table], keras.layers.Dense(2, name="z")(keras.layers.Concatenate()([value, table])))
    words = np.random.default_rng(0).integers(0, 9, (300, 5))
    data = tflite.convert(model, integer=True, calibration={"ids": words, "table": rows})
    assert [(end.name, end.dtype) for end in benchmark.inspect(data).inputs] == [("ids", "int32"), ("table", "uint8")]


@pytest.mark.parametrize("kind", ["int32", "int64", "uint8"])
def test_token_ids_alone_are_measured_as_what_they_are(kind):
    keras.utils.set_random_seed(0)
    ids = keras.Input((5,), dtype=kind, name="ids")
    value = keras.layers.Flatten()(keras.layers.Embedding(9, 3)(ids))
    model = keras.Model(ids, keras.layers.Dense(2, name="z")(value))
    words = np.random.default_rng(0).integers(0, 9, (100, 5))
    data = tflite.convert(model, integer=True, calibration=words)
    facts = benchmark.inspect(data)
    assert (facts.inputs[0].dtype, facts.operators.float) == (kind, 0)
    wanted = model.predict(words, verbose=0)
    assert np.abs(verify.predict_tflite(data, words) - wanted).max() < 0.05 * np.abs(wanted).max()
    assert np.abs(verify.predict_tflite(tflite.convert(model), words) - wanted).max() < 1e-5


def test_whole_numbers_that_become_floats_are_refused_by_the_operator():
    numbers = keras.Input((5,), dtype="int32", name="numbers")
    model = keras.Model(numbers, keras.layers.Dense(2)(keras.ops.cast(numbers, "float32")))
    with pytest.raises(ValueError, match="operators that stay float, CAST"):
        tflite.convert(model, integer=True, calibration=np.ones((9, 5), np.int32))


LOOPS = {
    "lstm": lambda **options: keras.layers.LSTM(3, name="steps", **options),
    "gru": lambda **options: keras.layers.GRU(3, name="steps", **options),
    "simple": lambda **options: keras.layers.SimpleRNN(3, name="steps", **options),
    "both_ways": lambda **options: keras.layers.Bidirectional(keras.layers.LSTM(3, **options), name="steps"),
}


@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_is_refused_before_the_calibrator_ends_the_process(name):
    series = keras.Input((4, 2), name="series")
    model = keras.Model(series, keras.layers.Dense(2)(LOOPS[name]()(series)), name="mine")
    examples = np.random.default_rng(0).normal(size=(20, 4, 2)).astype(np.float32)
    with pytest.raises(ValueError, match=r"'mine' with a loop in .*steps.*unroll=True.*dynamic_int8"):
        tflite.convert(model, integer=True, calibration=examples)


def test_an_unrolled_loop_is_none():
    keras.utils.set_random_seed(0)
    series = keras.Input((3, 2), name="series")
    model = keras.Model(series, keras.layers.Dense(2)(LOOPS["simple"](unroll=True)(series)))
    examples = np.random.default_rng(0).normal(size=(50, 3, 2)).astype(np.float32)
    data, wanted = tflite.convert(model, integer=True, calibration=examples), model.predict(examples, verbose=0)
    assert benchmark.inspect(data).operators.float == 0
    assert np.abs(verify.predict_tflite(data, examples) - wanted).max() < 0.1 * np.abs(wanted).max()


@pytest.mark.parametrize("through", ["itself", "Identity", "Dropout"])
def test_an_input_that_is_read_and_handed_on_is_integers_too(rows, through):
    keras.utils.set_random_seed(0)
    numbers = keras.Input((6,), name="table")
    options = {"rate": 0.5} if through == "Dropout" else {}
    same = numbers if through == "itself" else getattr(keras.layers, through)(name="same", **options)(numbers)
    model = keras.Model(numbers, [same, keras.layers.Dense(2, name="z")(numbers)])
    data = tflite.convert(model, integer=True, calibration=rows)
    facts = benchmark.inspect(data)
    assert ([end.dtype for end in (*facts.inputs, *facts.outputs)], facts.operators.float) == (["uint8"] * 3, 0)
    found = verify.predict_tflite(data, rows)[facts.outputs[0].name]
    assert np.abs(found - rows).max() <= 0.51 * np.ptp(rows) / 255


def test_an_input_that_is_only_handed_on_has_no_scale(rows):
    numbers, other = keras.Input((6,), name="table"), keras.Input((6,), name="other")
    alone = keras.Model(numbers, keras.layers.Dropout(0.5)(numbers))
    beside = keras.Model([numbers, other], [numbers, keras.layers.Dense(2)(other)])
    for model in (alone, beside):
        with pytest.raises(ValueError, match="hands on its input table as it came"):
            tflite.convert(model, integer=True, calibration={"table": rows, "other": rows} if model is beside else rows)
