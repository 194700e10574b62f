"""The numbers that a network computes in: a faster training in half precision, and back to what files hold."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from kerastl import types


@contextlib.contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Layers made inside compute in ``name`` ("float32", "mixed_bfloat16"); the old policy comes back afterwards."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def choose_dtype_policy(
    build: Callable[[], keras.Model],
    batch: types.Split,
    *,
    steps: int = 5,
    rounds: int = 3,
    required_gain: float = 1.1,
) -> str:
    """Times a few training steps of ``build()`` in both precisions and returns the policy to train in.

    bfloat16 pays on processors with matrix units for it (AMX, GPUs) and only on wide layers, so it is measured.

    Args:
        build: makes the model anew; called once a precision.
        batch: a typical one, with the task whose loss is trained to.
        steps: timed steps a round.
        rounds: interleaved rounds; the medians are compared.
        required_gain: how many times faster bfloat16 has to be to be chosen.

    Returns:
        ``"float32"`` or ``"mixed_bfloat16"``.
    """
    inputs, labels = np.asarray(batch.inputs), np.asarray(batch.labels)
    seconds: dict[str, list[float]] = {"float32": [], "mixed_bfloat16": []}
    models = {}
    for name in seconds:
        with dtype_policy(name):
            models[name] = build()
        models[name].compile("adam", batch.task.target.loss(), jit_compile=False)
        models[name].train_on_batch(inputs, labels)  # traces
    gain = 1.0
    for count in (1, *[steps] * rounds):
        for name, model in models.items():
            start = time.perf_counter()
            for _ in range(count):
                model.train_on_batch(inputs, labels)
            seconds[name].append((time.perf_counter() - start) / count)
        gain = statistics.median(seconds["float32"]) / statistics.median(seconds["mixed_bfloat16"])
        if gain < 0.5:  # without units for it bfloat16 is emulated, many times slower: no need to sit through that
            break
    return "mixed_bfloat16" if gain >= required_gain else "float32"


def build_in_fastest_dtype(
    build: Callable[[], keras.Model], batch: types.Split, *, seed: int, workspace: types.Workspace | None = None
) -> keras.Model:
    """The model in the precision that trains it fastest on this machine, see `choose_dtype_policy`; its weights are the
    seed's.

    A teacher is trained once and then answers: what it computes in is of no matter to its students, and `as_float32`
    makes it what files hold.

    Args:
        build: makes the model anew; called once a precision, and once more.
        batch: a typical one.
        seed: of the weights.
        workspace: remembers the precision, so that a training that was interrupted goes on in it.
    """

    def timed() -> str:
        return choose_dtype_policy(build, batch)

    name = timed() if workspace is None else workspace.remember("precision", timed)
    keras.utils.set_random_seed(seed)  # after the timing, which draws weights too
    with dtype_policy(name):
        return build()


def as_float32(model: keras.Model) -> keras.Model:
    """A copy of ``model`` with the same weights that computes in float32 as files do, and so do models inside of it."""
    copy = model.__class__.from_config(_in_float32(model.get_config()))
    copy.set_weights(model.get_weights())
    for layer in copy._flatten_layers():
        if isinstance(layer, keras.layers.Normalization):  # it computes with what it made of its weights
            layer.finalize_state()
    return copy


_HALF = {"float16", "bfloat16", "mixed_float16", "mixed_bfloat16"}


def _in_float32(config: object) -> Any:
    """A configuration in which every type of half precision is float32: of a layer, or of an operation that casts."""
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy":
            return "float32"
        return {
            key: "float32" if key == "dtype" and isinstance(value, str) and value in _HALF else _in_float32(value)
            for key, value in config.items()
        }
    return [_in_float32(value) for value in config] if isinstance(config, list | tuple) else config
