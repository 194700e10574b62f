"""A spectrogram inside a file: what computes in float32 with 8-bit kernels, and what is integer behind it."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from kerastl import runs, verify
from kerastl.compress import float_file, ptq
from kerastl.export import tflite
from kerastl.inputs.numbers import Numbers
from kerastl.models.audio import front_end
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Task

SOUNDS = np.sin(np.linspace(0, 800, 2000) * np.linspace(0.5, 2, 24)[:, None]) * np.logspace(-3, 0, 24)[:, None]
SOUNDS = (SOUNDS + 1e-4 * np.random.default_rng(0).normal(size=SOUNDS.shape)).clip(-1, 1).astype("float32")
TASK = Task("words", Numbers((2000,)), SingleLabel(("go", "stop", "wait")))
LAST = "front_end_image"


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    samples = keras.Input((2000,), name="samples")
    x = front_end.image(samples, front_end.Features(mels=16), task=TASK)
    x = keras.layers.Conv2D(8, 3, activation="relu", name="stem")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(samples, keras.layers.Dense(3, name="logits")(x))


@pytest.fixture(scope="module")
def whole(model) -> bytes:
    return tflite.convert(model, TASK)


def error(file: bytes, whole: bytes) -> float:
    wanted, got = (verify.predict_tflite(one, SOUNDS, kind=TASK.inputs) for one in (whole, file))
    return float(np.abs(got - wanted).max())


def bytes_of_kernels(file: bytes) -> dict[bool, int]:
    """How many bytes the file's kernels of 200 numbers and more have, in 8 bits and in others."""
    held = float_file.parsed(file)
    found = {True: 0, False: 0}
    for graph in held.subgraphs:
        for tensor in graph.tensors:
            data = held.buffers[tensor.buffer].data
            if data is not None and len(tensor.shape) > 1 and np.prod(tensor.shape) >= 200:
                found[tensor.type == schema.TensorType.INT8] += len(data)
    return found


def test_the_front_end_is_everything_up_to_a_layer(whole):
    names = float_file.up_to(whole, LAST)
    kernels = [one for one in float_file.operators(whole) if one.name in float_file.left_float(whole, names)]
    assert [one.kind for one in kernels] == ["DEPTHWISE_CONV_2D", "CONV_2D", "CONV_2D", "FULLY_CONNECTED"]
    assert len(float_file.operators(whole)) == 6
    with pytest.raises(ValueError, match=r"Received: 'nothing'\. Available: front_end_"):
        float_file.up_to(whole, "nothing")


def test_kernels_in_8_bits_that_compute_in_float(whole):
    names = float_file.up_to(whole, LAST)
    all_bytes, kept, stored = (
        ptq.dynamic_int8(whole, **options) for options in ({}, {"keep_float": names}, {"weight_only": names})
    )
    assert bytes_of_kernels(stored)[False] == bytes_of_kernels(all_bytes)[False] == 0
    assert bytes_of_kernels(kept)[False] > 4 * 8000
    assert len(stored) < len(kept) - 3 * 8000
    assert error(stored, whole) < error(all_bytes, whole) / 2
    assert error(kept, whole) <= error(stored, whole)


def test_integers_behind_a_float_front_end(whole):
    options = {"calibration": SOUNDS, "inputs": TASK.inputs}
    with pytest.raises(ValueError, match="LOG would stay float"):
        ptq.static_int8(whole, **options)
    file = ptq.static_int8(whole, **options, weight_only=float_file.up_to(whole, LAST))
    assert bytes_of_kernels(file)[False] == 0
    assert error(file, whole) < 0.05
    held = float_file.parsed(file)
    (stem,) = [
        one
        for one in held.subgraphs[0].operators
        if [int(size) for size in held.subgraphs[0].tensors[one.outputs[0]].shape] == [1, 9, 14, 8]
    ]
    types = {held.subgraphs[0].tensors[place].type for place in [*stem.inputs[:2], *stem.outputs]}
    assert types == {schema.TensorType.INT8}
    graph = held.subgraphs[0]
    assert {graph.tensors[place].type for place in [*graph.inputs, *graph.outputs]} == {schema.TensorType.FLOAT32}


def test_candidates_say_where_integers_begin(model):
    found = runs.post_training(
        model, TASK, techniques=["float32", "dynamic_int8", "static_int8"], calibration=SOUNDS, front_end=LAST
    )
    names = ["float32", "dynamic_int8_float_front_end", "static_int8_float_front_end"]
    assert [one.name for one in found] == names
    assert not [one.failed for one in found if one.failed]
    assert [one.how.integer for one in found] == [False, False, False]
    assert "behind a float front end" in found[2].how.description
