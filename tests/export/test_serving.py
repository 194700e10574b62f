from __future__ import annotations

import keras
import numpy as np
import pytest

from kerastl.export import serving
from kerastl.inputs.numbers import Numbers
from kerastl.tasks.multi_label import MultiLabel
from kerastl.tasks.multi_task import MultiTask
from kerastl.tasks.regression import Regression
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Task


def classes(count: int, kind=SingleLabel) -> Task:
    """Four numbers, of which something has so many classes."""
    return Task("toy", Numbers((4,)), kind(tuple(f"class {index}" for index in range(count))))


def test_probabilities_are_the_softmax_of_the_logits(float_student, digits, pictures):
    inputs = pictures(8)[0].astype(np.float32)
    logits = float_student.predict(inputs, verbose=0).astype(np.float64)
    wanted = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    model = serving.with_answers(float_student, digits)
    assert np.abs(model.predict(inputs, verbose=0) - wanted).max() < 1e-6
    assert [layer.name for layer in model.layers] == [layer.name for layer in float_student.layers] + ["probabilities"]
    assert float_student.layers[-1].name == "logits"


def test_a_model_of_probabilities_is_returned_as_it_is(float_student, digits):
    model = serving.with_answers(float_student, digits)
    assert serving.with_answers(model, digits) is model


def test_logits_come_back_from_under_the_softmax(float_student, digits, pictures):
    inputs = pictures(8)[0].astype(np.float32)
    model = serving.with_logits(serving.with_answers(float_student, digits), digits)
    np.testing.assert_array_equal(model.predict(inputs, verbose=0), float_student.predict(inputs, verbose=0))
    assert serving.with_logits(float_student, digits) is float_student
    numbers = keras.Input((4,), name="numbers")
    whole = keras.Model(numbers, keras.layers.Dense(3, activation="softmax", name="last")(numbers))
    kernel, bias = whole.get_layer("last").get_weights()
    x = 90 * np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)  # where a softmax is 0 and 1
    np.testing.assert_allclose(serving.with_logits(whole, classes(3))(x), x @ kernel + bias, rtol=1e-4)
    over_examples = keras.Model(numbers, keras.layers.Softmax(axis=0, name="end")(numbers))
    with pytest.raises(ValueError, match=r"softmax over the last axis\. Received: axis 0 in 'end'"):
        serving.before_activation(over_examples)


def test_tf_keras_model_gets_its_own_softmax(aware_student, digits, pictures):
    model = serving.with_answers(aware_student, digits)
    assert type(model).__module__.startswith("tf_keras")
    inputs = pictures(8)[0].astype(np.float32)
    assert np.allclose(model.predict(inputs, verbose=0).sum(-1), 1, atol=1e-5)


def test_other_activations_are_refused():
    image = keras.Input((4,), name="numbers")
    model = keras.Model(image, keras.layers.Dense(3, activation="sigmoid", name="last")(image))
    with pytest.raises(ValueError, match=r"'last'.*'sigmoid'"):
        serving.with_answers(model, classes(3))


def test_two_outputs_are_refused():
    image = keras.Input((4,), name="numbers")
    model = keras.Model(image, [keras.layers.Dense(3)(image), keras.layers.Dense(2)(image)])
    with pytest.raises(ValueError, match=r"one output\. Received: 2 outputs"):
        serving.with_answers(model, classes(3))


def test_two_inputs_are_refused():
    one, other = keras.Input((4,), name="numbers"), keras.Input((4,), name="more")
    model = keras.Model([one, other], keras.layers.Dense(3)(keras.layers.Add()([one, other])))
    with pytest.raises(ValueError, match=r"one input\. Received: 2 inputs"):
        serving.serve(model, classes(3))


def test_function_holds_variables_and_never_the_model(float_student, digits, pictures):
    served = serving.serve(float_student, digits)
    assert len(served.holder.held) == len(float_student.variables)
    assert [name for name in vars(served.holder) if not name.startswith("_")] == ["held"]
    assert [spec.name for spec in served.inputs] == ["image"]
    assert served.outputs == ("probabilities",)
    outputs = served.function(pictures(3)[0].astype(np.float32))
    assert list(outputs) == ["probabilities"]
    assert outputs["probabilities"].shape == (3, 10)


def test_inputs_of_unknown_shape_are_refused():
    image = keras.Input((None, None, 1), name="image")
    model = keras.Model(image, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(image)))
    with pytest.raises(ValueError, match="known shape"):
        serving.serve(model)


