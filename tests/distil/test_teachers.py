"""Several teachers, averages and views against NumPy; a training that goes on; two devices."""

import contextlib
import functools
import os
import signal
import subprocess
import sys
from typing import Any

import keras
import numpy as np
import pytest
from toy import DIRECTIONS, compiled

from kerastl import types
from kerastl.data import pipeline
from kerastl.distil import feature_losses, losses, schedules, teachers
from kerastl.distil.distiller import Distiller
from kerastl.distil.terms import FeatureLoss, LabelLoss, LogitLoss
from kerastl.runs import checkpoints
from kerastl.training import fitting

GENERATOR = np.random.default_rng(0)
INPUTS = GENERATOR.normal(size=(8, 4)).astype("float32")
LABELS = GENERATOR.integers(0, 3, 8).astype("int32")
KULLBACK_LEIBLER = functools.partial(losses.kl_divergence, temperature=1.0)


def dense_model(seed, *, features=4, classes=3):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((features,))
    return keras.Model(inputs, keras.layers.Dense(classes, name="answers", bias_initializer="normal")(inputs))


def normed_model(seed):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(5, name="hidden")(inputs)
    hidden = keras.layers.BatchNormalization(name="norm", momentum=0.9)(hidden)
    hidden = keras.layers.Dropout(0.3, name="dropout", seed=1)(hidden)
    return keras.Model(inputs, keras.layers.Dense(3, name="answers")(hidden))


def taught(teacher, terms, *, student=None, learning_rate=0.0):
    distiller = Distiller(student=student or dense_model(1), teacher=teacher, losses=terms)
    return compiled(distiller, learning_rate)


def softmax(logits, temperature=1.0):
    powers = np.exp(logits / temperature)
    return powers / powers.sum(-1, keepdims=True)


def logits_of(model, inputs=INPUTS):
    kernel, bias = model.get_weights()
    return inputs @ kernel + bias


def divergence(probability, answer):
    return (probability * np.log(probability / answer)).sum(-1).mean()


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_combined_answers_are_mixtures_of_probabilities(temperature):
    every = [GENERATOR.normal(size=(5, 3)).astype("float32") * size for size in (1, 4, 9)]
    found = teachers.ensemble_logits(every, combine="mean", temperature=temperature).numpy()
    expected = np.mean([softmax(one, temperature) for one in every], 0)
    np.testing.assert_allclose(softmax(found, temperature), expected, atol=1e-5)
    found = teachers.ensemble_logits(every, combine="confidence", temperature=temperature).numpy()
    shares = np.stack([softmax(one).max(-1, keepdims=True) for one in every])
    expected = (shares * np.stack([softmax(one, temperature) for one in every])).sum(0) / shares.sum(0)
    np.testing.assert_allclose(softmax(found, temperature), expected, atol=1e-5)


def test_one_answer_alone_is_left_as_it_is():
    assert teachers.ensemble_logits([INPUTS], combine="confidence") is INPUTS


def test_a_student_learns_from_several_together_and_from_one_of_them():
    first, second = dense_model(2), dense_model(3)
    distiller = taught(
        teachers.Ensemble([first, second]),
        {
            "both": LogitLoss(losses.kl_divergence, temperature=2.0),
            "second": LogitLoss(KULLBACK_LEIBLER, teacher_index=1),
            "hints": FeatureLoss(feature_losses.hint, student="answers", teacher="answers", teacher_index=1),
        },
    )
    own, one, other = (logits_of(model) for model in (distiller.student, first, second))
    logs = distiller.train_on_batch(INPUTS, return_dict=True)
    both = (softmax(one, 2.0) + softmax(other, 2.0)) / 2
    assert logs["both_loss"] == pytest.approx(4 * divergence(both, softmax(own, 2.0)), abs=1e-5)
    assert logs["second_loss"] == pytest.approx(divergence(softmax(other), softmax(own)), abs=1e-5)
    assert logs["hints_loss"] == pytest.approx(0.5 * ((own - other) ** 2).mean(), abs=1e-5)


def test_a_teacher_sees_the_inputs_its_own_way():
    model = dense_model(2, features=2)
    teacher = teachers.Teacher(model, view=lambda numbers: 10 * numbers[:, :2])
    distiller = taught(teacher, {"soft": LogitLoss(KULLBACK_LEIBLER)})
    heard = logits_of(model, 10 * INPUTS[:, :2])
    expected = divergence(softmax(heard), softmax(logits_of(distiller.student)))
    assert distiller.train_on_batch(INPUTS, return_dict=True)["soft_loss"] == pytest.approx(expected, abs=1e-4)
    assert not {id(v) for v in model.weights} & {id(v) for v in distiller.variables}


