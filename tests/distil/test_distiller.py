"""The distiller against gradients worked out by hand, and its promises about the caller's objects."""

import contextlib
import dataclasses
import functools
import os
import signal
from typing import Any

import keras
import numpy as np
import pytest
from toy import DIRECTIONS, compiled, softmax

from kerastl import types
from kerastl.data import pipeline
from kerastl.distil import losses, teachers
from kerastl.distil.distiller import Distiller, under_cached_logits, under_logits, under_tasks
from kerastl.distil.terms import LabelLoss, LogitLoss
from kerastl.inputs.numbers import Numbers
from kerastl.runs import checkpoints
from kerastl.tasks.multi_task import MultiTask
from kerastl.tasks.regression import Regression
from kerastl.tasks.single_label import SingleLabel
from kerastl.training import fitting

DIRECTIONS_OF_FOUR = types.Task("toy", Numbers((4,)), SingleLabel(("a", "b", "c")))
KULLBACK_LEIBLER = functools.partial(losses.kl_divergence, temperature=2.0)


class CountingDense(keras.layers.Dense):
    """Counts how often it is called while a step is traced."""

    calls = 0

    def call(self, inputs, training=None):
        type(self).calls += 1
        return super().call(inputs)


def dense_model(seed, units=3, layer=keras.layers.Dense):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((4,), name="image")
    return keras.Model(inputs, layer(units, name="logits")(inputs))


@pytest.fixture
def batch():
    generator = np.random.default_rng(0)
    return generator.normal(size=(8, 4)).astype("float32"), generator.integers(0, 3, 8).astype("int32")


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_one_step_follows_the_gradient_of_the_blend(batch, weight, weighted):
    inputs, labels = batch
    sample_weight = np.linspace(0, 2, 8).astype("float32") if weighted else None
    student, teacher = dense_model(1), dense_model(2)
    kernel, bias = (v.numpy().astype(np.float64) for v in student.weights)
    distiller = compiled(Distiller(student=student, teacher=teacher, loss=KULLBACK_LEIBLER, weight=weight))
    distiller.train_on_batch(inputs, labels, sample_weight=sample_weight)

    logits, teacher_logits = inputs @ kernel + bias, inputs @ teacher.weights[0].numpy() + teacher.weights[1].numpy()
    # d/dz T^2 KL = T (softmax(z/T) - softmax(t/T)); d/dz cross-entropy = softmax(z) - one_hot
    soft = 2.0 * (softmax(logits, 2.0) - softmax(teacher_logits, 2.0))
    hard = softmax(logits) - np.eye(3)[labels]
    gradient = (weight * soft + (1 - weight) * hard) / len(inputs)
    if weighted:
        gradient *= sample_weight[:, None]
    np.testing.assert_allclose(student.weights[0].numpy(), kernel - inputs.T @ gradient, atol=1e-5)
    np.testing.assert_allclose(student.weights[1].numpy(), bias - gradient.sum(0), atol=1e-5)


def test_weights_of_classes_reach_a_student_under_stored_answers(batch):
    """By one step of `fit`: as those of a student that is trained on the weights of the examples themselves."""
    inputs, labels = batch
    weights = {0: 4.0, 1: 1.0, 2: 0.25}
    split = types.Split("train", inputs, labels, DIRECTIONS_OF_FOUR)
    answers = np.random.default_rng(1).normal(size=(8, 3)).astype("float32")
    schedule = types.Schedule(1, batch_size=8, peak_learning_rate=0.1, warmup_fraction=0.0)
    plain, weighted, expected = (dense_model(1) for _ in range(3))
    under = under_logits(None, temperature=2.0, weight=0.5)
    for model, options in ((plain, {}), (weighted, {"class_weight": weights})):
        batches = pipeline.batches(split, batch_size=8, answers=answers)
        fitting.fit(under(model), batches, schedule=schedule, optimizer=sgd, progress=False, **options)
    shares = np.array([weights[label] for label in labels.tolist()], "float32")
    distiller = compiled(under(expected), 0.1)
    distiller.train_on_batch(inputs, (labels, answers), sample_weight=shares)
    np.testing.assert_allclose(weighted.get_weights()[0], expected.get_weights()[0], atol=1e-5)
    assert not np.allclose(weighted.get_weights()[0], plain.get_weights()[0], atol=1e-3)


def sgd(rate, *, weight_decay):
    return keras.optimizers.SGD(rate)


def after_ten_steps(distiller, student, batch):
    """What training makes of a student's weights."""
    compiled(distiller, 0.1)
    for _ in range(10):
        distiller.train_on_batch(*batch)
    return [value.numpy() for value in student.weights]


