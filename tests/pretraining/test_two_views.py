"""Training on two views of toy vectors: half of their numbers tell four classes apart, the other half is noise."""

from __future__ import annotations

import contextlib
import functools
import os
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastl.data import pipeline
from kerastl.distil import schedules
from kerastl.inputs.numbers import Numbers
from kerastl.pretraining import barlow_twins, byol, collapse, dino, probe, simclr, two_views, vicreg
from kerastl.runs.checkpoints import Workspace
from kerastl.tasks.single_label import SingleLabel
from kerastl.training import fitting
from kerastl.types import Schedule, Split, Task

WIDTH = 16
SCHEDULE = Schedule(epochs=16, batch_size=64, peak_learning_rate=5e-3)
TASK = Task("toy", Numbers((16,)), SingleLabel(("a", "b", "c", "d")))


def examples(number=256, seed=0):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 4, number).astype("int32")
    means = np.random.default_rng(9).normal(size=(4, 8))
    signal_part = means[labels] + 0.3 * generator.normal(size=(number, 8))
    return np.concatenate([signal_part, 3 * generator.normal(size=(number, 8))], 1).astype("float32"), labels


class Redraw(keras.layers.Layer):
    """Another view: what tells classes apart moves a little, the rest is drawn anew."""

    def __init__(self):
        super().__init__()
        self.seeds = keras.random.SeedGenerator(0)

    def call(self, inputs, training=None):
        noise = keras.random.normal(keras.ops.shape(inputs), seed=self.seeds)
        return keras.ops.concatenate([inputs[:, :8] + 0.1 * noise[:, :8], 3 * noise[:, 8:]], 1)


def network(objective, *, seed=0, augment=None, predicts=False, **options):
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    encoder = keras.Sequential([keras.Input((16,)), layers.Dense(32, activation="relu"), layers.Dense(16)])
    projector = keras.Sequential([keras.Input((16,)), layers.Dense(32, activation="relu"), layers.Dense(WIDTH)])
    if predicts:
        options["predictor"] = byol.predictor(WIDTH, hidden=32)
    return two_views.TwoViews(encoder, projector=projector, augment=augment or Redraw(), objective=objective, **options)


def train(model, data=None, **options):
    if data is None:
        data = tf.data.Dataset.from_tensor_slices(examples()[0]).shuffle(256, seed=0).batch(64)
    options = {"schedule": SCHEDULE, "keep": "last", **options}
    return fitting.fit(model, data, progress=False, **options)


def guarded(model, **options):
    embed = model.embed
    if model.center is not None:

        def embed(inputs):
            return dino.probabilities(model.embed(inputs), center=model.center.value)

    return collapse.CollapseGuard(examples()[0], embed=embed, every=10, after=40, **options)


def score(model):
    (inputs, labels), (others, actual) = examples(), examples(seed=1)
    known, found = (np.asarray(model(some)) for some in (inputs, others))
    return probe.nearest_neighbour_accuracy(found, actual, known=known, labels=labels, neighbours=20)


