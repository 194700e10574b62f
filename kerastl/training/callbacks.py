"""What watches over a Keras `fit`: finite weights, progress on the screen, checkpoints that a run goes on from."""

from __future__ import annotations

import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from kerastl.system import output
from kerastl.types import Workspace


class NonFiniteError(ValueError):
    """A loss or a weight stopped being a number during training."""


class TerminateOnNonFinite(keras.callbacks.Callback):
    """Stops a run at the first step after which a weight, or the loss, is not finite.

    Keras' ``TerminateOnNaN`` looks at the loss alone, and a NaN weight behind a ReLU leaves the loss finite at
    ln(classes). The watch looks at every weight after every step without leaving the device; Python reads the
    result only every ``read_every`` steps and at the end of an epoch, and still names the exact step.

    Args:
        read_every: steps between two looks from Python.

    Raises:
        NonFiniteError: from inside ``fit``.
    """

    def __init__(self, *, read_every: int = 20) -> None:
        super().__init__()
        self.read_every = read_every

    def on_train_begin(self, logs: dict | None = None) -> None:
        # Keras 3 wraps the variables that tf_keras hands out as they are
        variables = [v if isinstance(v, tf.Variable) else v.value for v in self.model.variables]
        variables = [v for v in variables if v.dtype.is_floating]
        step = tf.Variable(tf.zeros((), tf.int64), trainable=False)
        self._first_bad_step = first_bad = tf.Variable(tf.zeros((), tf.int64), trainable=False)

        @tf.function(autograph=False, jit_compile=False)
        def watch() -> None:
            step.assign_add(1)
            # A sum is finite only if all it adds up is: two cheap operations a variable. Weights whose sum overflows
            # without one of them being infinite are as lost.
            total = tf.add_n([tf.reduce_sum(tf.cast(v, tf.float32)) for v in variables])
            bad = tf.logical_and(tf.equal(first_bad, 0), tf.logical_not(tf.math.is_finite(total)))
            first_bad.assign(tf.where(bad, step, first_bad))

        self._watch = watch
        self._step = step
        self._steps_seen = 0

    def get_state(self) -> dict[str, int]:
        """Steps seen, for a checkpoint: an optimizer that gathers gradients or skips steps counts fewer."""
        return {"steps": self._steps_seen}

    def set_state(self, state: dict[str, int]) -> None:
        """A training that goes on counts on."""
        self._steps_seen = state["steps"]
        self._step.assign(self._steps_seen)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self._watch()
        self._steps_seen += 1
        if self._steps_seen % self.read_every == 0:
            self._read(logs)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self._read(logs)

    def _read(self, logs: dict | None) -> None:
        bad_step = int(self._first_bad_step)
        if bad_step:
            numbers = {getattr(v, "path", v.name): np.asarray(v, np.float32) for v in self.model.variables}
            names = [name for name, values in numbers.items() if not np.isfinite(values).all()]
            raise NonFiniteError(
                f"Training stopped: after step {bad_step} these weights are not finite: {', '.join(names[:5])}"
                f"{' ...' if len(names) > 5 else ''}. Look for NaN in the inputs, or lower the learning rate."
            )
        loss = (logs or {}).get("loss")
        if loss is not None and not np.isfinite(float(loss)):
            raise NonFiniteError(
                f"Training stopped: the loss is {float(loss)} at step {self._steps_seen}. "
                "Look for NaN in the inputs or labels, or lower the learning rate."
            )


class ProgressBar(keras.callbacks.Callback):
    """One bar over all epochs with the score and the time left; one plain line an epoch without a terminal.

    Args:
        stage: what is trained.
        score: name of the metric that is shown, in training and on validation.
    """

    def __init__(self, stage: str, *, score: str = "accuracy") -> None:
        super().__init__()
        self._stage, self._score = stage, score
        self._shown = False

    def on_train_begin(self, logs: dict | None = None) -> None:
        self._epochs, self._done, self._done_before = self.params["epochs"], 0, 0
        self._total = self._epochs * self.params["steps"]
        self._started = time.monotonic()
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%  {task.fields[numbers]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(file=output.terminal(sys.stdout)),
        )
        self._task = self._bar.add_task(self._stage, total=self._total, numbers="")
        self._shown = self._bar.console.is_terminal
        if self._shown:
            self._bar.start()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self._done += 1
        if self._shown and self._done % 10 == 0:
            self._bar.update(self._task, completed=self._done)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        numbers = "  ".join(f"{name} {value:.4f}" for name, value in (logs or {}).items() if self._score in name)
        self._bar.update(self._task, completed=self._done, numbers=numbers)
        if not self._shown:
            elapsed = time.monotonic() - self._started
            left = elapsed / (self._done - self._done_before) * (self._total - self._done)
            clock = f"{elapsed:.0f} s, {left:.0f} s left"
            print(f"{self._stage}: epoch {epoch + 1}/{self._epochs}  {numbers}  {clock}", flush=True)

    def on_train_end(self, logs: dict | None = None) -> None:
        if self._shown:
            self._bar.update(self._task, completed=self._total)
            self._bar.stop()

    def close(self) -> None:
        """Gives the terminal back, its cursor too, where there is no end to be told of."""
        if self._shown:
            self._bar.stop()

    def get_state(self) -> dict[str, int]:
        """Steps done, for a checkpoint."""
        return {"done": self._done}

    def set_state(self, state: dict[str, int]) -> None:
        """A training that goes on starts its bar where it stood, and counts the time left by its own steps."""
        self._done = self._done_before = state["done"]
        print(f"{self._stage}: goes on after step {self._done} of {self._total}", flush=True)


