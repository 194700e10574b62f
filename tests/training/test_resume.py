"""What `train` and `compress.qat` have in common; how each goes on is in `test_callbacks` and `compress/test_qat`."""

from __future__ import annotations

import contextlib
import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from toy import DIRECTIONS, At, Killed, batches, quiet, small_model

from kerastl.data import pipeline
from kerastl.inputs import wordpiece
from kerastl.inputs.text import Text
from kerastl.models.pretrained import minilm_l6
from kerastl.runs.checkpoints import Workspace
from kerastl.tasks.single_label import SingleLabel
from kerastl.training import fitting, precision, resume, transfer
from kerastl.types import Schedule, Split, Task


def test_keras_own_callbacks_remember(tmp_path, examples):
    """The learning rate that a plateau halved, and how long it has waited, come back."""

    def run(epochs, folder):
        workspace = Workspace("lesson", folder=folder, logs=tmp_path / "logs")
        plateau = keras.callbacks.ReduceLROnPlateau(monitor="loss", mode="max", factor=0.5, patience=2)
        model = small_model()
        optimizer = keras.optimizers.AdamW(1e-3)
        model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
        resume.fit(model, batches(*examples), epochs=epochs, validation=None, watchers=[plateau], workspace=workspace)
        return float(model.optimizer.learning_rate), plateau.wait, plateau.best

    expected = run(6, tmp_path / "whole")
    assert expected[0] < 1e-3
    run(3, tmp_path / "parts")
    assert run(6, tmp_path / "parts") == expected


def test_data_that_were_looked_at_before_come_in_the_same_order(tmp_path):
    """A calibration counts as an epoch of the data; a training that goes on in another process would not know."""
    inputs = np.random.default_rng(0).integers(0, 256, (32, 4), np.uint8)
    split, found = Split("train", inputs, (inputs[:, 0] % 3).astype(np.int32), DIRECTIONS), []
    for name in ("untouched", "touched"):
        data = pipeline.batches(split, batch_size=8, shuffle=True, seed=1)
        if name == "touched":
            next(iter(data))
        workspace = Workspace("lesson", folder=tmp_path / name, logs=tmp_path / "logs")
        model = small_model()
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
        resume.fit(model, data, epochs=1, validation=None, watchers=[], workspace=workspace)
        found.append(model.get_weights())
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_under_a_strategy_it_goes_on_in_the_same_orders(tmp_path):
    """There every call of `fit` looks at the data once before it begins."""
    inputs = np.random.default_rng(0).integers(0, 256, (32, 4), np.uint8)
    split, found = Split("train", inputs, (inputs[:, 0] % 3).astype(np.int32), DIRECTIONS), {}
    with tf.distribute.OneDeviceStrategy("CPU:0").scope():
        for name, step in (("whole", 0), ("parts", 2), ("parts", 0)):
            data = pipeline.batches(split, batch_size=8, shuffle=True, seed=1)
            workspace = Workspace("lesson", folder=tmp_path / name, logs=tmp_path / "logs", every_seconds=0)
            model = small_model()
            model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
            with pytest.raises(Killed) if step else contextlib.nullcontext():
                resume.fit(model, data, epochs=3, validation=None, watchers=[At(step)], workspace=workspace)
            found[name] = model.get_weights()
    for one, other in zip(found["whole"], found["parts"], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("step", [5, 0])
@pytest.mark.parametrize("averaged", [True, False])
def test_averages_take_the_weights_places_once_at_the_end(examples, tmp_path, averaged, step):
    """Within an epoch, and after the last one, where there is nothing left to train."""
    optimizer = functools.partial(keras.optimizers.AdamW, use_ema=averaged, ema_momentum=0.9)
    found = []
    for folder, steps in (("whole", [0]), ("parts", [step, 0])):
        for stop in steps:
            workspace = Workspace("lesson", folder=tmp_path / folder, logs=tmp_path / "logs", every_seconds=0)
            model = small_model()
            with pytest.raises(Killed) if stop else contextlib.nullcontext():
                quiet(model, batches(*examples), optimizer=optimizer, workspace=workspace, callbacks=[At(stop)])
        found.append(model)
    whole, parts = found
    for one, other in zip(whole.get_weights(), parts.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    if averaged:
        averages = [v for v in whole.optimizer.variables if "average" in v.path]
        assert len(averages) == len(whole.weights)
        for one, other in zip(whole.get_weights(), averages, strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_network_all_in_bfloat16_goes_on(examples, tmp_path):
    found = {}
    for folder, stop in (("whole", 0), ("parts", 5), ("parts", 0)):
        with precision.dtype_policy("bfloat16"):
            model = small_model()
        assert {v.dtype for v in model.get_layer("hidden").weights} == {"bfloat16"}
        workspace = Workspace("lesson", folder=tmp_path / folder, logs=tmp_path / "logs", every_seconds=0)
        data = batches(*examples)
        with pytest.raises(Killed) if stop else contextlib.nullcontext():
            quiet(model, data, validation=data, workspace=workspace, callbacks=[At(stop)])
        found[folder] = [np.asarray(weight, np.float32) for weight in model.get_weights()]
    for one, other in zip(found["whole"], found["parts"], strict=True):
        np.testing.assert_array_equal(one, other)


def encoder_lesson(folder, step):
    """Nine steps of an encoder with dropout inside, whose thin matrices and head learn at rates of their own."""
    tokens = (*wordpiece.SPECIAL, *(f"word{number}" for number in range(45)))
    inputs = np.random.default_rng(0).integers(5, 50, (96, 12)).astype(np.int32)
    task = Task("toy", Text(12, tokens), SingleLabel(("a", "b", "c")))
    texts = Split("train", inputs, (inputs[:, 0] % 3).astype(np.int32), task)
    fitting.set_seed(3)
    model = minilm_l6.small(task)
    transfer.add_lora(model, rank=2)
    curves = fitting.fit(
        model,
        pipeline.batches(texts, batch_size=32, shuffle=True, seed=1),
        schedule=Schedule(epochs=3, batch_size=32, peak_learning_rate=1e-2),
        optimizer=functools.partial(transfer.LayerwiseAdamW, rates={"encoder": 0.5}, begin={"encoder": 4}),
        workspace=Workspace("encoder", folder=folder / "work", logs=folder / "logs", every_seconds=0),
        validation=pipeline.batches(texts.subset(slice(20)), batch_size=10),
        callbacks=[At(step)],
        progress=False,
    )
    return [weight.numpy() for weight in model.weights], curves


def test_an_encoder_that_is_adapted_ends_bitwise_as_if_it_had_not_died(tmp_path):
    weights, curves = encoder_lesson(tmp_path / "whole", 0)
    with pytest.raises(Killed):
        encoder_lesson(tmp_path / "parts", 5)
    resumed, their_curves = encoder_lesson(tmp_path / "parts", 0)
    assert all(np.array_equal(one, other) for one, other in zip(weights, resumed, strict=True))
    assert curves == their_curves


def test_a_step_that_does_not_fit_into_memory_is_said_in_words(examples):
    class Greedy(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            np.zeros((1 << 60,), np.uint8)

    model = small_model()
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
    with pytest.raises(MemoryError, match="Out of memory while training: a smaller batch needs less"):
        resume.fit(model, batches(*examples), epochs=1, validation=None, watchers=[Greedy()], workspace=None)