def test_student_in_both_kerases_has_the_same_layers(student):
    import tf_keras

    assert [layer.name for layer in student(keras).layers] == [layer.name for layer in student(tf_keras).layers]


def test_several_classes_have_a_probability_each(float_student, aware_student, digits, several_digits, pictures):
    inputs = pictures(8)[0].astype(np.float32)
    for student in (float_student, aware_student):
        wanted = 1 / (1 + np.exp(-student.predict(inputs, verbose=0).astype(np.float64)))
        model = serving.with_answers(student, several_digits)
        assert model.layers[-1].name == "probabilities"
        assert np.abs(model.predict(inputs, verbose=0) - wanted).max() < 1e-6
        assert serving.with_answers(model, several_digits) is model
        answers = serving.serve(student, several_digits).function(inputs)["probabilities"]
        assert np.abs(answers - wanted).max() < 1e-5
        for other, task in ((model, digits), (serving.with_answers(student, digits), several_digits)):
            with pytest.raises(ValueError, match="Wanted a model that ends in logits"):
                serving.with_answers(other, task)


def behind(last):
    """Probabilities of random weights, with something behind them that keeps them what they are."""
    keras.utils.set_random_seed(0)
    numbers = keras.Input((4,), name="numbers")
    heads = [keras.layers.Dense(3, activation="softmax")(numbers) for _ in range(2)]
    return keras.Model(numbers, last(*heads), name="model")


def nested(one, _):
    inner = keras.Input((3,))
    return keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(3), keras.Model(inner, keras.layers.Softmax()(inner))]
    )(one)


@pytest.mark.parametrize(
    "last",
    [
        nested,
        lambda one, other: keras.layers.Average()([one, other]),
        lambda one, _: keras.layers.Activation("linear", dtype="float32")(one),
        lambda one, _: keras.layers.Dropout(0.5)(one),
        lambda one, _: keras.ops.softmax(one),
        lambda one, _: keras.layers.Dense(3, activation=keras.layers.Softmax())(one),
    ],
    ids=["nested", "mean", "linear", "dropout", "operation", "layer as activation"],
)
def test_probabilities_are_known_wherever_they_come_from(last):
    """A second softmax would make them nearly equal, in the file and in what it is compared with alike."""
    model = behind(last)
    assert serving.with_answers(model, classes(3)) is model
    inputs = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)
    served = serving.serve(model, classes(3)).function(inputs)["probabilities"]
    np.testing.assert_allclose(served, model.predict(inputs, verbose=0), atol=1e-6)


@pytest.mark.parametrize(
    "last",
    [
        lambda one, other: keras.layers.Add()([one, other]),
        lambda one, _: keras.ops.log(one),
        lambda one, _: keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])(one),
    ],
    ids=["sum", "logarithm", "nested"],
)
def test_other_numbers_are_logits_wherever_they_come_from(last):
    assert not serving.ends_in_answers(behind(last), classes(3))


def test_shares_of_several_classes_that_nobody_can_judge_are_refused():
    model = behind(lambda one, _: keras.ops.sigmoid(one))
    with pytest.raises(ValueError, match="answers with numbers from 0 to 1"):
        serving.with_answers(model, classes(3, MultiLabel))


@pytest.mark.parametrize(("width", "names"), [(1, 3), (2, 3), (4, 3), (3, 2)])
def test_a_width_that_is_not_the_tasks_is_refused(width, names):
    numbers = keras.Input((4,), name="numbers")
    model = keras.Model(numbers, keras.layers.Dense(width)(numbers))
    with pytest.raises(ValueError, match=rf"Wanted {names} outputs, one for each of class 0.*Received: {width}"):
        serving.with_answers(model, classes(names))


def test_examples_of_another_shape_are_refused():
    numbers = keras.Input((5,), name="numbers")
    model = keras.Model(numbers, keras.layers.Dense(3)(numbers))
    with pytest.raises(ValueError, match=r"takes numbers examples of shape \(4,\)\. Received: .* takes \(5,\)"):
        serving.serve(model, classes(3))


def test_the_task_knows_a_size_that_the_model_does_not():
    image = keras.Input((None, 1), name="steps")
    model = keras.Model(image, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling1D()(image)))
    task = Task("toy", Numbers((6, 1)), SingleLabel(("a", "b")))
    (spec,) = serving.serve(model, task, batch=1).inputs
    assert (tuple(spec.shape), spec.name) == ((1, 6, 1), "numbers")


