"""Weight clustering as a stage: few values a kernel, learnt from whom the caller says."""

from __future__ import annotations

import dataclasses
import functools

import keras
import numpy as np
import pytest
from toy import one_convolution

from kerastl.compress import cluster
from kerastl.compress.tf_keras import bridge
from kerastl.data import pipeline
from kerastl.distil import losses
from kerastl.inputs.named import Named
from kerastl.inputs.numbers import Numbers
from kerastl.runs import clustering
from kerastl.runs.checkpoints import Workspace
from kerastl.tasks.agreement import Agreement
from kerastl.training import fitting
from kerastl.types import Schedule, Split, Task

SCHEDULE = Schedule(epochs=3, batch_size=20, peak_learning_rate=1e-3)


def workspace(folder) -> Workspace:
    return Workspace("clustered", folder=folder / "work", logs=folder / "logs")


@pytest.fixture(scope="module")
def split(tiny_files):
    return Split("train", tiny_files.inputs, tiny_files.labels, tiny_files.task)


@pytest.fixture(scope="module")
def student(split):
    keras.utils.set_random_seed(0)
    model = one_convolution()
    fitting.fit(model, split, schedule=Schedule(epochs=15, batch_size=10, peak_learning_rate=1e-2), progress=False)
    return model


def batches(split, **options):
    return pipeline.batches(split, batch_size=20, shuffle=True, seed=1, drop_remainder=True, **options)


def test_under_itself_a_student_stays_what_it_is_whatever_the_labels_say(split, student, tmp_path):
    wrong = dataclasses.replace(split, labels=(split.labels + 1) % 4)
    options = {"number_of_clusters": 8, "schedule": SCHEDULE, "seed": 3}
    found = clustering.clustered(
        student, batches(wrong), teacher=student, validation=split, workspace=workspace(tmp_path), **options
    )
    assert cluster.unique_values(found.model)["conv"].kernel <= 8
    agreed = fitting.predict(found.model, split.inputs).argmax(1) == fitting.predict(student, split.inputs).argmax(1)
    assert agreed.mean() > 0.95
    assert found.curves.stage == "clustered"
    assert len(found.curves.values["val_accuracy"]) == 3


def test_it_is_the_same_as_by_hand(split, student):
    fitting.set_seed(3)
    network = cluster.train(
        bridge.to_tf_keras(student, probe=split.take(16).inputs),
        batches(split),
        number_of_clusters=8,
        epochs=3,
        learning_rate=1e-3,
        teacher=functools.partial(student, training=False),
        loss=losses.distillation_loss(temperature=1.0),
    )
    options = {"number_of_clusters": 8, "schedule": SCHEDULE, "seed": 3}  # no workspace: outside of a run
    found = clustering.clustered(student, batches(split), teacher=student, **options)
    assert found.curves.stage == "cluster"
    for one, other in zip(found.model.get_weights(), bridge.to_keras(network, like=student).get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_model_of_two_inputs_learns_numbers_by_its_own_loss(tmp_path):
    """Its labels are its own answers, and the task of the batches says what is learnt of them."""
    random = np.random.default_rng(0)
    examples = {name: random.normal(size=(120, 4)).astype("float32") for name in ("left", "right")}
    keras.utils.set_random_seed(1)
    given = {name: keras.Input((4,), name=name) for name in examples}
    x = keras.layers.Concatenate(name="both")(
        [keras.layers.Dense(24, activation="relu", name=f"{name}_dense")(tensor) for name, tensor in given.items()]
    )
    model = keras.Model(given, keras.layers.Dense(2, name="answer")(x))
    labels = fitting.predict(model, examples)
    kind = Named(tuple((name, Numbers((4,))) for name in examples))
    split = Split("train", examples, labels, Task("pairs", kind, Agreement.of(labels)))
    options = {"number_of_clusters": 12, "schedule": SCHEDULE, "seed": 3, "workspace": workspace(tmp_path)}
    found = clustering.clustered(model, batches(split), validation=split, **options)
    assert set(found.curves.values) == {"loss", "val_loss"}
    assert {one.kernel for one in cluster.unique_values(found.model).values()} == {12}
    answers = fitting.predict(found.model, examples)
    assert split.task.target.difference(answers, labels).mean() < 0.15