@pytest.mark.parametrize("put_right", [True, False], ids=["put right", "by the loss's name"])
def test_keras_own_is_the_same_calculation_once_it_is_put_right(batch, put_right):
    """With an instance of the divergence, which takes a softmax and T squared: with its name it does neither."""
    loss = functools.partial(losses.kl_divergence, temperature=3.0)
    start, student, other = (dense_model(1) for _ in range(3))
    ours = after_ten_steps(Distiller(student=student, teacher=dense_model(2), loss=loss, weight=0.5), student, batch)
    divergence = keras.losses.KLDivergence() if put_right else "kl_divergence"
    theirs = keras.distillation.Distiller(
        teacher=dense_model(2),
        student=other,
        distillation_losses=keras.distillation.LogitsDistillation(temperature=3.0, loss=divergence),
        student_loss_weight=0.5,
    )
    found = after_ten_steps(theirs, other, batch)
    apart = max(np.abs(one - two).max() for one, two in zip(ours, found, strict=True))
    learnt = max(np.abs(one - two.numpy()).max() for one, two in zip(ours, start.weights, strict=True))
    assert learnt > 0.1
    assert apart < 1e-6 if put_right else apart > 0.05


def test_a_step_runs_the_student_once(batch):
    student, teacher = dense_model(1, layer=CountingDense), dense_model(2)
    distiller = compiled(Distiller(student=student, teacher=teacher, loss=KULLBACK_LEIBLER))
    distiller.train_on_batch(*batch)
    traced = CountingDense.calls
    CountingDense.calls = 0
    student.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
    student.train_on_batch(*batch)
    # building the functional model took one call, tracing a step takes as many calls as plain Keras' own step
    assert traced - 1 == CountingDense.calls == 1


def test_the_teacher_stays_as_it_was(batch):
    teacher = dense_model(2)
    teacher.compile("sgd", "mse")
    before = [v.numpy().copy() for v in teacher.weights]
    flags = [layer.trainable for layer in teacher.layers]
    optimizer = teacher.optimizer
    distiller = compiled(Distiller(student=dense_model(1), teacher=teacher, loss=KULLBACK_LEIBLER))
    distiller.fit(*batch, epochs=2, verbose=0)
    assert all(np.array_equal(a, b.numpy()) for a, b in zip(before, teacher.weights, strict=True))
    assert flags == [layer.trainable for layer in teacher.layers]
    assert teacher.optimizer is optimizer
    teacher_paths = {id(v) for v in teacher.weights}
    assert not any(id(v) in teacher_paths for v in distiller.weights)
    assert len(distiller.trainable_variables) == 2


def test_evaluation_is_the_students(batch):
    student = dense_model(1)
    distiller = compiled(Distiller(student=student, teacher=dense_model(2), loss=KULLBACK_LEIBLER))
    logs = distiller.evaluate(*batch, return_dict=True, verbose=0)
    logits = student.predict(batch[0], verbose=0)
    assert logs["accuracy"] == pytest.approx((logits.argmax(-1) == batch[1]).mean())
    expected = -np.log(softmax(logits)[np.arange(8), batch[1]]).mean()
    assert logs["loss"] == pytest.approx(expected, abs=1e-5)


def test_the_reported_loss_is_the_blend(batch):
    student, teacher = dense_model(1), dense_model(2)
    student_logits, teacher_logits = (m.predict(batch[0], verbose=0) for m in (student, teacher))
    distiller = compiled(Distiller(student=student, teacher=teacher, loss=KULLBACK_LEIBLER, weight=0.3), 0.0)
    soft = KULLBACK_LEIBLER(teacher_logits, student_logits).numpy().mean()
    hard = -np.log(softmax(student_logits)[np.arange(8), batch[1]]).mean()
    reported = distiller.train_on_batch(*batch, return_dict=True)["loss"]
    assert reported == pytest.approx(0.3 * soft + 0.7 * hard, abs=1e-5)


def test_regularization_counts_once(batch):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((4,))
    student = keras.Model(inputs, keras.layers.Dense(3, kernel_regularizer=keras.regularizers.L2(0.1))(inputs))
    teacher = keras.models.clone_model(student)
    teacher.set_weights(student.get_weights())
    penalty = 0.1 * (student.weights[0].numpy() ** 2).sum()
    for weight in (1.0, 0.6):
        distiller = compiled(Distiller(student=student, teacher=teacher, loss=KULLBACK_LEIBLER, weight=weight), 0.0)
        hard = -np.log(softmax(student.predict(batch[0], verbose=0))[np.arange(8), batch[1]]).mean()
        reported = distiller.train_on_batch(*batch, return_dict=True)["loss"]
        assert reported == pytest.approx((1 - weight) * hard + penalty, abs=1e-5)


@pytest.mark.parametrize("weight", [-0.1, 1.1])
def test_weight_outside_its_range_is_refused(weight):
    with pytest.raises(ValueError, match="share of `loss`, from 0 to 1"):
        Distiller(student=dense_model(1), teacher=dense_model(2), loss=KULLBACK_LEIBLER, weight=weight)