def test_without_a_task_nothing_stands_behind_the_model(float_student, pictures):
    inputs = pictures(8)[0].astype(np.float32)
    assert serving.with_answers(float_student) is float_student
    served = serving.serve(float_student)
    assert (served.inputs[0].name, served.outputs) == ("image", ("logits",))
    np.testing.assert_allclose(
        served.function(inputs)["logits"], float_student.predict(inputs, verbose=0), rtol=1e-5, atol=1e-5
    )


def test_noise_has_a_row_of_every_range():
    one = keras.Input((50,), name="numbers")
    other = keras.Input((50,), name="ids", dtype="int32")
    flags = keras.Input((50,), name="flags", dtype="bool")
    layers = keras.layers
    parts = [one, layers.Embedding(9, 1)(other), layers.Dense(2)(flags)]
    model = keras.Model([one, other, flags], [layers.Dense(1)(parts[0]), layers.Flatten()(parts[1]), parts[2]])
    numbers, ids, found = serving.noise(model)
    assert (numbers.dtype, ids.dtype, found.dtype) == (np.float32, np.int32, bool)
    assert numbers[0].min() < 0 <= numbers[1].min() <= numbers[1].max() < 1 < 100 < numbers[2].max()
    assert set(ids.ravel()) == set(range(5))
    np.testing.assert_array_equal(serving.noise(model)[0], numbers)


# ---------------------------------------------------------------------------------------------- two classes, one number


def inside(units, library):
    inner = library.Sequential([library.layers.Input((6,)), units])
    return lambda value: library.layers.Dropout(0.5)(inner(value))


ONE_NUMBER = {
    "logit": lambda library: library.layers.Dense(1, name="last"),
    "sigmoid inside": lambda library: library.layers.Dense(1, activation="sigmoid", name="last"),
    "sigmoid behind": lambda library: (
        lambda value: library.layers.Activation("sigmoid")(library.layers.Dense(1)(value))
    ),
    "nested logit": lambda library: inside(library.layers.Dense(1), library),
    "nested sigmoid": lambda library: inside(library.layers.Dense(1, activation="sigmoid"), library),
    "operation": lambda _: lambda value: keras.ops.sigmoid(keras.layers.Dense(1)(value)),
}


@pytest.mark.parametrize("ending", ONE_NUMBER)
@pytest.mark.parametrize("library", ["keras", "tf_keras"])
def test_one_number_for_two_classes_is_two_logits(ending, library):
    import tf_keras

    if (ending, library) == ("operation", "tf_keras"):
        ending = "sigmoid behind"  # tf_keras knows no operations but layers
    kerases = {"keras": keras, "tf_keras": tf_keras}
    library = kerases[library]
    library.utils.set_random_seed(1)
    numbers = library.layers.Input((4,), name="numbers")
    hidden = library.layers.Dense(6, activation="tanh", name="hidden")(numbers)
    model = library.Model(numbers, ONE_NUMBER[ending](library)(hidden), name="two")
    inputs = 9 * np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    given = model.predict(inputs, verbose=0).astype(np.float64)[:, 0]
    wanted = 1 / (1 + np.exp(-given)) if "logit" in ending else given
    rewritten = serving.with_two_logits(model)
    logits = rewritten.predict(inputs, verbose=0)
    assert logits.shape == (50, 2)
    assert (logits[:, 0] == 0).all()
    if "logit" in ending:
        np.testing.assert_array_equal(logits[:, 1], given)
    for found in (
        serving.serve(model, classes(2)).function(inputs)["probabilities"],
        serving.with_answers(model, classes(2)).predict(inputs, verbose=0),
    ):
        assert np.abs(np.asarray(found) - np.c_[1 - wanted, wanted]).max() < 1e-6
    assert rewritten.get_layer("hidden") is model.get_layer("hidden")
    assert wanted.std() > 0.01


def test_a_logit_is_found_where_its_sigmoid_is_flat():
    """Taken back from the probability, which is 1 in 32 bits, it would be infinite."""
    numbers = keras.Input((4,), name="numbers")
    layer = keras.layers.Dense(1, activation="sigmoid", kernel_initializer="ones")
    model = keras.Model(numbers, layer(numbers))
    assert np.asarray(model(np.full((1, 4), 25.0)))[0, 0] == 1
    assert np.asarray(serving.with_two_logits(model)(np.full((1, 4), 25.0))).tolist() == [[0, 100]]


