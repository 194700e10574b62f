"""A training in one call, against the same steps written out."""

import keras
import numpy as np
import pytest
from toy import batches, small_model

from kerastl.data import pipeline
from kerastl.inputs.numbers import Numbers
from kerastl.tasks.single_label import SingleLabel
from kerastl.training import fitting, precision, seeded
from kerastl.types import Dataset, Schedule, Split, Task

TASK = Task("numbers", Numbers((4,)), SingleLabel(("a", "b", "c")))
SCHEDULE = Schedule(epochs=3, batch_size=8, peak_learning_rate=1e-2)
SHORTER = Schedule(epochs=2, batch_size=8, peak_learning_rate=1e-3)
QUIET = {"progress": False}


@pytest.fixture
def split():
    generator = np.random.default_rng(0)
    return Split("train", generator.normal(size=(48, 4)).astype("float32"), generator.integers(0, 3, 48), TASK)


def same(one, other):
    return all(np.array_equal(*pair) for pair in zip(one.get_weights(), other.get_weights(), strict=True))


def unseeded():
    inputs = keras.Input((4,))
    return keras.Model(inputs, keras.layers.Dense(3, name="logits")(keras.layers.Dropout(0.5)(inputs)))


def test_what_is_built_has_the_weights_of_the_seed(split):
    found = seeded.train(unseeded, split, schedule=SCHEDULE, seed=3, validation=split, **QUIET)
    fitting.set_seed(3)
    model = unseeded()
    curves = fitting.fit(model, split, schedule=SCHEDULE, seed=3, validation=split, **QUIET)
    assert same(found.model, model)
    assert found.curves == curves
    other = seeded.train(unseeded, split, schedule=SCHEDULE, seed=4, validation=split, **QUIET)
    assert not same(found.model, other.model)


def test_batches_bring_their_schedule_and_validation_along(split):
    held, schedule = split.take(20), Schedule(epochs=3, batch_size=8, peak_learning_rate=1e-2)
    whole = Dataset(TASK, split, held, held, digest="0" * 64, source="numbers")
    made = [pipeline.training_batches(whole, schedule=schedule, seed=1) for _ in range(3)]
    found = seeded.train(unseeded, made[0], seed=3, **QUIET)
    spelled = seeded.train(unseeded, made[1], schedule=schedule, seed=3, validation=held, **QUIET)
    assert same(found.model, spelled.model)
    assert found.curves == spelled.curves
    assert len(found.curves.values["val_accuracy"]) == 3
    other = seeded.train(unseeded, made[2], schedule=SHORTER, seed=3, validation=split.take(9), **QUIET)
    assert len(other.curves.values["val_accuracy"]) == 2, "what is given goes before what batches bring"
    assert other.curves.values["val_accuracy"] != found.curves.values["val_accuracy"][:2]


def test_without_any_schedule_nothing_is_trained(split):
    with pytest.raises(ValueError, match="Wanted schedule="):
        seeded.train(unseeded, split, seed=3, **QUIET)


def test_a_model_that_is_built_already_and_batches_are_taken_as_they_are(split):
    data, model, twin = batches(split.inputs, split.labels), small_model(1), small_model(1)
    found = seeded.train(model, data, schedule=SCHEDULE, seed=0, task=TASK, **QUIET)
    assert found.model is model
    fitting.fit(twin, batches(split.inputs, split.labels), schedule=SCHEDULE, task=TASK, **QUIET)
    assert same(model, twin)


def test_of_a_model_around_a_student_the_student_comes_back(split):
    class Around(keras.Model):
        def __init__(self, student):
            super().__init__()
            self.student = student

        def call(self, inputs, training=None):
            return self.student(inputs, training=training)

    found = seeded.train(small_model, split, schedule=SCHEDULE, seed=0, under=Around, **QUIET)
    assert [layer.name for layer in found.model.layers][1] == "hidden"
    plain = seeded.train(small_model, split, schedule=SCHEDULE, seed=0, **QUIET)
    assert same(found.model, plain.model)


def test_what_is_trained_in_half_precision_comes_back_in_float32(split, monkeypatch):
    monkeypatch.setattr(precision, "fastest_dtype_policy", lambda model: "mixed_bfloat16")
    found = seeded.train(unseeded, split, schedule=SCHEDULE, seed=3, in_fastest_dtype=True, **QUIET)
    assert {layer.compute_dtype for layer in found.model.layers} == {"float32"}
    plain = seeded.train(unseeded, split, schedule=SCHEDULE, seed=3, **QUIET)
    assert not same(found.model, plain.model), "it was trained in bfloat16"
    with pytest.raises(ValueError, match=r"wanted a function\. Received: the model"):
        seeded.train(small_model(), split, schedule=SCHEDULE, seed=0, in_fastest_dtype=True)
