"""What watches over `fit`, against injected faults; and a training that goes on, against one that never stopped."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import random
import signal
import sys
import threading
import types

import keras
import numpy as np
import pytest
import rich.file_proxy
from rich.console import Console
from toy import DIRECTIONS, batches, quiet, small_model

from kerastl.compress import prune
from kerastl.data import pipeline
from kerastl.distil import distiller, losses
from kerastl.inputs import augmentation
from kerastl.inputs.image import Image
from kerastl.runs import checkpoints
from kerastl.tasks.single_label import SingleLabel
from kerastl.training import callbacks, fitting
from kerastl.types import Schedule, Split, Task


class Poison(keras.callbacks.Callback):
    """Writes one NaN into a weight after a given step."""

    def __init__(self, step):
        super().__init__()
        self.step, self.seen = step, 0

    def on_train_batch_begin(self, batch, logs=None):
        self.seen += 1
        if self.seen == self.step:
            kernel = self.model.get_layer("hidden").kernel
            value = kernel.numpy()
            value[0, 0] = np.nan
            kernel.assign(value)


@pytest.mark.parametrize("gathered", [None, 4])
@pytest.mark.parametrize("step", [1, 5, 9])
def test_a_weight_that_is_not_finite_stops_the_run_and_names_the_step(examples, step, gathered):
    """A step is a batch, also where an optimizer gathers the gradients of several."""
    optimizer = functools.partial(keras.optimizers.AdamW, gradient_accumulation_steps=gathered)
    with pytest.raises(callbacks.NonFiniteError, match=rf"after step {step} .*hidden/kernel"):
        quiet(small_model(), batches(*examples), callbacks=[Poison(step)], optimizer=optimizer)


def test_a_long_epoch_is_stopped_within_twenty_steps(examples):
    poison = Poison(5)
    with pytest.raises(callbacks.NonFiniteError, match="after step 5 "):
        quiet(small_model(), batches(*examples, size=1), callbacks=[poison], schedule=Schedule(epochs=1))
    assert poison.seen == 20


def test_statistics_that_are_not_finite_stop_the_run(examples):
    """They do not learn, and in training nothing is divided by them."""
    inputs = keras.Input((4,))
    norm = keras.layers.BatchNormalization(name="norm")
    model = keras.Model(inputs, keras.layers.Dense(3, dtype="float32")(norm(inputs)))

    class Variance(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            norm.moving_variance.assign(np.full(4, np.nan))

    with pytest.raises(callbacks.NonFiniteError, match="norm/moving_variance"):
        quiet(model, batches(*examples), callbacks=[Variance()])


def test_a_training_that_went_on_names_the_step_of_the_whole(tmp_path, examples):
    workspace = checkpoints.Workspace("lesson", folder=tmp_path / "work", logs=tmp_path / "logs")
    quiet(small_model(), batches(*examples), callbacks=[Poison(0)], workspace=workspace, schedule=Schedule(epochs=1))
    workspace = checkpoints.Workspace("lesson", folder=tmp_path / "work", logs=tmp_path / "logs")
    with pytest.raises(callbacks.NonFiniteError, match="after step 11 "):
        quiet(small_model(), batches(*examples), callbacks=[Poison(3)], workspace=workspace)


def test_one_nan_feature_behind_a_relu_stops_the_run(examples):
    """Keras' TerminateOnNaN stays silent here while max-pooling or ReLU hides the NaN from the loss."""
    inputs, labels = examples
    inputs[17, 2] = np.nan
    with pytest.raises(callbacks.NonFiniteError, match="step 3"):
        quiet(small_model(), batches(inputs, labels))


class InfiniteLoss(keras.losses.Loss):
    """Infinite, with a gradient of zero: no weight ever tells."""

    def call(self, y_true, y_pred):
        return keras.ops.mean(y_pred, axis=-1) * 0 + float("inf")


def test_a_loss_that_is_not_finite_stops_the_run(examples):
    with pytest.raises(callbacks.NonFiniteError, match="loss is"):
        quiet(small_model(), batches(*examples), loss=InfiniteLoss())