def test_the_student_is_in_training_mode_and_its_teacher_is_not():
    student, teacher = normed_model(1), normed_model(2)
    kernel, bias = student.get_layer("hidden").get_weights()
    before = teacher.get_weights()
    taught(teacher, {"soft": LogitLoss(KULLBACK_LEIBLER)}, student=student).train_on_batch(INPUTS)
    mean = (INPUTS @ kernel + bias).mean(0)
    # 0.1 = 1 - the layer's momentum
    np.testing.assert_allclose(student.get_layer("norm").moving_mean, 0.1 * mean, atol=1e-6)
    for value, wanted in zip(teacher.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, wanted)


def test_an_average_follows_the_student():
    student = normed_model(1)
    distiller = taught(teachers.EMATeacher(0.6), {"labels": LabelLoss()}, student=student, learning_rate=0.5)
    average: Any = distiller.average
    expected = student.get_weights()
    for step in range(4):
        distiller.train_on_batch(INPUTS, LABELS)
        decay = min(0.6, 1 - 1 / (step + 2))
        expected = [decay * old + (1 - decay) * new for old, new in zip(expected, student.get_weights(), strict=True)]
        for value, wanted in zip(average.get_weights(), expected, strict=True):
            np.testing.assert_allclose(value, wanted, atol=1e-6)
    assert np.abs(expected[0] - student.get_weights()[0]).max() > 0.01
    assert student.trainable
    assert not average.trainable
    assert {id(v) for v in distiller.trainable_variables} == {id(v) for v in student.trainable_variables}