class CallbackList(keras.callbacks.CallbackList):
    """Callbacks of one training that runs as several calls of ``fit``: begin and end come once, from the caller."""

    def begin(self) -> None:
        """Tells every callback that the training begins."""
        super().on_train_begin()

    def end(self) -> None:
        """Tells every callback that the training has ended."""
        super().on_train_end()

    def on_train_begin(self, logs: dict | None = None) -> None:
        """A call of ``fit`` begins, which is nobody's concern."""

    def on_train_end(self, logs: dict | None = None) -> None:
        """A call of ``fit`` ends, which is nobody's concern."""


# What Keras' own callbacks have to remember, those of Keras 3 and of tf_keras alike, by the names of their classes. A
# callback that brings `get_state() -> dict` and `set_state(dict)`, with numbers, words, arrays and lists of arrays for
# values, is asked itself.
_REMEMBERED: dict[str, tuple[str, ...]] = {
    "History": ("epoch", "history"),
    "EarlyStopping": ("wait", "stopped_epoch", "best", "best_epoch", "best_weights"),
    "ReduceLROnPlateau": ("wait", "best", "cooldown_counter"),
    "ModelCheckpoint": ("best", "epochs_since_last_save"),
}


class Checkpoints(keras.callbacks.Callback):
    """Writes checkpoints that a training goes on from exactly, and puts one back.

    After every epoch, in the middle of a long one when the workspace says so, and when the process is asked to stop
    (Ctrl-C, SIGTERM), it keeps: weights, random states of layers and optimizer state; metrics and the state of the
    other callbacks; Python's and NumPy's random states; the position in the data. It has to be the last of all
    callbacks, so that it sees what the others have done.

    Args:
        workspace: keeps the checkpoints.
        others: the callbacks before this one.

    Attributes:
        place: epochs done, steps done of the one after them, and whether the training has been stopped early.
    """

    def __init__(self, workspace: Workspace, *, others: Sequence[keras.callbacks.Callback]) -> None:
        super().__init__()
        self._workspace, self._others = workspace, list(others)
        self._found = workspace.latest_checkpoint()
        facts = self._found[1] if self._found else {}
        self.place = epoch, step, _ = facts.get("place", (0, 0, False))
        self._epoch, self._step, self._skipped = epoch, step, step
        self._asked_to_stop = 0
        self._handlers: dict[int, Any] = {}

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Puts back the checkpoint, over whatever the other callbacks have just begun with.

        Raises:
            ValueError: if the checkpoint is of other variables or other callbacks.
        """
        if self._found is None:
            return
        arrays, facts = self._found
        if facts.get("callback_classes") != self._classes():
            raise ValueError(
                "A checkpoint goes back into the training that wrote it, with the same callbacks in the same order. "
                f"Received: {self._classes()}, where the checkpoint is of {facts.get('callback_classes')}."
            )
        for group, variables in self._groups().items():
            if group != "metrics":
                _assign(group, variables, arrays)
        for index, callback in enumerate(self._others):
            _set_state(callback, _tagged(arrays, f"callback/{index}/"), facts["callbacks"][index])
        version, numbers, gauss = facts["random"]
        random.setstate((version, tuple(numbers), gauss))
        name, position, has_gauss, gauss = facts["numpy_random"]
        np.random.set_state((name, arrays["numpy_random"], position, has_gauss, gauss))

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """In the middle of an epoch, the metrics go on from where they were."""
        if self._step and self._found is not None:
            _assign("metrics", self._groups()["metrics"], self._found[0])
        self._found = None  # a second copy of weights and optimizer that nobody needs any more

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """A checkpoint in the middle of an epoch, if it is time for one or somebody wants to stop."""
        self._step = self._skipped + batch + 1
        if self._step < self.params["steps"] and (self._asked_to_stop or self._workspace.checkpoint_due()):
            self._keep()
            self._stop_if_asked()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """A checkpoint after every epoch."""
        self._epoch, self._step, self._skipped = epoch + 1, 0, 0
        self._keep()
        self._stop_if_asked()

    def __enter__(self) -> Checkpoints:
        """From here on Ctrl-C and SIGTERM end the training at a checkpoint, within a step or a validation."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._handlers[number] = signal.signal(number, self._ask_to_stop)
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if kind is None:
            self._stop_if_asked()  # after the last checkpoint, when there was no step left to stop at

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        if self._asked_to_stop:  # the second time at once
            raise _ending(self._asked_to_stop)
        self._asked_to_stop = number

    def _stop_if_asked(self) -> None:
        if self._asked_to_stop:
            raise _ending(self._asked_to_stop)

    def _keep(self) -> None:
        arrays = {
            f"{group}/{index:05d}": np.asarray(variable)
            for group, variables in self._groups().items()
            for index, variable in enumerate(variables)
        }
        states = []
        for index, callback in enumerate(self._others):
            plain, tensors = _state(callback)
            states.append(plain)
            arrays |= {f"callback/{index}/{name}": array for name, array in tensors.items()}
        name, words, *rest = np.random.get_state()
        arrays["numpy_random"] = np.asarray(words)
        facts = {
            "place": [self._epoch, self._step, bool(self.model.stop_training)],
            "callback_classes": self._classes(),
            "callbacks": states,
            "random": random.getstate(),
            "numpy_random": [name, *rest],
        }
        self._workspace.save_checkpoint({name: _storable(array) for name, array in arrays.items()}, facts)

    def _classes(self) -> list[str]:
        return [type(callback).__name__ for callback in self._others]

    def _groups(self) -> dict[str, list[keras.Variable]]:
        return {
            "model": list(self.model.variables),
            "optimizer": list(self.model.optimizer.variables),
            "metrics": list(self.model.metrics_variables) if self._step else [],
        }


