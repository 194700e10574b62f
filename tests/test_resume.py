"""What `train` and `compress.qat` have in common; how each goes on is in `test_callbacks` and `compress/test_qat`."""

from __future__ import annotations

import functools

import keras
import numpy as np
import pytest
from tiny_training import At, Killed, batches, small_model

from kerastl import resume, train, transfer, wordpiece
from kerastl.build.pretrained import minilm_l6
from kerastl.checkpoints import Workspace
from kerastl.data import pipeline
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
    split, found = Split("train", inputs, (inputs[:, 0] % 3).astype(np.int32)), []
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


def encoder_lesson(folder, step):
    """Nine steps of an encoder with dropout inside, whose thin matrices and head learn at rates of their own."""
    tokens = (*wordpiece.SPECIAL, *(f"word{number}" for number in range(45)))
    inputs = np.random.default_rng(0).integers(5, 50, (96, 12)).astype(np.int32)
    texts = Split("train", inputs, (inputs[:, 0] % 3).astype(np.int32))
    train.set_seed(3)
    model = minilm_l6.small(Task("toy", ("a", "b", "c"), (12,), vocabulary=tokens))
    transfer.add_lora(model, rank=2)
    curves = train.fit(
        model,
        pipeline.batches(texts, batch_size=32, shuffle=True, seed=1),
        schedule=Schedule(epochs=3, batch_size=32, peak_learning_rate=1e-2),
        optimizer=functools.partial(transfer.LayerwiseAdamW, rates={"encoder": 0.5}, begin={"encoder": 4}),
        workspace=Workspace("encoder", folder=folder / "work", logs=folder / "logs", every_seconds=0),
        validation=pipeline.batches(texts.part(slice(20)), batch_size=10),
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
