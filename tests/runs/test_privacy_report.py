"""What the report of a private training says, and attacks on a model and on a file by what they answer."""

from __future__ import annotations

import dataclasses
import json

import keras
import numpy as np
import pytest
from toy import DIRECTIONS, small_model

from kerastl.runs import plots, privacy_report
from kerastl.training.fitting import Trained
from kerastl.training.private.guarantee import Mechanism, Privacy
from kerastl.types import Dataset, History, Split

MECHANISM = Mechanism(1.1, clip=0.1, sampling_rate=0.1, lot=20, delta=1e-3)


def curves(*steps: int) -> History:
    values = {"epsilon": tuple(MECHANISM.epsilon(one) for one in steps)}
    return History("private", {**values, "val_accuracy": (0.5, 0.75, 0.8)[: len(steps)]})


def test_a_report_has_the_account_and_the_score_against_it():
    trained = Trained(small_model(), curves(10, 20, 30))
    said = privacy_report.of_training(MECHANISM, trained, privacy=Privacy(), steps=30, task=DIRECTIONS)
    assert said["epsilon"] == pytest.approx(MECHANISM.epsilon(30))
    assert said["points"] == [[MECHANISM.epsilon(10), 0.5], [MECHANISM.epsilon(20), 0.75], [MECHANISM.epsilon(30), 0.8]]
    assert said["metric"] == "accuracy"
    assert any("training" in one for one in said["limits"])
    assert json.loads(json.dumps(said)) == said
    drawn = plots.privacy(said)
    assert drawn.startswith("<svg")
    assert "epsilon spent, at a delta of 0.001" in drawn
    assert "validation accuracy" in drawn


def test_curves_of_another_training_are_refused():
    trained = Trained(small_model(), curves(10, 20))
    with pytest.raises(ValueError, match="curves that end at"):
        privacy_report.of_training(MECHANISM, trained, privacy=Privacy(), steps=30, task=DIRECTIONS)


def known_by_heart(members: Split) -> keras.Model:
    """A model of no weights that is sure of what it has seen, and of nothing else."""
    given = keras.Input((4,), name="image")
    seen = keras.ops.convert_to_tensor(np.asarray(members.inputs))
    gaps = keras.ops.sum((given[:, None] - seen[None]) ** 2, axis=-1)
    near = keras.ops.cast(keras.ops.min(gaps, axis=-1, keepdims=True) < 1e-6, "float32")
    labels = keras.ops.take(keras.ops.convert_to_tensor(members.labels), keras.ops.argmin(gaps, axis=-1))
    return keras.Model(given, keras.ops.one_hot(labels, 3) * near * 5)


def test_attacks_find_what_a_model_knows_by_heart_and_say_so_row_by_row():
    draw = np.random.default_rng(0)
    inputs, labels = draw.normal(size=(700, 4)).astype("float32"), draw.integers(0, 3, 700).astype("int32")
    ends = {"train": (0, 200), "validation": (200, 600), "test": (600, 700)}
    splits = [Split(name, inputs[low:high], labels[low:high], DIRECTIONS) for name, (low, high) in ends.items()]
    data = Dataset(DIRECTIONS, *splits, digest="", source="toy")
    answering = {"by heart": known_by_heart(splits[0]), "fresh": small_model()}
    rows = privacy_report.attacked(answering, data, examples=150, seed=0)
    assert [(row["of"], row["name"]) for row in rows] == [
        (of, name) for of in ("by heart", "fresh") for name in ("loss, one threshold", "loss, a threshold a class")
    ]
    assert rows[0]["auc"] == rows[0]["rate"] == 1.0
    assert rows[2]["auc"] == pytest.approx(0.5, abs=0.1)  # three standard deviations of so few
    assert (rows[0]["members"], rows[0]["others"]) == (150, 200)
    few = dataclasses.replace(data, validation=splits[1].take(100))
    assert privacy_report.attacked({"fresh": small_model()}, few, examples=150, seed=0) == []


def test_a_file_answers_as_its_model(tiny_files):
    answer = privacy_report.answering(tiny_files.float32, tiny_files.task)
    np.testing.assert_allclose(answer(tiny_files.inputs), tiny_files.expected, atol=1e-4)