def _ending(number: int) -> BaseException:
    return KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number)


def _assign(group: str, variables: Sequence[keras.Variable], arrays: Mapping[str, np.ndarray]) -> None:
    saved = _tagged(arrays, f"{group}/")
    shapes = [saved[name].shape for name in sorted(saved)]
    if shapes != [tuple(variable.shape) for variable in variables]:
        raise ValueError(
            f"A checkpoint goes back into the training that wrote it. Received: {len(shapes)} arrays for the {group}, "
            f"which has {len(variables)} variables, or other shapes."
        )
    for name, variable in zip(sorted(saved), variables, strict=True):
        variable.assign(saved[name])


def _storable(array: np.ndarray) -> np.ndarray:
    """NumPy's archives know no bfloat16, whose every number is one of float32 too."""
    return array.astype(np.float32) if array.dtype == tf.bfloat16.as_numpy_dtype else array


def _tagged(arrays: Mapping[str, np.ndarray], tag: str) -> dict[str, np.ndarray]:
    """The arrays whose names begin with a tag, by the rest of their names."""
    return {name.removeprefix(tag): array for name, array in arrays.items() if name.startswith(tag)}


def _state(callback: keras.callbacks.Callback) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What a callback has to remember: what JSON takes, and its arrays by name (``name`` or ``name/00003``)."""
    ask: Callable[[], dict[str, Any]] | None = getattr(callback, "get_state", None)
    state = ask() if ask else {name: getattr(callback, name) for name in _remembered(callback)}
    plain: dict[str, Any] = {}
    arrays: dict[str, np.ndarray] = {}
    for name, value in state.items():
        if isinstance(value, np.ndarray):
            arrays[name] = value
        elif isinstance(value, list) and any(isinstance(item, np.ndarray) for item in value):  # numbers among them
            arrays |= {f"{name}/{index:05d}": np.asarray(item) for index, item in enumerate(value)}
        else:
            plain[name] = _plain(value)
    return plain, arrays


def _set_state(
    callback: keras.callbacks.Callback, arrays: Mapping[str, np.ndarray], plain: Mapping[str, object]
) -> None:
    state: dict[str, Any] = dict(plain)
    for name in sorted(arrays):
        whole, slash, _ = name.rpartition("/")
        if slash:
            state.setdefault(whole, []).append(arrays[name])
        else:
            state[name] = arrays[name]
    tell: Callable[[dict[str, Any]], None] | None = getattr(callback, "set_state", None)
    if tell:
        tell(state)
        return
    for name, value in state.items():
        setattr(callback, name, value)


def _remembered(callback: keras.callbacks.Callback) -> tuple[str, ...]:
    kinds = [kind for kind in type(callback).__mro__ if kind.__module__.startswith(("keras.", "tf_keras."))]
    names = [name for kind in kinds for name in _REMEMBERED.get(kind.__name__, ())]
    return tuple(name for name in names if hasattr(callback, name))


def _plain(value: object) -> Any:
    """NumPy's and TensorFlow's scalars as Python's; a float64 goes through JSON unchanged."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic) or tf.is_tensor(value):
        return np.asarray(value).item()
    return value