SETTINGS = {
    "simclr": (simclr.loss, {}, {}),
    "barlow_twins": (barlow_twins.loss, {}, {}),
    "vicreg": (vicreg.loss, {}, {"deviation": 0.1}),
    "byol": (byol.loss, {"target_decay": 0.9, "predicts": True}, {}),
    "dino": (dino.loss, {"target_decay": schedules.cosine(0.9, 1.0, steps=80), "center_momentum": 0.9}, {}),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_the_loss_falls_features_learn_and_nothing_collapses(name):
    objective, options, limits = SETTINGS[name]
    model = network(objective, **options)
    before = score(model)
    guard = guarded(model, limits=collapse.Limits(**limits))
    curves = train(model, callbacks=[guard])
    losses = curves.values["loss"]
    print(name, before, score(model), losses[0], losses[-1], guard.spread, guard.rank)
    assert losses[-1] < 0.85 * max(losses[:5])
    assert score(model) > max(before, 0.7)  # chance is 0.25
    assert guard.get_state() == {"steps": 64, "collapsed": 0}


def attraction(first, second):
    return byol.loss(first, second)


MADE = {
    "views that attract one another alone": (attraction, {}, {}),
    "no variance": (functools.partial(vicreg.loss, variance_weight=0.0), {}, {"deviation": 0.1}),
    "no centre": (lambda one, other: dino.loss(one, other, center=tf.zeros(WIDTH)), {"target_decay": 0.9}, {}),
}


@pytest.mark.parametrize("name", MADE)
def test_a_run_that_is_made_to_collapse_is_stopped(name):
    objective, options, limits = MADE[name]
    model = network(objective, **options)
    guard = guarded(model, limits=collapse.Limits(**limits))
    if name == "no centre":
        guard._embed = lambda inputs: dino.probabilities(model.embed(inputs), center=tf.zeros(WIDTH))
    with pytest.raises(collapse.CollapseError, match="complete collapse"):
        train(model, schedule=Schedule(epochs=75, batch_size=64, peak_learning_rate=5e-3), callbacks=[guard])
    print(name, guard.get_state(), guard.spread, guard.rank)
    assert guard.get_state()["steps"] < 300


def test_two_different_views_go_in_and_the_target_follows():
    seen = []

    def remember(one, other):
        seen.append((one, other))
        return byol.loss(one, other)

    model = network(remember, target_decay=0.75, predicts=True)
    old = [np.array(weight) for weight in model._target_encoder.get_weights()]
    model.compile(keras.optimizers.SGD(1.0), run_eagerly=True)
    for start, weight in zip(old, model.encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(start, weight)
    model.train_on_batch(examples(32)[0])
    new = zip(old, model._target_encoder.get_weights(), model.encoder.get_weights(), strict=True)
    moved = 0
    for start, target, online in new:
        np.testing.assert_allclose(target, 0.75 * start + 0.25 * online, atol=1e-6)
        moved += np.abs(online - start).max() > 0
    assert moved == 4
    assert len(seen) == 2
    assert not np.allclose(seen[0][0], seen[1][0])  # predictions of one view and of the other
    assert not np.allclose(seen[0][1], seen[1][1])
    assert not {id(one) for one in model.trainable_variables} & {id(one) for one in model._target_encoder.variables}


def test_the_centre_is_the_targets_mean():
    model = network(dino.loss, target_decay=0.5, center_momentum=0.75, augment=lambda inputs: inputs + 0.0)
    model.compile("sgd")
    inputs = examples(32)[0]
    embeddings = np.asarray(model.embed(inputs))  # which the target has too, at the start
    model.train_on_batch(inputs)
    np.testing.assert_allclose(model.center, 0.25 * embeddings.mean(0), atol=1e-5)


def test_a_run_that_was_stopped_ends_with_the_same_weights(tmp_path):
    """Target, centre and the random state of views among them."""
    objective, options, _ = SETTINGS["dino"]
    inputs, labels = examples(64)
    split = Split("train", inputs, labels, TASK)

    class Ask(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 2 and asked:
                os.kill(os.getpid(), signal.SIGINT)

    weights = []
    for folder, endings in (("whole", [False]), ("stopped", [True, False])):
        for asked in endings:
            model = network(objective, **options)
            data = pipeline.batches(split, batch_size=16, shuffle=True)
            workspace = Workspace("views", folder=tmp_path / folder, logs=tmp_path / "logs")
            short = Schedule(epochs=2, batch_size=16)
            callbacks = [guarded(model), Ask()]
            with pytest.raises(KeyboardInterrupt) if asked else contextlib.nullcontext():
                train(model, data, schedule=short, workspace=workspace, callbacks=callbacks)
        assert callbacks[0].get_state()["steps"] == 8
        weights.append([np.asarray(variable) for variable in model.variables])
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_labels_are_not_looked_at_and_the_encoder_is_what_is_saved(tmp_path):
    inputs, labels = examples(64)
    found = []
    for given in (labels, labels[::-1].copy()):
        model = network(simclr.loss)
        short = Schedule(epochs=1, batch_size=32)
        curves = train(model, Split("train", inputs, given, TASK), schedule=short)
        assert set(curves.values) == {"loss"}
        found.append(model.encoder.get_weights())
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)
    model.save(tmp_path / "encoder.keras")
    again = keras.saving.load_model(tmp_path / "encoder.keras")
    np.testing.assert_array_equal(again(inputs), model(inputs))
    for options in ({"loss": keras.losses.MeanSquaredError()}, {"metrics": []}, {"class_weight": {0: 1.0}}):
        with pytest.raises(ValueError, match=f"objective of its own.*Received: {next(iter(options))}="):
            train(model, Split("train", inputs, labels, TASK), **options)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"wanted target_decay= beside them"):
        network(byol.loss, predicts=True)
    with pytest.raises(ValueError, match=r"wanted target_decay= beside them"):
        network(dino.loss, center_momentum=0.9)
    for decay in (1.5, -0.1, schedules.cosine(0.9, 1.1, steps=5)):
        with pytest.raises(ValueError, match=r"in 0\.\.1"):
            network(byol.loss, target_decay=decay)
    with pytest.raises(ValueError, match="center_momentum=1"):
        network(dino.loss, target_decay=0.9, center_momentum=1.0)
    with pytest.raises(ValueError, match=r"Wanted a predictor from embeddings to embeddings, \(None, 16\)"):
        network(byol.loss, target_decay=0.9, predictor=byol.predictor(8, hidden=4))
    image = keras.Input((4, 4, 1))
    maps = keras.Model(image, keras.layers.Conv2D(16, 3)(image))
    options = {"projector": byol.predictor(16, hidden=4), "augment": Redraw(), "objective": simclr.loss}
    with pytest.raises(ValueError, match=r"pooled.*Received: an encoder to \(None, 2, 2, 16\)"):
        two_views.TwoViews(maps, **options)
    with pytest.raises(ValueError, match="says the shape"):
        two_views.TwoViews(keras.Model(), **options)
