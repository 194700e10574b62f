"""Of several models the one that is best on validation, and the others in the table."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from toy import DIRECTIONS, small_model

from kerastl.export import tflite
from kerastl.runs import model_selection
from kerastl.training import fitting
from kerastl.types import History, Split


@pytest.fixture
def models(examples):
    """A model, and the same with its answers in another order, which is worse."""
    inputs, labels = examples
    good = small_model()
    good.compile(keras.optimizers.Adam(0.05), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    good.fit(inputs, labels, epochs=5, verbose=0)
    bad = small_model()
    bad.set_weights([*good.get_weights()[:2], np.roll(good.get_weights()[2], 1, 1), good.get_weights()[3]])
    return good, bad, Split("validation", inputs, labels, DIRECTIONS)


def test_validation_chooses(models, capsys):
    good, bad, validation = models
    trained = fitting.Trained(good, History("linear_probe", {}))
    found = model_selection.best_on_validation({"linear_probe": trained, "fine_tuned": bad}, validation)
    assert (found.name, found.model, found.taken, found.place) == ("linear_probe", good, trained, 0)
    share = (good.predict(validation.inputs, verbose=0).argmax(1) == validation.labels).mean()
    assert f"linear_probe {share:.4f}, fine_tuned 0." in found.why
    assert found.why.endswith("linear_probe is taken.")
    assert found.why in capsys.readouterr().out
    assert model_selection.best_on_validation({"a": bad, "b": good}, validation).name == "b"


def test_of_equals_the_last_one(models, capsys):
    good, _, validation = models
    alone = model_selection.best_on_validation({"a": good}, validation)
    assert (alone.name, alone.why, alone.left_behind(validation.task)) == ("a", "", [])
    assert capsys.readouterr().out == "", "of one there is nothing to say"
    assert model_selection.best_on_validation({"a": good, "b": good}, validation).name == "b"


def test_without_validation_it_is_as_planned(models):
    good, bad, validation = models
    found = model_selection.best_on_validation({"probe": good, "tuned": [bad, good]}, None)
    assert (found.name, found.model, found.why) == ("tuned", bad, "")
    (left,) = found.left_behind(validation.task)
    assert (left.name, left.model, left.baseline, left.model_choice) == ("probe_float32", good, True, "")


def test_the_cheaper_ones_are_baselines_and_none_is_ever_chosen(models):
    good, bad, validation = models
    found = model_selection.best_on_validation({"a": bad, "b": good, "c": bad}, validation)
    made = found.left_behind(validation.task)
    wanted = [("a_float32", False, True), ("c_float32", False, False)]
    assert [(one.name, one.eligible, one.baseline) for one in made] == wanted
    assert made[0].model is bad
    assert {one.model_choice for one in made} == {found.why}


def test_of_every_arm_the_best_seed_stands(models):
    """Two arms of two seeds each: the best student alone is better than the best one under the teacher."""
    good, bad, validation = models
    worse = small_model()
    worse.set_weights([np.zeros_like(one) for one in good.get_weights()])
    arms = {"student_without_teacher": [bad, good], "distilled": [worse, bad]}
    if model_selection.best_on_validation({"bad": bad, "worse": worse}, validation).name == "worse":
        arms["distilled"].reverse()
    found = model_selection.best_on_validation(arms, validation)
    assert (found.name, found.place, found.model) == ("student_without_teacher", 1, good)
    (left,) = found.left_behind(validation.task)
    assert (left.name, left.model, left.baseline) == ("distilled_float32", arms["distilled"][1], False)


def test_files_are_scored_as_files_and_keep_their_own_float_model(models):
    good, bad, validation = models
    files = {
        "alone": [tflite.Converted(tflite.convert(one, validation.task), History("qat", {})) for one in (bad, good)],
        "taught": [tflite.Converted(tflite.convert(bad, validation.task), History("qat", {}))] * 2,
    }
    found = model_selection.best_on_validation(files, validation)
    assert (found.name, found.place, found.taken) == ("alone", 1, files["alone"][1])
    floats = [fitting.Trained(bad, History("student", {})), good]
    (left,) = found.left_behind(validation.task, technique="qat_int8", floats=floats)
    assert (left.name, left.technique, left.tflite) == ("taught_qat_int8", "qat_int8", files["taught"][0].content)
    assert (left.model, left.eligible, left.model_choice) == (bad, False, found.why)
    with pytest.raises(ValueError, match="Wanted the float model of taught's file 0"):
        found.left_behind(validation.task)
    with pytest.raises(ValueError, match="Received: the TFLite file"):
        _ = found.model


def test_an_arm_that_was_not_trained_is_passed_over(models, capsys):
    good, bad, validation = models
    found = model_selection.best_on_validation({"student_without_teacher": [], "distilled": [bad, good]}, validation)
    assert (found.name, found.place) == ("distilled", 1)
    assert "student_without_teacher" not in capsys.readouterr().out
    assert found.left_behind(validation.task) == []


def test_of_none_there_is_no_best(models):
    for none in ({}, {"a": []}):
        with pytest.raises(ValueError, match="at least"):
            model_selection.best_on_validation(none, models[2])
