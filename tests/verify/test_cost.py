"""Multiply-adds against a count by hand, the planned arena against where the interpreter puts its tensors."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from ai_edge_litert.tools import flatbuffer_utils
from toy_run import written_file

from kerastl import types
from kerastl.export import tflite
from kerastl.inputs.image import Image
from kerastl.tasks.single_label import SingleLabel
from kerastl.verify import benchmark, cost


def span_in_memory(data: bytes) -> int:
    """Bytes from the first activation of an interpreter of plain kernels to the end of the last."""
    model: Any = flatbuffer_utils.read_model_from_bytearray(bytearray(data))
    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_content=data, num_threads=1, experimental_op_resolver_type=plain)
    interpreter.allocate_tensors()
    graph = model.subgraphs[0]
    made = {int(index) for operator in graph.operators for index in operator.outputs} | set(map(int, graph.inputs))
    views = [interpreter.tensor(index)() for index in made]
    places = [(view.__array_interface__["data"][0], view.nbytes) for view in views]
    return max(start + size for start, size in places) - min(start for start, _ in places)


@pytest.fixture(scope="module")
def residual() -> bytes:
    """Convolution, depthwise convolution, residual sum, pooling, dense layer."""
    pictures = keras.Input((16, 16, 3))
    first = keras.layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", use_bias=False)(pictures)
    inner = keras.layers.DepthwiseConv2D(3, padding="same")(keras.layers.Conv2D(24, 1)(first))
    last = keras.layers.GlobalAveragePooling2D()(keras.layers.add([first, keras.layers.Conv2D(8, 1)(inner)]))
    model = keras.Model(pictures, keras.layers.Dense(4)(last))
    return tflite.convert(model, types.Task("toy", Image((16, 16, 3)), SingleLabel(("a", "b", "c", "d"))))


def test_multiply_adds_are_those_of_the_layers(residual):
    facts = benchmark.inspect(residual)
    wanted = 8 * 8 * 8 * 27 + 8 * 8 * 24 * 8 + 8 * 8 * 24 * 9 + 8 * 8 * 8 * 24 + 8 * 4
    assert facts.multiply_adds == wanted
    assert benchmark.inspect(written_file()).multiply_adds == 3 * 16


def test_the_arena_is_the_one_that_the_interpreter_takes(residual):
    for data in (residual, written_file()):
        facts = benchmark.inspect(data)
        assert facts.arena_bytes == span_in_memory(data)
    largest = 4 * 8 * 8 * 24  # two such tensors live at the same time
    assert 2 * largest <= (benchmark.inspect(residual).arena_bytes or 0) < 6 * largest


def test_tensors_take_the_smallest_gap_that_holds_them():
    throughout, early, late = (100, 0, 9), (640, 0, 1), (600, 2, 3)
    assert cost._planned([throughout, early, late]) == 128 + 640, "the second of two that never meet takes its place"
    assert cost._planned([throughout, early, (600, 1, 3)]) == 128 + 640 + 600
    assert cost._planned([]) == 0


@pytest.mark.parametrize(
    ("operator", "inputs", "output", "wanted"),
    [
        ("TRANSPOSE_CONV", [[4], [6, 3, 3, 5], [1, 7, 7, 5]], [1, 14, 14, 6], 7 * 7 * 5 * 6 * 9),
        ("BATCH_MATMUL", [[2, 5, 7], [2, 7, 3]], [2, 5, 3], 2 * 5 * 7 * 3),
        ("CONV_3D", [[1, 4, 4, 4, 2], [3, 3, 3, 2, 6]], [1, 2, 2, 2, 6], 8 * 6 * 27 * 2),
        ("ADD", [[1, 8], [1, 8]], [1, 8], 0),
    ],
)
def test_other_operators_by_hand(operator, inputs, output, wanted):
    number = getattr(cost._OPERATORS, operator)
    assert cost._of_operator(number, inputs, output, options=None) == wanted
    # the transposed convolution as NumPy would do it: every number of the input meets every weight of its channel
    if operator == "TRANSPOSE_CONV":
        assert wanted == np.prod(inputs[2][1:3]) * np.prod(inputs[1])
