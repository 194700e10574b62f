"""Quantization-aware training as a stage: whom the integer file answers like."""

import dataclasses

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from toy import one_convolution

from kerastl import verify
from kerastl.data import pipeline
from kerastl.distil import losses
from kerastl.runs import quantization
from kerastl.runs.checkpoints import Workspace
from kerastl.training import batching, fitting
from kerastl.types import Dataset, Schedule, Split
from kerastl.verify import kernel_stats

SCHEDULE = Schedule(epochs=10, batch_size=20, peak_learning_rate=1e-2)


@pytest.fixture(scope="module")
def split(tiny_files):
    return Split("train", tiny_files.inputs, tiny_files.labels, tiny_files.task)


@pytest.fixture(scope="module")
def student(split):
    keras.utils.set_random_seed(0)
    model = one_convolution()
    schedule = Schedule(epochs=20, batch_size=10, peak_learning_rate=1e-2)
    fitting.fit(model, pipeline.batches(split, batch_size=10, shuffle=True), schedule=schedule, progress=False)
    return model


def batches(split, **options):
    return pipeline.batches(split, batch_size=20, shuffle=True, seed=1, drop_remainder=True, **options)


@pytest.fixture
def made(split, student, tmp_path):
    def make(batches, **options):
        number = len(list(tmp_path.iterdir()))
        workspace = Workspace("quantized", folder=tmp_path / str(number), logs=tmp_path / f"{number} logs")
        given = {"schedule": SCHEDULE, "workspace": workspace, **options}
        return quantization.quantization_aware(student, batches, **given, seed=5)

    return make


def agreement(split, converted, expected):
    said = verify.predict_tflite(converted.content, split.inputs, kind=split.task.inputs)
    return (said.argmax(1) == expected).mean()


@pytest.fixture
def mislabelled(split):
    return dataclasses.replace(split, labels=(split.labels + 1) % 4)


def test_under_itself_a_student_stays_what_it_is_whatever_the_labels_say(made, split, mislabelled, student):
    found = made(batches(mislabelled), teacher=student, validation=split)
    assert agreement(split, found, fitting.predict(student, split.inputs).argmax(1)) > 0.95
    assert found.curves.stage == "quantized"
    assert len(found.curves.values["val_accuracy"]) == 10


def test_from_labels_alone_it_learns_them(made, split, mislabelled):
    found = made(batches(mislabelled), workspace=None)  # outside of a run, in a notebook
    assert agreement(split, found, mislabelled.labels) > 0.9
    assert found.curves.stage == "qat"


def test_from_stored_logits_it_learns_these(made, split, student):
    known = np.roll(fitting.predict(student, split.inputs), 1, axis=1)
    loss = losses.distillation_loss(temperature=2.0, weight=1.0)
    assert agreement(split, made(batches(split, answers=known), loss=loss), known.argmax(1)) > 0.9


def test_zeros_stay_zero_where_that_is_asked_for(made, mislabelled, student):
    kernel = student.get_layer("conv").kernel
    before = kernel.numpy()
    kernel.assign(np.where(np.abs(before) < np.median(np.abs(before)), 0, before))
    kept, lost = made(batches(mislabelled), preserve_sparsity=True), made(batches(mislabelled))
    kernel.assign(before)

    def zeros(converted):
        file = schema.ModelT.InitFromPackedBuf(converted.content, 0)
        return max(one.zeros / one.size for one in kernel_stats.of(file))

    assert zeros(kept) >= 0.5 > zeros(lost)


def test_batches_bring_task_schedule_and_validation_along(made, split, student):
    whole = Dataset(split.task, split, split.take(30), split, digest="0" * 64, source="tiny")
    short = dataclasses.replace(SCHEDULE, epochs=2)
    found = made(pipeline.training_batches(whole, schedule=short, seed=1), schedule=None, teacher=student)
    spelled = made(batches(split), schedule=short, validation=split.take(30), teacher=student)
    assert found == spelled
    assert len(found.curves.values["val_accuracy"]) == 2


def test_examples_of_the_batches_are_what_both_models_are_compared_on(made, split, stream, monkeypatch):
    probes, to_tf_keras = [], quantization.bridge.to_tf_keras

    def seen(model, *, probe):
        probes.append(probe)
        return to_tf_keras(model, probe=probe)

    monkeypatch.setattr(quantization.bridge, "to_tf_keras", seen)
    made(batches(split), schedule=Schedule(epochs=1))
    made(batches(dataclasses.replace(split, inputs=stream(split.inputs))), schedule=Schedule(epochs=1))
    for probe in probes:
        np.testing.assert_array_equal(probe, split.inputs[:16])


def test_batches_that_do_not_know_their_task_are_refused(made, split):
    for strange in (batches(split).take(2), batching.batches(split, batch_size=20, shuffle=False)):
        with pytest.raises(ValueError, match=r"wanted batches of data\.pipeline, .*Received: batches that do not"):
            made(strange)
    with pytest.raises(ValueError, match="Wanted schedule="):
        made(batches(split), schedule=None)


def test_batches_of_several_inputs_are_refused(made, split):
    pair = dataclasses.replace(split, inputs={"left": split.inputs, "right": split.inputs})
    with pytest.raises(
        ValueError, match=r"models of one input\. Received: batches of the inputs left, right; .*static_int8"
    ):
        made(batches(pair))