def test_different_numbers_of_classes_are_refused():
    with pytest.raises(ValueError, match="same shape"):
        Distiller(student=dense_model(1), teacher=dense_model(2, units=5), loss=KULLBACK_LEIBLER)


def test_models_that_do_not_say_what_they_emit_are_refused():
    class Own(keras.Model):
        def call(self, inputs):
            return inputs

    for models in ((Own(), dense_model(1)), (Own(), None), (dense_model(1), Own())):
        with pytest.raises(ValueError, match=r"a functional or a sequential model.*a Own"):
            Distiller(student=models[0], teacher=models[1], loss=KULLBACK_LEIBLER)


@pytest.mark.parametrize("weight", [0.3, 1.0])
def test_answers_beside_the_labels_teach_like_the_teacher_itself(batch, weight):
    inputs, labels = batch
    teacher = dense_model(2)
    live, stored = dense_model(1), dense_model(1)
    compiled(Distiller(student=live, teacher=teacher, loss=KULLBACK_LEIBLER, weight=weight)).train_on_batch(
        inputs, labels
    )
    distiller = compiled(Distiller(student=stored, teacher=None, loss=KULLBACK_LEIBLER, weight=weight))
    answers = inputs @ teacher.weights[0].numpy() + teacher.weights[1].numpy()
    logs = distiller.train_on_batch(inputs, (labels, answers), return_dict=True)
    for one, other in zip(live.get_weights(), stored.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    before = dense_model(1)
    assert logs["accuracy"] == pytest.approx((before.predict(inputs, verbose=0).argmax(-1) == labels).mean())
    plain = distiller.evaluate(inputs, labels, return_dict=True, verbose=0)
    assert plain == distiller.evaluate(inputs, (labels, answers), return_dict=True, verbose=0)


@pytest.mark.parametrize("labelled", ["all", "some", "none"])
def test_a_training_on_stored_answers_goes_on_in_the_middle_of_an_epoch(tmp_path, labelled):
    """Asked to stop after six of eight steps, it ends with bitwise the weights that it would have had."""
    lesson: dict[str, Any] = {
        "all": {"loss": KULLBACK_LEIBLER, "weight": 0.5},
        "some": {"losses": {"labels": LabelLoss(0.5, ignore_label=-1), "soft": LogitLoss(KULLBACK_LEIBLER, 0.5)}},
        "none": {"loss": KULLBACK_LEIBLER, "weight": 1.0},
    }[labelled]

    class Ask(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 5 and asked:
                os.kill(os.getpid(), signal.SIGINT)

    generator = np.random.default_rng(1)
    split = types.Split(
        "train", generator.integers(0, 9, (64, 4), np.uint8), np.arange(64, dtype=np.int32) % 3, DIRECTIONS
    )
    answers = generator.normal(size=(64, 3)).astype("float32")
    there = {"all": split.labels >= 0, "some": split.labels == 1, "none": split.labels < 0}[labelled]
    seen = dataclasses.replace(split, labels=np.where(there, split.labels, -1).astype(np.int32))
    weights = []
    for folder, endings in (("whole", [False]), ("stopped", [True, False])):
        for asked in endings:
            student = dense_model(1)
            distiller = Distiller(student=student, teacher=None, **lesson)
            with pytest.raises(KeyboardInterrupt) if asked else contextlib.nullcontext():
                fitting.fit(
                    distiller,
                    pipeline.batches(seen, batch_size=8, shuffle=True, answers=answers),
                    schedule=types.Schedule(epochs=2, batch_size=8),
                    workspace=checkpoints.Workspace("lesson", folder=tmp_path / folder, logs=tmp_path / "logs"),
                    validation=pipeline.batches(split, batch_size=32),
                    callbacks=[Ask()],
                    keep="last" if labelled == "none" else "best",
                    metrics=[] if labelled == "none" else None,
                    progress=False,
                )
        weights.append(student.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_teacher_beside_stored_answers_is_refused_and_so_is_neither(batch):
    inputs, labels = batch
    with_teacher = compiled(Distiller(student=dense_model(1), teacher=dense_model(2), loss=KULLBACK_LEIBLER, weight=1))
    with pytest.raises(ValueError, match=r"stored answers that batches bring\. Received: both"):
        with_teacher.train_on_batch(inputs, (labels, np.zeros((8, 3), "float32")))
    without = compiled(Distiller(student=dense_model(1), teacher=None, loss=KULLBACK_LEIBLER, weight=1))
    with pytest.raises(ValueError, match=r"stored answers that batches bring\. Received: neither"):
        without.train_on_batch(inputs, labels)


def test_a_weight_beside_losses_is_refused():
    losses_by_name = {"soft": LogitLoss(KULLBACK_LEIBLER)}
    with pytest.raises(ValueError, match=r"weight=0\.3 beside `losses`"):
        Distiller(student=dense_model(1), teacher=dense_model(2), losses=losses_by_name, weight=0.3)


def test_examples_of_several_classes_are_refused(batch):
    inputs, labels = batch
    distiller = compiled(Distiller(student=dense_model(1), teacher=dense_model(2), loss=KULLBACK_LEIBLER))
    with pytest.raises(ValueError, match=r"one class each.*labels of shape"):
        distiller.train_on_batch(inputs, np.eye(3, dtype="int32")[labels])


def test_a_student_under_logits_is_the_distiller_of_that_divergence(batch):
    first, second = dense_model(1), dense_model(1)
    made = under_logits(dense_model(2), temperature=2.0, weight=0.4)(first)
    ours = after_ten_steps(made, first, batch)
    written = Distiller(student=second, teacher=dense_model(2), loss=KULLBACK_LEIBLER, weight=0.4)
    for one, two in zip(ours, after_ten_steps(written, second, batch), strict=True):
        np.testing.assert_array_equal(one, two)
    with pytest.raises(ValueError, match="temperature"):
        under_logits(None, temperature=0.0, weight=0.4)


def test_under_cached_logits_a_student_learns_as_under_their_teacher_and_without_any_alone(batch):
    teacher, (first, second) = dense_model(2), (dense_model(1), dense_model(1))
    logits = teacher.predict(batch[0], verbose=0)
    made = under_cached_logits(logits, temperature=2.0, weight=0.4)(first)
    ours = after_ten_steps(made, first, (batch[0], (batch[1], logits)))
    live = under_logits(teacher, temperature=2.0, weight=0.4)(second)
    for one, two in zip(ours, after_ten_steps(live, second, batch), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)
    assert under_cached_logits(None, temperature=2.0, weight=0.4) is None


def test_single_task_teachers_teach_one_student_each_its_own_task():
    """A step of plain descent, whose gradient NumPy knows, of a linear student; one example lacks each label."""
    classes, number = SingleLabel(("a", "b", "c")), Regression(("heat",), (0.0,), (2.0,))
    target: Any = MultiTask((("kind", classes), ("heat", number)))
    draw = np.random.default_rng(0)
    inputs = draw.normal(size=(6, 4)).astype("float32")
    labels = {"kind": np.array([0, 1, 2, -1, 1, 0], "int32"), "heat": draw.normal(size=(6, 1)).astype("float32")}
    labels["heat"][0] = np.nan

    def linear(seed, widths):
        keras.utils.set_random_seed(seed)
        given = keras.Input((4,))
        ends = {name: keras.layers.Dense(width, use_bias=False, name=name)(given) for name, width in widths.items()}
        return keras.Model(given, ends if len(ends) > 1 else next(iter(ends.values())))

    alone = {"kind": linear(1, {"one": 3}), "heat": linear(2, {"other": 1})}
    student = linear(3, {"kind": 3, "heat": 1})
    kernels = {name: student.get_layer(name).kernel.numpy().astype("float64") for name in ("kind", "heat")}
    under = under_tasks(teachers.one_per_task(alone), target, temperature=2.0, weight=0.75)
    trained = under(student)
    trained.compile(keras.optimizers.SGD(1.0), loss=target.loss())
    trained.train_on_batch(inputs, labels)

    said = {name: inputs @ kernels[name] for name in kernels}
    taught = {name: np.asarray(model(inputs), "float64") for name, model in alone.items()}
    soft = {"kind": 2 * (softmax(said["kind"] / 2) - softmax(taught["kind"] / 2)) / 6}  # T^2 KL of softened answers
    soft["heat"] = 2 * (said["heat"] - taught["heat"]) / 4 / 6
    known = {name: (labels["kind"] >= 0) if name == "kind" else ~np.isnan(labels["heat"][:, 0]) for name in kernels}
    hard = {"kind": (softmax(said["kind"]) - np.eye(3)[labels["kind"]]) / 5 * known["kind"][:, None]}
    hard["heat"] = 2 * np.nan_to_num(said["heat"] - labels["heat"]) / 4 / 5 * known["heat"][:, None]
    for name, kernel in kernels.items():
        gradient = inputs.T @ (0.75 * soft[name] + 0.25 * hard[name])
        np.testing.assert_allclose(student.get_layer(name).kernel, kernel - gradient, atol=2e-6)


def test_the_share_of_teachers_of_tasks_is_a_share():
    with pytest.raises(ValueError, match=r"from 0 to 1\. Received: weight=1\.5"):
        under_tasks(None, SingleLabel(("a", "b")), temperature=1.0, weight=1.5)
