"""Of several models the one that is best on validation, and the others in the table."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from toy import DIRECTIONS, small_model

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
    named = {"linear_probe": trained, "fine_tuned": bad}
    assert model_selection.best_on_validation(named, validation) == "linear_probe"
    said = capsys.readouterr().out
    share = (good.predict(validation.inputs, verbose=0).argmax(1) == validation.labels).mean()
    assert f"linear_probe {share:.4f}, fine_tuned 0." in said
    assert said.rstrip().endswith("linear_probe is taken.")
    assert model_selection.best_on_validation({"a": bad, "b": good}, validation) == "b"


def test_of_equals_the_last_one(models, capsys):
    good, _, validation = models
    assert model_selection.best_on_validation({"a": good}, validation) == "a"
    assert capsys.readouterr().out == "", "of one there is nothing to say"
    assert model_selection.best_on_validation({"a": good, "b": good}, validation) == "b"


def test_the_cheaper_ones_are_baselines_and_none_is_ever_chosen(models):
    good, bad, validation = models
    made = model_selection.left_behind({"a": good, "b": bad, "c": good}, "b", validation.task)
    wanted = [("a_float32", False, True), ("c_float32", False, False)]
    assert [(one.name, one.eligible, one.baseline) for one in made] == wanted
    assert made[0].model is good
