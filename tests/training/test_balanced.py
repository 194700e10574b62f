"""A model under a rule: steps worked out by hand, exact resume, and what the curves say."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from toy import Stop

from kerastl.inputs.numbers import Numbers
from kerastl.models import heads
from kerastl.runs import checkpoints
from kerastl.tasks.multi_task import MultiTask
from kerastl.tasks.regression import Regression
from kerastl.tasks.single_label import SingleLabel
from kerastl.training import balanced, fitting, seeded
from kerastl.training.balancing.dwa import DynamicWeightAverage
from kerastl.training.balancing.famo import FAMO
from kerastl.training.balancing.fixed import FixedWeights
from kerastl.training.balancing.gradnorm import GradNorm
from kerastl.training.balancing.pcgrad import PCGrad
from kerastl.training.balancing.uncertainty import Uncertainty
from kerastl.types import Schedule, Split, Task

DRAW = np.random.default_rng(0)
ROWS = DRAW.normal(size=(64, 3)).astype("float32")
LABELS = {
    "one": (ROWS @ [[1.0], [2], [-1]]).astype("float32"),
    "other": (ROWS @ [[-2.0], [1], [1]]).astype("float32"),
}
NUMBER = Regression(("y",), (0.0,), (1.0,))
"""The other pulls the trunk the other way."""


def linear(trunk: np.ndarray) -> keras.Model:
    """A shared number of the inputs, and a factor a task."""
    given = keras.Input((3,), name="row")
    shared = keras.layers.Dense(1, use_bias=False, name="trunk")(given)
    ends = {name: keras.layers.Dense(1, use_bias=False, name=f"head_{name}")(shared) for name in ("other", "one")}
    model = keras.Model(given, ends)
    model.get_layer("trunk").set_weights([trunk])
    model.get_layer("head_one").set_weights([np.array([[1.5]])])
    model.get_layer("head_other").set_weights([np.array([[0.5]])])
    return model


def by_hand(trunk: np.ndarray, rows: slice = slice(None)) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Losses, gradients of the trunk and of each head, in the order of the names, in float64."""
    losses, of_trunk, of_heads = [], [], []
    for name, factor in (("one", 1.5), ("other", 0.5)):
        x = ROWS[rows].astype("float64")
        gap = factor * (x @ trunk) - LABELS[name][rows]
        losses.append((gap**2).mean())
        of_trunk.append((2 * gap * factor * x).mean(0))
        of_heads.append((2 * gap * (x @ trunk)).mean())
    return np.array(losses), np.stack(of_trunk), np.array(of_heads)


TRUNK = np.array([[0.3], [-0.2], [0.5]])


def one_step(rule) -> tuple[dict, keras.Model, balanced.Balanced]:
    model = linear(TRUNK)
    trained = balanced.Balanced(model, rule)
    losses = MultiTask((("one", NUMBER), ("other", NUMBER))).loss()
    trained.compile(optimizer=keras.optimizers.SGD(0.1), loss=losses, run_eagerly=True)
    return trained.train_on_batch(ROWS, LABELS, return_dict=True), model, trained


def test_a_batch_in_which_a_task_has_no_label_says_nothing_of_conflict():
    trained = balanced.Balanced(linear(TRUNK), FixedWeights())
    losses = MultiTask((("one", NUMBER), ("other", NUMBER))).loss()
    trained.compile(optimizer=keras.optimizers.SGD(0.0), loss=losses, run_eagerly=True)
    lacking = {"one": LABELS["one"], "other": np.full_like(LABELS["other"], np.nan)}
    alone = trained.train_on_batch(ROWS, LABELS, return_dict=True)["one_other_cosine"]
    three = {name: np.concatenate([LABELS[name], lacking[name], lacking[name]]) for name in LABELS}
    history = trained.fit(np.tile(ROWS, (3, 1)), three, batch_size=len(ROWS), shuffle=False, verbose=0).history
    logs = {name: values[0] for name, values in history.items()}
    assert logs["one_other_cosine"] == pytest.approx(float(alone), rel=1e-6)
    assert logs["one_weight"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (FixedWeights({"other": 3.0}), [1.0, 3.0]),
        (Uncertainty(squared=("one", "other")), [0.5, 0.5]),
        (GradNorm(), [1.0, 1.0]),
        (DynamicWeightAverage(steps=1), [1.0, 1.0]),
        (FAMO(), None),
    ],
    ids=["fixed", "uncertainty", "gradnorm", "dwa", "famo"],
)
def test_a_step_goes_by_the_weights(rule, expected):
    losses, of_trunk, of_heads = by_hand(TRUNK)
    if expected is None:  # as `weights` begins, with equal shares
        expected = (1 / losses) / (1 / losses).sum()
    logs, model, trained = one_step(rule)
    found = {name: model.get_layer(name).get_weights()[0] for name in ("trunk", "head_one", "head_other")}
    np.testing.assert_allclose(found["trunk"][:, 0], TRUNK[:, 0] - 0.1 * (expected @ of_trunk), atol=1e-5)
    for place, (name, factor) in enumerate((("one", 1.5), ("other", 0.5))):
        wanted = factor - 0.1 * expected[place] * of_heads[place]
        assert float(found[f"head_{name}"][0, 0]) == pytest.approx(wanted, abs=1e-5)
    assert logs["loss"] == pytest.approx(losses.sum(), rel=1e-5), "without any weight"
    assert [logs["one_loss"], logs["other_loss"]] == pytest.approx(losses, rel=1e-5)
    assert [logs["one_weight"], logs["other_weight"]] == pytest.approx(expected, rel=1e-5)
    cosine = of_trunk[0] @ of_trunk[1] / np.linalg.norm(of_trunk[0]) / np.linalg.norm(of_trunk[1])
    assert logs["one_other_cosine"] == pytest.approx(cosine, abs=1e-5)
    assert cosine < 0
    assert trained.student is model


