from __future__ import annotations

import keras
import numpy as np
import pytest

from kerastl.export import serving


def test_probabilities_are_the_softmax_of_the_logits(float_student, pictures):
    inputs = pictures(8)[0].astype(np.float32)
    logits = float_student.predict(inputs, verbose=0).astype(np.float64)
    wanted = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    model = serving.with_probabilities(float_student)
    assert np.abs(model.predict(inputs, verbose=0) - wanted).max() < 1e-6
    assert [layer.name for layer in model.layers] == [layer.name for layer in float_student.layers] + ["probabilities"]
    assert float_student.layers[-1].name == "logits"


def test_a_model_of_probabilities_is_returned_as_it_is(float_student):
    model = serving.with_probabilities(float_student)
    assert serving.with_probabilities(model) is model


def test_logits_come_back_from_under_the_softmax(float_student, pictures):
    inputs = pictures(8)[0].astype(np.float32)
    model = serving.with_logits(serving.with_probabilities(float_student))
    np.testing.assert_array_equal(model.predict(inputs, verbose=0), float_student.predict(inputs, verbose=0))
    assert serving.with_logits(float_student) is float_student
    image = keras.Input((4,), name="numbers")
    whole = keras.Model(image, keras.layers.Dense(3, activation="softmax", name="last")(image))
    with pytest.raises(ValueError, match=r"softmax layer.*'last' makes probabilities"):
        serving.with_logits(whole)


def test_tf_keras_model_gets_its_own_softmax(aware_student, pictures):
    model = serving.with_probabilities(aware_student)
    assert type(model).__module__.startswith("tf_keras")
    inputs = pictures(8)[0].astype(np.float32)
    assert np.allclose(model.predict(inputs, verbose=0).sum(-1), 1, atol=1e-5)


def test_other_activations_are_refused():
    image = keras.Input((4,), name="numbers")
    model = keras.Model(image, keras.layers.Dense(3, activation="sigmoid", name="last")(image))
    with pytest.raises(ValueError, match=r"'last'.*'sigmoid'"):
        serving.with_probabilities(model)


def test_two_outputs_are_refused():
    image = keras.Input((4,), name="numbers")
    model = keras.Model(image, [keras.layers.Dense(3)(image), keras.layers.Dense(2)(image)])
    with pytest.raises(ValueError, match=r"one output\. Received: 2 outputs"):
        serving.with_probabilities(model)


def test_two_inputs_are_refused():
    one, other = keras.Input((4,), name="numbers"), keras.Input((4,), name="more")
    model = keras.Model([one, other], keras.layers.Dense(3)(keras.layers.Add()([one, other])))
    with pytest.raises(ValueError, match=r"one input\. Received: 2 inputs"):
        serving.input_of(model)


def test_function_holds_variables_and_never_the_model(float_student, pictures):
    served = serving.serve(float_student)
    assert len(served.holder.held) == len(float_student.variables)
    assert [name for name in vars(served.holder) if not name.startswith("_")] == ["held"]
    assert served.input_name == "image"
    outputs = served.function(pictures(3)[0].astype(np.float32))
    assert list(outputs) == ["probabilities"]
    assert outputs["probabilities"].shape == (3, 10)


def test_inputs_of_unknown_shape_are_refused():
    image = keras.Input((None, None, 1), name="image")
    model = keras.Model(image, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(image)))
    with pytest.raises(ValueError, match="known shape"):
        serving.input_of(model)


def test_student_in_both_kerases_has_the_same_layers(student):
    import tf_keras

    assert [layer.name for layer in student(keras).layers] == [layer.name for layer in student(tf_keras).layers]


def test_several_classes_have_a_probability_each(float_student, aware_student, pictures):
    inputs = pictures(8)[0].astype(np.float32)
    for student in (float_student, aware_student):
        wanted = 1 / (1 + np.exp(-student.predict(inputs, verbose=0).astype(np.float64)))
        model = serving.with_probabilities(student, multi_label=True)
        assert model.layers[-1].name == "probabilities"
        assert np.abs(model.predict(inputs, verbose=0) - wanted).max() < 1e-6
        assert serving.with_probabilities(model, multi_label=True) is model
        answers = serving.serve(student, multi_label=True).function(inputs)["probabilities"]
        assert np.abs(answers - wanted).max() < 1e-5
        for other, multi_label in ((model, False), (serving.with_probabilities(student), True)):
            with pytest.raises(ValueError, match="Wanted a model that ends in logits"):
                serving.with_probabilities(other, multi_label=multi_label)


def behind(last, *, classes=3):
    """Probabilities of random weights, with something behind them that keeps them what they are."""
    keras.utils.set_random_seed(0)
    numbers = keras.Input((4,), name="numbers")
    heads = [keras.layers.Dense(classes, activation="softmax")(numbers) for _ in range(2)]
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
    assert serving.with_probabilities(model) is model
    inputs = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)
    served = serving.serve(model).function(inputs)["probabilities"]
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
    assert not serving.ends_in_probabilities(behind(last))


def test_shares_of_several_classes_that_nobody_can_judge_are_refused():
    model = behind(lambda one, _: keras.ops.sigmoid(one))
    with pytest.raises(ValueError, match="answers with numbers from 0 to 1"):
        serving.with_probabilities(model, multi_label=True)


def test_one_number_is_no_class():
    numbers = keras.Input((4,), name="numbers")
    model = keras.Model(numbers, keras.layers.Dense(1)(numbers))
    with pytest.raises(ValueError, match="two at least: of one, softmax makes 1"):
        serving.with_probabilities(model)
