"""The head that is solved for: against scikit-learn's logistic regression, on features of any size."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from kerastl.inputs.numbers import Numbers
from kerastl.tasks.multi_label import MultiLabel
from kerastl.tasks.regression import Regression
from kerastl.tasks.single_label import SingleLabel
from kerastl.training import fitting, linear_head
from kerastl.types import Split, Task

NAMES = ("a", "b", "c")
TASK = Task("toy", Numbers((5,)), SingleLabel(NAMES))
SIZES = np.array([1.0, 100.0, 1e-2, 7.0, 0.0])
MOVED = np.array([0.0, 300.0, 0.5, -2.0, 4.0])


def features(name="train", *, seed=0, count=90):
    random = np.random.default_rng(seed)
    labels = (np.arange(count) % 3).astype(np.int32)
    plain = random.normal(0, 1, (count, 5)) + 0.8 * np.eye(3, 5)[labels]
    return Split(name, (plain * SIZES + MOVED).astype(np.float32), labels, TASK)


def network(task=TASK):
    """What stands before a head does nothing here."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input(task.inputs.shape)
    pool = keras.layers.Activation("linear", name="pool")(inputs)
    return keras.Model(inputs, task.target.finish(keras.layers.Dense(task.target.outputs, name="logits")(pool)))


def standardized(split):
    rows = np.asarray(split.inputs, np.float64)
    spread = rows.std(0)
    return (rows - rows.mean(0)) / np.where(spread > 0, spread, 1)


@pytest.mark.parametrize("weights", [None, {0: 4.0, 1: 1.0, 2: 0.5}])
def test_it_is_logistic_regression_on_standardized_features(weights):
    train, (inverse,) = features(), linear_head.INVERSE_PENALTIES[1:2]
    model = network()
    found = linear_head.linear_probe(model, train, class_weight=weights)
    assert found.model is model
    theirs = LogisticRegression(C=inverse, class_weight=weights, tol=1e-8, max_iter=1000)
    expected = theirs.fit(standardized(train), train.labels).predict_proba(standardized(train))
    logits = fitting.predict(model, train.inputs).astype(np.float64)
    ours = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(ours, expected, atol=2e-3)


def test_validation_chooses_the_penalty():
    """Of labels that say little the largest penalty is the best, of those that say all the smallest."""
    chosen = {}
    for noise in (0.0, 0.6):
        random = np.random.default_rng(0)
        rows = random.normal(0, 1, (340, 40)).astype(np.float32)
        labels = (rows[:, :3]).argmax(1).astype(np.int32)
        labels = np.where(random.random(340) < noise, random.integers(0, 3, 340), labels).astype(np.int32)
        task = dataclasses.replace(TASK, inputs=Numbers((40,)))
        train, held = (Split("some", rows[part], labels[part], task) for part in (slice(40), slice(40, None)))
        scores = []
        for inverse in linear_head.INVERSE_PENALTIES:
            theirs = LogisticRegression(C=inverse, tol=1e-8, max_iter=1000).fit(standardized(train), train.labels)
            scores.append(theirs.score((held.inputs - train.inputs.mean(0)) / train.inputs.std(0), held.labels))
        model = network(task)
        linear_head.linear_probe(model, train, validation=held)
        right = (fitting.predict(model, held.inputs).argmax(1) == held.labels).mean()
        assert right == pytest.approx(max(scores), abs=0.01)
        chosen[noise] = scores
    assert max(chosen[0.0]) - min(chosen[0.0]) > 0.02, "the penalties are as good as one another"


def test_classes_of_which_an_example_may_have_several_and_numbers():
    train = features()
    several = dataclasses.replace(TASK, target=MultiLabel(NAMES))
    labels = np.eye(3, dtype=np.uint8)[train.labels]
    labels[::4] = 1
    split = dataclasses.replace(train, labels=labels, task=several)
    model = network(several)
    linear_head.linear_probe(model, split, validation=split)
    right = ((fitting.predict(model, split.inputs) > 0) == labels).mean()
    assert right > 0.6
    prices = (standardized(train) @ np.arange(5) + 7).astype(np.float32)
    target = Regression.of(prices, names=("price",))
    numbers = dataclasses.replace(train, labels=prices, task=dataclasses.replace(TASK, target=target))
    model = network(numbers.task)
    linear_head.linear_probe(model, numbers, validation=numbers)
    assert np.abs(fitting.predict(model, numbers.inputs)[:, 0] - prices).mean() < 0.2 * prices.std()
