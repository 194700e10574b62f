"""Self-training as an arm of a run: who teaches, what is learnt from, and what comes of it."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import keras
import numpy as np
import pytest
import toy

from kerastl.data import splits
from kerastl.inputs.augmentation import Augmentation
from kerastl.inputs.image import Image
from kerastl.models import resnet
from kerastl.runs import self_training
from kerastl.runs.few_labels import SelfTraining
from kerastl.tasks.single_label import SingleLabel
from kerastl.training import fitting, seeded
from kerastl.types import Dataset, History, Schedule, Split, Task

TASK = Task("toy", Image((8, 8, 3)), SingleLabel(("dark", "light")))
PLAIN = Augmentation()


def split(name, count):
    """Dark pictures and light ones."""
    labels = (np.arange(count) % 2).astype("int32")
    draw = np.random.default_rng(len(name))
    pictures = draw.integers(0, 100, (count, 8, 8, 3)) + 120 * labels[:, None, None, None]
    return Split(name, pictures.astype("uint8"), labels, TASK)


@pytest.fixture(scope="module")
def data():
    made = [split("train", 80), split("validation", 20), split("test", 20)]
    whole = Dataset(TASK, *made, digest="0" * 64, source="toy")
    return whole.drawn(splits.per_class(np.asarray(whole.train.labels), count=4, seed=0))


@pytest.fixture(scope="module")
def net():
    keras.utils.set_random_seed(0)
    return resnet.build(TASK, widths=(4,))


@pytest.fixture(scope="module")
def teacher(net):
    """Sure of what is light and of what is dark, by the mean of the pixels alone."""
    image = keras.Input((8, 8, 3), name="image")
    mean = keras.layers.GlobalAveragePooling2D(name="pool")(image)
    model = keras.Model(image, keras.layers.Dense(2, name="logits")(mean))
    model.get_layer("logits").set_weights([np.array([[-0.1, 0.1]] * 3, "float32"), np.array([33.0, -33.0], "float32")])
    return model


class Run:
    """A run that makes every stage, and remembers what was asked."""

    def __init__(self):
        self.keys, self.metadata = {}, {"seed": 3}

    def stage(self, name, make, *, key):
        self.keys[name] = key
        return make(None)

    def stage_key(self, name):
        return f"key of {name}"


def learn(data, models, by, *, build, unlabelled=None, **settings):
    run: Any = Run()
    options = {"build": build, "augmentation": PLAIN, "strong": Augmentation(brightness=0.1)}
    found = self_training.self_trained(
        run, data, models, unlabelled or split("train", 80), settings=SelfTraining(by, **settings), **options
    )
    return run, found


def test_nothing_is_learnt_unless_it_is_asked_for(data, teacher):
    run, found = learn(data, {"probe": teacher}, "none", build=None)
    assert (run.keys, found) == ({}, {"probe": teacher})


@pytest.fixture
def asked(monkeypatch):
    """What a training would have learnt from, which is not done."""
    found = []

    def train(model, batches, **options):
        found.append((model, list(batches.as_numpy_iterator()), options))
        return fitting.Trained(None, History("", {}))

    monkeypatch.setattr(seeded, "train", train)
    return found


def test_pseudo_labels_are_the_classes_that_the_best_is_sure_of(data, teacher, asked):
    small = Schedule(1, batch_size=10)
    wrong = keras.models.clone_model(teacher)
    wrong.set_weights([-one for one in teacher.get_weights()])
    hidden = dataclasses.replace(split("train", 80), labels=np.zeros(80, "int32"))  # nobody looks at them
    build = functools.partial(keras.models.clone_model, teacher)
    models = {"probe_alone": teacher, "probe": wrong, "fine_tuned": [wrong, teacher]}
    run, found = learn(data, models, "pseudo_labels", build=build, unlabelled=hidden, schedule=small, threshold=0.9)
    assert list(found) == [*models, "self_trained"]
    assert "key of fine_tuned_1" in run.keys["self_trained"]
    ((begun, batches, options),) = asked
    for one, other in zip(begun().get_weights(), teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    inputs, labels = (np.concatenate([batch[place] for batch in batches]) for place in (0, 1))
    assert len(inputs) == 100  # 80, and the 8 with labels until they are a fifth of all
    np.testing.assert_array_equal(labels, inputs.mean((1, 2, 3)) > 110)
    assert options["keep"] == "last"


def test_a_noisy_student_learns_soft_answers_and_begins_anew(data, teacher, asked):
    fresh = functools.partial(keras.models.clone_model, teacher)
    learn(data, {"probe": teacher}, "noisy_student", build=fresh, schedule=Schedule(1, batch_size=10))
    ((begun, batches, options),) = asked
    assert begun is fresh
    answers = batches[0][1][1]
    assert answers.shape == (10, 2)
    every = np.concatenate([batch[1][1] for batch in batches])
    labelled = np.abs(every[:, 0] - every[:, 1]) == 20
    assert (len(every), labelled.sum()) == (100, 20)
    np.testing.assert_allclose(toy.softmax(every).mean(0), 0.5, atol=0.01)  # as many of either class
    assert options["metrics"] == []


def test_fixmatch_goes_on_from_the_best_and_keeps_the_average(data, net):
    before = [weight.copy() for weight in net.get_weights()]
    build = functools.partial(keras.models.clone_model, net)
    small = {"schedule": Schedule(1, batch_size=50), "threshold": 0.0, "decay": 0.5}
    _, found = learn(data, {"probe": net}, "fixmatch", build=build, **small)
    made = found["self_trained"].model
    assert made.output_shape == (None, 2)
    assert [layer.name for layer in made.layers] == [layer.name for layer in net.layers]  # no views before it
    for old, one in zip(before, net.get_weights(), strict=True):
        np.testing.assert_array_equal(old, one)
    assert any(np.abs(old - new).max() > 1e-6 for old, new in zip(before, made.get_weights(), strict=True))
    assert "sure" in " ".join(found["self_trained"].curves.values)
