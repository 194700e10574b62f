"""What `train` and `compress.qat` have in common; how each goes on is in `test_callbacks` and `compress/test_qat`."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from tiny_training import batches, small_model

from kerastl import checkpoints, resume
from kerastl.data import pipeline
from kerastl.types import Split


def test_keras_own_callbacks_remember(tmp_path, examples):
    """The learning rate that a plateau halved, and how long it has waited, come back."""

    def run(epochs, folder):
        workspace = checkpoints.Workspace("lesson", folder=folder, logs=tmp_path / "logs")
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
        workspace = checkpoints.Workspace("lesson", folder=tmp_path / name, logs=tmp_path / "logs")
        model = small_model()
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
        resume.fit(model, data, epochs=1, validation=None, watchers=[], workspace=workspace)
        found.append(model.get_weights())
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_step_that_does_not_fit_into_memory_is_said_in_words(examples):
    class Greedy(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            np.zeros((1 << 60,), np.uint8)

    model = small_model()
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
    with pytest.raises(MemoryError, match="Out of memory while training: a smaller batch needs less"):
        resume.fit(model, batches(*examples), epochs=1, validation=None, watchers=[Greedy()], workspace=None)
