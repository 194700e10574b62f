"""Temperature scaling as a step of a recipe."""

from __future__ import annotations

import numpy as np
import pytest
import toy

from kerastl.evaluate import calibration
from kerastl.runs import calibrating
from kerastl.types import Split


def overconfident(labels_from: float):
    """A model whose labels are drawn at so many times its temperature, and such examples."""
    model = toy.at_random(toy.small_model())
    model.get_layer("logits").set_weights([4 * weight for weight in model.get_layer("logits").get_weights()])
    random = np.random.default_rng(0)
    inputs = random.normal(size=(3000, 4)).astype(np.float32)
    chances = toy.softmax(np.asarray(model(inputs), np.float64), labels_from)
    labels = (chances.cumsum(-1) > random.uniform(size=(len(inputs), 1))).argmax(-1).astype(np.int32)
    return model, Split("validation", inputs, labels, toy.DIRECTIONS)


def test_the_temperature_of_validation_is_folded_in_and_said(capsys):
    model, held_out = overconfident(2.0)
    made = calibrating.calibrated(model, held_out)
    ratio = np.asarray(model(held_out.inputs)) / np.asarray(made(held_out.inputs))
    assert np.median(ratio) == pytest.approx(2, rel=0.1)
    logits = np.asarray(made(held_out.inputs), np.float64)
    assert calibration.measure(toy.softmax(logits), held_out.labels).ece < 0.03
    said = capsys.readouterr().out
    assert "fitted on 3,000 validation examples: expected calibration error" in said


def test_nothing_happens_unasked_and_several_classes_are_refused():
    model, held_out = overconfident(1.0)
    assert calibrating.calibrated(model, held_out, wanted=False) is model
    several = Split("validation", held_out.inputs, np.zeros((3000, 3), np.int32), toy.SEVERAL)
    with pytest.raises(ValueError, match=r"one class each.*--calibrate"):
        calibrating.calibrated(model, several)
