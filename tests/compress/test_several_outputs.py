"""Quantization-aware training and clustering of a model of several tasks, some examples of which lack one."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from kerastl import verify
from kerastl.compress import cluster, fine_tuning, prune
from kerastl.compress.tf_keras import bridge
from kerastl.data import pipeline
from kerastl.distil import teachers
from kerastl.inputs.image import Image
from kerastl.models import heads
from kerastl.runs import clustering, quantization
from kerastl.runs.checkpoints import Workspace
from kerastl.tasks.multi_task import MultiTask
from kerastl.tasks.regression import Regression
from kerastl.tasks.single_label import SingleLabel
from kerastl.training import fitting
from kerastl.types import Schedule, Split, Task
from kerastl.verify import benchmark

# names that are not in the order of the alphabet, in which a model holds them
TARGET: Any = MultiTask(
    (("side", SingleLabel(("low", "high"))), ("heat", Regression(("heat",), (20.0,), (11.5,), "C")))
)
TASK = Task("toy", Image((6, 6, 1)), TARGET)
SCHEDULE = Schedule(epochs=2, batch_size=20, peak_learning_rate=1e-3)


def split_of(name, count):
    """A picture's brightness decides both; every fourth lacks the class, every fourth the number."""
    hidden = np.random.default_rng(len(name)).permutation(np.linspace(0, 1, count))
    pictures = np.rint(np.broadcast_to(hidden[:, None, None, None], (count, 6, 6, 1)) * 255).astype("uint8")
    side, heat = (hidden > 0.5).astype("int32"), (40 * hidden[:, None]).astype("float32")
    side[::4], heat[1::4] = -1, np.nan
    return Split(name, pictures, {"side": side, "heat": heat}, TASK)


SPLIT = split_of("train", 200)


def network(task=TASK):
    keras.utils.set_random_seed(0)
    image = keras.Input((6, 6, 1), name="image")
    x = keras.layers.Conv2D(6, 3, activation="relu", name="conv")(heads.standardized(image, task))
    x = keras.layers.Dense(8, activation="relu", name="hidden")(keras.layers.Flatten(name="flatten")(x))
    return keras.Model(image, heads.outputs(x, task), name="two_tasks")


@pytest.fixture(scope="module")
def model():
    made = network()
    fitting.fit(made, SPLIT, schedule=Schedule(12, 20, 0.02), progress=False)
    return made


def batches(**options):
    return pipeline.batches(SPLIT, batch_size=20, shuffle=True, seed=1, drop_remainder=True, **options)


def place(tmp_path, name):
    return Workspace(name, folder=tmp_path / "work", logs=tmp_path / "logs")


def scores(answers):
    """Share of sides, and error of heat in standard deviations, of examples that have the label."""
    side, heat = SPLIT.labels["side"], SPLIT.labels["heat"]
    right = (np.asarray(answers["side"]).argmax(1) == side)[side >= 0].mean()
    return right, np.nanmean(np.abs(np.asarray(answers["heat"]) - heat)) / 11.5


def test_an_integer_file_answers_every_task_by_its_name(model, tmp_path):
    options = {"schedule": SCHEDULE, "validation": split_of("validation", 40)}
    found = quantization.quantization_aware(model, batches(), seed=0, workspace=place(tmp_path, "qat"), **options)
    facts = benchmark.inspect(found.content)
    assert facts.operators.float == 0
    assert {one.name for one in facts.outputs} == {"side", "heat"}
    answers = verify.predict_tflite(found.content, SPLIT.inputs, kind=TASK.inputs)
    (right, off), (float_right, float_off) = scores(answers), scores(fitting.predict(model, SPLIT.inputs, task=TASK))
    assert right > float_right - 0.05
    assert off < float_off + 0.05
    assert set(found.curves.values) == {"loss", "val_loss"}


