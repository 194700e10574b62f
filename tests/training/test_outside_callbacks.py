"""Callbacks of Keras over an interruption: a log of every epoch once, or a refusal in words."""

from __future__ import annotations

import csv

import keras
import numpy as np
import pytest
from toy import At, Killed

from kerastl.runs.checkpoints import Workspace
from kerastl.training import fitting, outside_callbacks
from kerastl.types import Schedule

EPOCHS = 5


def train(folder, callbacks, *, die=-1):
    import tensorflow as tf

    random = np.random.default_rng(0)
    rows = random.normal(size=(64, 6)).astype("float32")
    batches = tf.data.Dataset.from_tensor_slices((rows, (rows[:, 0] > 0).astype("int32"))).batch(16)
    keras.utils.set_random_seed(0)
    row = keras.Input((6,))
    workspace = Workspace("lesson", folder=folder / "work", logs=folder / "logs", every_seconds=0)
    return fitting.fit(
        keras.Model(row, keras.layers.Dense(2)(row)),
        batches,
        schedule=Schedule(epochs=EPOCHS, batch_size=16, peak_learning_rate=0.05),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        workspace=workspace,
        keep="last",
        progress=False,
        callbacks=[*callbacks, At(die)],
    )


def logged(path):
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("step", [3, 9, 12], ids=["in the first epoch", "in the third", "at its end"])
def test_a_csv_log_has_every_epoch_once(tmp_path, step):
    whole = tmp_path / "whole"
    train(whole, [keras.callbacks.CSVLogger(str(tmp_path / "whole.csv"))])
    with pytest.raises(Killed):
        train(tmp_path, [keras.callbacks.CSVLogger(str(tmp_path / "log.csv"))], die=step)
    history = train(tmp_path, [keras.callbacks.CSVLogger(str(tmp_path / "log.csv"))])
    assert len(history.values["loss"]) == EPOCHS
    assert logged(tmp_path / "log.csv") == logged(tmp_path / "whole.csv")


def test_a_log_that_is_ahead_of_the_checkpoint_is_taken_back(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("epoch;loss\n0;3.0\n1;2.0\n2;1.0\n")
    logger = keras.callbacks.CSVLogger(str(path), separator=";")
    outside_callbacks.go_on([logger], epochs=2)
    assert path.read_text() == "epoch;loss\n0;3.0\n1;2.0\n"
    assert logger.append
    outside_callbacks.go_on([keras.callbacks.CSVLogger(str(tmp_path / "none.csv"))], epochs=2)


@pytest.mark.parametrize(
    ("callback", "words"),
    [
        (lambda folder: keras.callbacks.BackupAndRestore(str(folder / "backup")), "leave BackupAndRestore out"),
        (lambda folder: keras.callbacks.SwapEMAWeights(swap_on_epoch=True), "leaves the averages in the model"),
    ],
)
def test_what_cannot_go_on_is_refused_before_the_first_step(tmp_path, callback, words):
    with pytest.raises(ValueError, match=words):
        train(tmp_path, [callback(tmp_path)])
    assert not (tmp_path / "work").exists()
    outside_callbacks.check([keras.callbacks.SwapEMAWeights(), keras.callbacks.History()])
