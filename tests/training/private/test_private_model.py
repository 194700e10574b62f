"""A private step beside one worked out example by example, its noise, its account, and exact resume."""

from __future__ import annotations

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from toy import DIRECTIONS, At, Killed, quiet, small_model

from kerastl.data import pipeline
from kerastl.inputs.numbers import Numbers
from kerastl.runs.checkpoints import Workspace
from kerastl.tasks.regression import Regression
from kerastl.training import seeded
from kerastl.training.private import accountant, guarantee, private_model
from kerastl.training.private.guarantee import Mechanism, Privacy
from kerastl.training.private.private_model import Private
from kerastl.types import Schedule, Split, Task

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
SILENT = Mechanism(noise_multiplier=1e-7, clip=1.2, sampling_rate=0.25, lot=16, delta=1e-3)
descent = functools.partial(keras.optimizers.SGD, 1.0)


def compiled(model: keras.Model, mechanism: Mechanism, *, seed: int = 0) -> Private:
    found = Private(model, mechanism, seed=seed)
    found.compile(descent(), LOSS, metrics=["accuracy"], jit_compile=False)
    return found


@pytest.mark.parametrize("count", [21, 0])
def test_a_step_is_the_sum_of_clipped_gradients_over_the_expected_number(examples, count):
    """Of 21 examples where 16 were expected, and of none; a batch is filled up to 32, which nobody sees."""
    inputs, labels = examples[0][:count], examples[1][:count]
    model, alone = small_model(), small_model()
    total = [np.zeros(one.shape) for one in alone.trainable_variables]
    clipped = 0
    for row in range(count):
        with tf.GradientTape() as tape:
            loss = LOSS(labels[row : row + 1], alone(inputs[row : row + 1]))
        found = [np.asarray(one) for one in tape.gradient(loss, [one.value for one in alone.trainable_variables])]
        length = np.sqrt(sum((one**2).sum() for one in found))
        clipped += length > SILENT.clip
        for sum_, one in zip(total, found, strict=True):
            sum_ += one * min(1, SILENT.clip / length)
    assert 0 < clipped < count or not count
    logs = compiled(model, SILENT).train_on_batch(tf.constant(inputs), tf.constant(labels), return_dict=True)
    assert set(logs) == {"epsilon"}, "a loss of training examples is an answer without noise"
    for one, before, sum_ in zip(model.get_weights(), alone.get_weights(), total, strict=True):
        np.testing.assert_allclose(one, before - sum_ / 16, atol=1e-6)


def test_noise_has_the_deviation_that_was_counted_and_a_seed_of_its_own_each_step():
    given = keras.Input((40,))
    model = keras.Model(given, keras.layers.Dense(50)(given))
    mechanism = Mechanism(noise_multiplier=3.0, clip=0.2, sampling_rate=0.25, lot=16, delta=1e-3)
    nothing = np.zeros((0, 40), "float32"), np.zeros((0,), "int32")
    private, noises = compiled(model, mechanism), []
    for _ in range(20):
        before = [one.copy() for one in model.get_weights()]
        private.train_on_batch(tf.constant(nothing[0]), tf.constant(nothing[1]))
        noises.append([16 * (one - new) for one, new in zip(before, model.get_weights(), strict=True)])
    kernels = np.stack([one[0].ravel() for one in noises])
    every = np.concatenate([kernels.ravel(), *(one[1] for one in noises)])
    assert every.std() == pytest.approx(3.0 * 0.2, rel=0.01)  # of 41,000 numbers: three standard errors
    assert abs(every.mean()) < 4 * 0.6 / np.sqrt(every.size)
    between = np.corrcoef(kernels)
    assert np.abs(between[~np.eye(20, dtype=bool)]).max() < 0.1, "no step's noise is another's"
    assert abs(np.corrcoef(kernels[0, :50], noises[0][1])[0, 1]) < 0.5, "nor another weight's"
    again = compiled(keras.models.clone_model(model), mechanism)
    start = [one.copy() for one in again.student.get_weights()]
    again.train_on_batch(*map(tf.constant, nothing))
    np.testing.assert_allclose(16 * (start[0] - again.student.get_weights()[0]), noises[0][0], atol=1e-5)


def split_of(examples) -> Split:
    return Split("train", examples[0], examples[1], DIRECTIONS)


SCHEDULE = Schedule(epochs=4, batch_size=16, peak_learning_rate=0.5)