def test_a_clustered_model_comes_home_with_its_outputs(model, tmp_path):
    options = {"schedule": SCHEDULE, "number_of_clusters": 8}
    found = clustering.clustered(model, batches(), seed=0, workspace=place(tmp_path, "clusters"), **options)
    assert sorted(found.model.output) == ["heat", "side"]
    assert list(cluster.unique_values(found.model)) == ["conv", "hidden"], "heads are left as they are"
    assert cluster.claim(found.model, number_of_clusters=8).num_clusters == 8
    assert len(np.unique(found.model.get_layer("logits_side").kernel)) == 16
    right, off = scores(fitting.predict(found.model, SPLIT.inputs, task=TASK))
    assert right > 0.85
    assert off < 0.4


def test_pruning_leaves_the_heads_too(model):
    assert [name for name, _ in prune.kernels(model)] == ["conv", "hidden"]


def test_the_loss_is_the_sum_over_tasks_of_those_that_have_a_label(model):
    """Without training: the value that a validation of the untouched network gives, counted by NumPy."""
    tf_model = bridge.to_tf_keras(model, probe=SPLIT.inputs[:8])
    names = fine_tuning.output_names(tf_model, TASK, purpose="Counting")
    assert names == ("heat", "side")
    asked = fine_tuning._asked(TASK)
    outputs = dict(zip(names, tf_model(SPLIT.inputs.astype("float32")), strict=True))
    side, heat = SPLIT.labels["side"], SPLIT.labels["heat"]
    logits = np.asarray(outputs["side"], "float64")[side >= 0]
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    by_hand = -np.log(shares[np.arange(len(shares)), side[side >= 0]]).mean()
    by_hand += np.nanmean(((np.asarray(outputs["heat"]) - heat) / 11.5) ** 2)
    labels = {name: tf.constant(values) for name, values in SPLIT.labels.items()}
    assert float(asked.of_labels(labels, outputs)) == pytest.approx(by_hand, rel=1e-5)
    assert float(tf.reduce_max(asked.of_answers(labels, outputs, outputs))) == pytest.approx(0.0, abs=1e-6)


def test_a_teacher_of_all_tasks_teaches_integers(model, tmp_path):
    """Under itself, and labels that are wrong do not count."""
    wrong = Split(
        "train", SPLIT.inputs, {"side": 1 - SPLIT.labels["side"].clip(0), "heat": SPLIT.labels["heat"] * 0}, TASK
    )
    made = pipeline.batches(wrong, batch_size=20, drop_remainder=True)
    options = {"schedule": SCHEDULE, "teacher": model, "workspace": place(tmp_path, "taught")}
    found = quantization.quantization_aware(model, made, seed=0, **options)
    assert scores(verify.predict_tflite(found.content, SPLIT.inputs, kind=TASK.inputs))[0] > 0.85


def test_answers_of_other_outputs_and_batches_without_a_task_are_refused(model):
    tf_model = bridge.to_tf_keras(model, probe=SPLIT.inputs[:8])
    options = {"number_of_clusters": 4, "epochs": 1}
    strange = batches().map(lambda inputs, labels: (inputs, labels))
    with pytest.raises(ValueError, match="batches that do not know their task"):
        cluster.train(tf_model, strange, **options)
    answers = teachers.output_widths(model)
    assert answers == {"heat": 1, "side": 2}
    taught = batches()
    wrong = taught.map(lambda inputs, labels: (inputs, (labels, {"heat": labels["heat"]})))
    wrong.course = taught.course
    with pytest.raises(ValueError, match="as many classes as the network"):
        cluster.train(tf_model, wrong, **options)


def test_probabilities_of_any_output_are_refused(model):
    tf_model = bridge.to_tf_keras(model, probe=SPLIT.inputs[:8])

    soft = tf_keras.layers.Softmax(name="end")(tf_model.outputs[1])
    both = tf_keras.Model(tf_model.inputs, [soft, tf_model.outputs[0]])
    with pytest.raises(ValueError, match="probabilities from the layer 'end'"):
        fine_tuning.with_logits(both, purpose="Counting")