def test_an_average_waits_while_gradients_are_gathered():
    distiller = taught(teachers.EMATeacher(0.6), {"labels": LabelLoss()})
    distiller.compile(
        keras.optimizers.SGD(0.5, gradient_accumulation_steps=2),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    student, average = distiller.student, distiller.average
    assert average is not None
    expected, kernel = student.get_weights(), student.get_weights()[0].astype("float64")
    for step in range(3):
        error = (softmax(logits_of(student)) - np.eye(3)[LABELS]) / 8
        kernel = kernel - 0.5 * INPUTS.T @ error
        before = student.get_weights()
        distiller.train_on_batch(INPUTS, LABELS)
        for values in zip(before, student.get_weights(), strict=True):
            np.testing.assert_array_equal(*values)
        for values in zip(average.get_weights(), expected, strict=True):
            np.testing.assert_array_equal(*values)
        distiller.train_on_batch(INPUTS, LABELS)
        np.testing.assert_allclose(student.get_weights()[0], kernel, atol=1e-5)
        decay = min(0.6, 1 - 1 / (step + 2))
        expected = [decay * old + (1 - decay) * new for old, new in zip(expected, student.get_weights(), strict=True)]
        for value, wanted in zip(average.get_weights(), expected, strict=True):
            np.testing.assert_allclose(value, wanted, atol=1e-6)
        expected = average.get_weights()


def test_the_average_is_what_teaches():
    distiller = taught(
        teachers.EMATeacher(schedules.linear(0.0, 0.9, steps=4)),
        {"labels": LabelLoss(), "soft": LogitLoss(KULLBACK_LEIBLER)},
        learning_rate=0.5,
    )
    for _ in range(3):
        expected = divergence(softmax(logits_of(distiller.average)), softmax(logits_of(distiller.student)))
        distiller.reset_metrics()
        logs = distiller.train_on_batch(INPUTS, LABELS, return_dict=True)
        assert logs["soft_loss"] == pytest.approx(expected, abs=1e-5)
    assert expected > 1e-4


def test_an_average_of_a_student_that_regularizes_counts_it_once():
    keras.utils.set_random_seed(1)
    inputs = keras.Input((4,))
    layer = keras.layers.Dense(3, kernel_regularizer=keras.regularizers.L2(0.1), activity_regularizer="l2")
    student = keras.Model(inputs, layer(inputs))
    distiller = taught(teachers.EMATeacher(), {"soft": LogitLoss(KULLBACK_LEIBLER)}, student=student)
    penalty = 0.1 * (student.get_weights()[0] ** 2).sum() + 0.01 * (logits_of(student) ** 2).sum() / 8
    assert distiller.train_on_batch(INPUTS, return_dict=True)["loss"] == pytest.approx(penalty, abs=1e-5)


def test_a_copy_computes_as_its_model():
    inputs = keras.Input((4,))
    adapted = keras.layers.Normalization()
    adapted.adapt(3 + 2 * INPUTS)
    model = keras.Model(inputs, keras.layers.Dense(3)(adapted(inputs)))
    copy = teachers.clone(model)
    np.testing.assert_array_equal(copy(INPUTS), model(INPUTS))
    assert not {id(v) for v in copy.weights} & {id(v) for v in model.weights}
    assert model.trainable


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: teachers.Ensemble([]), "Received: 0 teachers"),
        (lambda: teachers.Ensemble([dense_model(2)], combine="vote"), "combine='vote'"),
        (lambda: teachers.EMATeacher(1.0), "below 1"),
        (lambda: teachers.EMATeacher(schedules.linear(0.5, 1.5, steps=9)), "below 1"),
        (lambda: teachers.as_list(teachers.Ensemble([teachers.EMATeacher(), teachers.EMATeacher()])), "one moving"),
        (lambda: teachers.as_list("teacher"), "Received: str"),
        (
            lambda: taught(
                teachers.Ensemble([dense_model(2)] * 2), {"soft": LogitLoss(KULLBACK_LEIBLER, teacher_index=2)}
            ),
            "teacher_index=2",
        ),
        (lambda: taught(dense_model(2), {"soft": LogitLoss(KULLBACK_LEIBLER, teacher_index=-1)}), "teacher_index=-1"),
        (
            lambda: taught(
                teachers.Ensemble([dense_model(2)] * 2), {"one": LogitLoss(KULLBACK_LEIBLER, independent=True)}
            ),
            "say which teacher",
        ),
        (
            lambda: taught(teachers.Teacher(dense_model(2, classes=5)), {"soft": LogitLoss(KULLBACK_LEIBLER)}),
            "same shape",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_training_under_its_own_average_goes_on_exactly(tmp_path):
    """Asked to stop after six of eight steps: student, average and projection end with bitwise the same weights."""

    class Ask(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 5 and asked:
                os.kill(os.getpid(), signal.SIGINT)

    split = types.Split(
        "train", GENERATOR.integers(0, 9, (64, 4), np.uint8), np.arange(64, dtype=np.int32) % 3, DIRECTIONS
    )
    heat = schedules.cosine(4.0, 1.0, steps=12)
    weights, curves = [], []
    for folder, endings in (("whole", [False]), ("stopped", [True, False])):
        for asked in endings:
            student = normed_model(1)
            terms = {
                "labels": LabelLoss(0.5),
                "soft": LogitLoss(losses.kl_divergence, schedules.linear(0, 1, steps=12), temperature=heat),
                "hints": FeatureLoss(feature_losses.hint, student="hidden", teacher="norm", projection=True),
            }
            distiller = Distiller(student=student, teacher=teachers.EMATeacher(0.7), losses=terms)
            with pytest.raises(KeyboardInterrupt) if asked else contextlib.nullcontext():
                found = fitting.fit(
                    distiller,
                    pipeline.batches(split, batch_size=8, shuffle=True),
                    schedule=types.Schedule(epochs=2, batch_size=8),
                    workspace=checkpoints.Workspace("lesson", folder=tmp_path / folder, logs=tmp_path / "logs"),
                    validation=pipeline.batches(split, batch_size=32),
                    callbacks=[Ask()],
                    keep="last",
                    progress=False,
                )
                curves.append(found.values)
        weights.append([v.numpy() for v in distiller.variables])
        assert len(distiller.weights) == 2 * len(student.weights) + 2
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert curves[0] == curves[1]


MIRRORED = """
import numpy as np, tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)
import keras
from kerastl.distil import feature_losses, losses, schedules, teachers
from kerastl.distil.distiller import Distiller
from kerastl.distil.terms import FeatureLoss, LabelLoss, LogitLoss

def model(seed):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(5, name="hidden", kernel_regularizer="l2")(inputs)
    return keras.Model(inputs, keras.layers.Dense(3, name="answers")(hidden))

generator = np.random.default_rng(0)
inputs, labels = generator.normal(size=(16, 4)).astype("float32"), generator.integers(0, 3, 16).astype("int32")
labels[::8] = -1
inputs[:, 0] = np.abs(inputs[:, 0]) * np.where(np.arange(16) % 8 < 3, 1, -1)  # 3 on one device, 0 on the other

def let_in(teacher, student, *, mask):
    return tf.where(mask, feature_losses.hint(teacher, student), 0.0)

found = []
for devices in (["CPU:0", "CPU:1"], ["CPU:0"]):
    strategy = tf.distribute.MirroredStrategy(devices, cross_device_ops=tf.distribute.ReductionToOneDevice())
    assert strategy.num_replicas_in_sync == len(devices)
    with strategy.scope():
        student, teacher = model(1), model(2)
        keras.utils.set_random_seed(3)
        distiller = Distiller(
            student=student,
            teacher=teachers.Ensemble([teacher, teachers.EMATeacher(0.7, align=0.6)]),
            losses={
                "labels": LabelLoss(0.5, ignore_label=-1),
                "soft": LogitLoss(losses.kl_divergence, schedules.linear(0, 1, steps=4), temperature=2.0),
                "hints": FeatureLoss(feature_losses.hint, student="hidden", teacher="hidden", projection=True),
                "masked": FeatureLoss(let_in, student="hidden", teacher="hidden", mask=lambda inputs: inputs[:, 0] > 0),
            })
        distiller.compile(keras.optimizers.SGD(0.5), keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                          metrics=["accuracy"], jit_compile=False)
    history = distiller.fit(inputs, labels, batch_size=8, epochs=2, shuffle=False, verbose=0).history
    scores = distiller.evaluate(inputs[:11], np.maximum(labels[:11], 0), batch_size=8, return_dict=True, verbose=0)
    assert set(scores) == {"loss", "accuracy"}, scores
    history |= {f"val_{name}": value for name, value in scores.items()}
    found.append(([np.asarray(v) for v in distiller.weights], history))
(two, several), (one, alone) = found
assert len(two) == 4 + 4 + 2 + 1
for first, second in zip(two, one):
    np.testing.assert_allclose(first, second, atol=2e-6)
assert len(several) == 2 + 4 + 2, several
for name in several:
    np.testing.assert_allclose(several[name], alone[name], rtol=1e-5)
print("as one")
"""


def test_two_devices_learn_what_one_does():
    """In a process of its own: how many devices there are is settled once."""
    child = subprocess.run([sys.executable, "-c", MIRRORED], capture_output=True, text=True, timeout=300, check=False)
    assert child.returncode == 0, child.stderr[-3000:]
    assert child.stdout.endswith("as one\n")


def test_models_as_one_answer_with_their_mean_probabilities(tmp_path):
    models = [dense_model(seed) for seed in (3, 4, 5)]
    one = teachers.ensemble_model(models)
    expected = np.log(np.mean([softmax(logits_of(model)) for model in models], axis=0))
    np.testing.assert_allclose(one(INPUTS), expected, rtol=1e-5)
    fitting.save_model(one, tmp_path / "one.keras")
    np.testing.assert_allclose(fitting.load_model(tmp_path / "one.keras")(INPUTS), expected, rtol=1e-5)
    with pytest.raises(ValueError, match="Received: none"):
        teachers.ensemble_model([])


# -------------------------------------------------------------------------------------------- a teacher for each task


def test_teachers_of_one_task_each_are_one_of_all():
    models = {"kind": dense_model(1), "heat": dense_model(2, classes=1)}
    together = teachers.one_per_task(models)
    answers = together(INPUTS)
    assert teachers.output_widths(together) == {"heat": 1, "kind": 3}
    for name, model in models.items():
        np.testing.assert_array_equal(answers[name], model(INPUTS))


@pytest.mark.parametrize(
    ("models", "words"),
    [
        (lambda: {}, "Received: none"),
        (lambda: {"kind": dense_model(1)}, "several tasks"),
        (lambda: {"kind": dense_model(1), "heat": dense_model(2, features=5)}, r"heat of \[\(\(None, 5\)"),
        (
            lambda: {"kind": dense_model(1), "heat": teachers.one_per_task({"a": dense_model(1), "b": dense_model(2)})},
            "of several outputs or inputs: heat",
        ),
    ],
)
def test_what_is_no_model_a_task_is_refused(models, words):
    with pytest.raises(ValueError, match=words):
        teachers.one_per_task(models())


def test_outputs_without_a_width_are_refused():
    inputs = keras.Input((4, 2))
    maps = keras.Model(inputs, {"near": inputs * 1.0, "far": keras.layers.Flatten()(inputs)})
    with pytest.raises(ValueError, match=r"Wanted outputs \(batch, numbers\)"):
        teachers.output_widths(maps)