def trained(examples, folder, *, stop: int = 0, seed: int | None = 7) -> tuple[Private, dict]:
    workspace = Workspace("private", folder=folder, logs=folder / "logs", every_seconds=0)
    privacy = Privacy(epsilon=3.0, delta=1e-3, clip=0.5, noise_seed=seed)
    secret = guarantee.secret(privacy, workspace)
    batches = pipeline.poisson_batches(split_of(examples), schedule=SCHEDULE, seed=secret)
    mechanism = guarantee.mechanism(privacy, examples=64, schedule=SCHEDULE)
    model = Private(small_model(), mechanism, seed=secret)
    watchers = [At(stop)] if stop else [At(-1)]
    options = {"optimizer": keras.optimizers.SGD, "callbacks": watchers, "workspace": workspace, "keep": "last"}
    curves = quiet(model, batches, schedule=SCHEDULE, validation=split_of(examples), **options)
    return model, dict(curves.values)


def test_a_training_that_goes_on_spends_no_more_and_answers_nothing_anew(examples, tmp_path):
    """Killed within an epoch; the secret is the operating system's, and comes back with the checkpoints."""
    with pytest.raises(Killed):
        trained(examples, tmp_path / "parts", stop=6, seed=None)
    resumed, curves = trained(examples, tmp_path / "parts", seed=None)
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole" / "secret.txt").write_text((tmp_path / "parts" / "secret.txt").read_text())
    whole, expected = trained(examples, tmp_path / "whole", seed=None)
    assert int((tmp_path / "parts" / "secret.txt").read_text()) > 2**40
    assert resumed.steps == whole.steps == 16
    assert resumed.epsilon == whole.epsilon == pytest.approx(whole.mechanism.epsilon(16), rel=1e-12)
    assert 2.99 < whole.epsilon <= 3.0
    assert curves == expected
    assert set(curves) == {"epsilon", "val_loss", "val_accuracy"}
    np.testing.assert_allclose(curves["epsilon"], [whole.mechanism.epsilon(n) for n in (4, 8, 12, 16)], rtol=1e-5)
    for one, other in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_training_under_a_mechanism_gives_back_the_model_alone(examples):
    batches = pipeline.poisson_batches(split_of(examples), schedule=SCHEDULE, seed=1)
    mechanism = guarantee.mechanism(Privacy(delta=1e-3), examples=64, schedule=SCHEDULE)
    under = private_model.under(mechanism, batches, seed=1)
    found = seeded.train(small_model, batches, seed=0, under=under, keep="last", progress=False)
    assert not isinstance(found.model, Private)
    assert len(found.model.non_trainable_variables) == 0


def test_a_number_is_learnt_privately_too():
    """A loss of another kind: the squared error of one number."""
    rows = np.random.default_rng(0).normal(size=(64, 3)).astype("float32")
    labels = (rows @ [[0.5], [1.0], [-0.5]]).astype("float32")
    task = Task("number", Numbers((3,)), Regression(("y",), (0.0,), (1.0,)))
    batches = pipeline.poisson_batches(Split("train", rows, labels, task), schedule=SCHEDULE, seed=1)
    given = keras.Input((3,))
    model = keras.Model(given, keras.layers.Dense(1, kernel_initializer="zeros")(given))
    mechanism = Mechanism(1e-6, clip=10.0, sampling_rate=0.25, lot=16, delta=1e-3)
    quiet(Private(model, mechanism, seed=0), batches, task=None, schedule=SCHEDULE, optimizer=keras.optimizers.SGD)
    np.testing.assert_allclose(model.get_weights()[0].ravel(), [0.5, 1, -0.5], atol=0.15)


def test_what_would_break_the_guarantee_is_refused(examples):
    inputs, labels = map(tf.constant, examples)
    with pytest.raises(ValueError, match="Weights of examples"):
        compiled(small_model(), SILENT).train_on_batch(inputs, labels, sample_weight=tf.ones(len(labels)))
    given = keras.Input((4,))
    model = keras.Model(given, keras.layers.Dense(3, kernel_regularizer="l2")(given))
    with pytest.raises(ValueError, match="without regularizers"):
        compiled(model, SILENT).train_on_batch(inputs, labels)
    several = keras.Model(given, [keras.layers.Dense(3)(given), keras.layers.Dense(3)(given)])
    with pytest.raises(ValueError, match="one output"):
        Private(several, SILENT, seed=0)
    half = keras.Model(given, keras.layers.Dense(3, dtype="mixed_bfloat16")(given))
    with pytest.raises(ValueError, match="float32"):
        Private(half, SILENT, seed=0)


def test_epsilon_of_the_graph_is_the_accountants():
    private = compiled(small_model(), SILENT)
    for cost in (0.0, 1e-12, 0.3, 40.0):
        spent = np.full(len(accountant.ORDERS), cost)
        private._spent.assign(spent)
        assert float(private._epsilon()) == pytest.approx(accountant.epsilon_of(spent, delta=1e-3), rel=1e-6, abs=1e-7)