def test_progress_without_a_terminal_is_a_line_an_epoch(tmp_path, examples, capsys):
    workspace = checkpoints.Workspace("lesson", folder=tmp_path / "work", logs=tmp_path / "logs")
    fitting.fit(small_model(), batches(*examples), schedule=Schedule(epochs=3), task=DIRECTIONS, workspace=workspace)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("lesson")]
    assert len(lines) == 3
    assert "epoch 3/3" in lines[2]
    assert "0 s left" in lines[2]


@pytest.mark.parametrize(("done", "left"), [(0, [20, 10, 0]), (8, [10, 0])])
def test_the_time_left_is_that_of_the_steps_so_far(done, left, monkeypatch, capsys):
    """Ten seconds an epoch; a training that goes on counts its own."""
    clock = iter(range(0, 100, 10))
    monkeypatch.setattr(callbacks, "time", types.SimpleNamespace(monotonic=clock.__next__))
    bar = callbacks.ProgressBar("lesson")
    bar.set_params({"epochs": 3, "steps": 8})
    bar.on_train_begin()
    if done:
        bar.set_state({"done": done})
    for epoch in range(done // 8, 3):
        for batch in range(8):
            bar.on_train_batch_end(batch)
        bar.on_epoch_end(epoch, {"accuracy": 0.5})
    lines = [line for line in capsys.readouterr().out.splitlines() if "epoch" in line]
    assert [line.rpartition("  ")[2] for line in lines] == [
        f"{10 * (place + 1)} s, {seconds} s left" for place, seconds in enumerate(left)
    ]


def test_a_training_that_fails_gives_the_terminal_back(examples, monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(callbacks, "Console", lambda **_: Console(file=screen, force_terminal=True, width=80))
    with pytest.raises(callbacks.NonFiniteError):
        fitting.fit(
            small_model(), batches(*examples), schedule=Schedule(epochs=1), task=DIRECTIONS, callbacks=[Poison(3)]
        )
    hide, show = "\x1b[?25l", "\x1b[?25h"
    assert screen.getvalue().count(hide) == screen.getvalue().count(show) == 1
    assert not isinstance(sys.stdout, rich.file_proxy.FileProxy)


# A training that goes on. Eight steps an epoch, three epochs, and everything that has a state: dropout, batch
# normalization, random views, shuffling, AdamW under a schedule, the best weights, masks of pruning, a teacher.

STEPS, EPOCHS = 8, 3


class Killed(BaseException):
    """Stands for a kill: nobody catches it."""


class KillAfter(keras.callbacks.Callback):
    """Ends the training after so many steps of this process, and counts them."""

    def __init__(self, steps: int | None):
        super().__init__()
        self.limit, self.steps = steps, 0

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        if self.steps == self.limit:
            raise Killed


HALVES = Task("halves", Image((8, 8, 1)), SingleLabel(("dark", "bright")))


def pictures(count=64):
    generator = np.random.default_rng(3)
    inputs = generator.integers(0, 256, (count, 8, 8, 1), np.uint8)
    return Split("train", inputs, (inputs[:, :, :4].mean((1, 2, 3)) > 127).astype("int32"), HALVES)


def network(seed):
    keras.utils.set_random_seed(seed)
    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Conv2D(4, 3, name="convolution")(image)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.ReLU(name="relu")(x)
    x = keras.layers.Flatten(name="flat")(x)
    x = keras.layers.Dropout(0.3, seed=5, name="dropout")(x)
    return keras.Model(image, keras.layers.Dense(2, name="logits")(x))


def lesson(folder, *, kill_after=None, every_seconds=1e9, distil=False):
    """One process' share of the training; returns the network, its curves and the steps it took."""
    workspace = checkpoints.Workspace(
        "lesson", folder=folder / "work", logs=folder / "logs", every_seconds=every_seconds
    )
    student, teacher = network(1), network(2)
    killer = KillAfter(kill_after)
    pruning = prune.Prune(sparsity=0.5, begin_step=2, end_step=20, frequency=3, model=student)
    trained = student
    if distil:
        soft = functools.partial(losses.kl_divergence, temperature=2.0)
        trained = distiller.Distiller(student=student, teacher=teacher, loss=soft, weight=0.5)
    views = augmentation.image_augmentation(horizontal_flip=True, translation=0.1, erasing=0.3, seed=1)
    data = pipeline.batches(pictures(), batch_size=8, shuffle=True, seed=4, augment=views)
    curves = fitting.fit(
        trained,
        data,
        schedule=Schedule(epochs=EPOCHS, peak_learning_rate=1e-2, weight_decay=1e-2),
        workspace=workspace,
        validation=pipeline.batches(pictures(40), batch_size=20),
        callbacks=[pruning, killer],
        progress=False,
    )
    return student, curves, killer.steps


def assert_same(one, other):
    for left, right in zip(one[0].get_weights(), other[0].get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)
    assert one[1] == other[1]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return {distil: lesson(tmp_path_factory.mktemp("undisturbed"), distil=distil) for distil in (False, True)}


@pytest.mark.parametrize(
    ("kill_after", "every_seconds", "lost", "distil"),
    [
        (3, 1e9, 3, False),  # in the first epoch: nothing is kept yet
        (8, 1e9, 8, False),  # at its last step
        (9, 1e9, 1, True),
        (23, 1e9, 7, False),
        (3, 0.0, 1, False),  # a checkpoint every step: the step that was killed is lost
        (13, 0.0, 1, True),
        (16, 0.0, 1, False),  # at the last step of an epoch
        (24, 0.0, 1, False),
    ],
)
def test_a_training_that_was_killed_ends_as_if_it_had_not_been(
    tmp_path, undisturbed, kill_after, every_seconds, lost, distil
):
    with pytest.raises(Killed):
        lesson(tmp_path, kill_after=kill_after, every_seconds=every_seconds, distil=distil)
    again = lesson(tmp_path, every_seconds=every_seconds, distil=distil)
    assert_same(again, undisturbed[distil])
    assert again[2] == EPOCHS * STEPS - kill_after + lost


def test_pythons_and_numpys_random_numbers_go_on(tmp_path, examples):
    class Draws(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            drawn.append((random.random(), np.random.random()))

    found = {}
    for folder, stop in (("whole", None), ("parts", 5), ("parts", None)):
        drawn = []
        place = checkpoints.Workspace("lesson", folder=tmp_path / folder, logs=tmp_path / "logs", every_seconds=0)
        with pytest.raises(Killed) if stop else contextlib.nullcontext():
            quiet(small_model(), batches(*examples), workspace=place, callbacks=[Draws(), KillAfter(stop)])
        found[folder] = drawn
    assert len(found["whole"]) == 16
    assert found["parts"] == found["whole"][4:]  # the step that was killed comes again


def test_killed_again_and_again(tmp_path, undisturbed):
    deaths = 0
    while True:
        try:
            result = lesson(tmp_path, kill_after=6, every_seconds=0.0)
        except Killed:
            deaths += 1
            continue
        break
    assert deaths >= 4
    assert_same(result, undisturbed[False])


def test_killed_after_the_last_epoch_it_still_ends_with_the_best_weights(tmp_path, undisturbed):
    lesson(tmp_path)  # its checkpoints stay: the stage was not committed
    again = lesson(tmp_path)
    assert again[2] == 0
    assert_same(again, undisturbed[False])


def test_a_worse_epoch_after_a_restart_leaves_the_best_model(tmp_path, examples):
    """Keras' own callback forgets the best at every start, and takes the first epoch after it for the best."""
    inputs, labels = examples
    good = small_model()
    quiet(good, batches(inputs, labels), schedule=Schedule(epochs=30, peak_learning_rate=3e-2))

    class Script(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch

        def on_train_batch_end(self, batch, logs=None):
            if self.epoch == 2 and self.kill:
                raise Killed
            weights = good.get_weights()
            self.model.set_weights(weights if self.epoch == 1 else [np.zeros_like(weight) for weight in weights])

    for kill in (True, False):
        script, model = Script(), small_model()
        script.kill = kill
        workspace = checkpoints.Workspace("lesson", folder=tmp_path / "work", logs=tmp_path / "logs")
        try:
            quiet(
                model,
                batches(inputs, labels),
                validation=batches(inputs, labels),
                schedule=Schedule(epochs=4),
                workspace=workspace,
                callbacks=[script],
            )
        except Killed:
            assert kill
    for left, right in zip(model.get_weights(), good.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


def test_early_stopping_is_not_forgotten(tmp_path, examples):
    """Stopped after its second epoch, a training does not go on with a third because its process died."""
    for _ in range(2):
        workspace = checkpoints.Workspace("lesson", folder=tmp_path / "work", logs=tmp_path / "logs")
        stop = keras.callbacks.EarlyStopping(monitor="loss", mode="max", patience=1)
        curves = quiet(
            small_model(),
            batches(*examples),
            schedule=Schedule(epochs=9, peak_learning_rate=1e-2),
            workspace=workspace,
            callbacks=[stop],
        )
        assert len(curves.values["loss"]) == 2


@pytest.mark.parametrize(
    ("number", "ending", "arguments"), [(signal.SIGINT, KeyboardInterrupt, ()), (signal.SIGTERM, SystemExit, (143,))]
)
def test_asked_to_stop_it_keeps_a_checkpoint_within_a_step(tmp_path, number, ending, arguments):
    class Ask(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 5:
                os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    workspace = checkpoints.Workspace("lesson", folder=tmp_path / "work", logs=tmp_path / "logs")
    data = pipeline.batches(pictures(), batch_size=8)
    with pytest.raises(ending) as caught:
        fitting.fit(
            network(1), data, schedule=Schedule(epochs=2), workspace=workspace, callbacks=[Ask()], progress=False
        )
    assert caught.value.args == arguments
    assert signal.getsignal(number) is before
    found = workspace.latest_checkpoint()
    assert found is not None
    assert found[1]["place"] == [0, 6, False]


def test_asked_to_stop_after_the_last_step_it_does_not_go_on(tmp_path):
    class Ask(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            os.kill(os.getpid(), signal.SIGINT)

    workspace = checkpoints.Workspace("lesson", folder=tmp_path / "work", logs=tmp_path / "logs")
    data = pipeline.batches(pictures(), batch_size=8)
    with pytest.raises(KeyboardInterrupt):
        fitting.fit(
            network(1), data, schedule=Schedule(epochs=1), workspace=workspace, callbacks=[Ask()], progress=False
        )


def test_without_a_workspace_nothing_is_kept_and_signals_are_left_alone(examples):
    handlers = []

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            handlers.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    quiet(small_model(), batches(*examples), callbacks=[Look()])
    assert set(handlers) == {before}


def test_in_another_thread_it_trains_without_signals(tmp_path, undisturbed):
    results = []
    thread = threading.Thread(target=lambda: results.append(lesson(tmp_path)))
    thread.start()
    thread.join()
    assert_same(results[0], undisturbed[False])


def test_a_checkpoint_of_another_model_is_refused(tmp_path, examples):
    workspace = checkpoints.Workspace("lesson", folder=tmp_path / "work", logs=tmp_path / "logs")
    quiet(small_model(), batches(*examples), workspace=workspace)
    with pytest.raises(ValueError, match="goes back into the training that wrote it"):
        fitting.fit(network(1), pipeline.batches(pictures(), batch_size=8), schedule=Schedule(2), workspace=workspace)


def test_a_checkpoint_with_other_callbacks_is_refused(tmp_path, examples):
    workspace = checkpoints.Workspace("lesson", folder=tmp_path / "work", logs=tmp_path / "logs")
    quiet(small_model(), batches(*examples), workspace=workspace)
    with pytest.raises(ValueError, match=r"same callbacks in the same order\. Received: .*'Poison'"):
        quiet(small_model(), batches(*examples), workspace=workspace, callbacks=[Poison(99)])


def test_a_callback_with_a_state_of_its_own_is_asked(tmp_path, examples):
    class Own(keras.callbacks.Callback):
        state = None

        def get_state(self):
            return {"word": "blue", "one": np.arange(3), "many": [np.zeros(2), np.ones(1)]}

        def set_state(self, state):
            self.state = state

    for _ in range(2):
        workspace = checkpoints.Workspace("lesson", folder=tmp_path / "work", logs=tmp_path / "logs")
        own = Own()
        quiet(small_model(), batches(*examples), workspace=workspace, callbacks=[own])
    assert own.state is not None
    assert own.state["word"] == "blue"
    np.testing.assert_array_equal(own.state["one"], [0, 1, 2])
    assert [list(array) for array in own.state["many"]] == [[0, 0], [1]]
