"""What stages that train in tf_keras have in common: what batches know of themselves, and whose loss is minimized."""

import dataclasses

import numpy as np
import pytest

from kerastl.data import pipeline
from kerastl.distil import losses
from kerastl.inputs.numbers import Numbers
from kerastl.runs import tf_keras_training
from kerastl.runs.checkpoints import Workspace
from kerastl.tasks.regression import Regression
from kerastl.tasks.single_label import SingleLabel
from kerastl.training import batching
from kerastl.types import Schedule, Split, Task

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(size=(40, 3)).astype("float32")
CLASSES = Split("train", ROWS, np.arange(40, dtype="int32") % 2, Task("rows", Numbers((3,)), SingleLabel(("a", "b"))))
NUMBERS = Split("train", ROWS, ROWS[:, :1], Task("rows", Numbers((3,)), Regression.of(ROWS[:, :1], names=("x",))))
SCHEDULE = Schedule(epochs=3, batch_size=10, peak_learning_rate=1e-3)


def settings(batches, tmp_path, **options):
    given = {"schedule": SCHEDULE, "validation": None, "teacher": None, "loss": None, **options}
    place = Workspace("stage", folder=tmp_path / "work", logs=tmp_path / "logs")
    return tf_keras_training.settings(batches, workspace=place, **given)


def teacher(inputs, training):
    assert training is False
    return -inputs


def test_batches_know_their_task_and_their_first_examples():
    task, probe = tf_keras_training.known(pipeline.batches(CLASSES, batch_size=10, shuffle=True), purpose="This")
    assert task == CLASSES.task
    np.testing.assert_array_equal(probe, ROWS[:16])
    pair = dataclasses.replace(CLASSES, inputs={"left": ROWS, "right": -ROWS})
    _, probe = tf_keras_training.known(pipeline.batches(pair, batch_size=10), purpose="This")
    np.testing.assert_array_equal(probe["right"], -ROWS[:16])


def test_other_batches_are_refused_in_the_name_of_the_training():
    for strange in (
        pipeline.batches(CLASSES, batch_size=10).take(2),
        batching.batches(CLASSES, batch_size=9, shuffle=True),
    ):
        with pytest.raises(ValueError, match=r"Clustering needs to know.*wanted batches of data\.pipeline"):
            tf_keras_training.known(strange, purpose="Clustering")


def test_a_teacher_of_classes_is_followed_by_divergence_and_one_of_numbers_by_the_task(tmp_path):
    classes, numbers = (pipeline.batches(split, batch_size=10) for split in (CLASSES, NUMBERS))
    found = settings(classes, tmp_path, teacher=teacher)
    labels, logits, answers = np.zeros(4, "int32"), *RANDOM.normal(size=(2, 4, 2)).astype("float32")
    wanted = losses.distillation_loss(temperature=1.0)(labels, logits, answers)
    np.testing.assert_array_equal(found["loss"](labels, logits, answers), wanted)
    np.testing.assert_array_equal(found["teacher"](ROWS), -ROWS)
    assert settings(numbers, tmp_path, teacher=teacher)["loss"] is None
    assert settings(classes, tmp_path)["loss"] is None
    assert settings(classes, tmp_path)["teacher"] is None

    def own(labels, logits, answers):
        return logits

    assert settings(classes, tmp_path, teacher=teacher, loss=own)["loss"] is own


def test_schedule_and_validation_come_with_the_batches(tmp_path):
    made = pipeline.training_batches(CLASSES, schedule=SCHEDULE, seed=0)
    found = settings(made, tmp_path, schedule=None)
    assert (found["epochs"], found["learning_rate"]) == (3, 1e-3)
    assert found["validation"] is None
    held = settings(made, tmp_path, validation=NUMBERS)["validation"]
    assert int(held.cardinality()) == 1
    with pytest.raises(ValueError, match="Wanted schedule="):
        settings(pipeline.batches(CLASSES, batch_size=10), tmp_path, schedule=None)