def test_surgery_is_done_on_the_trunk_alone():
    _, (first, second), of_heads = by_hand(TRUNK)
    against = first @ second
    assert against < 0
    wanted = first - against / (second @ second) * second + second - against / (first @ first) * first
    _, model, _ = one_step(PCGrad())
    np.testing.assert_allclose(model.get_layer("trunk").get_weights()[0][:, 0], TRUNK[:, 0] - 0.1 * wanted, atol=1e-5)
    assert model.get_layer("head_one").get_weights()[0][0, 0] == pytest.approx(1.5 - 0.1 * of_heads[0], abs=1e-5)


def test_what_a_rule_remembers_is_seen_by_the_next_step():
    """FAMO after a step: the losses of the same batch before and after it."""
    losses, _, _ = by_hand(TRUNK)
    _, model, trained = one_step(FAMO(learning_rate=0.5, decay=0.0))
    after = [((model(ROWS)[name].numpy().astype("float64") - LABELS[name]) ** 2).mean() for name in ("one", "other")]
    fallen = np.log(losses) - np.log(after)
    slope = 0.5 * (fallen - 0.5 * fallen.sum())
    held = {one.name: one.numpy() for one in trained.non_trainable_variables}
    np.testing.assert_allclose(held["balancing_logits"], -0.5 * slope, atol=1e-5)


def test_models_that_share_nothing_and_models_of_one_output_are_refused():
    given = keras.Input((3,))
    with pytest.raises(ValueError, match="which has one"):
        balanced.Balanced(keras.Model(given, keras.layers.Dense(1)(given)), FixedWeights())
    apart = keras.Model(given, {name: keras.layers.Dense(1)(given) for name in ("one", "other")})
    trained = balanced.Balanced(apart, FixedWeights())
    losses = MultiTask((("one", NUMBER), ("other", NUMBER))).loss()
    trained.compile(optimizer="sgd", loss=losses, run_eagerly=True)
    with pytest.raises(ValueError, match="weights that tasks share"):
        trained.train_on_batch(ROWS, LABELS)
    with pytest.raises(ValueError, match="for the tasks one, other"):
        balanced.Balanced(apart, FixedWeights({"third": 1.0}))


def test_a_training_under_a_rule_is_resumed_to_the_last_bit(tmp_path):
    """By `train`, with partial labels, batch normalization, and a rule that remembers; the model comes back."""
    side = np.where(ROWS[:, 0] > 0, 1, 0).astype("int32")
    side[::3] = -1
    target = MultiTask((("side", SingleLabel(("a", "b"))), ("number", NUMBER)))
    task = Task("toy", Numbers((3,)), target)
    split = Split("train", ROWS, {"side": side, "number": LABELS["one"]}, task)

    def build():
        given = keras.Input((3,), name="row")
        x = keras.layers.Dense(4, name="hidden", kernel_regularizer="l2")(given)
        x = keras.layers.BatchNormalization(name="norm")(x)
        return keras.Model(given, heads.outputs(keras.layers.ReLU(name="relu")(x), task))

    def trained(folder, *, stop=0):
        place = checkpoints.Workspace("net", folder=folder / "work", logs=folder / "logs")
        schedule = Schedule(epochs=4, batch_size=16, peak_learning_rate=0.05)
        under = balanced.under(FAMO(learning_rate=0.5))
        options = {"validation": split, "progress": False, "workspace": place, "schedule": schedule}
        return seeded.train(build, split, seed=0, under=under, callbacks=[Stop(at=stop)], **options)

    whole = trained(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "interrupted", stop=6)
    resumed = trained(tmp_path / "interrupted")
    assert not isinstance(whole.model, balanced.Balanced)
    for one, other in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    curves = whole.curves.values
    assert set(curves) == {
        "loss", "side_loss", "number_loss", "side_weight", "number_weight", "number_side_cosine",
        "val_loss", "val_side_loss", "val_number_loss",
    }  # fmt: skip
    assert curves["loss"][-1] < curves["loss"][0]
    assert curves["side_weight"][-1] != curves["side_weight"][0]
    before, after = (
        target.score(fitting.predict(one, ROWS, task=task), split.labels) for one in (build(), whole.model)
    )
    assert after.value > before.value
