"""The numbers that a network computes in: a faster training in half precision, and back to what files hold."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from kerastl import types
from kerastl.system import machine


@contextlib.contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Layers made inside compute in ``name`` ("float32", "mixed_bfloat16"); the old policy comes back afterwards."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


WIDE = 48
"""Channels from which bfloat16 pays. Measured on a processor with AVX-512 BF16, in processor time of a training step
against float32: 1.0 to 1.1 times faster at 16 to 32 channels, 1.2 at 48 and 64, 1.4 at 96 and 128."""


def fastest_dtype_policy(model: keras.Model) -> str:
    """The policy that trains ``model`` fastest here, by a rule: a clock, near its threshold, would say now this and now
    that, and one seed would give different files.

    Returns:
        ``"mixed_bfloat16"`` where this machine has units for it and the model is `WIDE`, else ``"float32"``.
    """
    return "mixed_bfloat16" if has_bfloat16_units() and width(model) >= WIDE else "float32"


def has_bfloat16_units() -> bool:
    """Whether matrices of bfloat16 are multiplied as such, by a GPU of compute capability 8 or by the processor, see
    `machine.bfloat16_units`.
    """
    details = (tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU"))
    if any(one.get("compute_capability", (0, 0)) >= (8, 0) for one in details):
        return True
    return bool(machine.bfloat16_units())


def width(model: keras.Model) -> int:
    """Channels of a model: half of its multiply-adds are in layers that have as many or more on both sides.

    Dense layers and convolutions count, those inside of other models too; a depthwise kernel has one channel.
    """
    counted: list[tuple[int, int]] = []
    for layer in model._flatten_layers():
        if isinstance(getattr(layer, "kernel", None), keras.Variable) and len(layer.kernel.shape) > 1:
            shape = layer.kernel.shape
            counted.append((min(shape[-2:]), math.prod(shape) * _places(layer)))
    below, half = 0, sum(multiply_adds for _, multiply_adds in counted) / 2
    for channels, multiply_adds in sorted(counted):
        below += multiply_adds
        if below >= half:
            return channels
    return 0


def _places(layer: keras.Layer) -> int:
    """How often a layer's kernel is applied to one example; of a layer that no graph shows, once."""
    try:
        return math.prod(size or 1 for size in layer.output.shape[1:-1])
    except (AttributeError, ValueError):
        return 1


def build_in_fastest_dtype(
    build: Callable[[], keras.Model], *, seed: int, workspace: types.Workspace | None = None
) -> keras.Model:
    """The model in the precision that trains it fastest on this machine, see `fastest_dtype_policy`; its weights are
    the seed's.

    A teacher is trained once and then answers: what it computes in is of no matter to its students, and `as_float32`
    makes it what files hold.

    Args:
        build: makes the model anew; called once, and once more where it is to compute in bfloat16.
        seed: of the weights.
        workspace: remembers the precision, so that a training that goes on elsewhere goes on in it.
    """
    keras.utils.set_random_seed(seed)
    model = build()
    found = fastest_dtype_policy(model)
    name = found if workspace is None else workspace.remember("precision", lambda: found)
    if name == "float32":
        return model
    keras.utils.set_random_seed(seed)
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