@pytest.mark.parametrize(
    ("last", "message"),
    [
        (lambda: keras.layers.Dense(2), r"one output \(batch, 1\)\. Received: \(None, 2\)"),
        (lambda: keras.layers.Dense(1, activation="tanh", name="last"), "'last'.*'tanh'"),
        (lambda: lambda value: keras.ops.tanh(keras.layers.Dense(1)(value)), "'tanh'"),
    ],
    ids=["two", "tanh", "operation"],
)
def test_another_ending_is_no_logit(last, message):
    numbers = keras.Input((4,), name="numbers")
    with pytest.raises(ValueError, match=message):
        serving.with_two_logits(keras.Model(numbers, last()(numbers)))


def test_a_sigmoid_that_was_quantized_cannot_be_taken_off():
    import tensorflow_model_optimization as tfmot
    import tf_keras

    numbers = tf_keras.layers.Input((4,), name="numbers")
    plain = tf_keras.Model(numbers, tf_keras.layers.Dense(1, activation="sigmoid")(numbers))
    aware = tfmot.quantization.keras.quantize_model(plain)
    with pytest.raises(ValueError, match=r"with_two_logits before quantization-aware training"):
        serving.with_two_logits(aware)


def test_several_classes_stay_several():
    """One class that is there or not is a question of its own, and one number answers it."""
    numbers = keras.Input((4,), name="numbers")
    model = keras.Model(numbers, keras.layers.Dense(1)(numbers))
    assert serving.with_answers(model, classes(1, MultiLabel)).outputs[0].shape == (None, 1)


SEVERAL = MultiTask(
    (
        ("side", SingleLabel(("a", "b"))),
        ("heat", Regression(("h",), (0.0,), (1.0,))),
        ("amount", MultiLabel(("c", "d"))),
    )
)


def of_several(ends: str) -> tuple[keras.Model, Task]:
    keras.utils.set_random_seed(0)
    given = keras.Input((4,), name="numbers")
    found = {name: keras.layers.Dense(2 if name != "heat" else 1, name=name)(given) for name in SEVERAL.names}
    if ends == "answers":
        found["amount"] = keras.layers.Activation("sigmoid", name="shares")(found["amount"])
    outputs = list(found.values()) if ends == "in a list" else found
    return keras.Model(given, outputs, name="several"), Task("toy", Numbers((4,)), SEVERAL)


@pytest.mark.parametrize("ends", ["by name", "in a list", "answers"])
def test_every_task_has_what_it_asks_for_behind_its_own_output(ends):
    model, task = of_several(ends)
    inputs = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)
    raw = {
        name: inputs @ kernel + bias for name in SEVERAL.names for kernel, bias in [model.get_layer(name).get_weights()]
    }
    powers = np.exp(raw["side"])
    wanted = {
        "side": powers / powers.sum(-1, keepdims=True),
        "heat": raw["heat"],
        "amount": 1 / (1 + np.exp(-raw["amount"])),
    }
    served = serving.serve(model, task).function(inputs)
    made = serving.with_answers(model, task)
    for name, values in wanted.items():
        np.testing.assert_allclose(served[name], values, atol=1e-6)
        np.testing.assert_allclose(made(inputs)[name], values, atol=1e-6)
        np.testing.assert_allclose(serving.with_logits(made, task)(inputs)[name], raw[name], atol=1e-5)
    again = serving.with_answers(made, task)
    np.testing.assert_allclose(again(inputs)["side"], wanted["side"], atol=1e-6)
    assert not serving.ends_in_answers(model, task)


def test_a_task_whose_output_has_another_width_is_refused():
    given = keras.Input((4,), name="numbers")
    task = Task("toy", Numbers((4,)), SEVERAL)
    wide = keras.Model(given, {name: keras.layers.Dense(2)(given) for name in SEVERAL.names})
    with pytest.raises(ValueError, match="Wanted 1 outputs, one for each of h"):
        serving.with_answers(wide, task)
    other = keras.Model(given, {name: keras.layers.Dense(2)(given) for name in ("side", "heat", "depth")})
    with pytest.raises(ValueError, match="Wanted the outputs side, heat, amount"):
        serving.with_answers(other, task)
